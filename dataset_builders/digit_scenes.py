"""The embedded data set: scenes of real handwritten digits, drawn on this machine, no download."""

from __future__ import annotations

import io
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dataset_builders import digit_scene_drawing
from dataset_builders.builder import RecordBuilder, RecordConfig
from dataset_builders.record import SPLITS, Annotations, Record

NAMES = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


@dataclass
class DigitScenesConfig(RecordConfig):
    """Options of digit_scenes.

    Attributes:
        train_images: scenes for training.
        validation_images: scenes for validation.
        test_images: scenes for testing.
        image_size: side in pixels.
        seed: another seed draws other scenes, from the same handwritten digits of each split.
    """

    train_images: int = 4000
    validation_images: int = 500
    test_images: int = 1000
    image_size: int = 64
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse sizes that cannot be drawn."""
        super().__post_init__()
        if self.image_size < 32:
            raise ValueError(f"image_size is {self.image_size}; digits need at least 32 pixels.")
        if min(self.train_images, self.validation_images, self.test_images) < 0 or self.seed < 0:
            raise ValueError("train_images, validation_images, test_images and seed must not be negative.")


def read_annotations(
    train_images: int = 4000, validation_images: int = 500, test_images: int = 1000, seed: int = 0
) -> Annotations:
    """Labels of all scenes, without drawing them; a split of no images is left out."""
    splits: dict[str, list[Record]] = {}
    for split, count in zip(SPLITS, (train_images, validation_images, test_images)):
        if count:
            splits[split] = [
                Record(
                    image_id=f"{split}-{index:05d}",
                    labels=tuple(NAMES[label] for label in sorted(set(_labels(seed, split, index)))),
                    source=f"digit_scenes {split} {index}",
                )
                for index in range(count)
            ]
    return Annotations(list(NAMES), splits)


def _labels(seed: int, split: str, index: int) -> list[int]:
    return digit_scene_drawing.scene_labels(seed, split, index)


class DigitScenes(RecordBuilder):
    """1 to 5 handwritten digits (UCI, scikit-learn) on a textured canvas, with planted co-occurrence."""

    BUILDER_CONFIG_CLASS = DigitScenesConfig

    @classmethod
    def sources(cls, config: Any) -> Iterable[Path]:
        """None: the scenes are a function of the code alone."""
        return ()

    def read(self) -> Annotations:
        """Labels of all scenes."""
        config = self.config
        return read_annotations(config.train_images, config.validation_images, config.test_images, config.seed)

    def row(self, record: Record) -> dict[str, Any]:
        """The row with the drawn scene as PNG bytes and, with boxes, the place of every digit."""
        split, _, index = record.image_id.partition("-")
        image, placed = digit_scene_drawing.draw_scene(
            self.config.seed, split, int(index), image_size=self.config.image_size
        )
        buffer = io.BytesIO()
        image.save(buffer, format="PNG", compress_level=1)
        kept = record.labels
        row = super().row(
            record._replace(boxes=tuple((NAMES[d.label], d.box) for d in placed if NAMES[d.label] in kept))
        )
        row["image"] = {"bytes": buffer.getvalue(), "path": None}
        return row
