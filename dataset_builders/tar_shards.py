"""WebDataset tar shards: a picture and a JSON file with its labels one after the other, read without unpacking."""

from __future__ import annotations

import hashlib
import json
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from dataset_builders.record import SPLIT_NAMES, SPLITS, features
from dataset_builders.text_file import parse_json

PICTURES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm")
LARGEST_LABELS = 1 << 20  # bytes of the JSON file of one picture
LARGEST_PICTURE = 1 << 30


def tar_shards(folder: Path) -> dict[str, list[str]]:
    """Split name to the files `<split>-*.tar` of a folder, in the order of their names.

    Raises:
        ValueError: beside them lie tar files of no known split.
    """
    found: dict[str, list[str]] = {}
    strangers = []
    for path in sorted(folder.glob("*.tar")):
        split = SPLIT_NAMES.get(path.stem.split("-")[0])
        if split is None or "-" not in path.stem:
            strangers.append(path)
        else:
            found.setdefault(split, []).append(str(path.absolute()))
    if found and strangers:
        raise ValueError(
            f"{strangers[0]} belongs to no split; shards are named train-*.tar, validation-*.tar (or val-, valid-) or "
            "test-*.tar. Rename it, or take it out."
        )
    return {split: found[split] for split in SPLITS if split in found}


def check_tar_options(options: Mapping[str, Any]) -> None:
    """Refuse what nobody reads.

    Raises:
        ValueError: an option other than `labels`.
    """
    if unknown := sorted(set(options) - {"labels"}):
        raise ValueError(f"Unknown option {unknown[0]!r} of tar shards; expected labels.")


class Survey(NamedTuple):
    """What the JSON files of all shards say.

    Attributes:
        names: the label names.
        counts: split name to the number of pictures of each of its shards.
        hashes: split name to 16 hex digits of its ids and labels.
    """

    names: list[str]
    counts: dict[str, list[int]]
    hashes: dict[str, str]


def survey(shards: Mapping[str, Sequence[str]], labels: Sequence[str] | None = None) -> Survey:
    """Read the labels of all shards once; no picture is read.

    Args:
        shards: of `tar_shards`.
        labels: the label names, in order; None takes all that occur, sorted.

    Raises:
        ValueError: a shard is damaged, or has a picture without labels, two of one name, or a label that `labels`
            does not name.
    """
    seen: set[str] = set()
    found = Survey([], {}, {})
    for split, paths in shards.items():
        digest = hashlib.sha256()
        found.counts[split] = []
        for path in paths:
            keys: set[str] = set()
            for sample in read_samples(Path(path), pictures=False):
                key = sample["image_id"]
                if key in keys:
                    raise ValueError(f"{path}: two samples are named {key!r}; name every picture differently.")
                keys.add(key)
                names = {*sample["labels"], *sample["ignored"]}
                if labels is not None and (strange := sorted(names.difference(labels))):
                    raise ValueError(f"{path}, sample {key!r}: the label {strange[0]!r} is not among `labels`.")
                seen |= names
                digest.update(json.dumps([key, sample["labels"], sample["ignored"]]).encode())
            found.counts[split].append(len(keys))
        found.hashes[split] = digest.hexdigest()[:16]
    if not seen and labels is None:
        raise ValueError("Not one sample of the tar shards has a label; check them, or name the labels.")
    found.names.extend(sorted(seen) if labels is None else labels)
    return found


def stream_tars(paths: Sequence[str], names: Sequence[str]) -> Any:
    """The rows of one split as a `datasets.IterableDataset` with the common columns, one shard a file."""
    import datasets

    return datasets.IterableDataset.from_generator(
        _rows, features=features(names), gen_kwargs={"paths": list(paths), "names": tuple(names)}
    )


def _rows(paths: Sequence[str], names: Sequence[str]) -> Iterator[dict[str, Any]]:
    place = {name: index for index, name in enumerate(names)}
    for path in paths:
        for sample in read_samples(Path(path)):
            ids = {column: [place[name] for name in sample[column]] for column in ("labels", "ignored")}
            yield {**sample, **ids}


