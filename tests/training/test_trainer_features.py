"""What a user of transformers' Trainer expects of this one: every row of the table in docs/trainer.md."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import nn
from transformers import EarlyStoppingCallback, TrainerCallback, TrainingArguments

from mlic_hf.data import collate
from mlic_hf.methods.base import Objective, Weighted
from mlic_hf.methods.mulcon import MulConLossConfig
from mlic_hf.methods.supervised import BinaryCrossEntropy
from mlic_hf.metrics import average_precision
from mlic_hf.training import MultiLabelTrainer
from mlic_hf.training.checkpoint import place_of, read_weights
from tests.methods.tiny import NAMES, SIZE, tiny_decoder, tiny_linear
from tests.methods.together import Together
from tests.training.tiny import arguments, dataset, make_trainer, rows, same_weights


def mean_ap(model: Any, data: Any) -> float:
    """mAP of a model on examples, by a loop of one's own."""
    batch = collate([data[i] for i in range(len(data))])
    with torch.no_grad():
        scores = model.eval()(batch["pixel_values"]).logits.double().sigmoid().numpy()
    return float(np.nanmean(average_precision(scores, batch["labels"].numpy())))


def plain(count: int, seed: int = 0) -> list[dict[str, Any]]:
    """Rows as a user has them: a picture and label names."""
    return [{"image": row["image"], "labels": [NAMES[i] for i in row["labels"]]} for row in rows(count, seed)]


# What was silently wrong


@pytest.mark.parametrize("kind", ["plain", "ema"])
def test_what_is_saved_after_training_is_what_was_measured(tmp_path: Path, kind: str) -> None:
    # a slow average loses to the plain weights, a fast one in a jumpy run wins: both must be saved as measured
    changes = (
        {"ema_decay": 0.999, "ema_warmup": False} if kind == "plain" else {"ema_decay": 0.8, "learning_rate": 0.1}
    )
    trainer = make_trainer(tmp_path / "run", num_train_epochs=4, **changes)
    trainer.train()
    trainer.save_model(tmp_path / "out")
    told = read_weights(tmp_path / "out")
    best = max(line["eval_mAP"] for line in trainer.state.log_history if "eval_mAP" in line)
    for name, score in told["scores"].items():
        place = tmp_path / "out" if name == told["root"] else tmp_path / "out" / name
        model = type(trainer.model).from_pretrained(place)
        assert mean_ap(model, trainer.eval_dataset) == pytest.approx(score, abs=1e-6), name
    assert told["scores"][told["root"]] == pytest.approx(best)
    assert mean_ap(trainer.model, trainer.eval_dataset) == pytest.approx(best)
    assert trainer.evaluate()["eval_mAP"] == pytest.approx(best)


def test_scores_are_not_told_of_weights_that_moved_since(tmp_path: Path) -> None:
    steps = {"eval_strategy": "steps", "eval_steps": 2, "save_strategy": "steps", "save_steps": 1}
    trainer = make_trainer(tmp_path, **steps, load_best_model_at_end=False, max_steps=3, save_total_limit=None)
    trainer.train()
    told = [read_weights(tmp_path / f"checkpoint-{step}")["scores"] for step in (1, 2, 3)]
    assert told[0] == {"plain": None, "ema": None}
    assert None not in told[1].values()


def test_a_loss_that_decides_is_better_when_lower(tmp_path: Path) -> None:
    trainer = make_trainer(tmp_path, metric_for_best_model="eval_loss", num_train_epochs=5, learning_rate=0.1)
    trainer.train()
    losses = [line["eval_loss"] for line in trainer.state.log_history if "eval_loss" in line]
    assert trainer.args.greater_is_better is False
    assert trainer.state.best_metric == min(losses)
    assert min(losses) < max(losses)
    for line in trainer.state.log_history:
        if "eval_loss" in line:
            assert line["eval_loss"] == min(line["eval_plain_loss"], line["eval_ema_loss"])


def test_training_and_evaluation_tell_one_loss(tmp_path: Path) -> None:
    data = dataset(13, seed=1)
    settings = {"learning_rate": 0.0, "batch_norm": "frozen", "num_train_epochs": 1, "weight_decay": 0.0}
    both = Together(tiny_linear(), [Weighted(BinaryCrossEntropy(), 1.0)])
    trainer = MultiLabelTrainer(
        both.student, arguments(tmp_path, **settings, per_device_train_batch_size=13), None, data, data
    )
    trainer.train()
    log = trainer.state.log_history
    assert log[0]["loss"] == pytest.approx(log[1]["eval_loss"], rel=1e-5)


