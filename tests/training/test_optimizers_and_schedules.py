"""Parameter groups, optimizers, schedules and the moving average, against torch and by hand."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from mlic_hf.methods.base import Method, Weighted
from mlic_hf.methods.supervised import BinaryCrossEntropy
from mlic_hf.training import MovingAverage, MultiLabelTrainingArguments
from mlic_hf.training.optimizers import build_optimizer, learning_rate_scale, parameter_groups
from mlic_hf.training.schedules import build_schedule
from tests.methods.tiny import tiny_linear


def arguments(**changes: object) -> MultiLabelTrainingArguments:
    return MultiLabelTrainingArguments(output_dir="unused", use_cpu=True, **changes)


def test_one_dimensional_tensors_get_no_weight_decay_unless_asked() -> None:
    method = Method(tiny_linear(), [Weighted(BinaryCrossEntropy(), 1.0)])
    groups = parameter_groups(method, arguments(weight_decay=0.01))
    for group in groups:
        dims = {p.ndim for p in group["params"]}
        assert (max(dims) <= 1) == (group["weight_decay"] == 0.0)
    assert sum(len(g["params"]) for g in groups) == len(list(method.parameters()))
    (everything,) = parameter_groups(method, arguments(weight_decay=0.01, decay_all=True))
    assert everything["weight_decay"] == 0.01


def test_the_longest_prefix_decides_the_learning_rate() -> None:
    scales = {"student": 0.5, "student.backbone": 0.1}
    assert learning_rate_scale("student.backbone.net.weight", scales) == 0.1
    assert learning_rate_scale("student.head.weight", scales) == 0.5
    assert learning_rate_scale("student.backbone_two.weight", scales) == 0.5
    assert learning_rate_scale("objectives.x", scales) == 1.0


def test_groups_carry_scaled_learning_rates_and_biases_their_own() -> None:
    method = Method(tiny_linear(), [Weighted(BinaryCrossEntropy(), 1.0)])
    groups = parameter_groups(
        method, arguments(learning_rate=0.01, lr_scales={"student.backbone": 0.1}, bias_lr_scale=2.0)
    )
    rate = {id(p): g["lr"] for g in groups for p in g["params"]}
    for name, parameter in method.named_parameters():
        expected = 0.01 * (0.1 if "backbone" in name else 1.0) * (2.0 if name.endswith("bias") else 1.0)
        assert rate[id(parameter)] == pytest.approx(expected), name


def test_a_prefix_that_matches_nothing_is_refused() -> None:
    method = Method(tiny_linear(), [Weighted(BinaryCrossEntropy(), 1.0)])
    with pytest.raises(ValueError, match=r"lr_scales names \['student.neck'\]"):
        parameter_groups(method, arguments(lr_scales={"student.neck": 0.1}))


@pytest.mark.parametrize(
    "kind, expected", [("adam", torch.optim.Adam), ("adamw", torch.optim.AdamW), ("sgd", torch.optim.SGD)]
)
def test_optimizers(kind: str, expected: type) -> None:
    assert type(build_optimizer(nn.Linear(2, 2), arguments(optimizer=kind))) is expected


def rates(args: MultiLabelTrainingArguments, steps: int) -> list[float]:
    optimizer = build_optimizer(nn.Linear(2, 2), args)
    schedule = build_schedule(optimizer, args, steps)
    found = []
    for _ in range(steps):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    return found


def test_one_cycle_is_torchs_and_peaks_where_it_should() -> None:
    found = rates(arguments(learning_rate=0.1, pct_start=0.2, num_train_epochs=10), 100)
    assert max(found) == pytest.approx(0.1, rel=1e-3)
    assert found.index(max(found)) == pytest.approx(20, abs=1)
    assert found[-1] < 1e-4


def test_a_schedule_may_be_laid_out_for_more_epochs_than_are_trained() -> None:
    whole = rates(arguments(learning_rate=0.1, num_train_epochs=80), 80)
    short = rates(arguments(learning_rate=0.1, num_train_epochs=30, schedule_epochs=80), 30)
    assert short == pytest.approx(whole[:30])


@pytest.mark.parametrize(
    "changes, expected",
    [
        ({"schedule": "constant"}, [1, 1, 1, 1]),
        ({"schedule": "step", "step_epochs": 2, "gamma": 0.1}, [1, 1, 0.1, 0.1]),
        ({"schedule": "polynomial", "power": 1.0}, [1, 0.75, 0.5, 0.25]),
        ({"schedule": "cosine", "warmup_fraction": 0.5}, [0, 0.5, 1, 0.5]),
    ],
)
def test_the_other_schedules_by_hand(changes: dict, expected: list[float]) -> None:
    assert rates(arguments(learning_rate=1.0, num_train_epochs=4, **changes), 4) == pytest.approx(expected)


def test_the_moving_average_follows_its_formula() -> None:
    model = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3))
    ema = MovingAverage(model, 0.9)
    start = {k: v.clone() for k, v in model.state_dict().items()}
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(1.0)
    model(torch.randn(8, 3))  # moves the batch-norm buffers as well
    ema.update(model)
    now = model.state_dict()
    for name, value in ema.module.state_dict().items():
        if value.is_floating_point():
            torch.testing.assert_close(value, 0.9 * start[name] + 0.1 * now[name])
        else:
            assert value == now[name]
    assert all(not p.requires_grad for p in ema.module.parameters())


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"optimizer": "lion"}, "optimizer is 'lion'; it is one of adam"),
        ({"schedule": "linear"}, "schedule is 'linear'"),
        ({"batch_norm": "none"}, "batch_norm is 'none'"),
        ({"ema_decay": 1.0}, "a decay lies in"),
        ({"push_to_hub": True}, "mlic push"),
    ],
)
def test_wrong_settings_are_refused(changes: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        arguments(**changes)
