"""The torch dataset of a stream: its rows come with the order, and are decoded where examples are made."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from PIL import Image

from mlic_hf.data.label_space import LabelSpace
from mlic_hf.data.multi_label_dataset import MultiLabelDataset
from mlic_hf.data.sharded_rows import as_stream, is_stream
from mlic_hf.data.stream_order import StreamedRow, StreamOrder


class MultiLabelStream(MultiLabelDataset):
    """Rows of a stream as pixel values and multi-hot labels, with the draws that a `MultiLabelDataset` makes.

    The stream is read once in a process, by its order (`in_order`, `shuffled`), whatever the number of workers; these
    are sent rows instead of indices and decode them. So the examples and their order do not depend on the workers,
    and a resumed run skips rows without decoding them.

    Args:
        rows: `ShardedRows`, or what `adapt` returns for a stream.
        label_space: as in `MultiLabelDataset`, like the rest.
        transform: see there.
        views: see there.
        seed: of the draws and of the order.
        buffer_size: rows that are held in memory to be shuffled.
        missing_labels: see there.
    """

    def __init__(
        self,
        rows: Any,
        label_space: LabelSpace,
        transform: Callable[[Image.Image, np.random.Generator], torch.Tensor],
        views: int = 1,
        seed: int = 0,
        *,
        buffer_size: int = 1000,
        missing_labels: str = "raise",
    ) -> None:
        stream = as_stream(rows)
        super().__init__(stream.rows, label_space, transform, views, seed, missing_labels=missing_labels)
        self.rows = stream.over(self.rows)
        self.buffer_size = buffer_size

    def __getitem__(self, item: StreamedRow) -> dict[str, Any]:  # type: ignore[override]
        """The example of a row that the order read."""
        return self.example(item.row, item.epoch)

    def in_order(self) -> StreamOrder:
        """Every row once, in the stream's own order. Rows that nobody counted are counted now."""
        self.rows = self.rows.counted()
        return StreamOrder(self.rows)

    def shuffled(self, shuffle: bool, processes: int, rank: int, batch_size: int) -> StreamOrder:
        """The order of training; see `StreamOrder`."""
        own_labels = range(len(self.label_space) if self._ids is None else len(self._ids))
        return StreamOrder(
            self.rows,
            own_labels,
            self.seed,
            shuffle=shuffle,
            buffer_size=self.buffer_size,
            processes=processes,
            rank=rank,
            batch_size=batch_size,
        )


def examples_of(rows: Any, *args: Any, **options: Any) -> MultiLabelDataset:
    """A `MultiLabelStream` of a stream, a `MultiLabelDataset` of anything else; the arguments are theirs."""
    return (MultiLabelStream if is_stream(rows) else MultiLabelDataset)(rows, *args, **options)
