from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader

from mlic_hf.data import EpochSampler, LabelSpace, MultiLabelDataset, build_transform, collate, transform_preset
from tests.data.pictures import encoded, picture, rows_of

SPACE = LabelSpace(["a", "b", "c", "d"])


def dataset(rows: Any = None, preset: str = "psd", **options: Any) -> MultiLabelDataset:
    rows = rows_of(10) if rows is None else rows
    return MultiLabelDataset(rows, SPACE, build_transform(transform_preset(preset, 24)), **options)


def epoch_of(data: MultiLabelDataset, epoch: int, **options: Any) -> dict[str, torch.Tensor]:
    sampler = EpochSampler(data, seed=1)
    sampler.set_epoch(epoch)
    loader = DataLoader(data, batch_size=3, sampler=sampler, collate_fn=collate, **options)
    return {key: row for batch in loader for key, row in zip(batch["image_id"], batch["pixel_values"])}


def same(left: dict[str, torch.Tensor], right: dict[str, torch.Tensor]) -> bool:
    return left.keys() == right.keys() and all(torch.equal(left[key], right[key]) for key in left)


def test_example_is_complete() -> None:
    row = {"image": picture(), "image_id": 7, "labels": ["b", "d"], "ignored": [0]}
    example = dataset([row], views=2)[0]
    assert list(example) == ["pixel_values", "labels", "image_id", "second_view"]
    assert example["labels"].tolist() == [-1, 1, 0, 1]
    assert example["image_id"] == "7"
    assert example["pixel_values"].shape == example["second_view"].shape == (3, 24, 24)


def test_draws_do_not_depend_on_order_workers_or_history() -> None:
    alone = epoch_of(dataset(), 2)
    resumed = dataset()
    for epoch in range(2):
        epoch_of(resumed, epoch)
    assert same(alone, epoch_of(resumed, 2))
    assert same(alone, epoch_of(dataset(), 2, num_workers=2))
    backwards = dataset(rows_of(10)[::-1])
    backwards.set_epoch(2)
    assert same(alone, {row["image_id"]: row["pixel_values"] for row in backwards})


def test_epochs_seeds_and_views_differ() -> None:
    first, second = epoch_of(dataset(), 0), epoch_of(dataset(), 1)
    assert not any(torch.equal(first[key], second[key]) for key in first)
    other = epoch_of(dataset(seed=5), 0)
    assert not any(torch.equal(first[key], other[key]) for key in first)
    two = dataset(views=2)
    assert all(not torch.equal(row["pixel_values"], row["second_view"]) for row in two)
    assert same(first, {row["image_id"]: row["pixel_values"] for row in two})


@pytest.mark.parametrize("start", ["fork", pytest.param("spawn", marks=pytest.mark.slow)])
def test_epoch_reaches_persistent_workers(start: str) -> None:
    data = dataset(rows_of(4))
    sampler = EpochSampler(data, seed=0)
    loader = DataLoader(
        data,
        2,
        sampler=sampler,
        collate_fn=collate,
        num_workers=1,
        persistent_workers=True,
        multiprocessing_context=start,
    )
    for epoch in (0, 1, 4):
        sampler.set_epoch(epoch)
        got = {key: row for batch in loader for key, row in zip(batch["image_id"], batch["pixel_values"])}
        assert same(got, epoch_of(dataset(rows_of(4)), epoch))


def test_cache_changes_nothing() -> None:
    rows = [{**row, "image": encoded(picture(200, 150, seed=i))} for i, row in enumerate(rows_of(4))]
    cached = dataset(rows, cache_images=True)
    assert same(epoch_of(dataset(rows), 3), epoch_of(cached, 3))
    rows[0]["image"] = b"gone"
    assert same(epoch_of(cached, 3), epoch_of(cached, 3))
    with pytest.raises(ValueError, match=r"full after 2 of 4 images \(0.0001 GB\); raise cache_limit_gb"):
        dataset([{**row, "image": picture(150, 120)} for row in rows], cache_images=True, cache_limit_gb=0.0001)


def test_bad_image_and_bad_label_name_the_image() -> None:
    with pytest.raises(ValueError, match="image 'broken' cannot be decoded"):
        dataset([{"image": b"xxxx", "image_id": "broken", "labels": []}])[0]
    with pytest.raises(ValueError, match=r"labels of image 'i' cannot be used: The label id 9 lies outside"):
        dataset([{"image": picture(), "image_id": "i", "labels": [9]}])[0]
    with pytest.raises(ValueError, match="1 or 2 views"):
        dataset(views=3)


