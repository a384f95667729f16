"""COCO in the official and in the ML-GCN form."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dataset_builders import load_splits
from dataset_builders.coco import read_annotations
from tests.dataset_builders.trees import coco, mlgcn


def test_official_2017_keeps_images_without_labels(tmp_path: Path) -> None:
    splits = load_splits("coco", coco(tmp_path))
    assert splits["train"].features["labels"].feature.names == ["car", "dog", "person"]
    assert splits["train"]["labels"][:] == [[1, 2], []]
    assert splits["train"]["image_id"][:] == ["000000000009", "000000000025"]
    assert splits["validation"]["labels"][:] == [[0]]
    assert splits["train"][0]["image"].size == (24, 16)


def test_2014_drops_images_without_labels_as_the_papers_do(tmp_path: Path) -> None:
    folder = coco(tmp_path, "2014")
    assert load_splits("coco", folder)["train"]["image_id"][:] == ["COCO_train2014_000000000009"]
    assert len(load_splits("coco", folder, unlabeled="keep")["train"]) == 2
    assert len(load_splits("coco", coco(tmp_path / "b"), unlabeled="drop")["train"]) == 1


def test_label_order_by_category_id(tmp_path: Path) -> None:
    assert read_annotations(coco(tmp_path), label_order="category_id").names == ["person", "car", "dog"]
    splits = load_splits("coco", tmp_path, label_order="category_id")
    assert splits["train"]["labels"][0] == [0, 2]


def test_boxes_become_corners(tmp_path: Path) -> None:
    row = load_splits("coco", coco(tmp_path), with_boxes=True)["train"][0]
    assert [(box["label"], box["bbox"]) for box in row["boxes"]] == [
        (2, [1, 2, 4, 6]),
        (1, [0, 0, 10, 8]),
        (2, [5, 5, 7, 7]),
    ]


@pytest.mark.parametrize("place", ["", "data"])
def test_mlgcn_form(tmp_path: Path, place: str) -> None:
    mlgcn(tmp_path / place)
    splits = load_splits("coco", tmp_path)
    assert splits["train"]["labels"][:] == [[1, 2]]
    assert splits["validation"][0]["image_id"] == "COCO_val2014_2"
    with pytest.raises(ValueError, match="hold no boxes"):
        load_splits("coco", tmp_path, with_boxes=True)


def test_annotations_are_read_without_images(tmp_path: Path) -> None:
    annotations = read_annotations(coco(tmp_path, images=False))
    assert annotations.label_counts("train") == {"car": 0, "dog": 1, "person": 1}
    with pytest.raises(FileNotFoundError, match="Not one of the 2 images of split 'train' is there"):
        load_splits("coco", tmp_path)


def test_two_years_need_a_choice(tmp_path: Path) -> None:
    coco(coco(tmp_path, "2014"), "2017")
    with pytest.raises(ValueError, match="holds COCO 2014 and 2017"):
        load_splits("coco", tmp_path)
    assert load_splits("coco", tmp_path, year=2017)["train"][0]["image_id"] == "000000000009"
    with pytest.raises(ValueError, match="year is '2015'"):
        load_splits("coco", tmp_path, year="2015")


def test_absent_annotations(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"has no annotations/instances_train2014.json"):
        load_splits("coco", tmp_path)
    with pytest.raises(FileNotFoundError, match="is not a folder"):
        load_splits("coco", tmp_path / "absent")
    with pytest.raises(ValueError, match="coco needs data_dir"):
        load_splits("coco")


def test_json_cut_in_the_middle_names_file_and_line(tmp_path: Path) -> None:
    path = coco(tmp_path) / "annotations" / "instances_train2017.json"
    text = path.read_text().replace(", ", ",\n")
    path.write_text(text[: len(text) // 2])
    with pytest.raises(ValueError, match=r"instances_train2017.json, line \d+, column \d+: not valid JSON"):
        read_annotations(tmp_path)


@pytest.mark.parametrize("name", ["../../secret.jpg", "/etc/secret.jpg", "..\\secret.jpg", "a/../../s.jpg"])
def test_names_that_leave_the_folder(tmp_path: Path, name: str) -> None:
    path = coco(tmp_path) / "annotations" / "instances_train2017.json"
    content = json.loads(path.read_text())
    content["images"][0]["file_name"] = name
    path.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=r"instances_train2017.json, image 9: .*(outside|absolute)"):
        read_annotations(tmp_path)


def test_a_link_that_leaves_the_folder(tmp_path: Path) -> None:
    image = coco(tmp_path / "coco") / "train2017" / "000000000009.jpg"
    image.rename(tmp_path / "moved.jpg")
    image.symlink_to(tmp_path / "moved.jpg")
    with pytest.raises(ValueError, match=r"image 9: .* is a link that leads outside"):
        load_splits("coco", tmp_path / "coco")


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        ({"category_id": 99}, "annotation 0 has the unknown category_id 99"),
        ({"image_id": 77}, "annotation 0 has the unknown image_id 77"),
    ],
)
def test_annotations_of_nothing(tmp_path: Path, edit: dict[str, int], said: str) -> None:
    path = coco(tmp_path) / "annotations" / "instances_train2017.json"
    content = json.loads(path.read_text())
    content["annotations"][0].update(edit)
    path.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=said):
        read_annotations(tmp_path)


def test_repeated_ids_and_missing_fields(tmp_path: Path) -> None:
    path = coco(tmp_path) / "annotations" / "instances_train2017.json"
    good = json.loads(path.read_text())
    path.write_text(json.dumps({**good, "images": good["images"] * 2}))
    with pytest.raises(ValueError, match="the image id 9 occurs twice"):
        read_annotations(tmp_path)
    path.write_text(json.dumps({"images": []}))
    with pytest.raises(ValueError, match="expected the keys images, annotations and categories"):
        read_annotations(tmp_path)
    path.write_text(json.dumps({**good, "images": [{"id": 9}, good["images"][1]]}))
    with pytest.raises(ValueError, match="image 9 has the 'file_name' None; expected a text"):
        read_annotations(tmp_path)


def test_mlgcn_label_out_of_range(tmp_path: Path) -> None:
    path = mlgcn(tmp_path) / "val_anno.json"
    path.write_text('[{"file_name": "a.jpg", "labels": [3]}]')
    with pytest.raises(ValueError, match=r"val_anno.json, entry 0: label id 3 is not in category.json"):
        read_annotations(tmp_path)
