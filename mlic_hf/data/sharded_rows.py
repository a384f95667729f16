"""Rows that are read from their first to their last, shard by shard, and never held together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from torch.utils.data import IterableDataset


class ShardedRows:
    """A stream of rows `{image, image_id, labels, ignored}`, cut into shards that can be read apart.

    Args:
        rows: a `datasets.IterableDataset`, whose shards are taken, or anything that can be read again and again,
            which is one shard.
        counts: the rows of every shard, in order, where somebody counted them.
        length: the rows of all, where only this is known.
        hash: of ids and labels, where somebody told it.

    Raises:
        ValueError: there are not as many counts as shards, or one is negative.
    """

    def __init__(
        self, rows: Any, counts: Sequence[int] | None = None, length: int | None = None, hash: str | None = None
    ) -> None:
        self.rows = rows
        self.hash = hash
        self.num_shards = int(getattr(rows, "num_shards", 1)) if hasattr(rows, "shard") else 1
        self.counts = None if counts is None else tuple(map(int, counts))
        self.length = length if self.counts is None else sum(self.counts)
        if self.counts is not None and (len(self.counts) != self.num_shards or min(self.counts, default=0) < 0):
            raise ValueError(
                f"counts is {list(self.counts)}, but must say how many rows each of the {self.num_shards} shards has."
            )

    def __len__(self) -> int:
        """The rows of all shards.

        Raises:
            TypeError: nobody counted them.
        """
        if self.length is None:
            raise TypeError("The length of this stream is not known.")
        return self.length

    def __iter__(self) -> Iterator[dict[str, Any]]:
        for shard in range(self.num_shards):
            yield from self.shard(shard)

    def shard(self, shard: int, epoch: int = 0) -> Iterator[dict[str, Any]]:
        """The rows of one shard; the epoch is told to a source that wants to know (`set_epoch`).

        Raises:
            ValueError: a row has no id, or there are not as many rows as were counted.
        """
        rows = self.rows if self.num_shards == 1 else self.rows.shard(num_shards=self.num_shards, index=shard)
        if hasattr(rows, "set_epoch"):
            rows.set_epoch(epoch)
        found = 0
        for row in rows:
            if row.get("image_id") in (None, ""):
                raise ValueError(f"Row {found} of shard {shard} has no image_id, which its random draws depend on.")
            found += 1
            yield row
        told = self.counts[shard] if self.counts is not None else self.length if self.num_shards == 1 else None
        if told is not None and found != told:
            raise ValueError(
                f"Shard {shard} of a stream has {found} rows, but {told} were counted; it was changed, or is cut off."
            )

    def over(self, rows: Any) -> ShardedRows:
        """The same shards and counts over rows of another shape."""
        return ShardedRows(rows, self.counts, self.length, self.hash)

    def counted(self) -> ShardedRows:
        """The same with its length, for which the stream is read once where it is not known; no picture is decoded."""
        return self if self.length is not None else ShardedRows(self.rows, length=sum(1 for _ in self), hash=self.hash)


def is_stream(data: Any) -> bool:
    """Whether data can only be read from the first row to the last."""
    if isinstance(data, (ShardedRows, IterableDataset)):
        return True
    return not isinstance(data, Mapping) and hasattr(data, "__iter__") and not hasattr(data, "__getitem__")


def as_stream(data: Any) -> ShardedRows:
    """A stream as `ShardedRows`."""
    return data if isinstance(data, ShardedRows) else ShardedRows(data)
