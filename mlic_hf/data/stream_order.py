"""The order in which several processes read one stream, each of them its own part."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, NamedTuple

from torch.utils.data import Sampler

from mlic_hf.data.sharded_rows import ShardedRows
from mlic_hf.data.stateless_random import stateless_generator


class StreamedRow(NamedTuple):
    """What stands for an image's index in a stream: the row itself, not yet decoded, and the epoch of its draws."""

    row: Mapping[str, Any]
    epoch: int


class StreamOrder(Sampler[StreamedRow]):
    """The rows of a stream as a sampler, so that loaders batch, share and skip them like indices.

    The order is a function of (seed, epoch) and the number of processes. With n processes and counted shards, each
    process reads every n-th shard alone; what is left over, and shards that nobody counted, all processes read, and
    each keeps every n-th row. So every row belongs to one process. All processes get equally many batches: gaps are
    filled with rows whose labels are all unknown, which no loss and no count looks at.

    Loaders give the batches of one global order to the processes in turn. In the places of the others stands None.

    A stream of unknown length has one epoch without end, which reads it again and again.

    Args:
        rows: the stream.
        unknown: every label id of the rows, for what fills a gap.
        seed: of the order.
        shuffle: False reads every shard from its beginning, in order.
        buffer_size: rows that are held in memory to be drawn from.
        processes: how many share the stream.
        rank: which of them this is, from 0.
        batch_size: images of a process at once.

    Raises:
        ValueError: a buffer of less than one row.
    """

    def __init__(
        self,
        rows: ShardedRows,
        unknown: Sequence[int] = (),
        seed: int = 0,
        *,
        shuffle: bool = False,
        buffer_size: int = 1000,
        processes: int = 1,
        rank: int = 0,
        batch_size: int = 1,
    ) -> None:
        if buffer_size < 1:
            raise ValueError(f"The shuffle buffer of a stream holds 1 row or more, but buffer_size is {buffer_size}.")
        self.rows = rows
        self.unknown = list(unknown)
        self.seed = seed
        self.shuffle = shuffle
        self.buffer_size = buffer_size
        self.processes = processes
        self.rank = rank
        self.batch_size = batch_size
        self.epoch = 0
        shards = [s for s in range(rows.num_shards) if rows.counts is None or rows.counts[s]]
        apart = 0 if rows.counts is None else len(shards) - len(shards) % processes
        self._own = [shards[:apart][other::processes] for other in range(processes)]
        self._common = shards[apart:]

    def set_epoch(self, epoch: int) -> None:
        """Choose the order and the draws of this epoch."""
        self.epoch = int(epoch)

    def __len__(self) -> int:
        total = len(self.rows)
        if self.processes == 1:
            return total
        longest = self._longest()
        common = total - sum(map(self._count, self._own))
        each = longest + -(-common // self.processes)
        return -(-each // self.batch_size) * self.batch_size * self.processes

    def __iter__(self) -> Iterator[StreamedRow | None]:  # type: ignore[override]
        epoch = self.epoch
        yield from self._pass(epoch)
        while self.rows.length is None:
            epoch += 1
            yield from self._pass(epoch)

    def _pass(self, epoch: int) -> Iterator[StreamedRow | None]:
        """One reading: blocks of one batch a process."""
        mine = self._mine(epoch)
        filled = self.processes > 1 or self.rows.length is None
        row = None
        while block := list(islice(mine, self.batch_size)):
            row = block[-1]
            if filled:
                block += [self._filler(row)] * (self.batch_size - len(block))
            for process in range(self.processes):
                if process == self.rank:
                    yield from (StreamedRow(row, epoch) for row in block)
                else:
                    yield from [None] * self.batch_size
        if row is None:
            raise ValueError("A stream has no rows to train on or to measure; check its split and its filters.")

    def _mine(self, epoch: int) -> Iterator[Mapping[str, Any]]:
        """This process's rows of an epoch, as many as every other process has, filled up."""
        given, row = 0, None
        for row in self._shuffled(self._own[self.rank], epoch, self.rank):
            given += 1
            yield row
        for _ in range(self._longest() - given):
            yield self._filler(row)
        place = 0
        for row in self._shuffled(self._common, epoch, "common"):
            if place == self.rank:
                yield row
            place = (place + 1) % self.processes
        if place and place <= self.rank:
            yield self._filler(row)

    def _shuffled(self, shards: Sequence[int], epoch: int, whose: int | str) -> Iterator[Mapping[str, Any]]:
        if not self.shuffle:
            return self._read(shards, epoch)
        order = stateless_generator("shards", self.seed, epoch, whose).permutation(len(shards))
        key = ("stream", self.seed, epoch, whose)
        return _through_buffer(self._read([shards[i] for i in order], epoch), self.buffer_size, key)

    def _read(self, shards: Iterable[int], epoch: int) -> Iterator[Mapping[str, Any]]:
        for shard in shards:
            yield from self.rows.shard(shard, epoch)

    def _count(self, shards: Iterable[int]) -> int:
        return sum(self.rows.counts[shard] for shard in shards) if self.rows.counts is not None else 0

    def _longest(self) -> int:
        return max(map(self._count, self._own))

    def _filler(self, row: Any) -> Mapping[str, Any]:
        return {**row, "labels": [], "ignored": self.unknown}


def _through_buffer(rows: Iterable[Any], size: int, key: tuple[int | str, ...]) -> Iterator[Any]:
    """Rows in a random order: each new one takes the place of one that is drawn from a buffer."""
    generator = stateless_generator(*key)
    buffer: list[Any] = []
    for row in rows:
        if len(buffer) < size:
            buffer.append(row)
            continue
        place = int(generator.integers(size))
        buffer[place], row = row, buffer[place]
        yield row
    for place in generator.permutation(len(buffer)):
        yield buffer[place]
