"""ReviewKD's trainable part: student stages fused from the top down and widened to the teacher's channels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class FusionStage(nn.Module):
    """One stage: narrow, join the coarser fused map through a gate, widen to the teacher's channels.

    Args:
        student_channels: channels of the student's map.
        teacher_channels: channels of the teacher's map.
        width: channels of the fused map that goes down to the next finer stage.
        top: the coarsest stage has nothing above it and no gate.
    """

    def __init__(self, student_channels: int, teacher_channels: int, width: int, *, top: bool) -> None:
        super().__init__()
        self.narrow = nn.Sequential(nn.Conv2d(student_channels, width, 1, bias=False), nn.BatchNorm2d(width))
        self.widen = nn.Sequential(
            nn.Conv2d(width, teacher_channels, 3, padding=1, bias=False), nn.BatchNorm2d(teacher_channels)
        )
        self.gate = None if top else nn.Conv2d(2 * width, 2, 1)

    def forward(self, own: Tensor, coarser: Tensor | None, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
        """Own map (B, D, h, w) and the coarser fused map -> (teacher-wide map at `size`, fused map)."""
        fused = self.narrow(own)
        if self.gate is not None:
            coarser = F.interpolate(cast(Tensor, coarser), fused.shape[-2:], mode="nearest")
            gate = torch.sigmoid(self.gate(torch.cat([fused, coarser], dim=1)))
            fused = fused * gate[:, :1] + coarser * gate[:, 1:]
        if tuple(fused.shape[-2:]) != size:
            fused = F.interpolate(fused, size, mode="nearest")
        return self.widen(fused), fused


class ReviewFusion(nn.Module):
    """Fuse a student's stages from the coarsest to the finest; the input of `review_distillation`.

    Args:
        student_channels: channels of the student's stages, fine to coarse, the pooled vector last.
        teacher_channels: channels of the teacher's stages in the same order.
        width: channels of the fused maps.

    Raises:
        ValueError: when the two lists differ in length or hold nothing.

    Source:
        Distilling Knowledge via Knowledge Review (Chen et al., CVPR 2021), figure 3: attention based fusion.
    """

    def __init__(self, student_channels: Sequence[int], teacher_channels: Sequence[int], width: int = 256) -> None:
        super().__init__()
        if not student_channels or len(student_channels) != len(teacher_channels):
            raise ValueError(
                f"{len(student_channels)} student stages against {len(teacher_channels)} teacher; give "
                "the channels of the same stages, fine to coarse, for both."
            )
        last = len(student_channels) - 1
        self.stages = nn.ModuleList(
            FusionStage(s, t, width, top=stage == last)
            for stage, (s, t) in enumerate(zip(student_channels, teacher_channels))
        )

    def forward(self, student_maps: Sequence[Tensor], sizes: Sequence[tuple[int, int]] | None = None) -> list[Tensor]:
        """Fuse the stages.

        Args:
            student_maps: fine to coarse, (B, D, h, w) each; a pooled vector (B, D) counts as a 1 x 1 map.
            sizes: (height, width) of the teacher's stages; None keeps the student's own.

        Returns:
            Per stage, fine to coarse, (B, teacher channels, height, width).

        Raises:
            ValueError: when the number of maps or sizes is not the number of stages.
        """
        maps = [m[:, :, None, None] if m.dim() == 2 else m for m in student_maps]
        sizes = sizes or [(m.shape[-2], m.shape[-1]) for m in maps]
        if len(maps) != len(self.stages) or len(sizes) != len(self.stages):
            raise ValueError(f"{len(maps)} maps and {len(sizes)} sizes for {len(self.stages)} stages.")
        fused: Tensor | None = None
        out: list[Tensor] = []
        for stage, own, size in zip(reversed(self.stages), reversed(maps), reversed(list(sizes))):
            wide, fused = stage(own, fused, tuple(size))
            out.append(wide)
        return out[::-1]
