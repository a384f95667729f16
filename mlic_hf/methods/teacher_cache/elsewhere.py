"""Answers of somebody else's tagger as a teacher cache: a table with a row an image and a column a label."""

from __future__ import annotations

import csv
import hashlib
import logging
import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mlic_hf.methods.teacher_cache.cached_teacher import CachedTeacher
from mlic_hf.methods.teacher_cache.encoding import LOGITS, encode
from mlic_hf.methods.teacher_cache.fill import begin_cache
from mlic_hf.methods.teacher_cache.manifest import Manifest, describe_images
from mlic_hf.methods.teacher_cache.shards import missing_shards, write_shard

logger = logging.getLogger(__name__)
ID = "image_id"
MEANINGS = ("logits", "probabilities")


def keep_answers(
    table: str | os.PathLike,
    folder: str | os.PathLike,
    labels: Sequence[str],
    image_ids: Sequence[str] | None = None,
    *,
    meaning: str = "logits",
    dtype: str = "float16",
    images_per_shard: int = 1024,
) -> CachedTeacher:
    """Make a teacher cache of a table; its answers hold for an image however it is drawn.

    Args:
        table: a .parquet or .csv file with a column `image_id` and a column for each label that the tagger knows;
            an empty cell is an answer that it does not have, as is every cell of a label without a column.
        folder: where the cache goes.
        labels: the student's label names; columns are matched to them by name.
        image_ids: the images that must have a row; all of the table when None.
        meaning: of the numbers: "logits" or "probabilities".
        dtype: float32, float16 or bfloat16.
        images_per_shard: images of a file.

    Raises:
        FileNotFoundError: if the table is not there.
        ValueError: if it has no ids or labels, an image twice or not at all, or a number that cannot be.
        ImportError: without pyarrow, for Parquet.
    """
    file = Path(table)
    if meaning not in MEANINGS:
        raise ValueError(f"The answers are {meaning!r}; they are one of {', '.join(MEANINGS)}.")
    columns = read_columns(file)
    if ID not in columns:
        raise ValueError(f"{file} has the columns {', '.join(list(columns)[:8])}, but none is called {ID}.")
    ids = [str(value) for value in columns.pop(ID)]
    if twice := [image for image, times in Counter(ids).items() if times > 1]:
        raise ValueError(f"{file} has {len(twice)} images twice, among them {twice[0]!r}.")
    wanted = ids if image_ids is None else list(image_ids)
    row = {image: place for place, image in enumerate(ids)}
    if lacking := [image for image in wanted if image not in row]:
        raise ValueError(f"{file} lacks {len(lacking)} of {len(wanted)} images, among them {lacking[0]!r}.")
    unanswered = [name for name in labels if name not in columns]
    if len(unanswered) == len(labels):
        raise ValueError(f"{file} has a column for none of the {len(labels)} labels, such as {labels[0]!r}.")
    others = [name for name in columns if name not in set(labels)]
    logger.warning(
        "%s answers for %d of %d labels; %d of its columns are none of them%s.",
        file.name,
        len(labels) - len(unanswered),
        len(labels),
        len(others),
        f" ({', '.join(others[:6])})" if others else "",
    )
    plan = Manifest(
        teacher={"name": file.name, "hash": hashlib.sha256(file.read_bytes()).hexdigest()[:16]},
        labels=list(labels),
        contents={LOGITS: [len(labels)]},
        images=describe_images(wanted),
        views=None,
        dtype=dtype,
        images_per_shard=images_per_shard,
        unanswered=unanswered,
    )
    unknown = [float("nan")] * len(ids)
    known = [columns.get(name, unknown) for name in labels]
    answers = torch.stack([numbers(cells, name, meaning, file) for name, cells in zip(labels, known)], dim=1)
    answers = answers[torch.tensor([row[image] for image in wanted])]
    place = Path(folder)
    plan = begin_cache(place, plan, wanted)
    for view, first in missing_shards(place, plan):
        write_shard(place, plan, view, first, encode({LOGITS: answers[first : first + images_per_shard]}, plan))
    return CachedTeacher(place, labels)


def read_columns(file: Path) -> dict[str, Sequence[Any]]:
    """The columns of a Parquet or CSV file by name."""
    if not file.is_file():
        raise FileNotFoundError(f"There is no table of answers {file}.")
    if file.suffix == ".parquet":
        try:
            from pyarrow import parquet
        except ImportError as error:
            raise ImportError("Parquet is read by pyarrow: pip install pyarrow, or give a .csv file.") from error
        return parquet.read_table(file).to_pydict()
    if file.suffix != ".csv":
        raise ValueError(f"{file} is no .parquet or .csv file.")
    with file.open(encoding="utf-8-sig", newline="") as lines:
        rows = list(csv.DictReader(lines))
    if not rows:
        raise ValueError(f"{file} has no rows.")
    return {name: [row[name] for row in rows] for name in rows[0]}


def numbers(cells: Sequence[Any], label: str, meaning: str, file: Path) -> Tensor:
    """The logits (N,) of one column; NaN where a cell is empty.

    Raises:
        ValueError: for a cell that is no number, is infinite, or no probability where it should be one.
    """
    try:
        values = torch.tensor([float("nan") if cell in (None, "") else float(cell) for cell in cells]).double()
    except (TypeError, ValueError) as error:
        raise ValueError(f"{file}, column {label!r}: {error}; numbers or empty cells were expected.") from None
    wrong = values.isinf() if meaning == "logits" else (values < 0) | (values > 1)
    if wrong.any():
        line = int(wrong.nonzero()[0])
        expected = "a finite logit" if meaning == "logits" else "a probability from 0 to 1"
        raise ValueError(f"{file}, column {label!r}, row {line}: {values[line]:g}, but {expected} was expected.")
    return (values if meaning == "logits" else values.logit(eps=1e-6)).float()
