"""Pictures to model input: resize to the square, rescale to [0, 1], normalise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from transformers.image_processing_utils import BaseImageProcessor, BatchFeature
from transformers.processing_utils import ImagesKwargs

from .picture_settings_mlic import FILTERS, LAYOUTS, known_arguments, read_filter, read_size, read_statistics
from .pictures_mlic import as_rgb, is_share


class MultiLabelImagesKwargs(ImagesKwargs, total=False):  # type: ignore[call-arg]
    """What this processor takes beside the arguments that all have."""

    image_size: int | None
    interpolation: str | None


class MultiLabelImageProcessor(BaseImageProcessor):
    """The evaluation view of a picture, as all five papers use it.

    One class serves every backend that transformers may ask for: Pillow resizes (with its antialiasing, as in
    training), so results do not depend on what else is installed.

    Args:
        image_size: side of the square, in pixels. The whole picture is squashed to it; nothing is cropped.
        image_mean, image_std: three numbers each, for pixels in [0, 1].
        interpolation: one of "nearest", "bilinear", "bicubic", "lanczos", "box", "hamming".
        do_resize, do_rescale, do_normalize: which of the three steps are taken.
        rescale_factor: what bytes are multiplied by.
        size: {"height": S, "width": S} or S, the names that other processors have for `image_size`.
        resample: Pillow's number of `interpolation`.

    Raises:
        ValueError: a sentence naming the field or the picture.
    """

    model_input_names = ["pixel_values"]
    valid_kwargs = MultiLabelImagesKwargs

    def __init__(
        self,
        image_size: int | None = None,
        image_mean: Sequence[float] = (0.485, 0.456, 0.406),
        image_std: Sequence[float] = (0.229, 0.224, 0.225),
        interpolation: str | None = None,
        do_resize: bool = True,
        do_rescale: bool = True,
        rescale_factor: float = 1 / 255,
        do_normalize: bool = True,
        size: int | Mapping[str, int] | None = None,
        resample: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        height, width = read_size(size, image_size) or (224, 224)
        if height != width:
            raise ValueError(f"size is {size!r}; expected a square, or pass another size with each call.")
        self.image_size = height
        self.image_mean, self.image_std = read_statistics(image_mean, image_std)
        self.interpolation = read_filter(interpolation, resample) or "bilinear"
        self.do_resize, self.do_rescale, self.do_normalize = do_resize, do_rescale, do_normalize
        self.rescale_factor = rescale_factor

    @property
    def size(self) -> dict[str, int]:
        """The square as other processors name it."""
        return {"height": self.image_size, "width": self.image_size}

    @size.setter
    def size(self, value: int | Mapping[str, int]) -> None:
        self.image_size = (read_size(value, None) or (self.image_size,))[0]

    @property
    def resample(self) -> int:
        """Pillow's number of the interpolation."""
        return int(FILTERS[self.interpolation])

    @classmethod
    def for_model(cls, model: Any) -> MultiLabelImageProcessor:
        """The processor that a model of this package expects, from its config and backbone."""
        backbone = model.backbone
        return cls(
            image_size=model.config.image_size,
            image_mean=backbone.mean,
            image_std=backbone.std,
            interpolation=backbone.interpolation,
        )

    def __call__(self, images: Any, *args: Any, **kwargs: Any) -> BatchFeature:
        return self.preprocess(images, *args, **kwargs)

    def preprocess(self, images: Any, return_tensors: Any = None, **kwargs: Any) -> BatchFeature:
        """One picture or a list of them to {"pixel_values": (B, 3, S, S)}.

        Args:
            images: PIL pictures of any mode, or arrays / tensors: (H, W), (H, W, 3) or (3, H, W), as bytes
                0 to 255 or as floats in [0, 1], which are bytes divided by 255.
            return_tensors: "pt", "np" or None, as everywhere in transformers.
            **kwargs: for this call alone, what the processor was made with (`do_resize`, `size`, which may be
                no square here, `do_normalize`, ...); `data_format` "channels_first" or "channels_last" of the
                result, `input_data_format` of arrays; `device` of tensors.

        Raises:
            ValueError: for an argument that does not exist or makes no sense, and for what is no picture.
        """
        given = known_arguments(kwargs)
        pictures = list(images) if isinstance(images, (list, tuple)) else [images]
        if hasattr(images, "ndim") and images.ndim == 4:
            pictures = list(images)
        rows = [self._prepare(picture, given) for picture in pictures]
        if len({row.shape for row in rows}) > 1:
            shapes = sorted({row.shape for row in rows})
            raise ValueError(f"The pictures have different sizes {shapes[:3]}; resize them, or pass one at a time.")
        batch = BatchFeature({"pixel_values": np.stack(rows)}, tensor_type=return_tensors)
        return batch.to(given["device"]) if given.get("device") is not None else batch

    def _prepare(self, picture: Any, given: Mapping[str, Any]) -> np.ndarray:
        shown = as_rgb(picture, {None: None, LAYOUTS[0]: False, LAYOUTS[1]: True}[given.get("input_data_format")])
        if given.get("do_resize", self.do_resize):
            height, width = read_size(given.get("size"), given.get("image_size")) or (self.image_size, self.image_size)
            named = read_filter(given.get("interpolation"), given.get("resample")) or self.interpolation
            shown = shown.resize((width, height), FILTERS[named])
        pixels = np.asarray(shown, dtype=np.float32)
        factor = float(given.get("rescale_factor", self.rescale_factor))
        if given.get("do_rescale", self.do_rescale):
            pixels = pixels / 255.0 if factor == 1 / 255 else pixels * np.float32(factor)
        elif is_share(picture):
            pixels = pixels / 255.0  # in the range in which they came
        if given.get("do_normalize", self.do_normalize):
            mean, std = read_statistics(
                given.get("image_mean", self.image_mean), given.get("image_std", self.image_std)
            )
            pixels = (pixels - np.float32(mean)) / np.float32(std)
        return pixels if given.get("data_format") == LAYOUTS[1] else pixels.transpose(2, 0, 1)