def test_the_default_average_is_one_of_the_run_not_of_its_start(tmp_path: Path) -> None:
    trainer = make_trainer(tmp_path, ema_decay=0.9997, ema_warmup=True, max_steps=30, load_best_model_at_end=False)
    start = [tensor.detach().clone() for tensor in trainer.model.parameters()]
    trainer.train()
    trainer.weights.hold("plain")
    moved = sum((a - b).norm() for a, b in zip(trainer.model.parameters(), start))
    trainer.weights.hold("ema")
    averaged = sum((a - b).norm() for a, b in zip(trainer.model.parameters(), start))
    assert averaged > 0.5 * moved


@pytest.mark.parametrize("given", ["names", "ids", "multi_hot"])
def test_labels_of_every_form_are_the_same_labels(tmp_path: Path, given: str) -> None:
    forms = {
        "names": lambda labels: [NAMES[i] for i in labels],
        "ids": lambda labels: labels,
        "multi_hot": lambda labels: [int(i in labels) for i in range(len(NAMES))],
    }
    found = rows(12)
    data = [{"image": row["image"], "labels": forms[given](row["labels"])} for row in found]
    trainer = MultiLabelTrainer(tiny_linear(), arguments(tmp_path), train_dataset=data, eval_dataset=data)
    for position, row in enumerate(found):
        expected = torch.tensor([float(i in row["labels"]) for i in range(len(NAMES))])
        assert torch.equal(trainer.train_dataset[position]["labels"], expected)


def test_a_teachers_labels_are_matched_without_being_asked(tmp_path: Path) -> None:
    student, teacher = tiny_decoder(0), tiny_decoder(1, NAMES[::-1])
    data = dataset(8)
    trainer = MultiLabelTrainer(student, arguments(tmp_path), None, data, data, method="l2d", teacher=teacher)
    batch = collate([data[i] for i in range(8)])
    seen = trainer.method.look(trainer.model, **batch)
    expected = teacher.eval()(batch["pixel_values"]).logits.flip(1)
    torch.testing.assert_close(seen.teacher.logits, expected)
    other = tiny_decoder(1, ["ant", "bee", "cat", "dog", "fox"])
    with pytest.raises(ValueError, match=r"lacks \['eel'\] and has \['fox'\]"):
        MultiLabelTrainer(student, arguments(tmp_path), None, data, data, method="l2d", teacher=other)


def test_data_seed_and_sampling_strategy_are_honoured(tmp_path: Path) -> None:
    def order(**changes: Any) -> list[int]:
        return list(make_trainer(tmp_path, **changes)._get_train_sampler())

    assert order(seed=1, data_seed=5) == order(seed=2, data_seed=5) != order(seed=1, data_seed=6)
    assert order(train_sampling_strategy="sequential") == list(range(24))


def test_a_loss_function_beside_the_method_is_refused(tmp_path: Path) -> None:
    data = dataset(8)
    with pytest.raises(ValueError, match="compute_loss_func would take the method's place"):
        MultiLabelTrainer(tiny_linear(), arguments(tmp_path), None, data, data, compute_loss_func=lambda *a, **k: 0)


def test_what_would_have_no_effect_is_refused(tmp_path: Path) -> None:
    model, data = tiny_linear(), dataset(8)
    with pytest.raises(ValueError, match=r"no loss of this method asks it \(bce\)"):
        MultiLabelTrainer(model, arguments(tmp_path), train_dataset=data, eval_dataset=data, teacher=tiny_linear())
    both = Together(tiny_linear(), [Weighted(BinaryCrossEntropy(), 1.0)])
    with pytest.raises(ValueError, match="has its teacher already"):
        MultiLabelTrainer(
            both.student, arguments(tmp_path), None, data, data, method=both.method, teacher=tiny_linear()
        )
    with pytest.raises(ValueError, match="examples already, so the transform would have no effect"):
        MultiLabelTrainer(model, arguments(tmp_path), train_dataset=data, eval_dataset=data, transform="eval")


# What crashed