def read_samples(path: Path, pictures: bool = True) -> Iterator[dict[str, Any]]:
    """Samples {image, image_id, labels, ignored} of a tar file: files of one name but for the ending.

    Args:
        path: the tar file. A sample's JSON file holds {"labels": [names], "ignored": [names, optional]}; files of
            other endings are left alone.
        pictures: False leaves `image` out, and reads no picture.

    Raises:
        ValueError: the file is no whole tar, or a sample is not one picture and its labels; names file and sample.
    """
    key: str | None = None
    parts: dict[str, Any] = {}
    try:
        with tarfile.open(path, "r:") as tar:
            while (member := tar.next()) is not None:
                tar.members = []  # type: ignore[attr-defined]  # else it remembers every one
                if member.isdir():
                    continue
                own = _key(member.name)
                if own != key and key is not None:
                    yield _sample(path, key, parts, pictures)
                if own != key:
                    key, parts = own, {}
                kind = (
                    "json" if member.name.lower().endswith(".json") else "image" if _is_picture(member.name) else None
                )
                if kind is None:
                    continue
                if kind in parts:
                    raise ValueError(f"{path}, sample {key!r}: it has two files with {_what(kind)}; one was expected.")
                parts[kind] = _content(path, tar, member, kind) if pictures or kind == "json" else b""
            if tar.fileobj is not None and not _ends_here(tar):
                raise ValueError(f"{path} is cut off or damaged at byte {tar.offset}; fetch or write it again.")
    except (tarfile.TarError, EOFError) as error:
        raise ValueError(f"{path} is no whole tar file ({error}); fetch or write it again.") from None
    if key is not None:
        yield _sample(path, key, parts, pictures)


def _key(name: str) -> str:
    """The name without all of its endings; the folder is part of it."""
    path = PurePosixPath(name)
    return str(path.with_name(path.name.split(".")[0] or path.name))


def _is_picture(name: str) -> bool:
    return name.lower().endswith(PICTURES)


def _what(kind: str) -> str:
    return "a picture" if kind == "image" else "labels (.json)"


def _content(path: Path, tar: tarfile.TarFile, member: tarfile.TarInfo, kind: str) -> Any:
    limit = LARGEST_LABELS if kind == "json" else LARGEST_PICTURE
    if not member.isreg() or member.size > limit:
        raise ValueError(
            f"{path}, {member.name}: a file of at most {limit} bytes was expected, but it is "
            f"{f'of {member.size} bytes' if member.isreg() else 'a link or a device'}."
        )
    file = tar.extractfile(member)
    assert file is not None  # it is a file
    return (member.name, file.read())


def _ends_here(tar: tarfile.TarFile) -> bool:
    """Whether the mark of the end stands where reading stopped: tarfile takes any rubbish for it."""
    assert tar.fileobj is not None
    tar.fileobj.seek(tar.offset)
    return tar.fileobj.read(tarfile.BLOCKSIZE) == tarfile.NUL * tarfile.BLOCKSIZE


def _sample(path: Path, key: str, parts: Mapping[str, Any], pictures: bool) -> dict[str, Any]:
    for kind in ("image", "json"):
        if kind not in parts:
            raise ValueError(f"{path}, sample {key!r}: it has no file with {_what(kind)}.")
    name, content = parts["json"]
    where = path / name
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{where}: byte 0x{content[error.start]:02x} is not UTF-8; write it as UTF-8.") from None
    told = parse_json(text, where)
    if not isinstance(told, dict) or "labels" not in told:
        raise ValueError(f'{where}: {{"labels": [names]}} was expected, but it holds {text[:60]!r}.')
    sample: dict[str, Any] = {"image_id": key}
    for column in ("labels", "ignored"):
        value = told.get(column, [])
        if not isinstance(value, list) or not all(isinstance(label, str) for label in value):
            raise ValueError(f"{where}: {column} is {str(value)[:60]!r}, but a list of names was expected.")
        sample[column] = value
    if both := sorted({*sample["labels"]} & {*sample["ignored"]}):
        raise ValueError(f"{where}: {both[0]!r} is a label and ignored at once.")
    if pictures:
        name, content = parts["image"]
        sample["image"] = {"path": name, "bytes": content}
    return sample
