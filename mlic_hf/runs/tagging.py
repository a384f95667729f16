"""Pictures in, labels with scores out; a picture that cannot be read is told and costs nobody else anything."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from mlic_hf.data import LabelSpace, read_image
from mlic_hf.modeling import MultiLabelImageProcessor, calibrated_scores
from mlic_hf.runs.picture_sources import Picture


@dataclass(frozen=True)
class Tagged:
    """One picture: its labels with their scores, highest first, or why it could not be read.

    Attributes:
        file: its name.
        labels: {"label", "score"}, highest first.
        error: the reason, or None.
        embedding: the mean of its feature map, of unit length; None where nobody asked for it.
    """

    file: str
    labels: list[dict[str, Any]] = field(default_factory=list)
    error: str | None = None
    embedding: list[float] | None = None

    def as_row(self) -> dict[str, Any]:
        """What a line of JSONL says: file and labels, or file and error."""
        if self.error is not None:
            return {"file": self.file, "error": self.error}
        more = {} if self.embedding is None else {"embedding": self.embedding}
        return {"file": self.file, "labels": self.labels, **more}


class PreparedPictures(Dataset):
    """The pixels of every picture as a model sees them, or the reason why there are none."""

    def __init__(self, pictures: Sequence[Picture], processor: MultiLabelImageProcessor) -> None:
        self.pictures = pictures
        self.processor = processor

    def __len__(self) -> int:
        return len(self.pictures)

    def __getitem__(self, index: int) -> np.ndarray | str:
        """(3, S, S) float32, or a sentence."""
        picture = self.pictures[index]
        try:
            return self.processor(read_image(picture.source(), picture.name))["pixel_values"][0]
        except ConnectionError:  # of a whole table, not of a picture: a run that goes on would tell it of all others
            raise
        except (ValueError, OSError) as error:
            return str(error)


def _batch(rows: list[np.ndarray | str]) -> tuple[torch.Tensor | None, list[str | None]]:
    """The pixels that there are, and for every row its error or None."""
    pixels = [row for row in rows if not isinstance(row, str)]
    stacked = torch.from_numpy(np.stack(pixels)) if pixels else None
    return stacked, [row if isinstance(row, str) else None for row in rows]


def tag(
    model: Any,
    pictures: Sequence[Picture],
    *,
    threshold: float | None = None,
    top_k: int | None = None,
    calibrated: bool = False,
    batch_size: int = 32,
    num_workers: int = 0,
    embeddings: bool = False,
    boxes: dict[Picture, Path] | None = None,
) -> Iterator[Tagged]:
    """Every picture with its labels, in order.

    Args:
        model: in evaluation mode; runs where it lies.
        pictures: of `find_pictures`.
        threshold: one for all labels; None takes the model's own, else 0.5.
        top_k: the k highest labels instead of those above a threshold.
        calibrated: show calibrated probabilities. The model's own thresholds decide on plain scores, on which they
            were tuned; a threshold that is given decides on the scores shown.
        batch_size: pictures at once.
        num_workers: processes that read and prepare pictures.
        embeddings: also the mean of the feature map, of unit length.
        boxes: picture to the file that shows the boxes and key points of its labels, see `localize_labels`.

    Raises:
        ValueError: calibrated scores of a model without a calibration.
    """
    names = LabelSpace.from_config(model.config).names
    own = model.config.thresholds if threshold is None else None
    thresholds = own or [0.5 if threshold is None else threshold] * len(names)
    prepared = PreparedPictures(pictures, MultiLabelImageProcessor.for_model(model))
    more: dict[str, Any] = {"prefetch_factor": 4} if num_workers else {}
    loader: Any = DataLoader(prepared, batch_size, collate_fn=_batch, num_workers=num_workers, **more)
    left = iter(pictures)
    for pixels, errors in loader:
        chunk = [next(left) for _ in errors]
        answers: Iterator[tuple[list[float], list[bool]]] = iter(())
        vectors: Iterator[list[float]] = iter(())
        if pixels is not None:
            pixels = pixels.to(model.device, model.dtype, non_blocking=True)
            with torch.inference_mode():
                output = model(pixels, output_feature_map=embeddings)
            plain = output.logits.float().sigmoid()
            shown = calibrated_scores(model.config, output.logits) if calibrated else plain
            reached = (plain if threshold is None else shown) >= plain.new_tensor(thresholds)
            answers = zip(shown.tolist(), reached.tolist())
            if embeddings:
                vectors = iter(unit_means(output.feature_map).tolist())
            if boxes:
                _draw(model, pixels, [p for p, error in zip(chunk, errors) if error is None], thresholds, boxes)
        for picture, error in zip(chunk, errors):
            if error is not None:
                yield Tagged(picture.name, error=error)
            else:
                chosen = choose(*next(answers), names, top_k)
                yield Tagged(picture.name, chosen, embedding=next(vectors, None))


def unit_means(feature_map: torch.Tensor) -> torch.Tensor:
    """Mean over places of a map (B, D, h, w), of unit length: (B, D) float32; products of two are cosines."""
    return torch.nn.functional.normalize(feature_map.float().mean(dim=(2, 3)), dim=1)


def choose(
    scores: Sequence[float], reached: Sequence[bool], names: Sequence[str], top_k: int | None
) -> list[dict[str, Any]]:
    """The labels of one image that reach their thresholds, or the k highest, with their scores, highest first."""
    kept: list[int] = [label for label in range(len(scores)) if top_k is not None or reached[label]]
    kept.sort(key=lambda label: -scores[label])
    return [{"label": names[label], "score": round(scores[label], 4)} for label in kept[:top_k]]


def box_files(pictures: Sequence[Picture], folder: Path) -> dict[Picture, Path]:
    """A file of its own for every picture: its stem, with a hash of the path where pictures share one."""
    stems = Counter(Path(picture.name).stem.casefold() for picture in pictures)
    named = {}
    for picture in pictures:
        path = Path(picture.name)
        stem = path.stem
        if stems[stem.casefold()] > 1:
            where = str(path.absolute()).encode("utf-8", "surrogateescape")
            stem += "-" + hashlib.blake2b(where, digest_size=6).hexdigest()
        named[picture] = folder / f"{stem}.png"
    return named


def _draw(model: Any, pixels: Any, pictures: Sequence[Picture], thresholds: Any, boxes: dict[Picture, Path]) -> None:
    from mlic_hf.reports.boxes import draw_boxes

    for picture, found in zip(pictures, model.localize(pixels, thresholds=thresholds)):
        boxes[picture].parent.mkdir(parents=True, exist_ok=True)
        image = read_image(picture.source(), picture.name)
        draw_boxes(image, found, model.config.image_size).save(boxes[picture])
