"""From a saved model to a checked ONNX file, and what a data set says of both."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mlic_hf.data import LabelSpace, MultiLabelDataset, TransformConfig, build_transform, read_image
from mlic_hf.export import (
    Difference,
    check_exported,
    checkpoint_scores,
    half_graph,
    int8_graph,
    logits_graph,
    put_pictures_inside,
    put_thresholds_inside,
    write_onnx,
)
from mlic_hf.export.graph import OPSET
from mlic_hf.methods.views import PixelSpec
from mlic_hf.modeling import MultiLabelImageProcessor, MultiLabelModel
from mlic_hf.pictures.onnx_tagger import OnnxTagger

PRECISIONS = ("float32", "float16", "int8")
INSIDE = ("preprocessing", "thresholds")
FOR_RANGES = 256  # pictures that int8's ranges are measured on
FOR_CHECK = 64
BATCH = 8  # of the pictures whose every intermediate value is kept
AT_ONCE = 32


def export(
    model: MultiLabelModel,
    output: str | Path,
    pictures: Sequence[Any],
    precision: str = "float32",
    inside: Collection[str] = (),
    opset: int = OPSET,
) -> Difference:
    """Write a model as an ONNX file that was held against it; without a pass there is no file.

    Args:
        model: on the CPU.
        output: the .onnx file; one that is there is replaced.
        pictures: paths or Pillow images such as the model will see; int8 measures its ranges on 256 of them, and the
            file is held against the model on 64, each spread evenly over the list.
        precision: "float32", "float16" or "int8".
        inside: what the graph does itself: "preprocessing" (see `put_pictures_inside`), "thresholds" (see
            `put_thresholds_inside`).
        opset: version of ONNX's operators.

    Returns:
        how far the file's scores are from the model's.

    Raises:
        ImportError: the extra `onnx` is not installed.
        ValueError: an unknown precision or part, no picture, a file that does not say what the model says.
    """
    if precision not in PRECISIONS:
        raise ValueError(f"precision is {precision!r}; expected one of {', '.join(PRECISIONS)}.")
    if unknown := sorted(set(inside) - set(INSIDE)):
        raise ValueError(f"inside names {unknown[0]!r}; expected some of {', '.join(INSIDE)}.")
    model.eval()
    pixels = PixelSpec.of_model(model)
    graph = half_graph(model, opset) if precision == "float16" else logits_graph(model, opset)
    if precision == "int8":
        graph = int8_graph(graph, prepared_batches(model, spread(pictures, FOR_RANGES)))
    if "thresholds" in inside:
        put_thresholds_inside(graph, list(model.config.thresholds or [0.5] * model.config.num_labels))
    if "preprocessing" in inside:
        put_pictures_inside(graph, pixels)
    output = Path(output)
    output.parent.mkdir(parents=True, exist_ok=True)
    written = output.with_name(output.name + ".writing")
    try:
        write_onnx(graph, model, written)
        difference = check_exported(OnnxTagger(written), model, spread(pictures, FOR_CHECK), precision)
        written.replace(output)
    finally:
        written.unlink(missing_ok=True)
    return difference


def spread(pictures: Sequence[Any], count: int) -> list[Any]:
    """At most `count` of the pictures, evenly over the list."""
    if len(pictures) <= count:
        return list(pictures)
    return [pictures[place * len(pictures) // count] for place in range(count)]


def prepared_batches(model: MultiLabelModel, pictures: Sequence[Any]) -> list[np.ndarray]:
    """Prepared pixels (b, 3, S, S), a few pictures a batch."""
    processor = MultiLabelImageProcessor.for_model(model)
    return [
        processor([read_image(picture, str(picture)) for picture in pictures[start : start + BATCH]])["pixel_values"]
        for start in range(0, len(pictures), BATCH)
    ]


def scores_before_and_after(
    model: MultiLabelModel, tagger: OnnxTagger, rows: Any
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Scores (N, C) of the checkpoint and of the file on the same pictures, and the targets (N, C).

    Args:
        model: in evaluation mode.
        tagger: of its file.
        rows: of a split, as `MultiLabelDataset` takes them.

    Raises:
        ValueError: a picture cannot be read, or the rows lack labels of the model.
    """
    transform = build_transform(TransformConfig(kind="eval", **vars(PixelSpec.of_model(model))))
    images = MultiLabelDataset(rows, LabelSpace.from_config(model.config), transform)
    before, after, targets = [], [], []
    for start in range(0, len(images), AT_ONCE):
        chunk = [images.rows[place] for place in range(start, min(start + AT_ONCE, len(images)))]
        pictures = [read_image(row["image"], str(row["image_id"])) for row in chunk]
        before.append(checkpoint_scores(model, pictures))
        after.append(tagger.scores(pictures))
        targets += [images.targets(row, str(row["image_id"])).numpy() for row in chunk]
    return np.concatenate(before), np.concatenate(after), np.stack(targets)
