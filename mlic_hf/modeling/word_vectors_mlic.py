"""Label names to word vectors of a GloVe text file."""

from __future__ import annotations

import os
from collections.abc import Sequence

import torch
from torch import Tensor


def words_of(name: str) -> list[str]:
    """The lower-case words of a label name: "Dining_table" -> ["dining", "table"]."""
    return name.lower().replace("_", " ").replace("-", " ").split()


def load_word_vectors(path: str | os.PathLike, names: Sequence[str]) -> Tensor:
    """One vector a label: that of its name, or the mean over the words of the name.

    A name is first looked up whole (with spaces as "-", "_" or nothing), then word by word.

    Args:
        path: a text file with one word a line, followed by its numbers, separated by spaces (GloVe's form).
        names: C label names.

    Returns:
        (C, n) float32.

    Raises:
        FileNotFoundError: when there is no such file.
        ValueError: when a line is malformed or a word of a label is not in the file.
    """
    if not os.path.isfile(path):
        raise FileNotFoundError(
            f"No word vectors at {path}: expected a GloVe text file, a word and its numbers a line."
        )
    wanted = {spelling for name in names for spelling in _spellings(name)}
    found = _read_vectors(path, wanted)
    missing: list[str] = []
    rows = []
    for name in names:
        whole = next((found[spelling] for spelling in _whole_spellings(name) if spelling in found), None)
        parts = [found[word] for word in words_of(name) if word in found]
        absent = [word for word in words_of(name) if word not in found]
        if whole is None and (absent or not parts):
            missing.append(f"{name!r} ({', '.join(absent)})")
            continue
        rows.append(whole if whole is not None else torch.stack(parts).mean(dim=0))
    if missing:
        raise ValueError(
            f"{path} has no vector for {len(missing)} labels: {'; '.join(missing[:5])}. "
            "Rename these labels, add the words to the file, or use label_vectors='learned'."
        )
    return torch.stack(rows)


def _whole_spellings(name: str) -> list[str]:
    words = words_of(name)
    return ["-".join(words), "_".join(words), "".join(words)]


def _spellings(name: str) -> list[str]:
    return _whole_spellings(name) + words_of(name)


def _read_vectors(path: str | os.PathLike, wanted: set[str]) -> dict[str, Tensor]:
    found: dict[str, Tensor] = {}
    size = None
    with open(path, encoding="utf-8") as lines:
        for number, line in enumerate(lines, start=1):
            word, _, numbers = line.rstrip("\n").partition(" ")
            if word not in wanted or word in found:
                continue
            try:
                vector = torch.tensor([float(value) for value in numbers.split()])
            except ValueError as error:
                raise ValueError(
                    f"{path}, line {number}: {word!r} is not followed by numbers only ({error})."
                ) from error
            if vector.numel() == 0 or (size is not None and vector.numel() != size):
                raise ValueError(
                    f"{path}, line {number}: {word!r} has {vector.numel()} numbers, not {size or 'some'}."
                )
            size = vector.numel()
            found[word] = vector
    return found
