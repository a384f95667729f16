"""Partition the labels of a training set for PSD: writes partition.json and a picture of it.

mlic partition --dataset digit_scenes --kind cgp --parts 3 --output_dir runs/digits/cgp
mlic partition --cooccurrence counts.npz --kind dgp --parts 5 --output_dir runs/coco/dgp
"""

from __future__ import annotations

import argparse
import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mlic_hf.data import co_occurrence_counts, label_lists
from mlic_hf.methods.psd.partition import FILE_NAME, KINDS, Partition
from mlic_hf.methods.psd.partition_labels import METHODS, partition_labels
from mlic_hf.methods.psd.partition_picture import draw_partition

PICTURE_NAME = "partition.png"


def parse_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    counts = parser.add_mutually_exclusive_group(required=True)
    counts.add_argument("--dataset", help="data set or folder whose train split is counted")
    counts.add_argument(
        "--cooccurrence",
        metavar="COUNTS.npz",
        help="counts made before: arrays cooccurrence (C, C), counts (C,) and names (C,)",
    )
    parser.add_argument("--data_dir", help="where the files of --dataset lie")
    parser.add_argument("--kind", required=True, choices=KINDS, help="cgp: labels that meet; dgp: labels that do not")
    parser.add_argument("--parts", type=int, required=True, help="number of parts, 1 to the number of labels")
    parser.add_argument(
        "--method",
        choices=tuple(METHODS),
        help="spectral: the published rule (default for cgp); refine: low cut by moves (default for dgp)",
    )
    parser.add_argument("--seed", type=int, default=0, help="first seed (default: 0, as published)")
    parser.add_argument("--output_dir", required=True, help=f"folder for {FILE_NAME} and {PICTURE_NAME}")
    parser.add_argument("--overwrite", action="store_true", help="replace another partition in the folder")
    return parser.parse_args(arguments)


def read_counts(path: str | Path) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Co-occurrence (C, C), counts (C,) and label names from an .npz file."""
    file = Path(path)
    if not file.is_file():
        raise FileNotFoundError(f"There is no counts file {file}.")
    keys = ("cooccurrence", "counts", "names")
    try:
        with np.load(file, allow_pickle=False) as archive:
            arrays = {key: archive[key] for key in archive.files}
    # a lone .npy array is no context manager: AttributeError on Python 3.10, TypeError from 3.11 on
    except (ValueError, EOFError, zipfile.BadZipFile, AttributeError, TypeError) as error:
        raise ValueError(f"{file} is not an .npz file of plain arrays {', '.join(keys)}: {error}") from error
    missing = [key for key in keys if key not in arrays]
    if missing:
        raise ValueError(f"{file} lacks the arrays {', '.join(missing)}; it holds {', '.join(arrays)}.")
    return arrays["cooccurrence"], arrays["counts"], [str(name) for name in arrays["names"]]


def count_train_split(name: str, data_dir: str | None) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Co-occurrence (C, C), counts (C,) and label names of a data set's train split, no image decoded."""
    from mlic_hf.runs.data import load_rows

    splits, space = load_rows(name, data_dir, {})
    if "train" not in splits:
        raise ValueError(f"{name} has no train split to count; it has {', '.join(splits)}.")
    return (*co_occurrence_counts(label_lists(splits["train"]), len(space)), list(space.names))


def make_partition(options: argparse.Namespace) -> Partition:
    """Count, partition, write the file and the picture; says what it did."""
    if options.dataset is not None:
        cooccurrence, counts, names = count_train_split(options.dataset, options.data_dir)
        source = f"{options.dataset} train split"
    else:
        cooccurrence, counts, names = read_counts(options.cooccurrence)
        source = Path(options.cooccurrence).name
    partition = partition_labels(
        cooccurrence, counts, names, options.kind, options.parts, options.method, options.seed, source
    )
    output = Path(options.output_dir)
    _refuse_another(output / FILE_NAME, partition, options.overwrite)
    partition.save(output / FILE_NAME)
    print(_summary(partition, counts))
    print(f"Wrote {output / FILE_NAME}")
    try:
        draw_partition(partition, cooccurrence, counts, output / PICTURE_NAME)
        print(f"Wrote {output / PICTURE_NAME}")
    except ImportError as error:
        print(f"No picture: {error}", file=sys.stderr)
    return partition


def _refuse_another(file: Path, partition: Partition, overwrite: bool) -> None:
    if overwrite or not file.exists():
        return
    present = Partition.load(file)
    if (present.kind, present.labels, present.parts) != (partition.kind, partition.labels, partition.parts):
        raise ValueError(
            f"{file} holds another partition, on which teachers may rest; choose another --output_dir, "
            "or replace it with --overwrite."
        )


def _summary(partition: Partition, counts: np.ndarray) -> str:
    sizes = ", ".join(str(len(part)) for part in partition.parts)
    cut = "" if partition.normalized_cut is None else f", normalised cut {partition.normalized_cut:.4f}"
    lines = [
        f"{partition.kind} ({partition.method}): {len(partition.labels)} labels in {partition.num_parts} "
        f"parts of {sizes}{cut}"
    ]
    absent = int((np.asarray(counts) == 0).sum())
    if absent:
        lines.append(f"{absent} labels never occur in the counts; each went to the smallest part.")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    make_partition(parse_arguments(arguments))
