"""Tags pictures with a model that `mlic export` wrote; numpy, Pillow and onnxruntime are all it needs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from mlic_hf.pictures.image_reading import read_image

FORMAT = "mlic_hf/1"
PIXELS = "pixel_values"  # prepared pixels, float32 (B, 3, S, S)
PICTURES = "pictures"  # where the graph prepares them itself: uint8 (B, H, W, 3)
TUNED = "tuned"
FILTERS = {name.lower(): filter for name, filter in Image.Resampling.__members__.items()}


class OnnxTagger:
    """An exported model behind the call of `pipeline("multi-label-image-classification")`.

    Args:
        path: the .onnx file.
        threads: of one picture or batch; None for what onnxruntime chooses.
        providers: of onnxruntime, in the order in which they are tried.
        batch_size: pictures at once; 1 where the graph prepares pictures, which differ in size.

    Attributes:
        labels: names, in the order of the logits.
        thresholds: one a label, or None where the model has none of its own.
        calibration: [scale, shift] a label, or None.

    Raises:
        ImportError: onnxruntime is not installed.
        ValueError: the file is no model that `mlic export` wrote.

    Example:
        >>> tag = OnnxTagger("tagger.onnx")  # doctest: +SKIP
        >>> tag("beach.jpg")  # doctest: +SKIP
        [{'label': 'sea', 'score': 0.97}, {'label': 'clouds', 'score': 0.81}]
    """

    def __init__(
        self,
        path: str | Path,
        *,
        threads: int | None = None,
        providers: Sequence[str] = ("CPUExecutionProvider",),
        batch_size: int = 32,
    ) -> None:
        self.session = _session(path, threads, providers)
        found = self.session.get_modelmeta().custom_metadata_map
        if found.get("format") != FORMAT:
            raise ValueError(
                f"{path} says its format is {found.get('format')!r}; expected {FORMAT!r}: write it with `mlic export`."
            )
        self.labels: list[str] = json.loads(found["labels"])
        self.thresholds: list[float] | None = json.loads(found["thresholds"])
        self.calibration: list[list[float]] | None = json.loads(found["calibration"])
        self.pixels: dict[str, Any] = json.loads(found["pixels"])
        self.prepares = self.session.get_inputs()[0].name == PICTURES
        self.batch_size = 1 if self.prepares else batch_size

    def __call__(
        self,
        images: Any,
        threshold: float | Sequence[float] | str = TUNED,
        calibrated: bool = False,
        top_k: int | None = None,
    ) -> list[Any]:
        """The labels that reach their threshold with their scores, highest first.

        Args:
            images: a picture or a list of them: paths, bytes or Pillow images.
            threshold: one, or one a label, on the scores that are shown; "tuned" for the model's own, else 0.5, on the
                plain scores.
            calibrated: show calibrated probabilities.
            top_k: at most so many labels.

        Returns:
            {"label": name, "score": in [0, 1]} a label; a list of such lists for a list of pictures.

        Raises:
            ValueError: a picture cannot be read; names it. Another number of thresholds than labels.
        """
        logits = self.logits(images)
        plain = self.scores_of(logits)
        shown = self.scores_of(logits, calibrated)
        wanted = self._thresholds(threshold)
        chosen = (plain if isinstance(threshold, str) else shown) >= wanted
        found = []
        for scores, kept in zip(shown, chosen):
            order = [label for label in np.argsort(-scores, kind="stable") if kept[label]][:top_k]
            found.append([{"label": self.labels[label], "score": float(scores[label])} for label in order])
        return found if isinstance(images, (list, tuple)) else found[0]

    def scores(self, images: Any, calibrated: bool = False) -> np.ndarray:
        """(B, C) float32 scores in [0, 1] of all labels; see the call."""
        return self.scores_of(self.logits(images), calibrated)

    def scores_of(self, logits: np.ndarray, calibrated: bool = False) -> np.ndarray:
        """(B, C) float32 scores in [0, 1] of logits.

        Args:
            logits: (B, C).
            calibrated: probabilities of the model's calibration, in place of the plain scores.

        Raises:
            ValueError: the model has no calibration.
        """
        values = logits.astype(np.float64)
        if calibrated:
            if self.calibration is None:
                raise ValueError("This model has no calibration; fit one before it is exported, or ask for scores.")
            scale, shift = np.asarray(self.calibration).T
            values = values * scale + shift
        return np.exp(-np.logaddexp(0, -values)).astype(np.float32)

    def logits(self, images: Any) -> np.ndarray:
        """(B, C) float32 logits of a list of pictures."""
        pictures = _listed(images)
        rows = [np.zeros((0, len(self.labels)), np.float32)]
        for start in range(0, len(pictures), self.batch_size):
            read = [read_image(p, _name_of(p, start + i)) for i, p in enumerate(pictures[start:][: self.batch_size])]
            batch = np.stack([self._prepared(picture) for picture in read])
            rows.append(self.session.run(["logits"], {PICTURES if self.prepares else PIXELS: batch})[0])
        return np.concatenate(rows)

    def _prepared(self, picture: Image.Image) -> np.ndarray:
        if self.prepares:
            return np.asarray(picture)
        side = (self.pixels["image_size"],) * 2
        resized = picture.resize(side, FILTERS[self.pixels["interpolation"]])
        values = np.asarray(resized, dtype=np.float32) / 255.0
        values = (values - np.float32(self.pixels["mean"])) / np.float32(self.pixels["std"])
        return values.transpose(2, 0, 1)

    def _thresholds(self, threshold: float | Sequence[float] | str) -> np.ndarray:
        if isinstance(threshold, str) and threshold != TUNED:
            raise ValueError(f"threshold is {threshold!r}; expected a number, one a label, or {TUNED!r}.")
        values = np.float32((self.thresholds or 0.5) if isinstance(threshold, str) else threshold)
        if values.ndim and values.shape != (len(self.labels),):
            raise ValueError(
                f"threshold has {values.size} numbers for {len(self.labels)} labels; give one, or one a label."
            )
        return values


def _listed(images: Any) -> list[Any]:
    return list(images) if isinstance(images, (list, tuple)) else [images]


def _name_of(picture: Any, place: int) -> str:
    return str(picture) if isinstance(picture, (str, Path)) else str(place)


def _session(path: str | Path, threads: int | None, providers: Sequence[str]) -> Any:
    try:
        import onnxruntime
    except ImportError as error:
        raise ImportError("an exported model needs onnxruntime: pip install onnxruntime") from error
    if not Path(path).is_file():
        raise ValueError(f"{path} is no file; expected the .onnx file that `mlic export` wrote.")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or 0
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=list(providers))
    except Exception as error:  # onnxruntime raises classes of its own
        raise ValueError(f"{path} cannot be read by onnxruntime: {error}") from error
