"""Tags of very many pictures: a folder of shards, each of which is whole or not there."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from mlic_hf.runs.picture_sources import Picture
from mlic_hf.runs.tag_file import line_of
from mlic_hf.runs.tagging import Tagged

FORMATS = ("parquet", "jsonl")
SETTINGS = "_settings.json"


class TagShards:
    """The shards of a list of pictures: shard s holds pictures s*n to s*n + n - 1, in their order.

    A shard is written under another name and renamed when it is whole, so a run that was killed has lost what it had
    begun of one shard, and repeats nothing that is there. `datasets.load_dataset(format, data_dir=folder)` reads the
    shards as one table.

    Args:
        folder: of the shards; created.
        pictures: all of them, the same for every process.
        settings: what the rows depend on (model, threshold, ...); JSON values.
        shard_size: pictures a shard.
        format: "parquet" or "jsonl".

    Raises:
        ValueError: another format.
    """

    def __init__(
        self,
        folder: Path,
        pictures: Sequence[Picture],
        settings: Mapping[str, Any],
        shard_size: int = 10_000,
        format: str = "parquet",
    ) -> None:
        if format not in FORMATS:
            raise ValueError(f"format is {format!r}; expected one of {', '.join(FORMATS)}.")
        self.folder = folder
        self.pictures = pictures
        self.shard_size = shard_size
        self.format = format
        digest = hashlib.sha256()
        for picture in pictures:
            digest.update(os.fsencode(picture.name) + b"\0")
        self.settings = {
            **settings,
            "pictures": len(pictures),
            "names": digest.hexdigest()[:16],
            "shard_size": shard_size,
            "format": format,
        }
        self.count = -(-len(pictures) // shard_size)

    def path(self, shard: int) -> Path:
        """The file of a shard."""
        return self.folder / f"part-{shard:05}-of-{self.count:05}.{self.format}"

    def begin(self, resume: bool) -> None:
        """Make the folder one of these shards; to be called by one process, before any shard is written.

        Raises:
            ValueError: shards are there and `resume` is not set, or they are of other settings.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        file = self.folder / SETTINGS
        if file.exists():
            if not resume:
                raise ValueError(f"{self.folder} holds the shards of another run; go on with `resume`, or remove it.")
            found, wanted = json.loads(file.read_text(encoding="utf-8")), json.loads(line_of(self.settings))
            other = sorted(key for key in {*found, *wanted} if found.get(key) != wanted.get(key))
            if other:
                raise ValueError(
                    f"{self.folder} was begun with other settings ({', '.join(other)}); give the same, or remove it."
                )
            return
        if any(self.folder.iterdir()):
            raise ValueError(f"{self.folder} is not empty and holds no shards; give a new folder.")
        written = file.with_suffix(".writing")
        written.write_text(line_of(self.settings), encoding="utf-8")
        written.replace(file)

    def left(self, process: int = 0, processes: int = 1) -> list[int]:
        """The shards that a process still has to write; every shard belongs to one process."""
        return [shard for shard in range(process, self.count, processes) if not self.path(shard).exists()]

    def pictures_of(self, shards: Iterable[int]) -> list[Picture]:
        """The pictures of some shards, one shard after another."""
        return [p for s in shards for p in self.pictures[s * self.shard_size : (s + 1) * self.shard_size]]

    def write(self, shards: Sequence[int], rows: Iterator[Tagged]) -> Iterator[Tagged]:
        """Write the rows of `pictures_of(shards)` as they come, and pass them on."""
        for shard in shards:
            size = min(self.shard_size, len(self.pictures) - shard * self.shard_size)
            kept = []
            for _ in range(size):
                kept.append(next(rows))
                yield kept[-1]
            self._write(shard, kept)

    def _write(self, shard: int, rows: list[Tagged]) -> None:
        written = self.folder / f".{self.path(shard).name}.{os.getpid()}.writing"
        if self.format == "jsonl":
            with written.open("w", encoding="utf-8") as file:
                file.writelines(line_of(row.as_row()) for row in rows)
                file.flush()
                os.fsync(file.fileno())
        else:
            _write_parquet(written, rows)
        written.replace(self.path(shard))


def _write_parquet(path: Path, rows: list[Tagged]) -> None:
    """Columns file, labels (a list of {label, score}), error, and embedding where there are any."""
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        raise ImportError("Parquet needs pyarrow: pip install 'mlic_hf[data]', or ask for jsonl") from error
    label = pa.struct([("label", pa.string()), ("score", pa.float32())])
    columns = {
        # a name that is no Unicode is written with escapes
        "file": pa.array([os.fsencode(row.file).decode("utf-8", "backslashreplace") for row in rows], pa.string()),
        "labels": pa.array([None if row.error else row.labels for row in rows], pa.list_(label)),
        "error": pa.array([row.error for row in rows], pa.string()),
    }
    if any(row.embedding is not None for row in rows):
        columns["embedding"] = pa.array([row.embedding for row in rows], pa.list_(pa.float32()))
    with path.open("wb") as file:
        pq.write_table(pa.table(columns), file)
        file.flush()
        os.fsync(file.fileno())