@pytest.mark.parametrize("steps", [1, 2])
def test_gradient_checkpointing_changes_nothing(tmp_path: Path, steps: int) -> None:
    # nor the statistics of batch norm, though its layers run twice a batch
    trained = []
    for name, on in (("on", True), ("off", False)):
        both = Together(tiny_decoder(0), [Weighted(BinaryCrossEntropy(), 1.0)])
        settings = {"num_train_epochs": 1, "optim": "sgd", "ema_decay": None, "gradient_accumulation_steps": steps}
        trainer = make_trainer(tmp_path / name, both, gradient_checkpointing=on, **settings)
        trainer.train()
        trained.append(trainer.model.state_dict())
    assert any(name.endswith("running_var") for name in trained[0])
    for name in trained[0]:
        torch.testing.assert_close(trained[0][name], trained[1][name], rtol=1e-4, atol=1e-6, msg=name)


@pytest.mark.parametrize("precision", ["bf16_full_eval", "fp16_full_eval"])
def test_evaluation_in_half_precision(tmp_path: Path, precision: str) -> None:
    exact = make_trainer(tmp_path).evaluate()
    rounded = make_trainer(tmp_path, **{precision: True}).evaluate()
    assert rounded["eval_loss"] == pytest.approx(exact["eval_loss"], rel=1e-2)
    assert rounded["eval_loss"] != exact["eval_loss"]


def test_a_schedule_turns_what_its_optimizer_has(tmp_path: Path) -> None:
    trainer = make_trainer(tmp_path, optim="adafactor")  # neither momentum nor betas
    trainer.train()
    assert trainer.lr_scheduler.get_last_lr()[0] < 1e-6


def test_metrics_of_ones_own_choose_the_best(tmp_path: Path) -> None:
    def mine(prediction: Any) -> dict[str, float]:
        assert prediction.predictions.shape == prediction.label_ids.shape == (13, len(NAMES))
        return {"spread": float(prediction.predictions.std())}

    data = {"train_dataset": dataset(24, kind="train"), "eval_dataset": dataset(13, seed=1)}
    args = arguments(tmp_path, metric_for_best_model="spread")
    trainer = MultiLabelTrainer(tiny_linear(), args, **data, compute_metrics=mine)
    trainer.train()
    told = [line for line in trainer.state.log_history if "eval_spread" in line]
    assert trainer.state.best_metric == max(line["eval_spread"] for line in told)
    assert all(line["eval_spread"] == max(line["eval_plain_spread"], line["eval_ema_spread"]) for line in told)


def test_several_evaluation_sets(tmp_path: Path) -> None:
    sets = {"one": plain(13, 1), "two": plain(9, 2)}
    args = arguments(tmp_path, metric_for_best_model="two_mAP", num_train_epochs=1)
    trainer = MultiLabelTrainer(tiny_linear(), args, train_dataset=plain(24), eval_dataset=sets)
    trainer.train()
    log = {key: value for line in trainer.state.log_history for key, value in line.items()}
    assert {"eval_one_mAP", "eval_two_mAP", "eval_one_loss", "eval_two_loss"} <= log.keys()
    assert trainer.state.best_metric == log["eval_two_mAP"]
    assert max(trainer.weights.scores.values()) == log["eval_two_mAP"]
    assert trainer.evaluate()["eval_two_mAP"] == pytest.approx(log["eval_two_mAP"])


@pytest.mark.slow
def test_a_compiled_student_learns_the_same(tmp_path: Path) -> None:
    trained = []
    for name, on in (("on", True), ("off", False)):
        trainer = make_trainer(tmp_path / name, torch_compile=on, num_train_epochs=1, optim="sgd")
        trainer.train()
        trainer.save_model(tmp_path / name / "out")
        trained.append(load_file(place_of(tmp_path / name / "out", "plain") / "model.safetensors"))
    assert trained[0].keys() == trained[1].keys()
    for name in trained[0]:
        torch.testing.assert_close(trained[0][name], trained[1][name], rtol=1e-3, atol=1e-4, msg=name)


def lora() -> Any:
    peft = pytest.importorskip("peft")
    config = peft.LoraConfig(r=2, target_modules="all-linear", modules_to_save=[], init_lora_weights=True)
    return peft.get_peft_model(tiny_decoder(0), config)


