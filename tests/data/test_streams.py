"""Streams: each row once, in an order of (seed, epoch), whoever reads it; the examples of a data set in memory."""

from __future__ import annotations

from collections import Counter
from itertools import islice
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from mlic_hf.data import (
    LabelSpace,
    MultiLabelDataset,
    MultiLabelStream,
    ShardedRows,
    StreamOrder,
    TransformConfig,
    adapt,
    build_transform,
    collate,
    examples_of,
    is_stream,
    without_images,
)
from tests.data.pictures import picture

NAMES = ["a", "b", "c"]


class Shards:
    """Rows in shards, with the one method of `datasets` that streams need; knows which shards were read."""

    def __init__(self, shards: list[list[dict[str, Any]]]) -> None:
        self.shards = shards
        self.num_shards = len(shards)
        self.read: list[int] = []

    def __iter__(self) -> Any:
        return (row for shard in self.shards for row in shard)

    def shard(self, num_shards: int, index: int) -> Any:
        assert num_shards == self.num_shards
        self.read.append(index)
        return iter(self.shards[index])


def shards_of(*counts: int) -> Shards:
    return Shards(
        [
            [{"image_id": f"{shard}-{row}", "labels": [row % 3], "ignored": []} for row in range(count)]
            for shard, count in enumerate(counts)
        ]
    )


def orders(
    counts: tuple[int, ...], processes: int, batch: int, known: bool = True, **options: Any
) -> list[StreamOrder]:
    return [
        StreamOrder(
            ShardedRows(shards_of(*counts), counts if known else None),
            [0, 1, 2],
            processes=processes,
            rank=rank,
            batch_size=batch,
            **options,
        )
        for rank in range(processes)
    ]


def is_filler(row: Any) -> bool:
    return row["labels"] == [] and row["ignored"] == [0, 1, 2]


def passed(order: StreamOrder, epoch: int = 0) -> list[Any]:
    """One reading as the batches that reach this process."""
    order.set_epoch(epoch)
    return list(order._pass(epoch))


