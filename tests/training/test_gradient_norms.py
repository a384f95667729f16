from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from mlic_hf.methods.base import MethodBatch, Objective, Weighted
from mlic_hf.methods.supervised import BinaryCrossEntropy
from mlic_hf.training.gradient_norms import gradient_norms
from tests.methods.tiny import tiny_linear
from tests.methods.together import Together
from tests.training.tiny import make_trainer, same_weights


def test_norms_are_those_of_each_loss_alone() -> None:
    layer, unused = nn.Linear(3, 2), nn.Parameter(torch.ones(4))
    frozen = nn.Parameter(torch.ones(2), requires_grad=False)
    x = torch.randn(5, 3)
    first, second = layer(x).square().sum(), 3 * layer(x).abs().mean()
    found = gradient_norms(
        {"first": first, "second": second, "none": frozen.sum()}, [*layer.parameters(), unused, frozen]
    )
    assert all(parameter.grad is None for parameter in layer.parameters())
    for name, term in (("first", first), ("second", second)):
        layer.zero_grad()
        term.backward(retain_graph=True)
        alone = torch.cat([parameter.grad.flatten() for parameter in layer.parameters()])
        assert found[name] == pytest.approx(alone.norm().item(), rel=1e-5)
    assert found["none"] == 0.0


class LogitSize(Objective):
    name = "size"

    def forward(self, batch: MethodBatch) -> Tensor:
        return batch.student.logits.square().sum()


def trained(folder: Path, **changes: Any) -> Any:
    torch.manual_seed(0)
    both = Together(tiny_linear(), [Weighted(BinaryCrossEntropy(), 1.0), Weighted(LogitSize(), 0.5)])
    trainer = make_trainer(folder, both, **changes)
    trainer.train()
    return trainer


def test_looking_changes_no_step_and_tells_each_loss_each_epoch(tmp_path: Path) -> None:
    plain, looked = trained(tmp_path / "plain"), trained(tmp_path / "looked", gradient_norms=True)
    assert same_weights(plain.model.state_dict(), looked.model.state_dict())
    logs = [line for line in looked.state.log_history if "loss" in line]
    assert len(logs) == 2
    assert all(line["grad_norm_bce"] > 0 and line["grad_norm_size"] > 0 for line in logs)
    assert logs[0]["grad_norm_bce"] != logs[1]["grad_norm_bce"]
    assert not any("grad_norm_bce" in line for line in plain.state.log_history)
