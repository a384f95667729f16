"""One trainer for all methods: transformers' own, with the student as its model and the method as its loss."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import Sampler
from transformers import EvalPrediction, Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from mlic_hf.data import MultiLabelStream, as_stream, collate, is_stream, label_matrix, mixup
from mlic_hf.hub import write_card
from mlic_hf.losses.gather import world_size
from mlic_hf.methods.base import Method
from mlic_hf.methods.registry import build_objectives
from mlic_hf.methods.soft_labels import refuse_soft_labels
from mlic_hf.methods.teacher_cache import refuse_mixed_answers
from mlic_hf.methods.teachers import as_teacher, list_labels
from mlic_hf.methods.views import PixelSpec
from mlic_hf.modeling import MultiLabelImageProcessor
from mlic_hf.training import checkpoint, guards, publish
from mlic_hf.training.arguments import MultiLabelTrainingArguments
from mlic_hf.training.batch_norm import prepare_batch_norm, statistics
from mlic_hf.training.examples import (
    STARTS,
    evaluation_examples,
    refuse_mixed_unlabelled,
    taught_examples,
    training_examples,
)
from mlic_hf.training.gradient_norms import gradient_norms
from mlic_hf.training.measures import image_loss, measure
from mlic_hf.training.optimizers import adam, parameter_groups
from mlic_hf.training.order import Order, training_order, with_fillers
from mlic_hf.training.schedules import one_cycle, step, steps_per_epoch
from mlic_hf.training.step_losses import StepLosses
from mlic_hf.training.weights import AVERAGED, PLAIN, Weights

logger = logging.getLogger(__name__)


class MultiLabelTrainer(Trainer):
    """Trains a student by any method, on any pictures with labels.

    What it adds to transformers' Trainer: a method as the loss, its sums and counts normalised over the global batch
    (processes and accumulation), its named parts in the log, an average of the weights that is evaluated and saved
    beside the plain ones (`eval_mAP` is the better of `eval_plain_mAP` and `eval_ema_mAP`), checkpoints that are
    whole or not there, and guards. `loss` and `eval_loss` are per image; `eval_loss` is the binary cross-entropy.

    Args:
        model: the student, a model of this library (or one wrapped by PEFT); None with `model_init`.
        args: `MultiLabelTrainingArguments`, or plain `TrainingArguments`.
        data_collator: makes batches of examples; stacks tensors and keeps lists when None.
        train_dataset: a `datasets.Dataset`, list, ... of pictures and labels (see `mlic_hf.data.adapt`), or a dataset
            of examples {pixel_values, labels[, second_view, image_id]}.
        eval_dataset: the same, or several by name.
        processing_class: the image processor that is saved with the model; the model's own when None.
        method: a key ("l2d"), a method's settings (`L2DConfig(weight_mld=5)`), several of them, or objectives:
            see `mlic_hf.methods.registry.build_objectives`.
        teacher: what teaches: a folder (of a model, PSD's parts or a teacher cache), a Hub name, a model, or a
            `Teacher`.
        transform: the training images' pipeline: a paper's by name ("l2d" when None), a `TransformConfig`, or a
            function.
        compute_metrics: your own metrics of an `EvalPrediction` of logits and labels, beside which `loss` is told.
        kwargs: what else transformers' Trainer takes.

    Raises:
        ValueError: for a method without the teacher it needs, labels that do not match, or an argument that would
            have no effect.
    """

    args: MultiLabelTrainingArguments
    # transformers sets these; mypy does not see where
    optimizer: Any
    lr_scheduler: Any
    control: Any
    model: Any
    processing_class: Any
    # Losses arrive normalised over processes and accumulation: transformers must not divide again.
    loss_is_scaled_for_ga = True

    def __init__(
        self,
        model: Any = None,
        args: TrainingArguments | None = None,
        data_collator: Any = None,
        train_dataset: Any = None,
        eval_dataset: Any = None,
        processing_class: Any = None,
        *,
        method: Any = "supervised",
        teacher: Any = None,
        transform: Any = None,
        compute_metrics: Any = None,
        **kwargs: Any,
    ) -> None:
        if kwargs.get("compute_loss_func") is not None:
            raise ValueError("compute_loss_func would take the method's place: write an Objective (docs/trainer.md).")
        args = MultiLabelTrainingArguments.of(args or MultiLabelTrainingArguments(output_dir="tmp_trainer"))
        self.args, self.wanted, self.teacher = args, method, teacher
        self.weights = Weights(args)
        self._own_metrics = compute_metrics
        self._seed = args.seed if args.data_seed is None else args.data_seed  # of order, augmentation and mixing
        self.losses = StepLosses()
        self._moved_once: list[tuple[Tensor, Tensor]] = []
        self._resumed: Path | None = None
        self._order: Order | None = None
        self._looks_at_gradients = False
        self._norms: dict[str, float] = {}  # of the epoch's first batch
        self._schedule: Any = None
        train_dataset = as_stream(train_dataset) if is_stream(train_dataset) else train_dataset
        guards.refuse_unknown_length(train_dataset, args.max_steps)
        super().__init__(
            model,
            args,
            data_collator or collate,
            train_dataset,
            eval_dataset,
            processing_class,
            compute_metrics=self._measure,
            **kwargs,
        )
        guards.refuse_sharded_parameters(self.is_fsdp_enabled, self.accelerator)
        self.model_accepts_loss_kwargs = True  # transformers before `loss_is_scaled_for_ga`
        if model is not None:
            self.take(self.model)
        if self.processing_class is None:
            self.processing_class = MultiLabelImageProcessor.for_model(self.model)
        self.train_dataset = training_examples(
            train_dataset,
            list_labels(self.model),
            self.method.batch_pixels,
            transform,
            self.method.views,
            self._seed,
        )
        if self.method.counts_labels and train_dataset is not None:
            self.method.count_labels(label_matrix(self.train_dataset))
        if args.mixup_alpha:
            refuse_mixed_unlabelled(self.train_dataset)
        self.train_dataset = with_fillers(taught_examples(self.train_dataset, self.method), args)
        self.eval_dataset = self._evaluated(eval_dataset)
        self.add_callback(_Hooks(self))

    def take(self, model: Any) -> None:
        """Make the method for a student: its objectives, its teacher, what is trained beside it."""
        if isinstance(self.wanted, Method):
            self.method = self.wanted
        else:
            self.teacher = as_teacher(self.teacher, list_labels(model))
            objectives = build_objectives(self.wanted, model, self.teacher)
            self.method = Method(objectives, PixelSpec.of_model(model), self.teacher)
        guards.refuse_idle_teacher(self.teacher, self.method)
        self.loss: Any = self.method
        prepare_batch_norm((model, self.method), self.args.batch_norm)
        if self.args.mixup_alpha:
            refuse_soft_labels(self.method.objectives.values())  # type: ignore[arg-type]
            refuse_mixed_answers(self.method.teacher)
        if self.method.couples_images and self.args.gradient_accumulation_steps > 1:
            logger.warning(
                "A loss of this method compares the images of a batch; under gradient accumulation it sees one "
                "micro-batch (%d images a process) at a time, so the result is not that of the larger batch.",
                self.args.per_device_train_batch_size,
            )

    def call_model_init(self, trial: Any = None) -> Any:
        """A new student, with a method of its own."""
        model = super().call_model_init(trial)
        self.take(model)
        return model

    # Data

    def _get_train_sampler(self, train_dataset: Any = None) -> Sampler | None:
        data = self.train_dataset if train_dataset is None else train_dataset
        self._order = training_order(data, self.args, self._seed)
        return self._order

    def _get_eval_sampler(self, eval_dataset: Any) -> Sampler | None:
        if isinstance(eval_dataset, MultiLabelStream):
            return eval_dataset.in_order()
        return super()._get_eval_sampler(eval_dataset)

    def get_eval_dataloader(self, eval_dataset: Any = None) -> Any:
        return super().get_eval_dataloader(self._evaluated(eval_dataset))

    def get_test_dataloader(self, test_dataset: Any) -> Any:
        return super().get_test_dataloader(self._evaluated(test_dataset))

    def _evaluated(self, data: Any) -> Any:
        if data is None or isinstance(data, str):
            return data
        return evaluation_examples(data, list_labels(self.model), self.method.pixels)

    def get_batch_samples(
        self, epoch_iterator: Iterator, num_batches: int, device: torch.device
    ) -> tuple[list, Tensor | None]:
        """The micro-batches of one step and the counts of the global batch, which every loss is divided by."""
        batches = [batch for _, batch in zip(range(num_batches), epoch_iterator)]
        if not batches:
            return batches, None
        if self.args.mixup_alpha:
            key = (self._seed, self.args.process_index, self.state.global_step)
            for number, batch in enumerate(batches):
                start = next(name for name in STARTS if name in batch)
                mixed = mixup(batch[start], batch["labels"], self.args.mixup_alpha, *key, number)
                batch[start], batch["labels"] = mixed
        counts = sum(self.method.counts(batch["labels"].to(device), batch.get("unlabelled")) for batch in batches)
        self.method.zero_grad()  # transformers does it for the model alone
        self.losses.begin([name for batch in batches for name in batch.get("image_id", ())])
        return batches, self.accelerator.reduce(counts, reduction="sum")

    # Optimisation

    def train(self, resume_from_checkpoint: Any = None, *args: Any, **kwargs: Any) -> Any:
        """As in transformers; True resumes from the last whole checkpoint."""
        if resume_from_checkpoint is True:
            whole = checkpoint.find_checkpoints(Path(self.args.output_dir))
            if not whole:
                raise ValueError(f"There is no whole checkpoint in {self.args.output_dir} to resume from.")
            resume_from_checkpoint = str(whole[-1])
        with guards.explain_out_of_memory(self.args):
            return super().train(resume_from_checkpoint, *args, **kwargs)

    def create_optimizer(self, model: nn.Module | None = None) -> torch.optim.Optimizer:
        """The optimizer over the student's parameters and those of the objectives."""
        if self.optimizer is None:
            student = model or self.model
            own = adam(self.args) if self.args.optim == "adam" else None
            chosen = self.optimizer_cls_and_kwargs or own or self.get_optimizer_cls_and_kwargs(self.args, student)
            kind, options = chosen
            if not isinstance(kind, type) or {"params", "model", "optimizer_dict"} & options.keys():
                raise ValueError(
                    f"optim {self.args.optim!r} makes its own parameter groups, which leave out the method's "
                    "parameters and the settings lr_scales and decay_all; use adam, adamw_torch, sgd or their like."
                )
            named = dict(student.named_parameters()) | {
                f"objectives.{name}": parameter for name, parameter in self.method.objectives.named_parameters()
            }
            self.optimizer = kind(parameter_groups(named, self.args), **options)
        return self.optimizer

    def create_scheduler(self, num_training_steps: int, optimizer: torch.optim.Optimizer | None = None) -> Any:
        """The schedule over all steps, or over those of `schedule_epochs`; made anew for each training."""
        if self.lr_scheduler is not None and self.lr_scheduler is not self._schedule:
            return self.lr_scheduler  # the user's
        inner = optimizer or self.optimizer
        inner = getattr(inner, "optimizer", inner)  # accelerate wraps it
        steps = num_training_steps
        if self.args.schedule_epochs is not None:
            steps = max(steps, round(steps_per_epoch(self.args, steps) * self.args.schedule_epochs))
        if self.args.lr_scheduler_type == "one_cycle":
            self._schedule = one_cycle(inner, self.args, steps)
        elif self.args.lr_scheduler_type == "step":
            self._schedule = step(inner, self.args, num_training_steps)
        else:
            self.lr_scheduler = None
            self._schedule = super().create_scheduler(steps, inner)
        self.lr_scheduler = self._schedule
        return self.lr_scheduler

    def compute_loss(
        self,
        model: nn.Module,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: Any = None,
    ) -> Any:
        """The student answers what the objectives ask, and the method turns the answers into the loss."""
        with self.accelerator.autocast():
            progress = self.state.global_step / self.state.max_steps
            batch = self.method.look(self.model, inputs.pop("pixel_values", None), **inputs, progress=progress)
            batch.student = model(**batch.seen, **self.method.asks)
            loss, parts = self.loss(batch, num_items_in_batch)
            if self._looks_at_gradients:
                self._note_gradients(batch, num_items_in_batch)
        self.losses.add({"": loss.detach()} | parts)
        if self.args.gradient_checkpointing:
            self._moved_once = statistics(self.model)
        return (loss, batch.student) if return_outputs else loss

    def training_step(self, *args: Any, **kwargs: Any) -> Tensor:
        loss = super().training_step(*args, **kwargs)
        for running, once in self._moved_once:
            running.copy_(once)
        return loss

    def floating_point_ops(self, inputs: Any) -> int:
        """None: transformers multiplies parameters by tokens, of which there are none; the counting costs time."""
        return 0

    def _note_gradients(self, batch: Any, counts: Any) -> None:
        """Once an epoch: how hard each loss pulls at the student, by its weight."""
        terms = self.method.terms(batch, counts)
        weighted = {f"grad_norm_{name}": weight * part for name, (weight, part) in terms.items()}
        self._norms = gradient_norms(weighted, self.model.parameters())
        self._looks_at_gradients = False

    def _get_grad_norm(self, model: nn.Module, grad_norm: Any = None) -> Any:
        """The norm that transformers logs is also where a gradient that is not finite shows: one look a step."""
        norm = super()._get_grad_norm(model, grad_norm)
        own = [parameter.grad for parameter in self.method.parameters() if parameter.grad is not None]
        both = norm if not own else norm + torch.nn.utils.get_total_norm(own).to(norm.device)
        if self.accelerator.scaler is None and not torch.isfinite(torch.as_tensor(both)):
            self.losses.skipped += 1
            if self.losses.skipped > self.args.max_skipped_steps:
                guards.refuse_non_finite(self.state.global_step + 1, self.losses, (self.model, self.method))
            for parameter in (*self.model.parameters(), *self.method.parameters()):
                parameter.grad = None
            return norm
        self.losses.take()
        if own and self.args.max_grad_norm > 0:  # transformers clips the model's; each is clipped by its own norm
            torch.nn.utils.clip_grad_norm_(self.method.parameters(), self.args.max_grad_norm)
        return norm

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        if "loss" in logs:
            # transformers' own sum begins anew in a resumed run; this one is taken up
            told = self.losses.told(self._mean)
            logs |= {f"loss_{name}" if name else "loss": value for name, value in told.items()} | self._norms
            if self.losses.skipped:
                logs["skipped_steps"] = self.losses.skipped
        super().log(logs, start_time)

    # What goes with the steps (called by _Hooks)

    def begin(self) -> None:
        """Before the first step: the method is wrapped, the average begins, a resumed run takes up what it had."""
        self.method.to(self.args.device)
        trained = any(parameter.requires_grad for parameter in self.method.parameters())
        several = world_size() > 1 and trained
        self.loss = nn.parallel.DistributedDataParallel(self.method) if several else self.method
        self.losses = StepLosses()
        self.weights.begin(self.model)
        if self._resumed is not None:
            self._take_up(self._resumed)
            self._resumed = None

    def begin_epoch(self, epoch: int) -> None:
        """Set the order: accelerate's loaders do not reach the sampler when a resumed epoch runs on processes."""
        self._looks_at_gradients = self.args.gradient_norms
        if self._order is not None:
            self._order.set_epoch(epoch)

    def after_step(self) -> None:
        """What follows the weights: the method's own copies and the moving average."""
        self.method.after_step(self.model)
        self.weights.follow(self.state.global_step)

    def finish(self) -> None:
        """After the last step: the model has the better of its two weights, those of the best step where wanted."""
        if self.args.load_best_model_at_end and self.state.best_model_checkpoint is not None:
            self.weights.take_up(self.model, Path(self.state.best_model_checkpoint))
        self.weights.hold(self.weights.better)

    # Evaluation

    def evaluation_loop(self, *args: Any, **kwargs: Any) -> Any:
        if self.args.world_size > 1:
            averaged = [] if self.weights.average is None else self.weights.average.kept
            checkpoint.share_buffers([*self.model.buffers(), *averaged])
        self._prefix = kwargs.get("metric_key_prefix", "eval")
        return super().evaluation_loop(*args, **kwargs)

    def prediction_step(
        self, model: nn.Module, inputs: dict[str, Any], prediction_loss_only: bool, ignore_keys: Any = None
    ) -> tuple[Tensor | None, Any, Tensor | None]:
        """Loss, logits and labels of a batch; while training, the logits of plain and averaged weights."""
        labels = inputs.get("labels")
        dtype = self.model.dtype  # bf16_full_eval
        seen = {name: inputs[name].to(dtype) for name in STARTS if inputs.get(name) is not None}
        with torch.no_grad(), self.accelerator.autocast():
            logits = model(**seen).logits.float()
            loss = None if labels is None else image_loss(logits, labels)
            if prediction_loss_only:
                return loss, None, None
            if self.weights.average is None or not self.is_in_train:
                return loss, logits, labels
            with self.weights.averaged():
                return loss, (logits, model(**seen).logits.float()), labels

    def _measure(self, prediction: EvalPrediction) -> dict[str, float]:
        """The metrics of the logits; of plain and averaged weights the better ones, and what decides of both."""
        logits = prediction.predictions
        if not isinstance(logits, tuple):
            return measure(logits, prediction, self._own_metrics)
        told = {kind: measure(one, prediction, self._own_metrics) for kind, one in zip((PLAIN, AVERAGED), logits)}
        return self.weights.judge(told, self._prefix)

    # Checkpoints

    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
        """The better weights at the root of the folder, the others beside them, and what says which is which."""
        if self.args.should_save:
            folder = Path(output_dir or self.args.output_dir)
            self.weights.save(folder, self.accelerator.unwrap_model(self.model).save_pretrained)
            if self.processing_class is not None:
                self.processing_class.save_pretrained(folder)
        if self.args.push_to_hub and not _internal_call:
            self.push_to_hub(commit_message="Model save")

    def create_model_card(self, **facts: Any) -> None:
        """Write our part of the README beside the saved model; `facts` as in `publish.card_facts`."""
        if self.is_world_process_zero():
            write_card(self.args.output_dir, publish.card_facts(self, **facts))

    def push_to_hub(
        self,
        commit_message: str | None = "End of training",
        blocking: bool = True,
        token: str | None = None,
        revision: str | None = None,
        private: bool | None = None,
        **facts: Any,
    ) -> Any:
        """Save and send the model with its card, in one commit that is read back; returns the commit's address."""
        if not blocking or revision is not None:
            raise ValueError("A push waits until main was read back: leave blocking true and revision out.")
        if self.hub_model_id is None:
            if private is not None:
                self.args.hub_private_repo = private  # older transformers take it from here alone
            self.init_hf_repo(token=token)
        self.save_model(_internal_call=True)
        if not self.is_world_process_zero():
            return None
        return publish.push(self, commit_message or "", token, private, publish.card_facts(self, **facts))

    def _save_checkpoint(self, model: nn.Module, trial: Any) -> None:
        """Write under a temporary name, rename when whole, then delete what is too old."""
        step = self.state.global_step
        with checkpoint.whole_or_absent(self.args, step, self.accelerator.wait_for_everyone) as staging:
            super()._save_checkpoint(model, trial)
            best = self.state.best_model_checkpoint
            if best is not None and Path(best).is_relative_to(staging):  # where it will lie
                self.state.best_model_checkpoint = str(staging.parent / Path(best).relative_to(staging))
            told = self.losses.state(self._mean)
            if self.args.should_save:
                (written,) = staging.rglob(f"checkpoint-{step}")
                self.state.save_to_json(str(written / "trainer_state.json"))
                (written / checkpoint.STATE).write_text(json.dumps(told), encoding="utf-8")
                checkpoint.save_tensors(written / checkpoint.METHOD, self.method.objectives)
                checkpoint.save_tensors(written / checkpoint.COMPANIONS, self._companions())
        if self.args.should_save:
            best = self.state.best_model_checkpoint
            folder = staging.parent / written.parent.relative_to(staging)
            checkpoint.rotate(folder, self.args.save_total_limit, Path(best) if best else None)

    def _mean(self, tensor: Tensor) -> Tensor:
        return self.accelerator.reduce(tensor, reduction="mean")

    def _companions(self) -> nn.Module:
        return nn.ModuleDict({name.replace(".", "__"): m for name, m in self.method.companions().items()})

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: nn.Module | None = None) -> None:
        self._resumed = Path(resume_from_checkpoint)
        checkpoint.load_weights(model or self.model, checkpoint.place_of(self._resumed, PLAIN))

    def _take_up(self, folder: Path) -> None:
        """What a resumed run has beside its plain weights: the average, the method's tensors, the log's sums."""
        self.weights.load_average(self.model, folder)
        checkpoint.load_tensors(folder / checkpoint.METHOD, self.method.objectives)
        checkpoint.load_tensors(folder / checkpoint.COMPANIONS, self._companions())
        told = json.loads((folder / checkpoint.STATE).read_text(encoding="utf-8"))
        self.losses.load(told, self.args.device)


class _Hooks(TrainerCallback):
    """Calls the trainer back where transformers offers an event but no method to override."""

    def __init__(self, trainer: MultiLabelTrainer) -> None:
        self.trainer = trainer

    def on_train_begin(self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        self.trainer.begin()

    def on_epoch_begin(self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        self.trainer.begin_epoch(int(state.epoch or 0))

    def on_optimizer_step(self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        if not self.trainer.accelerator.optimizer_step_was_skipped:
            self.trainer.after_step()

    def on_train_end(self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        self.trainer.finish()
