"""One schema for all data sets; slices, streaming and processes; a cache that notices changes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dataset_builders import load_splits, loading
from tests.dataset_builders.trees import coco, metadata, nus_wide, picture, visual_genome, voc, write


def many(folder: Path, count: int = 600) -> Path:
    """More images than a generator shard holds."""
    picture(folder / "0.jpg")
    rows = [{"file_name": f"{index}.jpg", "labels": ["ab"[index % 2]]} for index in range(count)]
    for row in rows[1:]:
        os.link(folder / "0.jpg", folder / str(row["file_name"]))
    return metadata(folder, rows, images=False)


def test_all_data_sets_share_one_schema(tmp_path: Path) -> None:
    loaded = [
        load_splits("digit_scenes", train_images=2, validation_images=1, test_images=1),
        load_splits("coco", coco(tmp_path / "coco")),
        load_splits("voc", voc(tmp_path / "voc", ("trainval",))),
        load_splits("nus_wide", nus_wide(tmp_path / "nus")),
        load_splits("visual_genome", visual_genome(tmp_path / "vg")),
        load_splits(metadata(tmp_path / "own", [{"file_name": "a.jpg", "labels": ["x"]}])),
    ]
    for splits in loaded:
        features = splits["train"].features
        assert list(features) == ["image", "image_id", "labels", "ignored"]
        assert features["labels"].feature == features["ignored"].feature
        assert splits["train"][0]["image"].mode == "RGB"
    boxed = [
        load_splits("digit_scenes", train_images=2, validation_images=0, test_images=0, with_boxes=True),
        load_splits("coco", tmp_path / "coco", with_boxes=True),
        load_splits("voc", tmp_path / "voc", with_boxes=True),
    ]
    for splits in boxed:
        assert list(splits["train"].features) == ["image", "image_id", "labels", "ignored", "boxes"]
        box = splits["train"].features["boxes"].feature
        assert box["label"] == splits["train"].features["labels"].feature
        assert box["bbox"].length == 4


def test_paths_are_absolute_even_from_a_relative_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    metadata(tmp_path / "own", [{"file_name": "a.jpg", "labels": ["x"]}])
    monkeypatch.chdir(tmp_path)
    splits = load_splits("own")
    monkeypatch.chdir("/")
    assert splits["train"][0]["image"].size == (24, 16)


def test_slices_streaming_and_processes_agree(tmp_path: Path) -> None:
    folder = many(tmp_path)
    whole = load_splits(folder)["train"]
    assert len(whole) == 600
    part = load_splits(folder, split="train[100:110]")
    assert part["image_id"][:] == whole["image_id"][100:110]
    stream = load_splits(folder, streaming=True)["train"]
    assert stream.features == whole.features
    assert [row["image_id"] for row in stream.take(300)] == whole["image_id"][:300]
    two = load_splits(folder, num_proc=2, cache_dir=tmp_path / "cache")["train"]
    assert two["image_id"][:] == whole["image_id"][:]
    assert two["labels"][:] == whole["labels"][:]


def test_edited_annotations_are_noticed(tmp_path: Path) -> None:
    metadata(tmp_path, [{"file_name": "a.jpg", "labels": ["x"]}])
    assert load_splits(tmp_path)["train"].features["labels"].feature.names == ["x"]
    first = loading.make_builder("folder", tmp_path).cache_dir
    assert loading.make_builder("folder", tmp_path).cache_dir == first
    write(tmp_path / "metadata.jsonl", '{"file_name": "a.jpg", "labels": ["y"]}\n')
    os.utime(tmp_path / "metadata.jsonl", ns=(1, 1))
    assert load_splits(tmp_path)["train"].features["labels"].feature.names == ["y"]


@pytest.mark.parametrize("name", ["coco", "voc", "nus_wide", "visual_genome"])
def test_every_builder_watches_its_annotations(tmp_path: Path, name: str) -> None:
    makers = {"coco": coco, "voc": voc, "nus_wide": nus_wide, "visual_genome": visual_genome}
    makers[name](tmp_path)
    before = loading.make_builder(name, tmp_path).hash
    texts = [path for path in tmp_path.rglob("*") if path.suffix in (".txt", ".json", ".xml")]
    unseen = []
    for path in texts:
        os.utime(path, ns=(5, 5))
        after = loading.make_builder(name, tmp_path).hash
        if after == before:
            unseen.append(path.name)
        before = after
    assert unseen == []


def test_edited_code_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = write(tmp_path / "code" / "loading.py", "one = 1\n")
    monkeypatch.setattr(loading, "__file__", str(code))
    before = loading.source_hash([])
    code.write_text("one = 2\n")
    assert loading.source_hash([]) != before


def test_what_is_left_out_is_said_every_time(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    metadata(tmp_path, [{"file_name": f"{name}.jpg", "labels": [name]} for name in "aab"[1:]])
    picture(tmp_path / "extra.jpg")
    for _ in range(2):
        caplog.clear()
        load_splits(tmp_path)
        assert "1 images of" in caplog.text


def test_bad_images_are_skipped_and_listed(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    metadata(tmp_path, [{"file_name": f"{name}.jpg", "labels": [name]} for name in "abc"])
    (tmp_path / "b.jpg").write_bytes((tmp_path / "b.jpg").read_bytes()[:300])
    assert len(load_splits(tmp_path)["train"]) == 3  # the quick check does not decode
    with pytest.raises(ValueError, match=r"1 bad image file.*\n.*b.jpg: cannot be decoded"):
        load_splits(tmp_path, check_images="decode")
    splits = load_splits(tmp_path, check_images="decode", on_bad_image="skip")
    assert splits["train"]["image_id"][:] == ["a.jpg", "c.jpg"]
    assert "1 bad images were skipped: " in caplog.text
    assert "b.jpg: cannot be decoded" in caplog.text


def test_grey_cmyk_and_png_in_disguise_load_as_rgb(tmp_path: Path) -> None:
    rows = [{"file_name": f"{name}.jpg", "labels": ["x"]} for name in ("grey", "cmyk", "png")]
    metadata(tmp_path, rows, images=False)
    Image.fromarray(np.full((16, 16), 200, np.uint8)).save(tmp_path / "grey.jpg")
    Image.new("CMYK", (16, 16), (0, 255, 255, 0)).save(tmp_path / "cmyk.jpg")
    Image.new("RGB", (16, 16), (9, 8, 7)).save(tmp_path / "png.jpg", format="PNG")
    images = load_splits(tmp_path, check_images="decode")["train"]["image"][:]
    assert [image.mode for image in images] == ["RGB"] * 3
    assert images[2].getpixel((3, 3)) == (9, 8, 7)
    red, green, _ = images[1].getpixel((3, 3))
    assert red > 150 > green


def test_unknown_names_and_options(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="'imagenet' is neither a folder nor a data set"):
        load_splits("imagenet")
    with pytest.raises(ValueError, match="takes no data_dir"):
        load_splits("digit_scenes", tmp_path)
    with pytest.raises(ValueError, match="Unknown option 'yaer' of coco"):
        load_splits("coco", coco(tmp_path), yaer=2017)
    with pytest.raises(ValueError, match="on_bad_image is 'ignore'"):
        load_splits("coco", tmp_path, on_bad_image="ignore")
    with pytest.raises(ValueError, match="is a folder itself"):
        load_splits(tmp_path, tmp_path)


def test_the_extra_is_named_where_datasets_is_absent() -> None:
    code = (
        "import sys; sys.modules['datasets'] = None\n"
        "from dataset_builders import load_splits\n"
        "try: load_splits('digit_scenes')\n"
        "except ImportError as error: print(error)"
    )
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=root, check=True)
    assert "pip install 'mlic_hf[data]'" in done.stdout