def test_lora_trains_saves_resumes_and_merges(tmp_path: Path) -> None:
    peft = pytest.importorskip("peft")
    steps = {"save_strategy": "steps", "eval_strategy": "steps", "save_steps": 2, "eval_steps": 2}

    def make(name: str) -> MultiLabelTrainer:
        data = {"train_dataset": dataset(24), "eval_dataset": dataset(13, seed=1)}
        return MultiLabelTrainer(lora(), arguments(tmp_path / name, **steps, save_total_limit=None), **data)

    whole = make("whole")
    frozen = {n: p.clone() for n, p in whole.model.named_parameters() if not p.requires_grad}
    whole.train()
    assert all(torch.equal(frozen[n], p) for n, p in whole.model.named_parameters() if n in frozen)
    resumed = make("resumed")
    resumed.train(resume_from_checkpoint=str(tmp_path / "whole" / "checkpoint-2"))
    assert same_weights(whole.model.state_dict(), resumed.model.state_dict())
    whole.save_model(tmp_path / "out")
    assert (tmp_path / "out" / "adapter_model.safetensors").is_file()
    loaded = peft.PeftModel.from_pretrained(tiny_decoder(0), tmp_path / "out").merge_and_unload()
    assert mean_ap(loaded, whole.eval_dataset) == pytest.approx(max(whole.weights.scores.values()), abs=1e-6)


@pytest.mark.parametrize("images, batch", [(8, 2), (16, 4), (8, 8)])
def test_a_run_of_four_steps_or_one(tmp_path: Path, images: int, batch: int) -> None:
    data = dataset(images)
    trainer = make_trainer(tmp_path, train=data, per_device_train_batch_size=batch, num_train_epochs=1)
    trainer.train()
    assert trainer.state.global_step == images // batch


def test_predict_without_labels(tmp_path: Path) -> None:
    trainer = make_trainer(tmp_path)
    examples = [{k: v for k, v in dataset(5)[i].items() if k != "labels"} for i in range(5)]
    output = trainer.predict(examples)
    assert output.predictions.shape == (5, len(NAMES))
    assert output.label_ids is None
    expected = trainer.predict([dataset(5)[i] for i in range(5)])
    np.testing.assert_array_equal(output.predictions, expected.predictions)


# What everybody uses


def test_plain_arguments_and_a_list_of_pictures(tmp_path: Path) -> None:
    args = TrainingArguments(
        str(tmp_path), num_train_epochs=1, per_device_train_batch_size=8, use_cpu=True, disable_tqdm=True,
        report_to="none", eval_strategy="epoch",
    )  # fmt: skip
    trainer = MultiLabelTrainer(tiny_linear(), args, train_dataset=plain(16), eval_dataset=plain(8, 1))
    trainer.train()
    assert trainer.weights.average is None
    assert type(trainer.lr_scheduler).__name__ == "LambdaLR"  # transformers' linear one
    assert "eval_mAP" in trainer.state.log_history[-2]


def test_callbacks_and_early_stopping(tmp_path: Path) -> None:
    seen: list[str] = []

    class Watch(TrainerCallback):
        def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            assert kwargs["model"].config.num_labels == len(NAMES)
            seen.append("step")

    data = {"train_dataset": dataset(24), "eval_dataset": dataset(13, seed=1)}
    args = arguments(tmp_path, num_train_epochs=9, learning_rate=0.0, batch_norm="frozen")
    trainer = MultiLabelTrainer(tiny_linear(), args, **data, callbacks=[Watch(), EarlyStoppingCallback(2)])
    trainer.train()
    assert trainer.state.global_step == len(seen) == 9  # nothing gets better after the first of three epochs


