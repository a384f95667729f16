"""Pictures in, labels with scores out; a picture that cannot be read is told and costs nobody else anything."""

from __future__ import annotations

import glob
import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ENDINGS = {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff"}


@dataclass(frozen=True)
class Tagged:
    """One picture: its labels with their scores, highest first, or why it could not be read."""

    file: str
    labels: list[dict[str, Any]] = field(default_factory=list)
    error: str | None = None

    def as_row(self) -> dict[str, Any]:
        """What a line of JSONL says: file and labels, or file and error."""
        said: dict[str, Any] = {"labels": self.labels} if self.error is None else {"error": self.error}
        return {"file": self.file, **said}


def find_images(patterns: Sequence[str | Path]) -> list[Path]:
    """The image files that are meant, each once, in the order of the patterns.

    Raises:
        FileNotFoundError: for a pattern without an image.
    """
    found: dict[Path, None] = {}
    for pattern in map(str, patterns):
        path = Path(pattern)
        if path.is_dir():
            matches = sorted(p for p in path.rglob("*") if p.suffix.lower() in ENDINGS)
        elif path.is_file():
            matches = [path]
        else:
            matches = sorted(Path(p) for p in glob.glob(pattern, recursive=True) if Path(p).suffix.lower() in ENDINGS)
        if not matches:
            raise FileNotFoundError(f"{pattern} is no image, and no folder or pattern that holds one.")
        found |= dict.fromkeys(matches)
    return list(found)


def tag(
    model: Any,
    files: Sequence[Path],
    *,
    threshold: float | None = None,
    top_k: int | None = None,
    batch_size: int = 32,
    boxes: dict[Path, Path] | None = None,
) -> Iterator[Tagged]:
    """Every picture with its labels, in order.

    Args:
        model: in evaluation mode; runs where it lies.
        files: the pictures.
        threshold: one for all labels; None takes the model's own, else 0.5.
        top_k: the k highest labels instead of those above a threshold.
        batch_size: pictures at once.
        boxes: picture to the file that shows the boxes and key points of its labels; needs class maps.

    Raises:
        ValueError: boxes of a model without class maps.
    """
    import torch

    from mlic_hf.data import LabelSpace
    from mlic_hf.modeling import MultiLabelImageProcessor

    if boxes and not hasattr(model, "localize"):
        raise ValueError(f"Boxes need class maps, which {type(model).__name__} does not have; use a Linear model.")
    names = LabelSpace.from_config(model.config).names
    processor = MultiLabelImageProcessor.for_model(model)
    own = model.config.thresholds if threshold is None else None
    thresholds = own or [0.5 if threshold is None else threshold] * len(names)
    for start in range(0, len(files), batch_size):
        chunk = files[start : start + batch_size]
        pictures, errors = read_all(chunk)
        rows: Iterator[Any] = iter(())
        if pictures:
            pixels = processor(list(pictures.values()), return_tensors="pt")["pixel_values"].to(model.device)
            with torch.inference_mode():
                rows = iter(model(pixels).logits.float().sigmoid().cpu())
            if boxes:
                _draw(model, pixels, pictures, thresholds, boxes)
        for path in chunk:
            if path in errors:
                yield Tagged(str(path), error=errors[path])
            else:
                yield Tagged(str(path), choose(next(rows), names, thresholds, top_k))


def read_all(files: Sequence[Path]) -> tuple[dict[Path, Any], dict[Path, str]]:
    """The pictures that can be read, and why the others cannot."""
    from mlic_hf.data import read_image

    pictures, errors = {}, {}
    for path in files:
        try:
            pictures[path] = read_image({"path": str(path), "bytes": None}, str(path))
        except ValueError as error:
            errors[path] = str(error)
    return pictures, errors


def choose(scores: Any, names: Sequence[str], thresholds: Any, top_k: int | None) -> list[dict[str, Any]]:
    """The labels of one image with their scores, highest first."""
    ranked = sorted(range(len(names)), key=lambda label: -float(scores[label]))
    kept = ranked[:top_k] if top_k is not None else [i for i in ranked if scores[i] >= thresholds[i]]
    return [{"label": names[i], "score": round(float(scores[i]), 4)} for i in kept]


def box_files(files: Sequence[Path], folder: Path) -> dict[Path, Path]:
    """A file of its own for every picture: its stem, with a hash of the path where pictures share one."""
    stems = Counter(path.stem.casefold() for path in files)
    named = {}
    for path in files:
        stem = path.stem
        if stems[stem.casefold()] > 1:
            where = str(path.absolute()).encode("utf-8", "surrogateescape")
            stem += "-" + hashlib.blake2b(where, digest_size=6).hexdigest()
        named[path] = folder / f"{stem}.png"
    return named


def _draw(model: Any, pixels: Any, pictures: dict[Path, Any], thresholds: Any, boxes: dict[Path, Path]) -> None:
    from mlic_hf.reports.boxes import draw_boxes

    for (path, picture), found in zip(pictures.items(), model.localize(pixels, thresholds=thresholds)):
        boxes[path].parent.mkdir(parents=True, exist_ok=True)
        draw_boxes(picture, found, model.config.image_size).save(boxes[path])
