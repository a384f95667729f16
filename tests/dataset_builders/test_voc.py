"""PASCAL VOC from XML, from per-label lists and from a label table; difficult objects; hostile XML."""

from __future__ import annotations

from pathlib import Path

import pytest

from dataset_builders import load_splits
from dataset_builders.voc import NAMES, read_annotations
from tests.dataset_builders.trees import voc, voc_xml, write

DOG, PERSON, CAT, BUS, CAR = (NAMES.index(name) for name in ("dog", "person", "cat", "bus", "car"))


def test_2007_trains_on_trainval(tmp_path: Path) -> None:
    splits = load_splits("voc", voc(tmp_path, ("trainval", "test")))
    assert splits["train"]["labels"][:] == [[DOG], [CAT], [PERSON]]
    assert splits["train"]["ignored"][:] == [[PERSON], [], []]
    assert splits["test"]["labels"][:] == [[BUS]]
    assert splits["test"]["ignored"][:] == [[CAR]]


def test_difficult_as_positive_or_as_negative_that_is_left_out(tmp_path: Path) -> None:
    voc(tmp_path, ("trainval", "test"))
    positive = load_splits("voc", tmp_path, difficult="positive")
    assert positive["train"]["labels"][0] == [DOG, PERSON]
    assert positive["test"]["labels"][0] == [BUS, CAR]
    assert positive["test"]["ignored"][0] == []
    coco_rule = load_splits("voc", tmp_path, difficult="negative_ignored")
    assert coco_rule["train"]["labels"][0] == [DOG]
    assert coco_rule["train"]["ignored"][0] == []
    assert coco_rule["test"]["ignored"][0] == [CAR]
    with pytest.raises(ValueError, match="difficult is 'drop'"):
        load_splits("voc", tmp_path, difficult="drop")


@pytest.mark.parametrize("xml", [True, False])
def test_lists_say_the_same_as_xml(tmp_path: Path, xml: bool) -> None:
    splits = load_splits("voc", voc(tmp_path, ("train", "val", "test"), xml=xml), train_split="train")
    assert {name: len(rows) for name, rows in splits.items()} == {"train": 2, "validation": 1, "test": 1}
    assert splits["train"]["labels"][:] == [[DOG], [CAT]]
    assert splits["train"]["ignored"][:] == [[PERSON], []]


@pytest.mark.parametrize(
    ("year", "trainval", "test"),
    [
        ("2007", "", ""),
        ("2007", "VOC2007", "VOC2007"),
        ("2007", "VOCdevkit/VOC2007", "VOCdevkit/VOC2007"),
        ("2007", "VOCtrainval2007/VOCdevkit/VOC2007", "VOCtest2007/VOCdevkit/VOC2007"),
        ("2007", "VOCtrainval2007/VOC2007", "VOCtest2007/VOC2007"),
        ("2012", "VOCdevkit/VOC2012", None),
        ("2012", "VOC2012", None),
    ],
)
def test_directory_spellings(tmp_path: Path, year: str, trainval: str, test: str | None) -> None:
    voc(tmp_path / trainval, ("train", "val", "trainval"), prefix="2008_" if year == "2012" else "")
    if test is not None:
        voc(tmp_path / test, ("test",))
    annotations = read_annotations(tmp_path, year)
    assert len(annotations.splits["train"]) == (3 if year == "2007" else 2)
    assert ("test" in annotations.splits) == (test is not None)


def test_train_aug_list_with_paths_and_label_table(tmp_path: Path) -> None:
    ones = {label: "0 " * index + "1" + " 0" * (19 - index) for index, label in enumerate(NAMES)}
    write(tmp_path / "train_aug.txt", "/JPEGImages/2007_1.jpg /SegmentationClassAug/2007_1.png\n2007_2\n")
    write(tmp_path / "train.txt", "2007_1\n")
    write(tmp_path / "val.txt", "2007_3\n")
    lines = [f"2007_1 {ones['dog']}", f"2007_2 {ones['cat']}", f"2007_3 {ones['person']}"]
    write(tmp_path / "labels.txt", "\n".join(lines) + "\n")
    annotations = read_annotations(tmp_path, "2012", "train_aug")
    assert [(record.image_id, record.labels) for record in annotations.splits["train"]] == [
        ("2007_1", ("dog",)),
        ("2007_2", ("cat",)),
    ]
    assert annotations.splits["validation"][0].labels == ("person",)
    write(tmp_path / "labels.txt", "2007_1 1 0\n")
    with pytest.raises(ValueError, match=r"labels.txt, line 1: expected an image id and 20 times 0 or 1"):
        read_annotations(tmp_path, "2012", "train_aug")


