"""Parameter groups, optimizers, schedules and the moving average, against torch and by hand."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn
from transformers import HfArgumentParser, TrainingArguments

from mlic_hf.training import MovingAverage, MultiLabelTrainingArguments
from mlic_hf.training.optimizers import learning_rate_scale, parameter_groups
from tests.methods.tiny import tiny_linear
from tests.training.tiny import make_trainer


def arguments(**changes: object) -> MultiLabelTrainingArguments:
    return MultiLabelTrainingArguments(output_dir="unused", use_cpu=True, **changes)


def named() -> dict[str, nn.Parameter]:
    return dict(tiny_linear().named_parameters())


def test_one_dimensional_tensors_get_no_weight_decay_unless_asked() -> None:
    parameters = named()
    groups = parameter_groups(parameters, arguments(weight_decay=0.01))
    for group in groups:
        dims = {p.ndim for p in group["params"]}
        assert (max(dims) <= 1) == (group["weight_decay"] == 0.0)
    assert sum(len(g["params"]) for g in groups) == len(parameters)
    (everything,) = parameter_groups(parameters, arguments(weight_decay=0.01, decay_all=True))
    assert everything["weight_decay"] == 0.01


def test_the_longest_prefix_decides_the_learning_rate() -> None:
    scales = {"backbone": 0.5, "backbone.network": 0.1}
    assert learning_rate_scale("backbone.network.conv.weight", scales) == 0.1
    assert learning_rate_scale("backbone.norm.weight", scales) == 0.5
    assert learning_rate_scale("backbone.network_two.weight", scales) == 0.5
    assert learning_rate_scale("objectives.x", scales) == 1.0


def test_groups_carry_scaled_learning_rates_and_biases_their_own() -> None:
    parameters = named()
    args = arguments(learning_rate=0.01, lr_scales='{"backbone": 0.1}', bias_lr_scale=2.0)
    rate = {id(p): g["lr"] for g in parameter_groups(parameters, args) for p in g["params"]}
    for name, parameter in parameters.items():
        expected = 0.01 * (0.1 if "backbone" in name else 1.0) * (2.0 if name.endswith("bias") else 1.0)
        assert rate[id(parameter)] == pytest.approx(expected), name


def test_a_prefix_that_matches_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match=r"lr_scales names \['neck'\].*'backbone\."):
        parameter_groups(named(), arguments(lr_scales={"neck": 0.1}))


@pytest.mark.parametrize(
    "optim, expected, options",
    [
        ("adam", torch.optim.Adam, {"betas": (0.9, 0.99), "fused": True}),
        ("adamw_torch", torch.optim.AdamW, {"betas": (0.9, 0.99), "weight_decay": 1e-4}),
        ("sgd", torch.optim.SGD, {"momentum": 0.9, "nesterov": True}),
        ("rmsprop", torch.optim.RMSprop, {}),
    ],
)
def test_any_of_transformers_optimizers_and_adam(tmp_path: Path, optim: str, expected: type, options: dict) -> None:
    given = "momentum=0.9,nesterov=true" if optim == "sgd" else None
    optimizer = make_trainer(tmp_path, optim=optim, optim_args=given, adam_beta2=0.99).create_optimizer()
    assert type(optimizer) is expected
    assert {name: optimizer.param_groups[0][name] for name in options} == options


def test_an_optimizer_that_would_leave_parameters_out_is_refused(tmp_path: Path) -> None:
    trainer = make_trainer(tmp_path)
    trainer.optimizer_cls_and_kwargs = (torch.optim.SGD, {"optimizer_dict": {}})
    with pytest.raises(ValueError, match="makes its own parameter groups"):
        trainer.create_optimizer()


def rates(folder: Path, steps: int, **changes: object) -> list[float]:
    trainer = make_trainer(folder, optim="sgd", **changes)
    optimizer = trainer.create_optimizer()
    schedule = trainer.create_scheduler(steps)
    found = []
    for _ in range(steps):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    return found


def test_one_cycle_peaks_where_it_should(tmp_path: Path) -> None:
    found = rates(tmp_path, 100, learning_rate=0.1, pct_start=0.2, num_train_epochs=10)
    assert max(found) == pytest.approx(0.1, rel=1e-3)
    assert found.index(max(found)) == pytest.approx(20, abs=1)
    assert found[-1] < 1e-4


@pytest.mark.parametrize("steps", range(1, 12))
@pytest.mark.parametrize("pct_start", [0.1, 0.2, 0.25])
def test_one_cycle_of_few_steps(tmp_path: Path, steps: int, pct_start: float) -> None:
    found = rates(tmp_path, steps, learning_rate=0.1, pct_start=pct_start, num_train_epochs=1)
    assert all(0 < rate <= 0.1 + 1e-9 for rate in found)


def test_a_schedule_may_be_laid_out_for_more_epochs_than_are_trained(tmp_path: Path) -> None:
    whole = rates(tmp_path, 80, learning_rate=0.1, num_train_epochs=80)
    short = rates(tmp_path, 30, learning_rate=0.1, num_train_epochs=30, schedule_epochs=80)
    assert short == pytest.approx(whole[:30])
    with pytest.raises(ValueError, match="max_steps measures the run in steps"):
        rates(tmp_path, 30, max_steps=30, schedule_epochs=80)


@pytest.mark.parametrize(
    "changes, expected",
    [
        ({"lr_scheduler_type": "constant"}, [1, 1, 1, 1]),
        ({"lr_scheduler_type": "step", "step_epochs": 2, "gamma": 0.1}, [1, 1, 0.1, 0.1]),
        (
            {"lr_scheduler_type": "polynomial", "lr_scheduler_kwargs": {"power": 1.0, "lr_end": 0.0}},
            [1, 0.75, 0.5, 0.25],
        ),
        ({"lr_scheduler_type": "cosine", "warmup_steps": 0.5}, [0, 0.5, 1, 0.5]),
        ({"lr_scheduler_type": "linear", "warmup_steps": 1}, [0, 1, 2 / 3, 1 / 3]),
    ],
)
def test_the_other_schedules_by_hand(tmp_path: Path, changes: dict, expected: list[float]) -> None:
    assert rates(tmp_path, 4, learning_rate=1.0, num_train_epochs=4, **changes) == pytest.approx(expected)


def test_a_schedule_of_the_users_own_is_kept(tmp_path: Path) -> None:
    trainer = make_trainer(tmp_path)
    optimizer = trainer.create_optimizer()
    own = trainer.lr_scheduler = torch.optim.lr_scheduler.ConstantLR(optimizer)
    assert trainer.create_scheduler(5) is own


def small() -> nn.Module:
    return nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3))


@pytest.mark.parametrize("step, decay", [(0, 0.1), (4, 5 / 14), (1000, 0.9)])
def test_the_moving_average_follows_its_formula(step: int, decay: float) -> None:
    model = small()
    average = MovingAverage(model, 0.9)
    start = [tensor.clone() for tensor in average.kept]
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(1.0)
    model(torch.randn(8, 3))  # moves the batch-norm buffers as well
    average.update(step)
    for before, now, value in zip(start, average.live, average.kept, strict=True):
        torch.testing.assert_close(value, decay * before + (1 - decay) * now.detach())
    assert len(average.live) == 4 + 2  # parameters, running mean and variance


def test_without_warm_up_the_decay_is_the_same_from_the_first_step_on() -> None:
    model = small()
    average = MovingAverage(model, 0.9, warmup=False)
    start = average.kept[0].clone()
    with torch.no_grad():
        model[0].weight.add_(1.0)
    average.update(0)
    torch.testing.assert_close(average.kept[0], start + 0.1)


def test_the_average_stands_in_for_the_weights_and_goes() -> None:
    model = small().eval()
    average = MovingAverage(model, 0.9)
    plain = model[0].weight.detach().clone()
    with torch.no_grad():
        average.kept[0].add_(1.0)
    with average.in_place():
        torch.testing.assert_close(model[0].weight, plain + 1.0)
        assert model[0].weight.requires_grad
    assert torch.equal(model[0].weight, plain)


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"optim": "lion"}, "lion"),
        ({"lr_scheduler_type": "sine"}, "sine"),
        ({"batch_norm": "none"}, "batch_norm is 'none'"),
        ({"ema_decay": 1.0}, "a decay lies in"),
        ({"remove_unused_columns": True}, "remove_unused_columns is True, but the columns of a batch are made by"),
        ({"batch_eval_metrics": True}, "mAP ranks all images at once"),
        ({"label_smoothing_factor": 0.1}, "one label an image"),
        ({"train_sampling_strategy": "group_by_length"}, "lengths are those of texts"),
        ({"hub_strategy": "every_save"}, "unfinished checkpoints would be published"),
    ],
)
def test_wrong_settings_are_refused(changes: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        arguments(**changes)


def test_transformers_parser_reads_the_settings() -> None:
    flags = ["--output_dir", "x", "--optim", "adam", "--lr_scales", '{"head": 2}', "--ema_decay", "0.9", "--use_cpu"]
    (args,) = HfArgumentParser(MultiLabelTrainingArguments).parse_args_into_dataclasses(flags)
    assert (args.optim, args.lr_scales, args.ema_decay) == ("adam", {"head": 2}, 0.9)
    assert args.lr_scheduler_type == "one_cycle"


def test_plain_arguments_keep_their_values() -> None:
    plain = TrainingArguments(output_dir="x", learning_rate=0.3, num_train_epochs=2.0, use_cpu=True, warmup_steps=7)
    args = MultiLabelTrainingArguments.of(plain)
    told = {name: getattr(args, name) for name in ("learning_rate", "num_train_epochs", "warmup_steps", "ema_decay")}
    assert told == {"learning_rate": 0.3, "num_train_epochs": 2.0, "warmup_steps": 7, "ema_decay": None}
    assert args.optim == plain.optim
    assert args.lr_scheduler_type == plain.lr_scheduler_type == "linear"
    assert args.save_strategy == plain.save_strategy
    assert MultiLabelTrainingArguments.of(args) is args
