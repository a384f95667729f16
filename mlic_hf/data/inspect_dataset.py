"""A look at a data set before training on it: counts and three pictures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from mlic_hf.data.co_occurrence_counts import co_occurrence_counts
from mlic_hf.data.label_space import LabelSpace
from mlic_hf.data.multi_label_dataset import undecoded
from mlic_hf.data.stateless_random import stateless_generator
from mlic_hf.pictures.image_reading import read_image

THUMBNAIL = 192


def inspect_dataset(dataset: Any, out_dir: str | Path, num_images: int = 24, seed: int = 0) -> dict[str, Any]:
    """Write counts.json, labels.png, co_occurrence.png and contact_sheet.png.

    Args:
        dataset: a `datasets.Dataset` of dataset_builders (one split).
        out_dir: the folder for the four files; made if absent.
        num_images: pictures on the contact sheet, drawn from all of the images.
        seed: of that draw.

    Returns:
        what counts.json holds: images, labels, images without labels, labels an image, and for each label its
        positives, ignored cells and most frequent companions.

    Raises:
        ValueError: no ClassLabel names, no images, a picture that cannot be read, or no matplotlib.
    """
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        raise ValueError(
            "inspect_dataset draws with matplotlib, which is not installed; pip install 'mlic_hf[reports]'."
        ) from None
    space = LabelSpace.from_dataset(dataset)
    if not len(dataset):
        raise ValueError("The dataset has no rows, so nothing can be inspected; check split and folder.")
    label_lists = list(dataset["labels"])
    ignored_lists = list(dataset["ignored"]) if "ignored" in dataset.column_names else []
    together, positives = co_occurrence_counts(label_lists, len(space))
    _, ignored = co_occurrence_counts(ignored_lists, len(space))
    report = _count(space, label_lists, together, positives, ignored)
    folder = Path(out_dir)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "counts.json").write_text(json.dumps(report, indent=2, ensure_ascii=False) + "\n")
    _draw_histogram(space, positives, len(dataset), folder / "labels.png")
    _draw_co_occurrence(space, together, positives, folder / "co_occurrence.png")
    _draw_contact_sheet(dataset, space, num_images, seed, folder / "contact_sheet.png")
    return report


def _count(
    space: LabelSpace,
    label_lists: list[list[int]],
    together: np.ndarray,
    positives: np.ndarray,
    ignored: np.ndarray,
) -> dict[str, Any]:
    sizes = np.array([len(set(row)) for row in label_lists])
    per_label = {}
    for index, name in enumerate(space.names):
        companions = np.argsort(-together[index], kind="stable")[:3]
        per_label[name] = {
            "positives": int(positives[index]),
            "ignored": int(ignored[index]),
            "most_often_with": {
                space.names[other]: int(together[index, other]) for other in companions if together[index, other]
            },
        }
    return {
        "format_version": 1,
        "images": len(label_lists),
        "labels": len(space),
        "label_space_hash": space.hash,
        "images_without_labels": int((sizes == 0).sum()),
        "labels_without_images": [space.names[i] for i in np.flatnonzero(positives == 0)],
        "labels_per_image": {"mean": round(float(sizes.mean()), 4), "most": int(sizes.max())},
        "images_with_so_many_labels": {
            str(size): int(count) for size, count in enumerate(np.bincount(sizes)) if count
        },
        "per_label": per_label,
    }


def _figure(width: float, height: float) -> Any:
    # without pyplot: no global state, and no display is looked for
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), dpi=100, layout="constrained")


def _draw_histogram(space: LabelSpace, positives: np.ndarray, num_images: int, path: Path) -> None:
    """Images of every label, most frequent first, on a logarithmic axis (label sets are long-tailed)."""
    order = np.argsort(-positives, kind="stable")
    figure = _figure(9, min(150.0, 1.2 + 0.2 * len(space)))
    axes = figure.add_subplot()
    axes.barh(np.arange(len(order)), positives[order], color="#3b6ea8", height=0.75)
    axes.set_yticks(np.arange(len(order)), [space.names[index] for index in order], fontsize=8)
    axes.set_ylim(len(order) - 0.4, -0.6)
    axes.set_xscale("symlog", linthresh=1)
    axes.set_xlim(0, max(2.0, positives.max() * 2.5))
    for place, index in enumerate(order):
        share = f"{100 * positives[index] / num_images:.1f} %"
        text = f" {positives[index]:,} ({share})"
        axes.text(positives[index], place, text, va="center", fontsize=7)
    axes.set_xlabel(f"images with the label (of {num_images:,})")
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, bbox_inches="tight")


def _draw_co_occurrence(space: LabelSpace, together: np.ndarray, positives: np.ndarray, path: Path) -> None:
    """P(row | column) = A / n: of the images with the column's label, how many have the row's as well."""
    share = together / np.maximum(positives, 1)[None, :]
    side = float(np.clip(2.5 + 0.17 * len(space), 4.5, 60))
    figure = _figure(side + 1, side)
    axes = figure.add_subplot()
    picture = axes.imshow(share, cmap="magma_r", vmin=0, vmax=1, interpolation="nearest")
    size = 8 if len(space) <= 100 else 5
    axes.set_xticks(np.arange(len(space)), space.names, rotation=90, fontsize=size)
    axes.set_yticks(np.arange(len(space)), space.names, fontsize=size)
    axes.set_xlabel("given this label")
    axes.set_ylabel("share of images that also have this one")
    figure.colorbar(picture, ax=axes, fraction=0.04, pad=0.02)
    figure.savefig(path, bbox_inches="tight")


def _draw_contact_sheet(dataset: Any, space: LabelSpace, num_images: int, seed: int, path: Path) -> None:
    chosen = stateless_generator("contact sheet", seed).permutation(len(dataset))[:num_images]
    rows = undecoded(dataset)
    columns = min(6, len(chosen))
    lines = -(-len(chosen) // columns)
    figure = _figure(2.3 * columns, 2.9 * lines)
    for place, index in enumerate(sorted(chosen.tolist())):
        row = rows[index]
        image = read_image(row["image"], str(row["image_id"]))
        image.thumbnail((THUMBNAIL, THUMBNAIL), Image.Resampling.LANCZOS)
        axes = figure.add_subplot(lines, columns, place + 1)
        axes.imshow(np.asarray(image))
        axes.set_axis_off()
        axes.set_title(str(row["image_id"])[-28:], fontsize=7, color="#666666")
        axes.text(0.5, -0.03, _caption(row, space), transform=axes.transAxes, ha="center", va="top", fontsize=7)
    figure.savefig(path, bbox_inches="tight")


def _caption(row: dict[str, Any], space: LabelSpace, width: int = 30, most: int = 4) -> str:
    """The labels of an image in short lines; ignored ones in brackets."""
    names = [space.names[label] for label in row["labels"]]
    names += [f"({space.names[label]})" for label in row.get("ignored") or ()]
    lines = [""]
    for name in names or ["no label"]:
        joined = f"{lines[-1]}, {name}" if lines[-1] else name
        if len(joined) <= width or not lines[-1]:
            lines[-1] = joined
        else:
            lines.append(name)
    return "\n".join(lines[:most]) + (" ..." if len(lines) > most else "")