def test_boxes_start_at_zero_and_end_open(tmp_path: Path) -> None:
    row = load_splits("voc", voc(tmp_path, ("trainval", "test")), with_boxes=True)["test"][0]
    assert row["boxes"] == [{"label": CAR, "bbox": [0, 1, 10, 12]}, {"label": BUS, "bbox": [0, 1, 10, 12]}]


def test_unknown_class_names_file_and_line(tmp_path: Path) -> None:
    voc(tmp_path, ("trainval",))
    write(tmp_path / "Annotations" / "000002.xml", voc_xml([("cat", 0), ("unicorn", 0)]))
    with pytest.raises(ValueError, match=r"000002.xml, line 7: unknown class 'unicorn'"):
        read_annotations(tmp_path)


@pytest.mark.parametrize(
    "head",
    [
        '<!DOCTYPE lolz [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;">]>\n',
        '<!DOCTYPE x [<!ENTITY f SYSTEM "file:///etc/hostname">]>\n',
    ],
)
def test_entities_are_refused(tmp_path: Path, head: str) -> None:
    voc(tmp_path, ("trainval",))
    write(tmp_path / "Annotations" / "000001.xml", voc_xml([("dog", 0)], head))
    with pytest.raises(ValueError, match=r"000001.xml, line 2: declares XML entities"):
        read_annotations(tmp_path)


def test_broken_and_missing_xml(tmp_path: Path) -> None:
    path = voc(tmp_path, ("trainval",)) / "Annotations" / "000001.xml"
    path.write_text(path.read_text()[:-30])
    with pytest.raises(ValueError, match=r"000001.xml, line \d+: not valid XML"):
        read_annotations(tmp_path)
    path.write_text("<annotation><object><name>dog</name></object></annotation>")
    with pytest.raises(ValueError, match=r"000001.xml: object 'dog' has no bndbox"):
        read_annotations(tmp_path)
    path.unlink()
    with pytest.raises(FileNotFoundError, match=r"000001.xml is missing"):
        read_annotations(tmp_path)


def test_ids_that_leave_the_folder_and_repeated_ids(tmp_path: Path) -> None:
    voc(tmp_path, ("trainval",))
    path = write(tmp_path / "ImageSets" / "Main" / "trainval.txt", "../../000001\n")
    with pytest.raises(ValueError, match=r"trainval.txt, line 1: .* points outside"):
        read_annotations(tmp_path)
    path.write_text("000001\n000002\n000001\n")
    with pytest.raises(ValueError, match=r"trainval.txt, line 3: image '000001' was already named"):
        read_annotations(tmp_path)
    path.write_bytes(b"000001\n\xff\xfe\n")
    with pytest.raises(ValueError, match=r"trainval.txt, line 2: byte 0xff is not UTF-8"):
        read_annotations(tmp_path)


def test_short_label_list(tmp_path: Path) -> None:
    path = voc(tmp_path, ("trainval",), xml=False) / "ImageSets" / "Main" / "dog_trainval.txt"
    path.write_text("000001  1\n")
    with pytest.raises(ValueError, match=r"dog_trainval.txt, line 1: the file ends after 1 images"):
        read_annotations(tmp_path)
    path.write_text("000001  2\n")
    with pytest.raises(ValueError, match=r"dog_trainval.txt, line 1: found '000001  2'"):
        read_annotations(tmp_path)


def test_absent_year(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="holds no VOC2012"):
        load_splits("voc", tmp_path, year=2012)
    with pytest.raises(ValueError, match="train_split is 'train_aug'"):
        load_splits("voc", voc(tmp_path), train_split="train_aug")