def test_tensorboard_gets_every_part(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    trainer = make_trainer(tmp_path, num_train_epochs=1, report_to="tensorboard")
    trainer.train()
    (folder,) = {path.parent for path in tmp_path.rglob("events.out.tfevents.*")}
    events = EventAccumulator(str(folder)).Reload().Tags()["scalars"]
    assert {"train/loss", "train/loss_bce", "eval/mAP", "eval/plain_mAP", "eval/ema_mAP"} <= set(events)


def test_a_search_trains_and_measures_a_new_student_each_time(tmp_path: Path) -> None:
    pytest.importorskip("optuna")
    made: list[Any] = []

    def model_init(trial: Any) -> Any:
        made.append(tiny_linear(seed=len(made)))
        return made[-1]

    args = arguments(tmp_path, num_train_epochs=1, load_best_model_at_end=False, save_strategy="no")
    data = {"train_dataset": dataset(24), "eval_dataset": dataset(13, seed=1)}
    trainer = MultiLabelTrainer(None, args, **data, model_init=model_init, method=MulConLossConfig(stage=1))
    measured: list[float] = []

    def objective(metrics: dict[str, float]) -> float:
        assert trainer.model is made[-1]
        with trainer.weights.averaged():
            averaged = mean_ap(trainer.model, trainer.eval_dataset)
        assert metrics["eval_plain_mAP"] == pytest.approx(mean_ap(trainer.model, trainer.eval_dataset), abs=1e-6)
        assert metrics["eval_ema_mAP"] == pytest.approx(averaged, abs=1e-6)
        measured.append(metrics["eval_mAP"])
        return metrics["eval_mAP"]

    best = trainer.hyperparameter_search(
        lambda trial: {"learning_rate": trial.suggest_float("learning_rate", 1e-4, 1e-1, log=True)},
        objective,
        n_trials=2,
        direction="maximize",
    )
    assert len(made) == 3  # one for the constructor
    assert best.objective == max(measured)
    assert len(set(measured)) == 2


def test_gradients_of_the_objectives_are_clipped_too(tmp_path: Path) -> None:
    both = Together(tiny_decoder(0), [Weighted(BinaryCrossEntropy(), 1.0)])
    student = both.student
    args = arguments(tmp_path, max_grad_norm=1e-6, max_steps=2, optim="sgd", learning_rate=1.0, weight_decay=0.0)
    args.eval_strategy = args.save_strategy = "no"
    args.load_best_model_at_end = False
    trainer = MultiLabelTrainer(student, args, None, dataset(16, views=2), method="mulcon")
    own = [p for p in trainer.method.parameters() if p.requires_grad]
    assert own
    before = [p.detach().clone() for p in own]
    trainer.train()
    moved = torch.nn.utils.get_total_norm([p.detach() - b for p, b in zip(own, before)])
    assert 0 < moved <= 2.1e-6


class _Pull(Objective):
    """A number of its own, whose gradient is one for each image."""

    name = "pull"

    def __init__(self) -> None:
        super().__init__()
        self.number = nn.Parameter(torch.zeros(1))

    def forward(self, batch: Any) -> torch.Tensor:
        return self.number.sum() * len(batch.labels) + 0.0 * batch.student.logits.sum()


@pytest.mark.parametrize("steps", [1, 2])
def test_what_objectives_train_moves_by_the_gradient_of_each_step_alone(tmp_path: Path, steps: int) -> None:
    both = Together(tiny_linear(), [Weighted(_Pull(), 1.0)])
    settings = {"optim": "sgd", "lr_scheduler_type": "constant", "learning_rate": 0.5, "weight_decay": 0.0}
    # 24 images: three steps of 8, or of 4 and 4
    trainer = make_trainer(tmp_path, both, num_train_epochs=1, gradient_accumulation_steps=steps,
                           per_device_train_batch_size=8 // steps, **settings)  # fmt: skip
    trainer.train()
    assert trainer.state.global_step == 3
    assert both.method.objectives["pull"].number.item() == pytest.approx(-3 * 0.5)


def test_mixup_trains_what_takes_soft_labels_and_refuses_the_rest(tmp_path: Path) -> None:
    trainer = make_trainer(tmp_path, mixup_alpha=0.4, num_train_epochs=1)
    trainer.train()
    assert np.isfinite(trainer.state.log_history[0]["loss"])
    data = dataset(8, views=2)
    with pytest.raises(ValueError, match="Mixup makes labels between 0 and 1, but contrast"):
        MultiLabelTrainer(
            tiny_decoder(), arguments(tmp_path, mixup_alpha=0.4), None, data, dataset(8), method="mulcon"
        )


def test_a_smaller_batch_is_found_by_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = make_trainer(tmp_path, auto_find_batch_size=True, num_train_epochs=1)
    forward = type(trainer.model).forward

    def hungry(self: nn.Module, pixel_values: torch.Tensor, **asked: Any) -> Any:
        if self.training and len(pixel_values) > 4:
            raise RuntimeError("CUDA out of memory.")
        return forward(self, pixel_values, **asked)

    monkeypatch.setattr(type(trainer.model), "forward", hungry)
    trainer.train()
    assert trainer.state.train_batch_size <= 4


def test_an_image_processor_is_saved_without_being_asked(tmp_path: Path) -> None:
    trainer = make_trainer(tmp_path, num_train_epochs=1)
    trainer.save_model(tmp_path / "out")
    assert (tmp_path / "out" / "preprocessor_config.json").is_file()
    assert not (tmp_path / "out" / "training_args.bin").exists()  # a pickle, tokens and all
    assert trainer.processing_class.image_size == SIZE