def hf_rows(names: list[str], count: int = 3) -> Any:
    datasets = pytest.importorskip("datasets")
    labels = datasets.Sequence(datasets.ClassLabel(names=names))
    features = datasets.Features(
        {"image": datasets.Image(), "image_id": datasets.Value("string"), "labels": labels, "ignored": labels}
    )
    rows = [
        {
            "image": {"bytes": encoded(picture(seed=i), "PNG"), "path": None},
            "image_id": f"h{i}",
            "labels": [0],
            "ignored": [2],
        }
        for i in range(count)
    ]
    return datasets.Dataset.from_list(rows, features=features)


def test_labels_of_a_dataset_are_matched_by_name() -> None:
    assert dataset(hf_rows(["d", "a", "b", "c"]))[0]["labels"].tolist() == [0, -1, 0, 1]
    # a part of the labels: what lies outside of it is a negative
    part = MultiLabelDataset(
        hf_rows(["d", "a", "b", "c"]), LabelSpace(["a", "c"]), build_transform(transform_preset("eval", 8))
    )
    assert part[0]["labels"].tolist() == [0, 0]


def test_labels_that_a_dataset_does_not_have() -> None:
    rows = hf_rows(["d", "a", "x"])
    with pytest.raises(ValueError, match=r"does not have 2 of the 4 labels asked for \(b, c\)"):
        dataset(rows)
    assert dataset(rows, missing_labels="ignored")[0]["labels"].tolist() == [0, -1, -1, 1]
    with pytest.raises(ValueError, match="missing_labels is 'drop'"):
        dataset(rows, missing_labels="drop")


def test_pixels_of_a_dataset_row() -> None:
    example = dataset(hf_rows(list(SPACE.names)), preset="eval")[1]
    plain = np.asarray(picture(seed=1).resize((24, 24), Image.Resampling.BILINEAR))
    assert np.array_equal((example["pixel_values"] * 255).round().byte().permute(1, 2, 0).numpy(), plain)
    with pytest.raises(ValueError, match=r"columns image_id, labels, ignored, but needs image as well"):
        dataset(hf_rows(list(SPACE.names)).remove_columns("image"))


def test_collate() -> None:
    batch = collate([dataset()[index] for index in (0, 3)])
    assert batch["pixel_values"].shape == (2, 3, 24, 24)
    assert batch["labels"].shape == (2, 4)
    assert batch["image_id"] == ["im0", "im3"]
    with pytest.raises(ValueError, match="at least one example"):
        collate([])
    with pytest.raises(ValueError, match=r"pixel_values of image 'y' have the shape \(2,\)"):
        collate([{"pixel_values": torch.zeros(n), "image_id": name} for n, name in ((1, "x"), (2, "y"))])


def test_order_is_a_function_of_seed_and_epoch() -> None:
    def order(seed: int, epoch: int, **options: Any) -> list[int]:
        sampler = EpochSampler(range(50), seed, **options)
        sampler.set_epoch(epoch)
        return list(sampler)

    assert sorted(order(0, 0)) == list(range(50))
    assert order(0, 3) == order(0, 3)
    assert len({tuple(order(*key)) for key in ((0, 0), (0, 1), (1, 0), (1, 1))}) == 4
    assert order(0, 3, shuffle=False) == list(range(50))
    assert len(EpochSampler(range(7), 0)) == 7


def test_ids_outside_the_rows_own_labels_are_refused() -> None:
    import datasets

    names = datasets.ClassLabel(names=["a", "x"])
    features = {"image": datasets.Value("binary"), "image_id": datasets.Value("string")}
    rows = datasets.Dataset.from_list(
        [{"image": encoded(picture()), "image_id": "p", "labels": [0, 1]}],
        features=datasets.Features({**features, "labels": datasets.Sequence(names)}),
    )
    table = rows.data.table
    labels = pa.array([[0, -1]], table.schema.field("labels").type)
    broken = datasets.Dataset(table.set_column(2, table.schema.field("labels"), labels), info=rows.info)
    transform = build_transform(transform_preset("psd", 24))
    # x is known to the rows and no label of the model; -1 is known to nobody
    assert MultiLabelDataset(rows, SPACE, transform, missing_labels="ignored")[0]["labels"].tolist() == [1, -1, -1, -1]
    with pytest.raises(ValueError, match="labels of image 'p' cannot be used: the id -1 lies outside 0 to 1"):
        MultiLabelDataset(broken, SPACE, transform, missing_labels="ignored")[0]
