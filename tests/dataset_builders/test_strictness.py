"""Annotations that could be read wrongly are refused with file and record, or read right."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dataset_builders import coco, folder, load_splits, nus_wide, visual_genome, voc
from dataset_builders.loading import make_builder
from dataset_builders.text_file import LARGEST, read_json, read_lines, read_text
from tests.dataset_builders import trees
from tests.dataset_builders.trees import metadata, voc_xml, write, write_json

XML = voc_xml([("dog", 0), ("person", 1)])


def with_xml(root: Path, text: str) -> voc.Annotations:
    write(trees.voc(root, ("trainval",)) / "Annotations" / "000001.xml", text)
    return voc.read_annotations(root)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("annotation>", "annotations>", "the outermost element is 'annotations'; expected 'annotation'"),
        (
            "<annotation>",
            '<annotation xmlns="http://host/voc">',
            "the outermost element is '{http://host/voc}annotation'",
        ),
        ("<object>", '<object xmlns="x">', "element '{x}object' is in a namespace"),
        ("object>", "Object>", "an element 'Object' is not where VOC files have it"),
        (
            XML.partition("</size>\n")[2],
            f"<all>{XML.partition('</size>')[2]}".replace("</ann", "</all></ann"),
            "'object'",
        ),
        (">1</difficult>", ">true</difficult>", "object 'person' has difficult 'true'; expected 0 or 1"),
        (">1</difficult>", "></difficult>", "object 'person' has difficult ''"),
        ("<name>dog</name>", "<name>dog</name><name>cat</name>", "an object has 2 elements 'name'"),
        (">10</xmax>", ">nan</xmax>", "object 'dog' has no bndbox of four numbers"),
        (">10</xmax>", ">inf</xmax>", "object 'dog' has no bndbox of four numbers"),
        (">10</xmax>", ">0</xmax>", "object 'dog' has a bndbox that ends before it begins"),
        (">24</width>", ">wide</width>", "the size is 'wide' by '16'; expected pixels"),
    ],
)
def test_xml(tmp_path: Path, old: str, new: str, said: str) -> None:
    assert old in XML
    with pytest.raises(ValueError, match=r"000001\.xml: ") as error:
        with_xml(tmp_path, XML.replace(old, new))
    assert said in str(error.value)


def test_xml_that_is_read_right(tmp_path: Path) -> None:
    text = XML.replace("<name>dog</name>", "<name> d<!-- o -->og\n</name>").replace("<difficult>0</difficult>\n", "")
    record = with_xml(tmp_path, text).splits["train"][0]
    assert (record.labels, record.ignored) == (("dog",), ("person",))


@pytest.mark.parametrize("end", ["\r", "\r\n", "\n"])
def test_lists_with_any_line_ends(tmp_path: Path, end: str) -> None:
    trees.voc(tmp_path, ("trainval",))
    (tmp_path / "ImageSets" / "Main" / "trainval.txt").write_bytes(end.join(["000001", "000002", ""]).encode())
    assert [record.image_id for record in voc.read_annotations(tmp_path).splits["train"]] == ["000001", "000002"]


@pytest.mark.parametrize(
    "line",
    [
        "000001 000002",
        "000001, 000002",
        "/JPEGImages/000001.jpg /Seg/000002.png",
        "/J/000001.jpgs /S/000001.png",
        "000001 1",
    ],
)
def test_lists_with_several_ids_a_line(tmp_path: Path, line: str) -> None:
    write(trees.voc(tmp_path, ("trainval",)) / "ImageSets" / "Main" / "trainval.txt", f"{line}\n")
    with pytest.raises(ValueError, match=r"trainval.txt, line 1: found .*; expected one image id"):
        voc.read_annotations(tmp_path)


def test_the_wrong_year(tmp_path: Path) -> None:
    trees.voc(tmp_path / "VOC2012", prefix="2008_")
    with pytest.raises(
        ValueError, match=r"line 1: '2008_000001' is an image of VOC2012, but year is '2007'; pass year"
    ):
        load_splits("voc", tmp_path / "VOC2012")
    assert len(load_splits("voc", tmp_path / "VOC2012", year=2012)["train"]) == 2
    trees.voc(tmp_path / "VOC2007")
    with pytest.raises(ValueError, match=r"'000001' is an image of VOC2007, but year is '2012'"):
        load_splits("voc", tmp_path / "VOC2007", year=2012)


def test_label_lists_that_name_an_image_twice(tmp_path: Path) -> None:
    path = trees.voc(tmp_path, ("trainval",), xml=False) / "ImageSets" / "Main" / "dog_trainval.txt"
    path.write_text("000001  1\n000001 -1\n000003 -1\n")
    with pytest.raises(ValueError, match=r"dog_trainval.txt, line 2: image '000001' was named before"):
        voc.read_annotations(tmp_path)


@pytest.mark.parametrize(
    ("line", "said"), [("", "line 2: expected an image id"), ("{same}", "line 2: image '2007_1'")]
)
def test_label_tables_with_empty_and_repeated_lines(tmp_path: Path, line: str, said: str) -> None:
    good = "2007_1 1" + " 0" * 19
    write(tmp_path / "train.txt", "2007_1\n")
    write(tmp_path / "val.txt", "2007_2\n")
    write(tmp_path / "labels.txt", f"{good}\n{line.format(same=good)}\n{good.replace('_1', '_2')}\n")
    with pytest.raises(ValueError, match=f"labels.txt, {said}"):
        voc.read_annotations(tmp_path, "2012")


def edited(root: Path, edit: Callable[[dict[str, Any]], object], text: Callable[[str], str] = str) -> Path:
    path = trees.coco(root) / "annotations" / "instances_train2017.json"
    content = json.loads(path.read_text())
    edit(content)
    path.write_text(text(json.dumps(content)))
    return root


def put(kind: str, place: int, **values: Any) -> Callable[[dict[str, Any]], object]:
    return lambda content: content[kind][place].update(values)


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (put("categories", 0, id=1), "the category id 1 occurs twice"),
        (put("categories", 0, name="dog"), "expected some, each once"),
        (put("categories", 0, name=7), "category 3 has the 'name' 7; expected a text"),
        (put("categories", 0, id=True), "category number 0 has the id True"),
        (put("images", 0, id="9"), "image number 0 has the id '9'"),
        (put("images", 0, id=[9]), r"image number 0 has the id \[9\]"),
        (put("images", 0, width="wide"), "image 9: width and height are 'wide' and 16"),
        (put("annotations", 1, image_id=9.0), "annotation number 1 has the image_id 9.0"),
        (put("annotations", 1, category_id=[1]), r"annotation number 1 has the category_id \[1\]"),
        (put("annotations", 1, category_id=True), "annotation number 1 has the category_id True"),
        (put("annotations", 1, bbox=[1, 2, float("nan"), 4]), "not valid JSON, NaN is no number"),
        (put("annotations", 1, bbox=[1, 2, -3, 4]), r"annotation 1 has the bbox \[1, 2, -3, 4\]"),
        (put("annotations", 1, bbox=[1, 2, 3]), r"annotation 1 has the bbox \[1, 2, 3\]"),
        (put("annotations", 1, bbox="all"), "annotation 1 has the bbox 'all'"),
        (lambda content: content.update(images={}), "expected the keys images, annotations and categories"),
        (lambda content: content["annotations"].append(3), "annotation number 3 has the image_id None"),
        (lambda content: content["images"].append(None), "image number 2 has the id None"),
    ],
)
def test_coco(tmp_path: Path, edit: Callable[[dict[str, Any]], object], said: str) -> None:
    with pytest.raises(ValueError, match=rf"instances_train2017.json: .*{said}|instances_train2017.json, {said}"):
        coco.read_annotations(edited(tmp_path, edit))


def test_a_missing_split_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (trees.coco(tmp_path / "a") / "annotations" / "instances_val2017.json").unlink()
    assert set(load_splits("coco", tmp_path / "a")) == {"train"}
    assert "There is no instances_val2017.json, so there is no validation split." in caplog.text
    (trees.mlgcn(tmp_path / "b") / "train_anno.json").unlink()
    assert coco.read_annotations(tmp_path / "b").notes == ["There is no train_anno.json, so there is no train split."]


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("category.json", ["car", "dog", "person"], "expected an object of label names and their ids"),
        ("category.json", {"car": "0", "dog": 1, "person": 2}, "expected an object of label names and their ids"),
        ("category.json", {"car": False, "dog": 1, "person": 2}, "expected an object of label names and their ids"),
        ("train_anno.json", {"a.jpg": [1]}, "expected a list of entries"),
        ("train_anno.json", [["a.jpg", 1]], "entry 0: expected a file_name and a list of label ids"),
        ("train_anno.json", [{"file_name": "a.jpg", "labels": 1}], "entry 0: expected a file_name"),
        ("train_anno.json", [{"file_name": "a.jpg", "labels": ["1"]}], "entry 0: expected a file_name"),
        ("train_anno.json", [{"file_name": "a.jpg", "labels": [True]}], "entry 0: expected a file_name"),
        ("train_anno.json", [{"file_name": 3, "labels": [1]}], "entry 0: expected a file_name"),
    ],
)
def test_mlgcn_lists(tmp_path: Path, name: str, value: Any, said: str) -> None:
    write_json(trees.mlgcn(tmp_path) / name, value)
    with pytest.raises(ValueError, match=f"{name}.*{said}"):
        coco.read_annotations(tmp_path)


@pytest.mark.parametrize("text", ["1\n0 x\n1\n", "1\n0\0\0rubbish\n1\n", "1\n01\n1\n", "1 0\n1\n", "1\n\n1\n"])
def test_rubbish_behind_the_digit(tmp_path: Path, text: str) -> None:
    path = trees.nus_wide(tmp_path) / "Groundtruth" / "TrainTestLabels" / "Labels_dog_Train.txt"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"Labels_dog_Train.txt, line [12]: (found .*; expected 0 or 1|a zero byte)"):
        nus_wide.read_annotations(tmp_path)


@pytest.mark.parametrize("odd", ["\x0b", "\x0c", "\x1c", "\x1f", "\x01"])
@pytest.mark.parametrize("name", ["ImageSets/Main/trainval.txt", "Annotations/000001.xml"])
def test_control_characters(tmp_path: Path, odd: str, name: str) -> None:
    """Python takes some of them for blanks."""
    path = trees.voc(tmp_path, ("trainval",)) / name
    path.write_text(path.read_text() + odd)
    with pytest.raises(ValueError, match=rf"{path.name}, line \d+: the control character 0x{ord(odd):02x}, which no"):
        voc.read_annotations(tmp_path)


@pytest.mark.parametrize("odd", ["\u2028", "\xa0", "\x85", "\u3000"])
def test_blanks_of_unicode_are_letters_of_a_name(tmp_path: Path, odd: str) -> None:
    root = trees.nus_wide(tmp_path)
    flags = root / "Groundtruth" / "TrainTestLabels" / "Labels_dog_Train.txt"
    write(flags, flags.read_text().replace("1\n", f"1{odd}\n", 1))
    with pytest.raises(ValueError, match=r"Labels_dog_Train.txt, line \d: found '1.*'; expected 0 or 1"):
        nus_wide.read_annotations(tmp_path)
    test_list = trees.nus_wide(tmp_path / "all", "AllLabels") / "ImageList" / "TestImagelist.txt"
    write(test_list, f"{trees.NUS_IMAGES[3]}{odd}\n")
    with pytest.raises(ValueError, match=r"TestImagelist.txt, line 1: image .* has no labels in the label files"):
        nus_wide.read_annotations(tmp_path / "all")
    lists = trees.voc(tmp_path / "voc", ("trainval",)) / "ImageSets" / "Main" / "trainval.txt"
    write(lists, f"000001{odd}000002\n")
    with pytest.raises(FileNotFoundError, match="000001"):
        voc.read_annotations(tmp_path / "voc")


def test_a_folder_in_the_place_of_a_picture(tmp_path: Path) -> None:
    metadata(tmp_path, [{"file_name": name, "labels": ["x"]} for name in ("a.jpg", "b/")], images=False)
    with pytest.raises(ValueError, match=r"line 2: 'b/' is a folder; expected the name of an image file"):
        folder.read_annotations(tmp_path)


def test_one_picture_under_two_ids(tmp_path: Path) -> None:
    names = ("VG_100K/1.jpg", "VG_100K//1.jpg")
    for part, name in zip(("train", "test"), names):
        write(tmp_path / f"{part}_list_500.txt", f"{name}\n")
    write_json(tmp_path / "vg_category_500_labels_index.json", {name: [0] for name in names})
    with pytest.raises(ValueError, match=r"test_list_500.txt, line 1: file '.*1.jpg' was already used in "):
        make_builder("visual_genome", tmp_path).chosen()


@pytest.mark.parametrize(
    ("concepts", "said"),
    [
        ("sky\n\nsea\n", "line 2: '' is empty, repeated or a path"),
        ("sky\ndog\nsky\n", "line 3: 'sky' is empty, repeated or a path"),
        ("sky\n../dog\nsea\n", "line 2: '../dog' is empty, repeated or a path"),
        ("", "is empty; expected one concept a line"),
        ("sky\nsea\n", "Labels_dog_Train.txt is of no concept in Concepts81.txt"),
    ],
)
def test_concepts(tmp_path: Path, concepts: str, said: str) -> None:
    write(trees.nus_wide(tmp_path) / "ConceptsList" / "Concepts81.txt", concepts)
    with pytest.raises(ValueError, match=said):
        nus_wide.read_annotations(tmp_path)


def test_an_image_in_both_official_lists(tmp_path: Path) -> None:
    write(trees.nus_wide(tmp_path) / "ImageList" / "TestImagelist.txt", "actor\\0001_1.jpg\n")
    with pytest.raises(ValueError, match=r"TestImagelist.txt: image 'actor/0001_1.jpg' is in the training list, too"):
        nus_wide.read_annotations(tmp_path)


@pytest.mark.parametrize(
    ("index", "said"),
    [
        (["1.jpg"], "expected an object of image names"),
        ({"1.jpg": 4}, "'1.jpg' has 4; expected a list of label indices"),
        ({"1.jpg": ["4"]}, "'1.jpg' has .* expected a list of label indices"),
        ({"1.jpg": [True]}, "'1.jpg' has .* expected a list of label indices"),
        ({"1.jpg": None}, "'1.jpg' has None; expected a list of label indices"),
    ],
)
def test_the_index_of_visual_genome(tmp_path: Path, index: Any, said: str) -> None:
    write_json(trees.visual_genome(tmp_path) / visual_genome.LABELS, index)
    with pytest.raises(ValueError, match=f"{visual_genome.LABELS}: {said}"):
        visual_genome.read_annotations(tmp_path)


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ('{"file_name": "a.jpg", "labels": ["x"], "labels": ["y"]}', "the key 'labels' occurs twice"),
        ('{"file_name": "a.jpg", "labels": ["x"], "ignored": 0}', "'ignored' is 0; expected a list"),
        ('{"file_name": "a.jpg", "labels": ["x"], "image_id": null}', "'image_id' is None; expected a text"),
        ('{"file_name": "a.jpg", "labels": ["x"], "image_id": [1]}', r"'image_id' is \[1\]; expected a text"),
        ('{"file_name": "a.jpg", "labels": ["x"], "split": ["train"]}', r"unknown split \['train'\]"),
        ('{"file_name": "a.jpg", "labels": ["\\ud800"]}', "half a character"),
        ('{"file_name": "a.jpg", "labels": ' + "[" * 200_000, "brackets are nested too deep"),
        ('{"file_name": "a.jpg", "labels": ["x"], "n": ' + "9" * 5000 + "}", "not valid JSON, Exceeds the limit"),
    ],
)
def test_rows_of_a_folder(tmp_path: Path, row: str, said: str) -> None:
    write(tmp_path / "metadata.jsonl", f'{{"file_name": "b.jpg", "labels": []}}\n{row}\n')
    with pytest.raises(ValueError, match=rf"metadata.jsonl, line 2: .*{said}"):
        folder.read_annotations(tmp_path)


def test_one_picture_under_two_spellings(tmp_path: Path) -> None:
    metadata(tmp_path, [{"file_name": name, "labels": ["x"]} for name in ("a.jpg", "./a.jpg")], images=False)
    with pytest.raises(ValueError, match=r"line 2: .*a.jpg was already given in .*line 1"):
        folder.read_annotations(tmp_path)


def test_val_beside_validation(tmp_path: Path) -> None:
    for name in ("val", "validation"):
        metadata(tmp_path / name, [{"file_name": f"{name}.jpg", "labels": ["x"]}])
    with pytest.raises(ValueError, match="two folders of one split"):
        folder.read_annotations(tmp_path)


@pytest.mark.parametrize(
    ("name", "option", "said"),
    [
        ("coco", {"labels": "dog"}, "labels is 'dog'; expected a list of texts or none"),
        ("coco", {"labels": ["dog", 3]}, r"labels is \('dog', 3\); expected a list of texts or none"),
        ("coco", {"with_boxes": "false"}, "with_boxes is 'false'; expected true or false"),
        ("coco", {"min_images_per_label": "2"}, "min_images_per_label is '2'; expected a whole number"),
        ("coco", {"min_images_per_label": -1}, "must not be negative"),
        ("coco", {"split_seed": 1.5}, "split_seed is 1.5; expected a whole number"),
        ("coco", {"validation_fraction": "0.1"}, "validation_fraction is '0.1'; expected a number or none"),
        ("coco", {"other_labels": ["drop"]}, "other_labels is .*expected a text"),
        ("coco", {"label_order": {}}, "label_order is {}; expected a text"),
        ("voc", {"train_split": ["train"]}, "train_split is .*expected a text or none"),
        ("nus_wide", {"split_name": None}, "split_name is None; expected a text"),
        ("visual_genome", {"label_names": 3}, "label_names is 3; expected a text or none"),
        ("digit_scenes", {"train_images": "many"}, "train_images is 'many'; expected a whole number"),
    ],
)
def test_options_of_another_type(tmp_path: Path, name: str, option: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        make_builder(name, None if name == "digit_scenes" else tmp_path, **option)


def test_one_label_that_is_chosen(tmp_path: Path) -> None:
    splits = load_splits("coco", trees.coco(tmp_path), labels=["dog"], other_labels="drop")
    assert splits["train"].features["labels"].feature.names == ["dog"]


@pytest.mark.parametrize("head", [b"", b'{"images": ['])
def test_a_sparse_file_of_three_gigabytes_is_refused_at_once(tmp_path: Path, head: bytes) -> None:
    path = tmp_path / "instances_train2017.json"
    path.write_bytes(head)
    os.truncate(path, 3 << 30)
    start = time.monotonic()
    with pytest.raises(ValueError, match=r"instances_train2017.json, line 1: a zero byte"):
        read_json(path)
    assert time.monotonic() - start < 2


def test_a_file_over_the_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert LARGEST > 500_000_000  # COCO's own file
    monkeypatch.setattr("dataset_builders.text_file.LARGEST", 100)
    assert read_text(write(tmp_path / "fits.txt", "x" * 100)) == "x" * 100
    with pytest.raises(ValueError, match=r"large.txt is larger than 100 bytes"):
        read_lines(write(tmp_path / "large.txt", "x" * 101))
