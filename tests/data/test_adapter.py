"""One set of labels in every form that data comes in reads the same."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import Dataset, IterableDataset

from mlic_hf.data import (
    LabelSpace,
    MultiLabelDataset,
    adapt,
    adapt_splits,
    build_transform,
    label_lists,
    transform_preset,
    without_images,
)
from tests.data.pictures import encoded, picture

NAMES = ["a", "b", "c", "d", "e"]
IDS = [[4], [0, 2], [], [1, 4], [0, 1, 2, 3, 4]]
HOT = [[int(label in row) for label in range(5)] for row in IDS]
TEXTS = [[NAMES[label] for label in row] for row in IDS]


def table(labels: list[Any], name: str = "labels", image: str = "image") -> list[dict[str, Any]]:
    return [{image: picture(20 + i, 20, seed=i), name: cell} for i, cell in enumerate(labels)]


def found(rows: Any) -> list[list[int]]:
    return [rows[i]["labels"] for i in range(len(rows))]


@pytest.mark.parametrize(
    "cells",
    [
        TEXTS,
        [tuple(row) for row in TEXTS],
        [set(row) for row in TEXTS],
        IDS,
        [torch.tensor(row, dtype=torch.int64) for row in IDS],
        HOT,
        [np.array(row) for row in HOT],
        [np.array(row, bool) for row in HOT],
        [[float(cell) for cell in row] for row in HOT],
        [torch.tensor(row, dtype=torch.float32) for row in HOT],
    ],
    ids=["names", "tuples", "sets", "ids", "id tensors", "multi-hot", "arrays", "bools", "floats", "float tensors"],
)
def test_every_form_of_labels_reads_the_same(cells: list[Any]) -> None:
    rows, space = adapt(table(cells), labels=NAMES)
    assert space == LabelSpace(NAMES)
    assert found(rows) == IDS
    assert [row["image_id"] for row in rows] == list("01234")
    assert rows[-1]["ignored"] == []
    assert list(without_images(rows))[1] == {"image_id": "1", "labels": [0, 2], "ignored": []}


def test_a_multi_hot_row_is_never_read_as_ids() -> None:
    rows, _ = adapt(table([[0, 0, 0, 0, 1]]), labels=NAMES)
    assert found(rows) == [[4]]
    data = MultiLabelDataset(rows, rows.label_space, build_transform(transform_preset("eval", 8)))
    assert data[0]["labels"].tolist() == [0, 0, 0, 0, 1]
    # and where it does not pass the adapter, it is refused: this trained on [1, 1, 0, 0, 0]
    direct = MultiLabelDataset(
        [{"image": picture(), "image_id": "i", "labels": [0, 0, 0, 0, 1]}],
        LabelSpace(NAMES),
        build_transform(transform_preset("eval", 8)),
    )
    with pytest.raises(ValueError, match=r"image 'i' cannot be used: .* so a multi-hot row where a list of ids"):
        direct[0]


def test_what_is_unknown_is_ignored() -> None:
    nan = float("nan")
    cells = [[1, -1, 0, None, 0], [nan, 0.0, 1.0, 0, 0]]
    rows, _ = adapt(table(cells), labels=NAMES)
    assert [(row["labels"], row["ignored"]) for row in rows] == [([0], [1, 3]), ([2], [0])]
    named = [
        {"image": picture(), "labels": ["a"], "ignored": ["c"]},
        {"image": picture(), "labels": [], "ignored": None},
    ]
    rows, _ = adapt(named, labels=["c", "a"])
    assert [(row["labels"], row["ignored"]) for row in rows] == [([1], [0]), ([], [])]
    assert adapt(named)[1].names == ("a", "c")  # a label that is only ever unknown is a label
    with pytest.raises(ValueError, match=r"1 labels .* not among the labels asked for: 'c'"):
        adapt(named, labels=["a"])


def test_ambiguous_columns_are_told_apart_by_the_user() -> None:
    cells = [[0, 1], [1, 0], [0, 1]]
    with pytest.raises(ValueError, match=r"ids and a multi-hot row alike \(2 labels\); say it with label_form='ids'"):
        adapt(table(cells), labels=["x", "y"])
    assert found(adapt(table(cells), labels=["x", "y"], label_form="ids")[0]) == [[0, 1]] * 3
    assert found(adapt(table(cells), labels=["x", "y"], label_form="multi_hot")[0]) == [[1], [0], [1]]
    # one row that cannot be ids settles it, and one that cannot be multi-hot as well
    assert found(adapt(table([*cells, [0, 0]]), labels=["x", "y"])[0])[0] == [1]
    assert found(adapt(table([*cells, [1]]), labels=["x", "y"])[0])[0] == [0, 1]


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        ([["a"], [3]], r"no one form of labels. not ids: row 0 holds 'a', which is no whole number; .* names: row 1"),
        ([[0, 1, 0, 0.3, 0]] * 2, r"not multi_hot: row 0 holds 0.3, which is none of 1, 0 and -1"),
        ([[0], [9]], r"not ids: row 1 holds the id 9, which lies outside 0..4"),
        (["a,b", "c"], r"Row 0, column 'labels', is 'a,b' \(str\), .*split it into a list"),
        ([["a"], None], r"Row 1, column 'labels', is 'None'"),
        ([["a", "z"], ["y"]], r"2 labels of the column 'labels' are not among the labels asked for: 'y', 'z'"),
    ],
)
def test_wrong_cells(cells: list[Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        adapt(table(cells), labels=NAMES, label_column="labels")


def test_names_are_taken_from_the_data_or_asked_for() -> None:
    rows, space = adapt(table([["sea"], ["sky", "cat"]]))
    assert space.names == ("cat", "sea", "sky")
    assert found(rows) == [[1], [0, 2]]
    with pytest.raises(
        ValueError, match=r"column 'labels' holds \d, and nothing says what that is called; pass labels"
    ):
        adapt(table(HOT))
    with pytest.raises(ValueError, match="Not one row has a label"):
        adapt(table([[], []]))
    assert found(adapt(table([[], []]), labels=["x"])[0]) == [[], []]


def test_columns_are_guessed_and_said(caplog: pytest.LogCaptureFixture) -> None:
    rows = [{"photo": picture(), "tags": ["x"], "caption": "a text"} for _ in range(2)]
    with caplog.at_level(logging.WARNING):
        assert found(adapt(rows)[0]) == [[0], [0]]
    assert "Pictures are read from the column 'photo', labels from 'tags' as names." in caplog.text
    two = [row | {"other": ["y"]} for row in rows]
    with pytest.raises(
        ValueError, match=r"label column is not clear \('tags', 'other' could all be it\).*Columns: 'ph"
    ):
        adapt(two)
    assert adapt(two, label_column="other")[1].names == ("y",)
    with pytest.raises(ValueError, match=r"label_column is 'tag', but the columns are 'photo', 'tags'"):
        adapt(rows, label_column="tag")
    with pytest.raises(ValueError, match=r"image column is not clear \(none looks like it\)"):
        adapt([{"labels": ["a"]}])


def test_every_form_of_pictures(tmp_path: Path) -> None:
    from mlic_hf.data import read_image

    image = picture(24, 16)
    image.save(tmp_path / "one.png")
    pixels = np.asarray(image)
    forms = [image, tmp_path / "one.png", str(tmp_path / "one.png"), encoded(image, "PNG"), pixels]
    forms += [{"bytes": encoded(image, "PNG"), "path": None}, torch.from_numpy(pixels.transpose(2, 0, 1).copy())]
    for form in forms:
        rows, _ = adapt([{"image": form, "labels": ["x"]}])
        assert np.array_equal(np.asarray(read_image(rows[0]["image"], "i")), pixels)
    rows, _ = adapt([{"image": pixels / 255, "labels": ["x"]}])
    with pytest.raises(ValueError, match=r"array of float64 of the shape \(16, 24, 3\); uint8"):
        rows[0]


def test_ids_are_the_files_names_where_these_differ() -> None:
    def ids(*paths: str) -> list[str]:
        return [row["image_id"] for row in adapt([{"image": path, "labels": ["x"]} for path in paths])[0]]

    assert ids("p/a.jpg", "p/b.jpg") == ["a.jpg", "b.jpg"]
    assert ids("p/a.jpg", "q/a.jpg") == ["0", "1"]
    assert adapt([{"image": picture(), "labels": ["x"], "image_id": 7}])[0][0]["image_id"] == "7"


def test_a_dict_of_columns_and_a_torch_dataset() -> None:
    columns = {"image": [picture(), picture()], "tags": [["x"], ["y"]]}
    assert found(adapt(columns)[0]) == [[0], [1]]
    with pytest.raises(ValueError, match=r"columns of one length.*'image': 2, 'tags': 1"):
        adapt({**columns, "tags": [["x"]]})

    class Photos(Dataset):
        reads = 0

        def __len__(self) -> int:
            return len(HOT)

        def __getitem__(self, index: int) -> dict[str, Any]:
            self.reads += 1
            return {"pixels": np.zeros((4, 6, 3), np.uint8), "target": torch.tensor(HOT[index])}

    photos = Photos()
    assert found(adapt(photos, labels=NAMES)[0]) == IDS
    photos.reads = 0
    rows, _ = adapt(photos, labels=NAMES, label_form="multi_hot")
    assert photos.reads == 1  # the first row, for its columns
    assert rows[0]["image"].size == (6, 4)


def test_what_is_no_data() -> None:
    with pytest.raises(ValueError, match="'photos' is a name, not data"):
        adapt("photos")
    with pytest.raises(ValueError, match="A generator cannot be read again"):
        adapt(row for row in table(TEXTS))
    with pytest.raises(ValueError, match="The data has no rows"):
        adapt([])
    with pytest.raises(ValueError, match="A row is a tuple"):
        adapt([(picture(), ["x"])])
    with pytest.raises(ValueError, match="label_form is 'hot'"):
        adapt(table(TEXTS), label_form="hot")


def test_splits_share_one_label_space() -> None:
    splits, space = adapt_splits({"train": table([["b"], ["c"]]), "test": table([["a", "c"]])})
    assert space.names == ("a", "b", "c")
    assert {name: label_lists(rows) for name, rows in splits.items()} == {"train": [[1], [2]], "test": [[0, 2]]}
    with pytest.raises(ValueError, match=r"Split 'test': 1 labels .* not among the labels asked for: 'a'"):
        adapt_splits({"train": table([["b"]]), "test": table([["a"]])}, labels=["b"])
    with pytest.raises(ValueError, match=r"Unknown option 'year'; expected one of labels, image_column"):
        adapt_splits({"train": table([["b"]])}, year=2007)


class TestDatasets:
    """`datasets.Dataset` and its streams."""

    def hf(self, labels: Any, cells: list[Any]) -> Any:
        datasets = pytest.importorskip("datasets")
        photos = [{"bytes": encoded(picture(seed=i), "PNG"), "path": None} for i in range(len(cells))]
        features = datasets.Features({"photo": datasets.Image(), "tags": labels})
        return datasets.Dataset.from_dict({"photo": photos, "tags": cells}, features=features)

    def forms(self) -> dict[str, tuple[Any, list[Any]]]:
        datasets = pytest.importorskip("datasets")
        return {
            "names": (datasets.Sequence(datasets.Value("string")), TEXTS),
            "ids": (datasets.Sequence(datasets.ClassLabel(names=NAMES)), IDS),
            "multi-hot": (datasets.Sequence(datasets.Value("int8")), HOT),
            "fixed": (datasets.Sequence(datasets.Value("float32"), length=5), HOT),
            "bools": (datasets.Sequence(datasets.Value("bool")), HOT),
        }

    @pytest.mark.parametrize("form", ["names", "ids", "multi-hot", "fixed", "bools"])
    def test_every_form(self, form: str) -> None:
        data = self.hf(*self.forms()[form])
        rows, space = adapt(data, labels=NAMES)
        assert found(rows) == IDS
        assert [row["labels"] for row in without_images(rows)] == IDS
        assert isinstance(rows[0]["image"], dict)  # not decoded
        assert found(adapt(data.with_format("numpy"), labels=NAMES)[0]) == IDS
        assert (
            MultiLabelDataset(rows, space, build_transform(transform_preset("eval", 8)))[1]["labels"].tolist()
            == HOT[1]
        )

    def test_no_picture_is_read_for_the_labels(self) -> None:
        datasets = pytest.importorskip("datasets")
        data = self.hf(datasets.Sequence(datasets.Value("int8")), HOT)
        broken = data.cast_column("photo", datasets.Image(decode=False)).map(
            lambda row: {"photo": {"bytes": b"x", "path": None}}
        )
        rows, _ = adapt(broken.cast_column("photo", datasets.Image()), labels=NAMES)
        assert found(rows) == IDS

    def test_labels_are_matched_by_name(self) -> None:
        data = self.hf(*self.forms()["ids"])
        rows, space = adapt(data, labels=NAMES[::-1])
        assert [[space.names[label] for label in row["labels"]][::-1] for row in rows] == TEXTS
        transform = build_transform(transform_preset("eval", 8))
        assert MultiLabelDataset(rows, LabelSpace(NAMES), transform)[1]["labels"].tolist() == HOT[1]
        with pytest.raises(ValueError, match=r"1 labels of the column 'tags' are not among the labels asked for: 'e'"):
            adapt(data, labels=NAMES[:-1])
        with pytest.raises(ValueError, match=r"1 labels .*'tags' are asked for, but unknown to the data: 'f'"):
            adapt(data, labels=[*NAMES, "f"])

    def test_a_multi_hot_row_declared_as_class_labels_is_refused(self) -> None:
        datasets = pytest.importorskip("datasets")
        with pytest.raises(ValueError, match=r"Row 0, column 'tags', is \[0, 0, 0, 0, 1\]: a 0 or 1"):
            adapt(self.hf(datasets.Sequence(datasets.ClassLabel(names=NAMES)), HOT))

    def test_one_class_label_a_row(self) -> None:
        datasets = pytest.importorskip("datasets")
        assert found(adapt(self.hf(datasets.ClassLabel(names=NAMES), [3, 0]))[0]) == [[3], [0]]
        with pytest.raises(ValueError, match=r"Row 1, column 'tags', holds the id -1"):
            adapt(self.hf(datasets.ClassLabel(names=NAMES), [3, -1]))

    def test_house_rows_come_back_as_they_are(self) -> None:
        data = self.hf(*self.forms()["ids"]).rename_columns({"photo": "image", "tags": "labels"})
        data = data.add_column("image_id", [f"p{i}" for i in range(5)])
        for rows in (data, data.to_iterable_dataset()):
            same, space = adapt(rows, labels=NAMES)
            assert same is rows
            assert space.names == tuple(NAMES)
            assert label_lists(rows) == IDS

    def test_splits_and_transforms_are_refused(self) -> None:
        datasets = pytest.importorskip("datasets")
        data = self.hf(*self.forms()["names"])
        with pytest.raises(ValueError, match=r"splits train, test; pass one of them"):
            adapt(datasets.DatasetDict(train=data, test=data))
        data.set_transform(lambda batch: batch)
        with pytest.raises(ValueError, match="transform of its own"):
            adapt(data)

    @pytest.mark.parametrize("form", ["names", "ids", "fixed", "bools"])
    def test_streams(self, form: str) -> None:
        data = self.hf(*self.forms()[form]).to_iterable_dataset(num_shards=2)
        rows, space = adapt(data, labels=NAMES)
        read = list(rows)
        assert [row["labels"] for row in read] == IDS
        assert LabelSpace.from_dataset(rows) == space
        assert rows.num_shards == 2
        assert len({row["image_id"] for row in read}) == 5
        assert (
            read[0]["image_id"]
            == list(rows.shuffle(seed=1, buffer_size=5))[
                [row["labels"] for row in rows.shuffle(seed=1, buffer_size=5)].index([4])
            ]["image_id"]
        )

    def test_a_stream_that_does_not_tell(self) -> None:
        data = self.hf(*self.forms()["multi-hot"]).to_iterable_dataset()
        with pytest.raises(ValueError, match=r"first row of a stream does not tell what the column 'tags' holds"):
            adapt(data, labels=NAMES)
        assert [row["labels"] for row in adapt(data, labels=NAMES, label_form="multi_hot")[0]] == IDS
        with pytest.raises(ValueError, match="does not name its labels; pass labels"):
            adapt(self.hf(*self.forms()["names"]).to_iterable_dataset())


def test_a_torch_stream() -> None:
    class Photos(IterableDataset):
        epoch = 0

        def set_epoch(self, epoch: int) -> None:
            self.epoch = epoch

        def __iter__(self) -> Iterator[dict[str, Any]]:
            return iter(table(TEXTS))

    photos = Photos()
    rows, _ = adapt(photos, labels=NAMES)
    assert [row["labels"] for row in rows] == [row["labels"] for row in rows] == IDS
    assert all(isinstance(row["image"], Image.Image) for row in rows)
    rows.set_epoch(3)
    assert photos.epoch == 3


def test_what_a_row_does_not_list_may_be_unknown() -> None:
    photos = [{"photo": picture(), "tags": tags} for tags in (["b"], ["a", "c"], [])]
    rows, space = adapt(photos, unlisted="unknown")
    assert [rows[i]["labels"] for i in range(3)] == [[1], [0, 2], []]
    assert [rows[i]["ignored"] for i in range(3)] == [[0, 2], [1], [0, 1, 2]]
    assert [row["ignored"] for row in rows.without_images()] == [[0, 2], [1], [0, 1, 2]]
    house, _ = adapt(rows, unlisted="unknown")
    assert house[0]["ignored"] == [0, 2]
    splits, _ = adapt_splits({"train": photos, "test": photos}, unlisted="unknown", labels=space.names)
    assert [splits[name][0]["ignored"] for name in ("train", "test")] == [[0, 2], []]


def test_unlisted_labels_need_a_list() -> None:
    with pytest.raises(ValueError, match="unlisted is 'no', but must be one of negative, unknown"):
        adapt([{"photo": picture(), "tags": ["b"]}], unlisted="no")
    with pytest.raises(ValueError, match="the column 'hot' is multi-hot and lists every label; write -1"):
        adapt([{"photo": picture(), "hot": [1, 0, -1]}], labels=["a", "b", "c"], unlisted="unknown")


def test_rows_that_were_adapted_keep_their_names() -> None:
    rows, _ = adapt([{"photo": picture(), "tags": tags} for tags in (["b"], ["a", "c"])])
    again, space = adapt(rows, labels=["b", "c", "a"])
    assert [[space.names[x] for x in again[i]["labels"]] for i in range(2)] == [["b"], ["c", "a"]]
    with pytest.raises(ValueError, match=r"1 labels .* are not among the labels asked for: 'c'"):
        adapt(rows, labels=["a", "b"])
