"""One trainer for all methods."""

from __future__ import annotations

import json
import logging
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset, Sampler
from transformers import Trainer, TrainerCallback, TrainerControl, TrainerState

from mlic_hf.data import EpochSampler
from mlic_hf.methods.base import Method
from mlic_hf.metrics import multilabel_metrics
from mlic_hf.training import checkpoint, guards
from mlic_hf.training.arguments import MultiLabelTrainingArguments
from mlic_hf.training.batch_norm import prepare_batch_norm
from mlic_hf.training.ema import MovingAverage
from mlic_hf.training.even_batches import EvenSampler, UnlabelledRepeats
from mlic_hf.training.optimizers import build_optimizer
from mlic_hf.training.schedules import build_schedule

logger = logging.getLogger(__name__)
#: what an evaluation while training says; `test` gives every metric
TOLD_EACH_EPOCH = ("mAP", "CF1", "OF1", "labels_without_positives")


class MultiLabelTrainer(Trainer):
    """Trains a `Method`, evaluates its student alone, keeps plain and averaged weights.

    What it adds to transformers' Trainer: sums and counts normalised over the global batch (processes and
    accumulation), named loss parts in the log, an average of the weights that is evaluated and saved beside the
    plain ones (`eval_mAP` is the better of `eval_plain_mAP` and `eval_ema_mAP`), the papers' optimizers and
    schedules, checkpoints that are whole or not there, and guards.

    Args:
        model: the method.
        args: the settings.
        kwargs: what transformers' Trainer takes (train_dataset, eval_dataset, data_collator, processing_class).
    """

    args: MultiLabelTrainingArguments
    # transformers sets these; mypy does not see where
    optimizer: Any
    lr_scheduler: Any
    control: Any

    def __init__(self, model: Method, args: MultiLabelTrainingArguments, **kwargs: Any) -> None:
        prepare_batch_norm(model, args.batch_norm)
        kwargs.setdefault("compute_metrics", self._metrics)
        # One process uses one GPU: transformers would cut its batch for all that it sees, unknown to the counts.
        args._n_gpu = min(args.n_gpu, 1)
        if args.world_size > 1 and kwargs.get("train_dataset") is not None:
            kwargs["train_dataset"] = UnlabelledRepeats(kwargs["train_dataset"])
        super().__init__(model=model, args=args, **kwargs)
        guards.refuse_sharded_parameters(self.is_fsdp_enabled, self.accelerator)
        self.method = model
        if model.couples_images and args.gradient_accumulation_steps > 1:
            logger.warning(
                "A loss of this method compares the images of a batch; under gradient accumulation it sees one "
                "micro-batch (%d images a process) at a time, so the result is not that of the larger batch.",
                args.per_device_train_batch_size,
            )
        # Losses arrive normalised over processes and accumulation: transformers must not divide again.
        self.model_accepts_loss_kwargs = True
        self.ema = None if args.ema_decay is None else MovingAverage(model.student, args.ema_decay)
        self.evaluated: nn.Module = model.student
        self.scores: dict[str, float | None] = {}
        self.skipped_steps = 0
        self._parts: dict[str, Tensor] = {}
        self._part_steps = 0
        self._step_images: list[str] = []
        self._restored: dict[str, Any] = {}
        self._writing_to: Path | None = None
        self._order: EpochSampler | EvenSampler | None = None
        self.add_callback(_Hooks(self))

    # Data

    def _get_train_sampler(self, train_dataset: Any = None) -> Sampler:
        args, seed = self.args, self.args.data_augmentation_seed
        order = EpochSampler(train_dataset or self.train_dataset, args.seed if seed is None else seed)
        several = args.world_size > 1
        self._order = EvenSampler(order, args.train_batch_size * args.world_size) if several else order
        return self._order

    def begin_epoch(self, epoch: int) -> None:
        """Set the order: accelerate's loaders do not reach the sampler when a resumed epoch runs on processes."""
        if self._order is not None:
            self._order.set_epoch(epoch)

    def get_batch_samples(
        self, epoch_iterator: Iterator, num_batches: int, device: torch.device
    ) -> tuple[list, Tensor | None]:
        """The micro-batches of one step and the counts of the global batch, which every loss is divided by."""
        batches = [batch for _, batch in zip(range(num_batches), epoch_iterator)]
        if not batches:
            return batches, None
        counts = sum(self.method.counts(batch["labels"].to(device)) for batch in batches)
        self._part_steps += 1
        self._step_images = [name for batch in batches for name in batch.get("image_id", ())]
        return batches, self.accelerator.reduce(counts, reduction="sum")

    # Optimisation

    def create_optimizer(self, model: nn.Module | None = None) -> torch.optim.Optimizer:
        if self.optimizer is None:
            self.optimizer = build_optimizer(model or self.model, self.args)
        return self.optimizer

    def create_scheduler(self, num_training_steps: int, optimizer: torch.optim.Optimizer | None = None) -> Any:
        if self.lr_scheduler is None:
            inner = optimizer or self.optimizer
            inner = getattr(inner, "optimizer", inner)  # accelerate wraps it
            self.lr_scheduler = build_schedule(inner, self.args, num_training_steps)
            self._created_lr_scheduler = True
        return self.lr_scheduler

    def training_step(self, model: nn.Module, inputs: dict[str, Any], num_items_in_batch: Any = None) -> Tensor:
        with guards.explain_out_of_memory(self.args):
            return super().training_step(model, inputs, num_items_in_batch)

    def compute_loss(
        self,
        model: nn.Module,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: Any = None,
    ) -> Any:
        self.method.progress = self.state.global_step / max(1, self.state.max_steps)
        outputs = model(**inputs, totals=num_items_in_batch)
        loss, parts = outputs["loss"], {k: v for k, v in outputs.items() if k not in ("loss", "logits")}
        if not guards.is_finite_everywhere(loss, self.accelerator):
            self.skipped_steps += 1
            guards.refuse_non_finite(self.skipped_steps, self.args, self.state.global_step, loss, parts, inputs)
            loss = loss * 0.0 if torch.isfinite(loss) else sum(p.sum() * 0.0 for p in model.parameters())
            parts = {}
        for name, part in parts.items():
            self._parts[name] = self._parts.get(name, 0.0) + part
        return (loss, outputs) if return_outputs else loss

    def before_step(self) -> None:
        """Look at the gradients once they are those of the global batch; a loss scaler does so itself."""
        if self.accelerator.scaler is not None:
            return
        broken = guards.broken_gradients(self.method)
        if broken:
            self.skipped_steps += 1
            guards.refuse_broken_gradients(
                self.skipped_steps, self.args, self.state.global_step, broken, self._step_images
            )
            self.method.zero_grad(set_to_none=True)

    def after_step(self) -> None:
        """What follows the weights: the method's own copies and the moving average."""
        self.method.after_step()
        if self.ema is not None:
            self.ema.module.to(self.args.device)
            self.ema.update(self.method.student)

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        if "loss" in logs and self._parts:
            for name, total in self._parts.items():
                mean = self.accelerator.reduce(total.float(), reduction="mean")
                logs[f"loss_{name}"] = mean.item() / max(1, self._part_steps)
            self._parts, self._part_steps = {}, 0
        if "loss" in logs and self.skipped_steps:
            logs["skipped_steps"] = self.skipped_steps
        super().log(logs, start_time)

    # Evaluation

    def evaluate(
        self, eval_dataset: Any = None, ignore_keys: list[str] | None = None, metric_key_prefix: str = "eval"
    ) -> dict[str, float]:
        """Evaluate plain and averaged weights; the returned scores are those of the better by mAP.

        `<prefix>_plain_mAP` and `<prefix>_ema_mAP` name both.
        """
        self._share_buffers()
        models = {"plain": self.method.student} | ({} if self.ema is None else {"ema": self.ema.module})
        results = {}
        for name, model in models.items():
            self.evaluated = model.to(self.args.device)
            with _silent_logging(self):
                results[name] = super().evaluate(eval_dataset, ignore_keys, metric_key_prefix)
        self.evaluated = self.method.student
        key = f"{metric_key_prefix}_mAP"
        self.scores = {name: result[key] for name, result in results.items()}
        best = max(results, key=lambda name: (results[name][key], name == "plain"))
        metrics = dict(results[best])
        if self.ema is not None:
            metrics |= {f"{metric_key_prefix}_{name}_mAP": score for name, score in self.scores.items()}
        self.log(metrics)
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        return metrics

    def prediction_step(
        self, model: nn.Module, inputs: dict[str, Any], prediction_loss_only: bool, ignore_keys: Any = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """The student alone on a batch: loss, logits, labels."""
        self.evaluated.eval()
        inputs = self._prepare_inputs(inputs)
        with torch.no_grad(), self.accelerator.autocast():
            outputs = self.evaluated(pixel_values=inputs["pixel_values"], labels=inputs["labels"])
        return outputs.loss.detach(), outputs.logits.float(), inputs["labels"]

    def test(self, dataset: Dataset, prefix: str) -> tuple[Any, Any, dict[str, float]]:
        """The student as it stands on a data set, the averaged weights aside.

        Returns:
            scores (N, C) in [0, 1], labels (N, C), and the metrics with the prefix.
        """
        self._share_buffers()
        self.evaluated = self.method.student
        output = super().predict(dataset, metric_key_prefix=prefix)
        scores = _sigmoid(output.predictions)
        metrics = multilabel_metrics(scores, output.label_ids)
        return scores, output.label_ids, {f"{prefix}_{name}": value for name, value in metrics.items()}

    @staticmethod
    def _metrics(prediction: Any) -> dict[str, float]:
        metrics = multilabel_metrics(_sigmoid(prediction.predictions), prediction.label_ids)
        told = {name: metrics[name] for name in TOLD_EACH_EPOCH}
        # Of all known cells at once: transformers' mean of batch means also counts what fills up the last batch.
        return told | {"loss": _mean_cross_entropy(prediction.predictions, prediction.label_ids)}

    def _share_buffers(self) -> None:
        # Batch-norm statistics are each process's own; all evaluate with the first one's.
        if self.args.world_size > 1:
            for model in [self.method.student] + ([] if self.ema is None else [self.ema.module]):
                for buffer in model.to(self.args.device).buffers():
                    torch.distributed.broadcast(buffer, src=0)

    # Checkpoints

    def _get_output_dir(self, trial: Any) -> str:
        return str(self._writing_to or self.args.output_dir)

    def _save_checkpoint(self, model: nn.Module, trial: Any) -> None:
        """Write under a temporary name, rename when whole, then delete what is too old."""
        output_dir = Path(self.args.output_dir)
        final = output_dir / f"checkpoint-{self.state.global_step}"
        staging = output_dir / checkpoint.UNFINISHED
        if self.args.should_save:
            shutil.rmtree(staging, ignore_errors=True)
            staging.mkdir(parents=True)
        self.accelerator.wait_for_everyone()
        with guards.explain_full_disk(staging):
            self._write_into(staging, model, trial, final)
        self.accelerator.wait_for_everyone()
        if self.args.should_save:
            if final.exists():
                final.rename(staging / "replaced")
            os.replace(staging / final.name, final)
            shutil.rmtree(staging)
            best = self.state.best_model_checkpoint
            checkpoint.rotate(output_dir, self.args.save_total_limit, Path(best) if best else None)

    def _write_into(self, staging: Path, model: nn.Module, trial: Any, final: Path) -> None:
        best_before = self.state.best_model_checkpoint
        self._writing_to = staging
        try:
            super()._save_checkpoint(model, trial)
        finally:
            self._writing_to = None
        # transformers looks for the best checkpoint beside the one it writes; the real place is one folder up.
        is_best = self.state.best_global_step == self.state.global_step
        self.state.best_model_checkpoint = str(final) if is_best else best_before
        told = {
            "tr_loss": self.accelerator.reduce(self._tr_loss.float(), reduction="mean").item(),
            "last_logged": self._globalstep_last_logged,
            "parts": {k: self.accelerator.reduce(v.float(), reduction="mean").item() for k, v in self._parts.items()},
            "part_steps": self._part_steps,
            "skipped_steps": self.skipped_steps,
        }
        if self.args.should_save:
            self.state.save_to_json(str(staging / final.name / "trainer_state.json"))
            (staging / final.name / checkpoint.STATE).write_text(json.dumps(told), encoding="utf-8")

    def _save(self, output_dir: str | None = None, state_dict: Mapping[str, Tensor] | None = None) -> None:
        if not self.args.should_save:
            return
        folder = Path(output_dir or self.args.output_dir)
        folder.mkdir(parents=True, exist_ok=True)
        averaged = None if self.ema is None else self.ema.module
        checkpoint.save_models(folder, self.method.student, averaged, self.scores)
        checkpoint.save_tensors(folder / checkpoint.METHOD, self.method.objectives.state_dict())
        companions = nn.ModuleDict({k.replace(".", "__"): m for k, m in self.method.companions().items()})
        checkpoint.save_tensors(folder / checkpoint.COMPANIONS, companions.state_dict())
        if self.processing_class is not None:
            self.processing_class.save_pretrained(folder)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: nn.Module | None = None) -> None:
        folder = Path(resume_from_checkpoint)
        averaged = None if self.ema is None else self.ema.module
        self.scores = checkpoint.load_models(folder, self.method.student, averaged)
        companions = nn.ModuleDict({k.replace(".", "__"): m for k, m in self.method.companions().items()})
        for name, module in (
            (checkpoint.METHOD, self.method.objectives),
            (checkpoint.COMPANIONS, companions),
        ):
            if module.state_dict():
                module.load_state_dict(checkpoint.load_file(folder / name))
        self._restored = json.loads((folder / checkpoint.STATE).read_text(encoding="utf-8"))

    def _load_best_model(self) -> None:
        """Leave the best checkpoint's model files in the run's folder, and its root weights in the student."""
        best = Path(self.state.best_model_checkpoint or "")
        if self.args.should_save:
            checkpoint.publish(best, Path(self.args.output_dir))
        self.accelerator.wait_for_everyone()
        self.method.student.load_state_dict(checkpoint.load_file(best / checkpoint.MODEL))
        self.scores = checkpoint.read_weights(best)["scores"]

    def restore_loop(self) -> None:
        """Put back what a resumed run had accumulated since its last log line."""
        told = self._restored
        if told:
            self._tr_loss += told["tr_loss"]
            self._globalstep_last_logged = told["last_logged"]
            self._parts = {k: torch.tensor(v, device=self.args.device) for k, v in told["parts"].items()}
            self._part_steps, self.skipped_steps = told["part_steps"], told["skipped_steps"]
            self._restored = {}


