"""Prepared data sets: parquet shards and the manifest that says what must be there."""

from __future__ import annotations

import hashlib
import json
import logging
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from dataset_builders.os_reason import one_line
from dataset_builders.record import SPLIT_NAMES, SPLITS
from dataset_builders.text_file import read_json

logger = logging.getLogger(__name__)

FORMAT_VERSION = 1
MANIFEST = "manifest.json"
FORMER = ".data.former"  # the shards that stood in data/ until new ones took their place
COLUMNS = ("image_id", "labels", "ignored")
_NAME = re.compile(r"(?P<split>\w+?)-.*\.parquet")
_COUNTED = re.compile(r"\w+?-(?P<index>\d{5})-of-(?P<count>\d{5}).*\.parquet")


def names_hash(names: Sequence[str]) -> str:
    """16 hex digits of a vocabulary; those of `LabelSpace.hash`."""
    return hashlib.sha256(json.dumps(list(names), ensure_ascii=False).encode()).hexdigest()[:16]


def rows_hash(rows: Iterable[Mapping[str, Any]]) -> str:
    """16 hex digits of the ids and labels of rows, in their order."""
    digest = hashlib.sha256()
    for row in rows:
        digest.update(_line(row))
    return digest.hexdigest()[:16]


def _line(row: Mapping[str, Any]) -> bytes:
    return json.dumps([row[column] for column in COLUMNS]).encode()


