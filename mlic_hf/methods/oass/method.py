"""OASS's objectives: classification, the partial class loss and the reconstruction of class maps from pieces."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from mlic_hf import losses
from mlic_hf.methods.base import MethodBatch, Objective, Weighted
from mlic_hf.methods.oass.config import OASSConfig
from mlic_hf.methods.oass.cut_and_merge import CutAndMerge
from mlic_hf.methods.ramp import ramp_share
from mlic_hf.methods.supervised import SoftMargin


class OfCuts(Objective):
    """A loss averaged over all cuts, that is over the (image, true label) pairs of the global batch."""

    needs = frozenset({"class_maps"})
    needs_pixels = True

    def __init__(self, shared: CutAndMerge) -> None:
        super().__init__()
        self.shared = shared

    def count(self, labels: Tensor) -> Tensor | None:
        return (labels > 0).sum()

    def after_step(self, model: nn.Module) -> None:
        if self.shared.kept_by(self.name) and self.shared.config.gradient == "none":
            self.shared.averaged.update(model)

    def companions(self) -> dict[str, nn.Module]:
        wanted = self.shared.kept_by(self.name) and self.shared.config.gradient == "none"
        return {"averaged": self.shared.averaged} if wanted else {}


class PartialClass(OfCuts):
    """L_p: the merged map's spatial mean against the one label that the image was cut for.

    It only measures where the merged maps carry no gradient (`oass.gradient` "none", as published).
    """

    name = "partial_class"

    def forward(self, batch: MethodBatch) -> Tensor:
        cuts = self.shared.of_batch(batch)
        known = batch.labels[cuts.images] >= 0
        return losses.partial_class_loss(cuts.merged, cuts.labels, known, reduction="sum")


class Reconstruction(OfCuts):
    """L_re: |map - merged map| on the label that the image was cut for; rises to its weight over the first steps.

    The ramp is part of the value, so the log shows alpha_re(t) L_re / alpha_re.
    """

    name = "reconstruction"

    def __init__(self, shared: CutAndMerge, ramp: float = 0.05) -> None:
        super().__init__(shared)
        self.ramp = ramp

    def share(self, progress: float) -> float:
        """alpha_re(t) / alpha_re for the share of the run that is done."""
        return ramp_share(progress, self.ramp)

    def forward(self, batch: MethodBatch) -> Tensor:
        cuts = self.shared.of_batch(batch)
        total = losses.reconstruction_loss(
            batch.student.class_maps, cuts.merged, cuts.images, cuts.labels, reduction="sum"
        )
        return self.share(batch.progress) * total


def oass_objectives(config: OASSConfig, student: Any, teacher: Any = None) -> Sequence[Weighted]:
    """Soft margin, and those of the two losses on cuts whose weight is not zero.

    Raises:
        ValueError: if the student gives no class maps.
    """
    found = [Weighted(SoftMargin(), 1.0, per_image=False)]
    if not config.weight_partial and not config.weight_reconstruction:
        return found
    if "class_maps" not in student.provides:
        raise ValueError(
            f"OASS's losses need class maps, which {type(student).__name__} does not give; "
            "use the linear architecture, or set oass.weight_partial and oass.weight_reconstruction to 0."
        )
    shared = CutAndMerge(config, student)
    if config.weight_partial:
        found.append(Weighted(PartialClass(shared), config.weight_partial, per_image=False))
    if config.weight_reconstruction:
        found.append(Weighted(Reconstruction(shared, config.ramp), config.weight_reconstruction, per_image=False))
    return found
