"""The divergences of PSD's student: squared error, softmax and each label's own KL, summed or averaged."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from mlic_hf import losses
from mlic_hf.methods.base import MethodBatch
from mlic_hf.methods.psd.config import PSDConfig
from mlic_hf.methods.psd.method import psd_objectives

Z, T = 3 * torch.randn(2, 4, 6, generator=torch.Generator().manual_seed(0))
Y = torch.tensor([[1.0, 0, 0, -1, 0, 1]] * 4)


def divergence(config: PSDConfig) -> tuple[torch.Tensor, torch.Tensor | None, bool]:
    weighted = psd_objectives(config, None)[1]
    batch = MethodBatch(Z, Y, student=SimpleNamespace(logits=Z), model=None, teacher={"cgp": T})
    return weighted.objective(batch), weighted.objective.count(Y), weighted.per_image


def test_the_mean_is_over_known_cells_whatever_the_batch() -> None:
    total, count, per_image = divergence(PSDConfig(divergence_reduction="mean"))
    torch.testing.assert_close(total / count, losses.partition_distillation_mse(Z, T, "mean", Y))
    assert not per_image
    published, no_count, per_image = divergence(PSDConfig())
    assert no_count is None
    assert per_image
    assert torch.equal(published, total)


def test_binary_kl_is_each_labels_own() -> None:
    total, _, _ = divergence(PSDConfig(divergence="binary_kl", temperature=2.0))
    torch.testing.assert_close(total, losses.multi_label_logit_distillation(Z, T, Y, temperature=2.0))


@pytest.mark.parametrize(
    "wrong", [{"divergence": "js"}, {"divergence_reduction": "batchmean"}, {"temperature": 0.0}], ids=str
)
def test_bad_settings_are_refused(wrong: dict) -> None:
    with pytest.raises(ValueError, match=f"psd.{next(iter(wrong))} is"):
        PSDConfig(**wrong)