def file_hash(path: Path) -> str:
    """SHA-256 of a file's bytes, in hex digits."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def parquet_shards(folder: Path) -> dict[str, list[str]]:
    """Split name to the parquet files `<split>-*.parquet` of a folder or of its `data` folder.

    Raises:
        ValueError: beside them lie parquet files of no known split, or the folder was left in the middle of an
            exchange of its shards.
    """
    for place in (folder, folder / "data"):
        found: dict[str, list[str]] = {}
        strangers = []
        for path in sorted(place.glob("*.parquet")):
            match = _NAME.fullmatch(path.name)
            split = SPLIT_NAMES.get(match["split"]) if match else None
            if split is None:
                strangers.append(path.name)
            else:
                found.setdefault(split, []).append(str(path.absolute()))
        if found and strangers:
            raise ValueError(
                f"{place / strangers[0]} belongs to no split; shards are named train-*.parquet, "
                "validation-*.parquet (or val-, valid-) or test-*.parquet. Rename it, or take it out."
            )
        if found:
            return {split: found[split] for split in SPLITS if split in found}
    if (folder / FORMER).is_dir() and not (folder / "data").exists():
        raise ValueError(
            f"{folder} was left in the middle of an exchange: its shards lie in {folder / FORMER}. Rename that "
            "folder to 'data', or prepare the data set anew."
        )
    return {}


def check_prepared(shards: Mapping[str, Sequence[str]]) -> str:
    """Hold shards against their manifest: files, sizes, vocabulary, and the ids and labels of every row.

    Pixels are not looked at here; `check_bytes` does that.

    Args:
        shards: of `parquet_shards`.

    Returns:
        The manifest's text, "" where there is none (then only what the shards say themselves is compared, and
        the log says so).

    Raises:
        ValueError: something is missing, too much or different; names the file.
    """
    paths = [Path(path) for files in shards.values() for path in files]
    place = paths[0].parent
    manifest = read_manifest(place)
    found: dict[str, tuple[int, str]] = {}
    whole: dict[str, str] = {}
    first, vocabulary = paths[0].name, None
    for split, files in shards.items():
        digest = hashlib.sha256()
        for path in map(Path, files):  # the rows of one shard at a time
            names, rows = read_shard(path)
            vocabulary = vocabulary or names
            if names != vocabulary:
                raise ValueError(f"{path} and {first} have different label lists; prepare the data set anew.")
            for row in rows:
                digest.update(_line(row))
            found[path.name] = len(rows), rows_hash(rows)
        whole[split] = digest.hexdigest()[:16]
    if manifest is None:
        _check_counted(shards)
        logger.warning("%s has no %s, so nothing says whether its shards are all there and whole.", place, MANIFEST)
        return ""
    _check_files(place, manifest, set(found))
    if list(vocabulary or ()) != manifest["labels"] or names_hash(manifest["labels"]) != manifest["labels_hash"]:
        raise ValueError(f"{place / first}: its label list is not that of {MANIFEST}; prepare the data set anew.")
    for split, told in manifest["splits"].items():
        for shard in told["shards"]:
            if found[shard["file"]] != (shard["rows"], shard["hash"]):
                raise ValueError(
                    f"{place / shard['file']} does not hold the {shard['rows']} rows of {MANIFEST}; "
                    "prepare the data set anew."
                )
        rows_told = sum(shard["rows"] for shard in told["shards"])
        if (rows_told, whole.get(split)) != (told["rows"], told["hash"]):
            raise ValueError(f"{place}: split {split!r} is not the one of {MANIFEST}; prepare the data set anew.")
    return json.dumps(manifest, sort_keys=True)


def check_bytes(shards: Mapping[str, Sequence[str]]) -> None:
    """Hold every byte of the shards against the manifest, where there is one.

    Raises:
        ValueError: a file was changed after it was written.
    """
    place = Path(next(iter(shards.values()))[0]).parent
    for told in (read_manifest(place) or {"splits": {}})["splits"].values():
        for shard in told["shards"]:
            if file_hash(place / shard["file"]) != shard["sha256"]:
                raise ValueError(
                    f"{place / shard['file']} was changed after it was written; prepare the data set anew."
                )


def read_manifest(place: Path) -> dict[str, Any] | None:
    """The manifest of a folder of shards, None where there is none.

    Raises:
        ValueError: it is malformed or of another version.
    """
    path = place / MANIFEST
    if not path.is_file():
        return None
    manifest = read_json(path)
    version = manifest.get("format_version") if isinstance(manifest, dict) else None
    if version != FORMAT_VERSION:
        raise ValueError(f"{path} has format_version {version!r}; expected {FORMAT_VERSION}. Prepare the data anew.")
    if not _is_complete(manifest):
        raise ValueError(f"{path} lacks a part, or holds one of another kind; prepare the data set anew.")
    return manifest


def _is_complete(manifest: dict[str, Any]) -> bool:
    try:
        shards = [shard for told in manifest["splits"].values() for shard in told["shards"]]
        texts = [shard[key] for shard in shards for key in ("file", "hash", "sha256")]
        numbers = [shard[key] for shard in shards for key in ("rows", "bytes")]
        numbers += [told["rows"] for told in manifest["splits"].values()]
        texts += [told["hash"] for told in manifest["splits"].values()]
        texts += [*manifest["labels"], manifest["labels_hash"]]
    except (AttributeError, KeyError, TypeError):
        return False
    inside = all(Path(str(shard["file"])).name == shard["file"] for shard in shards)
    return inside and all(isinstance(x, str) for x in texts) and all(isinstance(x, int) for x in numbers)


def _check_files(place: Path, manifest: dict[str, Any], found: set[str]) -> None:
    told = {shard["file"]: shard["bytes"] for part in manifest["splits"].values() for shard in part["shards"]}
    if strange := sorted(found - set(told)):
        raise ValueError(f"{place / strange[0]} is not named in {MANIFEST}; take it out, or prepare the data anew.")
    for name, size in told.items():
        if name not in found:
            raise ValueError(f"{place / name} is missing, but {MANIFEST} names it; prepare the data set anew.")
        if (actual := (place / name).stat().st_size) != size:
            raise ValueError(f"{place / name} has {actual} bytes, but {MANIFEST} says {size}; prepare the data anew.")


def _check_counted(shards: Mapping[str, Sequence[str]]) -> None:
    """Names like train-00001-of-00003 say how many shards there must be."""
    for split, files in shards.items():
        matches = [_COUNTED.fullmatch(Path(path).name) for path in files]
        numbers = [(int(match["index"]), int(match["count"])) for match in matches if match]
        if not numbers:
            continue
        count = numbers[0][1]
        if len(numbers) != len(files) or sorted(numbers) != [(index, count) for index in range(count)]:
            raise ValueError(
                f"{Path(files[0]).parent}: the shards of split {split!r} are not 00000 to {count - 1:05d} of "
                f"{count:05d}, each once; some are missing, or those of two data sets are mixed."
            )


def read_shard(path: Path) -> tuple[tuple[str, ...], list[dict[str, Any]]]:
    """The vocabulary of a shard, and id, labels and ignored labels of its rows.

    Raises:
        ValueError: no whole parquet file of our columns, or label ids outside the vocabulary; names file and row.
    """
    import pyarrow
    import pyarrow.parquet

    try:
        schema = pyarrow.parquet.read_schema(path)
        rows = pyarrow.parquet.read_table(path, columns=list(COLUMNS)).to_pylist()
    except (pyarrow.ArrowException, OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is no whole parquet file ({one_line(error)}); prepare the data set anew.") from None
    if missing := {"image", *COLUMNS} - set(schema.names):
        raise ValueError(f"{path} lacks the columns {', '.join(sorted(missing))}; prepare the data set anew.")
    names = _vocabulary(path, schema.metadata or {})
    for number, row in enumerate(rows):
        ids = [*(row["labels"] or ()), *(row["ignored"] or ())]
        if wrong := [label for label in ids if not isinstance(label, int) or not 0 <= label < len(names)]:
            raise ValueError(
                f"{path}, row {number}: label id {wrong[0]} lies outside 0 to {len(names) - 1}, the {len(names)} "
                "labels of the file."
            )
    return names, rows


def _vocabulary(path: Path, metadata: Mapping[bytes, bytes]) -> tuple[str, ...]:
    try:
        features = json.loads(metadata[b"huggingface"])["info"]["features"]
        labels = features["labels"]
        # older releases of datasets write a sequence, newer ones a list
        names = (labels["feature"] if isinstance(labels, dict) else labels[0])["names"]
    except (KeyError, TypeError, ValueError, IndexError):
        raise ValueError(f"{path} does not say its label names; prepare the data set anew.") from None
    return tuple(map(str, names))