CASES = [
    (counts, processes, batch)
    for counts in [(5,), (4, 4), (5, 3, 4), (7, 1, 2, 6), (1, 1), (3, 0, 3), (2, 9, 4, 4, 1)]
    for processes in (1, 2, 3)
    for batch in (1, 2, 4)
]


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("counts, processes, batch", CASES)
def test_every_row_belongs_to_one_process_and_all_have_equally_many_batches(
    counts: tuple[int, ...], processes: int, batch: int, known: bool
) -> None:
    for shuffle in (False, True):
        all_orders = orders(counts, processes, batch, known, shuffle=shuffle, buffer_size=3)
        read = [passed(order, epoch=2) for order in all_orders]
        assert len({len(items) for items in read}) == 1
        if known:
            assert {len(order) for order in all_orders} == {len(read[0])}
            assert [len(list(order)) for order in all_orders] == [len(read[0])] * processes
        found: Counter = Counter()
        for rank, items in enumerate(read):
            if processes > 1:
                assert len(items) % (batch * processes) == 0
            for place, item in enumerate(items):
                assert (item is not None) == (processes == 1 or place // batch % processes == rank)
                if item is not None and not is_filler(item.row):
                    assert item.epoch == 2
                    found[item.row["image_id"]] += 1
        expected = {f"{shard}-{row}" for shard, count in enumerate(counts) for row in range(count)}
        assert found == Counter(expected)


def test_counted_shards_are_read_by_one_process_each() -> None:
    first, second = orders((3, 3, 3, 3, 3), 2, 2)
    list(first), list(second)
    assert first.rows.rows.read == [0, 2, 4]  # the fifth cannot be shared and is read by both
    assert second.rows.rows.read == [1, 3, 4]


def test_the_order_is_a_function_of_seed_and_epoch() -> None:
    def ids(epoch: int, seed: int = 1) -> list[str]:
        (order,) = orders((6, 6, 6), 1, 1, shuffle=True, seed=seed, buffer_size=5)
        return [item.row["image_id"] for item in passed(order, epoch)]

    natural = [f"{shard}-{row}" for shard in range(3) for row in range(6)]
    assert ids(0) == ids(0)
    assert sorted(ids(0)) == sorted(ids(1)) == sorted(natural)
    assert len({tuple(natural), tuple(ids(0)), tuple(ids(1)), tuple(ids(0, seed=2))}) == 4
    firsts = {ids(epoch)[0][0] for epoch in range(20)}
    assert firsts == {"0", "1", "2"}  # shards change their places


def test_the_buffer_mixes_far_apart_rows() -> None:
    (order,) = orders((400,), 1, 1, shuffle=True, buffer_size=100)
    places = np.array([int(item.row["image_id"].split("-")[1]) for item in passed(order)])
    assert np.abs(places - np.arange(400)).mean() > 50
    assert places[:5].max() < 105


def test_two_processes_on_shards_that_nobody_counted_have_the_batches_of_one() -> None:
    (one,) = orders((5, 4, 6), 1, 6, known=False, shuffle=True, buffer_size=4)
    two = orders((5, 4, 6), 2, 3, known=False, shuffle=True, buffer_size=4)
    alone = [item.row["image_id"] for item in passed(one)]
    parts = [[item.row["image_id"] for item in passed(order) if item is not None] for order in two]
    for batch in range(2):
        together = {name for part in parts for name in part[3 * batch : 3 * batch + 3]}
        assert together == set(alone[6 * batch : 6 * batch + 6])


def test_a_stream_of_unknown_length_is_read_again_and_again() -> None:
    (order,) = orders((3, 2), 1, 2, known=False, shuffle=True)
    with pytest.raises(TypeError, match="length of this stream is not known"):
        len(order)
    items = list(islice(order, 18))
    assert [item.epoch for item in items] == [0] * 6 + [1] * 6 + [2] * 6
    assert [is_filler(item.row) for item in items[:6]] == [False] * 5 + [True]


def test_a_source_with_an_order_of_its_own_is_told_the_epoch() -> None:
    class Source(torch.utils.data.IterableDataset):
        def set_epoch(self, epoch: int) -> None:
            self.epoch = epoch

        def __iter__(self) -> Any:
            return iter({"image_id": f"{self.epoch}-{row}", "labels": [], "ignored": []} for row in range(2))

    order = StreamOrder(ShardedRows(Source(), [2]))
    for epoch in (3, 4):
        assert [item.row["image_id"] for item in passed(order, epoch)] == [f"{epoch}-0", f"{epoch}-1"]


def test_a_stream_that_was_shuffled_before_gives_every_row_once() -> None:
    shuffled = as_datasets(11, 3).shuffle(seed=3, buffer_size=4)
    order = StreamOrder(ShardedRows(shuffled), shuffle=True)
    read = [[item.row["image_id"] for item in islice(passed(order, epoch), 11)] for epoch in (0, 1)]
    assert sorted(read[0]) == sorted(read[1]) == sorted(f"image-{row}" for row in range(11))
    assert read[0] == [item.row["image_id"] for item in islice(passed(order, 0), 11)]


@pytest.mark.parametrize("counts", [(3, 3), (3, 1)])
def test_counts_that_do_not_hold_are_an_error(counts: tuple[int, int]) -> None:
    rows = ShardedRows(shards_of(3, 2), counts)
    with pytest.raises(ValueError, match=rf"Shard 1 of a stream has 2 rows, but {counts[1]} were counted"):
        list(rows)


def test_bad_streams_are_sentences() -> None:
    with pytest.raises(ValueError, match=r"how many rows each of the 2 shards has"):
        ShardedRows(shards_of(3, 2), [5])
    with pytest.raises(ValueError, match="Row 0 of shard 0 has no image_id"):
        list(ShardedRows([{"image_id": None}]))
    with pytest.raises(ValueError, match="buffer_size is 0"):
        StreamOrder(ShardedRows([]), buffer_size=0)
    with pytest.raises(ValueError, match="A stream has no rows"):
        next(iter(StreamOrder(ShardedRows([]))))


def house_rows(count: int) -> list[dict[str, Any]]:
    return [
        {"image": picture(40, 30, seed=row), "image_id": f"image-{row}", "labels": [row % 3], "ignored": []}
        for row in range(count)
    ]


def as_datasets(count: int, shards: int) -> Any:
    datasets = pytest.importorskip("datasets")
    label = datasets.Sequence(datasets.ClassLabel(names=NAMES))
    features = datasets.Features(
        {
            "image": datasets.Image(),
            "image_id": datasets.Value("string"),
            "labels": label,
            "ignored": label,
        }
    )
    return datasets.Dataset.from_list(house_rows(count), features=features).to_iterable_dataset(num_shards=shards)


@pytest.mark.parametrize("workers", [0, 2])
def test_examples_of_a_stream_are_those_of_a_data_set_in_memory(workers: int) -> None:
    """The same draws for an image in an epoch, the same labels; the order the same with any number of workers."""
    transform = build_transform(TransformConfig(kind="train", image_size=16, hflip=True))
    rows, space = adapt(ShardedRows(as_datasets(11, 3), [4, 4, 3]))
    stream = MultiLabelStream(rows, space, transform, views=2, seed=5, buffer_size=4)
    memory = MultiLabelDataset(house_rows(11), space, transform, views=2, seed=5)
    place = {f"image-{row}": row for row in range(11)}
    order = stream.shuffled(True, processes=1, rank=0, batch_size=4)
    assert len(stream) == len(order) == 11
    names = []
    for epoch in (0, 3):
        order.set_epoch(epoch)
        memory.set_epoch(epoch)
        for batch in DataLoader(stream, 4, sampler=order, collate_fn=collate, num_workers=workers):
            for index, name in enumerate(batch["image_id"]):
                expected = memory[place[name]]
                names.append(name)
                for key in ("pixel_values", "second_view", "labels"):
                    assert torch.equal(batch[key][index], expected[key])
    assert sorted(names[:11]) == sorted(names[11:]) == sorted(place)
    assert names[:11] != names[11:]
    order.set_epoch(0)
    assert [item.row["image_id"] for item in order] == names[:11]


def test_a_filler_has_no_label_that_is_known() -> None:
    rows, _ = adapt(ShardedRows(as_datasets(3, 1), [3]))
    wanted = LabelSpace(["c", "a"])
    stream = MultiLabelStream(rows, wanted, build_transform(TransformConfig(kind="eval", image_size=16)))
    orders = [stream.shuffled(False, processes=2, rank=rank, batch_size=1) for rank in range(2)]
    labels = [[stream[item]["labels"].tolist() for item in order if item is not None] for order in orders]
    assert labels == [[[0, 1], [1, 0]], [[0, 0], [-1, -1]]]


def test_a_stream_is_counted_once_for_an_evaluation() -> None:
    source = shards_of(3, 4)
    stream = MultiLabelStream(ShardedRows(source), LabelSpace(NAMES), lambda image, _: image)
    order = stream.in_order()
    assert len(order) == len(stream) == 7
    assert [item.row["image_id"] for item in order] == [r["image_id"] for shard in source.shards for r in shard]
    stream.in_order()
    assert source.read == [0, 1, 0, 1]


def test_adapted_streams_keep_their_shards_and_counts() -> None:
    rows, space = adapt(ShardedRows(as_datasets(5, 2), [3, 2]))
    assert isinstance(rows, ShardedRows)
    assert (rows.counts, len(rows), tuple(space)) == ((3, 2), 5, tuple(NAMES))
    assert [row["labels"] for row in without_images(rows)] == [[row % 3] for row in range(5)]
    tags = ShardedRows([{"photo": picture(8, 8), "tags": ["b"]}], [1])
    rows, space = adapt(tags, labels=NAMES)
    assert [row["labels"] for row in rows] == [[1]]
    again, _ = adapt(rows, labels=NAMES)  # adapted before
    assert ([row["labels"] for row in again], len(again)) == ([[1]], 1)


def test_what_is_a_stream() -> None:
    assert is_stream(as_datasets(2, 1))
    assert is_stream(ShardedRows([]))
    assert not any(map(is_stream, ([], {}, None, house_rows(1), MultiLabelDataset([], LabelSpace(NAMES), print))))
    make = build_transform(TransformConfig(kind="eval", image_size=16))
    assert isinstance(examples_of(as_datasets(2, 1), LabelSpace(NAMES), make), MultiLabelStream)
    assert type(examples_of(house_rows(2), LabelSpace(NAMES), make)) is MultiLabelDataset