def _sigmoid(logits: Any) -> Any:
    # In double precision, where confident logits keep their order.
    return torch.from_numpy(logits).double().sigmoid().numpy()


def _mean_cross_entropy(logits: Any, targets: Any) -> float:
    scores, known = torch.from_numpy(logits).double(), torch.from_numpy(targets)
    cells = known >= 0
    return nn.functional.binary_cross_entropy_with_logits(scores[cells], known[cells].double()).item()


class _Hooks(TrainerCallback):
    """Calls the trainer back where transformers offers an event but no method to override."""

    def __init__(self, trainer: MultiLabelTrainer) -> None:
        self.trainer = trainer

    def on_train_begin(self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        self.trainer.restore_loop()

    def on_epoch_begin(self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        self.trainer.begin_epoch(int(state.epoch or 0))

    def on_pre_optimizer_step(self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        self.trainer.before_step()

    def on_optimizer_step(self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        if not self.trainer.accelerator.optimizer_step_was_skipped:
            self.trainer.after_step()


class _silent_logging:
    """Hold back transformers' own log line and event of an evaluation: two are run and one is told."""

    def __init__(self, trainer: MultiLabelTrainer) -> None:
        self.trainer = trainer

    def __enter__(self) -> None:
        self.trainer.log = lambda *args, **kwargs: None  # type: ignore[method-assign]
        self.held = self.trainer.callback_handler.on_evaluate
        self.trainer.callback_handler.on_evaluate = lambda args, state, control, metrics: control

    def __exit__(self, *error: object) -> None:
        del self.trainer.log
        self.trainer.callback_handler.on_evaluate = self.held
