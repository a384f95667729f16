"""Draw the co-occurrence matrix in the order of a partition: its parts are the squares on the diagonal."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np

from mlic_hf.methods.psd.graph import conditional_probability
from mlic_hf.methods.psd.partition import Partition

# beyond this many labels the names would overlap
NAMED_LABELS = 120


def draw_partition(partition: Partition, cooccurrence: np.ndarray, counts: np.ndarray, path: str | Path) -> None:
    """Write a picture of sqrt p(row | column) with rows and columns sorted by part.

    Args:
        partition: whose labels are those of the counts, in the same order.
        cooccurrence: (C, C), images that hold both labels.
        counts: (C,), images that hold the label.
        path: the file; its suffix chooses the format (.png, .svg, .pdf).

    Raises:
        ImportError: without matplotlib.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError(
            "The picture of a partition needs matplotlib; install it with: pip install 'mlic_hf[reports]'"
        ) from error
    order = [position for part in partition.positions(partition.labels) for position in part]
    matrix = np.sqrt(conditional_probability(cooccurrence, counts))[np.ix_(order, order)]
    side = min(max(4.0, 0.14 * len(order) + 2.0), 20.0)
    figure = Figure(figsize=(side, side), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    image = axes.imshow(matrix, cmap="viridis", vmin=0.0, vmax=1.0, interpolation="nearest")
    edges = np.cumsum([0, *(len(part) for part in partition.parts)]) - 0.5
    for start, end in itertools.pairwise(edges):
        axes.plot([start, end, end, start, start], [start, start, end, end, start], color="white", linewidth=1.0)
    if len(order) <= NAMED_LABELS:
        names = [partition.labels[position] for position in order]
        axes.set_xticks(range(len(names)), names, rotation=90, fontsize=6)
        axes.set_yticks(range(len(names)), names, fontsize=6)
    cut = "" if partition.normalized_cut is None else f", normalised cut {partition.normalized_cut:.3f}"
    axes.set_title(f"{partition.kind}, {partition.num_parts} parts ({partition.method}{cut})")
    figure.colorbar(image, ax=axes, shrink=0.7, label="square root of p(row label | column label)")
    figure.savefig(path, dpi=120, metadata={"Software": None} if Path(path).suffix == ".png" else None)
