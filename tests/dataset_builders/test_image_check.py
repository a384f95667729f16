"""Every kind of bad or odd image file is found and named."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dataset_builders.image_check import check_image, check_images, look_at_image, raise_for
from dataset_builders.record import Record
from tests.dataset_builders.trees import picture


def record(path: Path, **fields: object) -> Record:
    return Record(path.name, str(path))._replace(**fields)  # type: ignore[arg-type]


def problems(path: Path, **fields: object) -> list[str]:
    return [finding.problem for finding in check_image(record(path, **fields))]


def test_a_good_image(tmp_path: Path) -> None:
    assert check_image(record(picture(tmp_path / "a.jpg"), size=(24, 16))) == []


@pytest.mark.parametrize("keep", [10, 200, -200])
@pytest.mark.parametrize("suffix", ["jpg", "png"])
def test_truncated(tmp_path: Path, keep: int, suffix: str) -> None:
    path = picture(tmp_path / f"a.{suffix}", (64, 64))
    path.write_bytes(path.read_bytes()[:keep])
    assert problems(path) == ["broken"]
    assert check_image(record(path), "stat") == []


def test_missing_empty_and_text(tmp_path: Path) -> None:
    assert problems(tmp_path / "none.jpg") == ["missing"]
    (tmp_path / "zero.jpg").touch()
    assert problems(tmp_path / "zero.jpg") == ["empty"]
    (tmp_path / "text.jpg").write_text("<html>not found</html>")
    assert problems(tmp_path / "text.jpg") == ["broken"]
    assert [f.problem for f in check_image(record(tmp_path / "none.jpg"), "stat")] == ["missing"]


def test_wrong_size_png_in_disguise_grey_and_cmyk(tmp_path: Path) -> None:
    path = picture(tmp_path / "a.jpg")
    (finding,) = check_image(record(path, size=(30, 16)))
    assert finding.problem == "wrong_size"
    assert "24x16 pixels, the annotation says 30x16" in finding.sentence
    picture(tmp_path / "b.png").rename(tmp_path / "b.jpg")
    assert problems(tmp_path / "b.jpg") == ["other_format"]
    Image.new("L", (8, 8)).save(tmp_path / "grey.jpg")
    Image.new("CMYK", (8, 8)).save(tmp_path / "cmyk.jpg")
    for name in ("grey.jpg", "cmyk.jpg"):
        (finding,) = check_image(record(tmp_path / name))
        assert finding.problem == "converted"
        assert not finding.bad


def test_all_bad_files_are_named_in_one_error(tmp_path: Path) -> None:
    good = picture(tmp_path / "good.jpg")
    (tmp_path / "zero.jpg").touch()
    records = [record(good), record(tmp_path / "zero.jpg"), record(tmp_path / "none.jpg"), Record("drawn")]
    findings = check_images(records)
    assert [finding.image_id for finding in findings] == ["zero.jpg", "none.jpg"]
    with pytest.raises(ValueError, match="2 bad image file") as error:
        raise_for(findings, "train", len(records))
    assert "zero.jpg: zero bytes" in str(error.value)
    assert "none.jpg: missing" in str(error.value)
    raise_for([], "train", 4)


def test_a_name_that_is_not_utf8_can_be_printed() -> None:
    (finding,) = check_image(Record("x", "/nowhere/caf\udce9.jpg"))
    assert finding.sentence.encode()
    assert "caf\\udce9.jpg" in finding.sentence


def test_the_hash_sees_pixels_not_files(tmp_path: Path) -> None:
    pixels = Image.fromarray(np.arange(192, dtype=np.uint8).reshape(8, 8, 3))
    pixels.save(tmp_path / "a.png")
    pixels.save(tmp_path / "b.bmp")
    pixels.resize((8, 4)).save(tmp_path / "c.png")
    hashes = [look_at_image(record(tmp_path / name))[1] for name in ("a.png", "b.bmp", "c.png")]
    assert hashes[0] == hashes[1] != hashes[2]
    assert look_at_image(record(tmp_path / "none.png"))[1] == ""
