"""The settings of an image transform, and the papers' own pipelines by name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

KINDS = ("train", "eval")
BACKENDS = ("auto", "albumentations", "torchvision")
INTERPOLATIONS = ("nearest", "bilinear", "bicubic", "lanczos", "box", "hamming")
RESIZES = ("squash", "random_resized_crop", "long_side_crop")
MAGNITUDE_BINS = 31


@dataclass(frozen=True)
class TransformConfig:
    """What happens to an image between its file and the model; the order is that of the fields.

    Args:
        kind: "train" (every draw below), or "eval" (resize to the square and normalise, nothing else).
        image_size: side of the square output, in pixels.
        mean: subtracted from the channels, after division by 255.
        std: what the channels are then divided by; mean 0 and std 1 leave plain [0, 1] values.
        backend: "albumentations" (OpenCV), "torchvision" (Pillow), or "auto": albumentations where it is
            installed. Both apply the same drawn operations. Evaluation always uses Pillow's resize.
        interpolation: Pillow's filter of the evaluation's resize: that of the model's image processor. Training
            resizes bilinearly, as the papers do.
        resize: "squash" (to the square, whatever the shape), "random_resized_crop", or "long_side_crop" (the
            long side is resized to a drawn length and a square of `image_size` is cut or padded).
        scale: least and greatest share of the area that random_resized_crop keeps.
        ratio: least and greatest width / height of that crop.
        long_side: least and greatest length for long_side_crop, in pixels at image_size 512 (else scaled).
        hflip: mirror left and right with probability one half.
        cutout: side of the erased box as a fraction of the image's side; 0 for none.
        rand_augment: apply `num_ops` random operations of RandAugment at `magnitude`.
        num_ops: how many operations.
        magnitude: 0..30, torchvision's scale.

    Raises:
        ValueError: a value outside its range, named in the message.
    """

    kind: str = "train"
    image_size: int = 448
    mean: Sequence[float] = (0.0, 0.0, 0.0)
    std: Sequence[float] = (1.0, 1.0, 1.0)
    backend: str = "auto"
    interpolation: str = "bilinear"
    resize: str = "squash"
    scale: Sequence[float] = (0.875, 1.0)
    ratio: Sequence[float] = (3 / 4, 4 / 3)
    long_side: Sequence[int] = (320, 640)
    hflip: bool = False
    cutout: float = 0.0
    rand_augment: bool = False
    num_ops: int = 2
    magnitude: int = 9

    @property
    def deterministic(self) -> bool:
        """Whether an image looks the same at every draw."""
        draws = self.resize != "squash" or self.hflip or self.cutout > 0 or self.rand_augment
        return self.kind == "eval" or not draws

    def __post_init__(self) -> None:
        choices = (("kind", KINDS), ("backend", BACKENDS), ("interpolation", INTERPOLATIONS), ("resize", RESIZES))
        for field, allowed in choices:
            if getattr(self, field) not in allowed:
                raise ValueError(
                    f"TransformConfig.{field} is {getattr(self, field)!r}, but must be one of {', '.join(allowed)}."
                )
        for field in ("scale", "ratio", "long_side"):
            pair = getattr(self, field)
            if len(pair) != 2 or not 0 < pair[0] <= pair[1] or (field == "scale" and pair[1] > 1):
                bound = " <= 1" if field == "scale" else ""
                raise ValueError(
                    f"TransformConfig.{field} is {pair}, but must be (low, high): 0 < low <= high{bound}."
                )
        for field in ("mean", "std"):
            if len(getattr(self, field)) != 3:
                raise ValueError(f"TransformConfig.{field} is {getattr(self, field)}, but must be three numbers.")
        if min(self.std) <= 0:
            raise ValueError(f"TransformConfig.std is {self.std}, but must be positive in every channel.")
        ranges = (
            ("image_size", 1, 100_000),
            ("cutout", 0, 1),
            ("num_ops", 0, 100),
            ("magnitude", 0, MAGNITUDE_BINS - 1),
        )
        for field, low, high in ranges:
            if not low <= getattr(self, field) <= high:
                raise ValueError(f"TransformConfig.{field} is {getattr(self, field)}, but must lie in {low}..{high}.")


PRESETS: dict[str, dict[str, Any]] = {
    "eval": {"kind": "eval"},
    "psd": {"cutout": 0.5, "rand_augment": True},
    "l2d": {"cutout": 0.5, "rand_augment": True},
    "co_occurrence": {"hflip": True, "cutout": 0.5, "rand_augment": True},
    "mulcon_stage_one": {"resize": "random_resized_crop", "hflip": True, "rand_augment": True},
    "mulcon_stage_two": {"hflip": True, "rand_augment": True},
    "oass": {"resize": "long_side_crop"},
}


def transform_preset(
    name: str,
    image_size: int,
    mean: Sequence[float] = (0.0, 0.0, 0.0),
    std: Sequence[float] = (1.0, 1.0, 1.0),
    **overrides: Any,
) -> TransformConfig:
    """The pipeline of a paper, at any image size and normalisation.

    Sources: the training images of PSD (Xu et al. 2022), L2D (Yang et al. 2023), CoCo, MulCon (Dao et al.
    2021; its second stage takes two views) and OASS (resized to 320..640 and cut to 512).

    Args:
        name: psd, l2d, co_occurrence, mulcon_stage_one, mulcon_stage_two, oass or eval.
        image_size: side of the square output, in pixels.
        mean: see TransformConfig; PSD and L2D use plain [0, 1] values, the others ImageNet's.
        std: likewise.
        overrides: any further field of TransformConfig.

    Raises:
        ValueError: an unknown name.
    """
    if name not in PRESETS:
        raise ValueError(f"There is no transform preset {name!r}; the presets are {', '.join(PRESETS)}.")
    return TransformConfig(**{**PRESETS[name], "image_size": image_size, "mean": mean, "std": std, **overrides})
