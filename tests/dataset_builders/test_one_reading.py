"""What the check accepts, training reads and `row["image"]` shows: the same pixels, for every kind of file."""

from __future__ import annotations

import io
import os
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dataset_builders import load_splits
from dataset_builders.image_check import check_image
from dataset_builders.record import Record
from mlic_hf.cli.prepare_dataset import main
from mlic_hf.data import read_image
from mlic_hf.data.multi_label_dataset import undecoded
from mlic_hf.pictures.image_reading import LIMIT_VARIABLE, decode_image, limit_from_environment
from tests.data.pictures import encoded, picture
from tests.dataset_builders.trees import metadata

RAMP = np.linspace(0, 65535, 24 * 16).astype(np.uint16).reshape(16, 24)
SMALL = picture(24, 16)


def exif(*entries: tuple[int, int, int, int]) -> bytes:
    """EXIF data of raw (tag, type, count, value) entries."""
    body = b"".join(struct.pack("<HHII", *entry) for entry in entries)
    return b"Exif\0\0II*\0" + struct.pack("<IH", 8, len(entries)) + body + bytes(4)


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png_header(width: int, height: int) -> bytes:
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))


def with_wrong_checksum() -> bytes:
    content = bytearray(encoded(SMALL, "PNG", compress_level=0))
    content[content.index(b"IDAT") + 60] ^= 64  # another pixel in an uncompressed block
    return bytes(content)


GOOD = {
    "16.png": encoded(Image.fromarray(RAMP), "PNG"),
    "16.tif": encoded(Image.fromarray(RAMP), "TIFF"),
    "16.pgm": encoded(Image.fromarray(RAMP.astype(np.int32)), "PPM"),
    "32.tif": encoded(Image.fromarray(RAMP.astype(np.int32)), "TIFF"),
    "16.jpg": encoded(Image.fromarray(RAMP), "PNG"),
    "damaged_exif.jpg": encoded(SMALL, "JPEG", exif=b"Exif\0\0nothing of the kind"),
    "cut_exif.jpg": encoded(SMALL, "JPEG", exif=exif((0x0112, 3, 1, 6), (0x8769, 4, 1, 8))[:22]),
    "turned.jpg": encoded(SMALL, "JPEG", exif=exif((0x0112, 3, 1, 6))),
    "turned.png": encoded(SMALL, "PNG", exif=exif((0x0112, 3, 1, 3))),
    "turned_and_odd.jpg": encoded(SMALL, "JPEG", exif=exif((0x0112, 3, 1, 8), (0x010F, 2, 100, 0xFFFFFF))),
    "unknown_turn.jpg": encoded(SMALL, "JPEG", exif=exif((0x0112, 3, 1, 77))),
    "alpha.png": encoded(picture(24, 16).convert("RGBA"), "PNG"),
    "palette.png": encoded(SMALL.convert("P"), "PNG", transparency=b"\x00\x80"),
    "grey_alpha.png": encoded(SMALL.convert("LA"), "PNG"),
    "cmyk.jpg": encoded(SMALL.convert("CMYK"), "JPEG"),
    "bits.png": encoded(SMALL.convert("1"), "PNG"),
    "plain.webp": encoded(SMALL, "WEBP"),
    "few_levels.ppm": b"P6\n# levels 0 to 3\n1 2 3\n" + bytes([0, 1, 2, 3, 2, 1]),
    "plain.gif": encoded(SMALL, "GIF"),
}
BAD = {
    "float.tif": (encoded(Image.fromarray(RAMP.astype(np.float32)), "TIFF"), "floating-point pixels of unknown range"),
    "large_numbers.tif": (
        encoded(Image.fromarray(RAMP.astype(np.int32) * 3), "TIFF"),
        "32-bit pixels of unknown range",
    ),
    "checksum.png": (with_wrong_checksum(), "cannot be decoded"),
    "cut.png": (GOOD["alpha.png"][:-20], "cannot be decoded"),
    "cut.jpg": (GOOD["turned.jpg"][:-20], "cannot be decoded"),
    "last_chunk.png": (GOOD["alpha.png"][:-1] + b"\0", "the checksum of the PNG chunk b'IEND' is wrong"),
    "other_size.png": (
        png_header(24, 15) + encoded(SMALL.resize((24, 16)), "PNG")[33:],
        "bytes of pixels, its header promises 1095",
    ),
    "surplus.ppm": (
        encoded(SMALL, "PPM").replace(b"24 16", b"24 1", 1),
        "holds 1152 bytes of samples, its header promises 72",
    ),
    "above.ppm": (encoded(SMALL, "PPM").replace(b"255", b"100", 1), "a sample is larger than the largest value"),
    "no_pixels.png": (GOOD["alpha.png"][:33] + chunk(b"IEND", b""), "cannot be decoded"),
    "huge.png": (
        png_header(13_300, 13_300) + chunk(b"IDAT", b""),
        "has 13300 x 13300 pixels, more than the limit of 89478485",
    ),
    "enormous.png": (png_header(60_000, 60_000) + chunk(b"IDAT", b""), "more pixels than twice the limit of 89478485"),
}


def folder_of(root: Path, files: dict[str, bytes]) -> Path:
    root.mkdir()
    for name, content in files.items():
        (root / name).write_bytes(content)
    return metadata(root, [{"file_name": name, "labels": ["x"]} for name in files], images=False)


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = folder_of(tmp_path_factory.mktemp("pictures") / "good", GOOD)
    main(["--name", str(root), "--to", "parquet", "--output_dir", str(root.parent / "prepared")])
    return root


@pytest.mark.parametrize("way", ["folder", "streaming", "prepared", "mapped"])
def test_rows_show_what_training_reads(good: Path, way: str, tmp_path: Path) -> None:
    place = good.parent / "prepared" if way == "prepared" else good
    rows = load_splits(place, streaming=way == "streaming", check_images="decode") if way == "folder" else None
    rows = (rows or load_splits(place, streaming=way == "streaming"))["train"]
    if way == "mapped":
        rows = rows.map(lambda row: {"again": row["image_id"]}, cache_file_name=str(tmp_path / "mapped.arrow"))
    seen = 0
    for shown, raw in zip(rows, undecoded(rows)):
        name = shown["image_id"]
        expected = np.asarray(read_image(str(good / name), name))
        assert np.array_equal(np.asarray(shown["image"]), expected), name
        assert np.array_equal(np.asarray(read_image(raw["image"], name)), expected), name
        seen += 1
    assert seen == len(GOOD)


def test_the_pixels_are_the_right_ones() -> None:
    ramp = np.rint(RAMP / 257).astype(np.uint8)
    for name in ("16.png", "16.tif", "16.pgm", "32.tif", "16.jpg"):
        assert np.array_equal(np.asarray(decode_image(GOOD[name]))[..., 1], ramp), name
    assert np.asarray(decode_image(GOOD["few_levels.ppm"])).tolist() == [[[0, 85, 170]], [[255, 170, 85]]]
    plain = np.asarray(Image.open(io.BytesIO(encoded(SMALL, "JPEG"))))
    for name, turns in (
        ("damaged_exif.jpg", 0),
        ("unknown_turn.jpg", 0),
        ("turned.jpg", 3),
        ("turned_and_odd.jpg", 1),
    ):
        assert np.array_equal(np.asarray(decode_image(GOOD[name])), np.rot90(plain, turns)), name
    assert np.array_equal(np.asarray(decode_image(GOOD["turned.png"])), np.rot90(np.asarray(SMALL), 2))


@pytest.mark.parametrize("name", BAD)
def test_what_training_cannot_read_the_check_refuses(tmp_path: Path, name: str) -> None:
    content, said = BAD[name]
    (tmp_path / name).write_bytes(content)
    (finding,) = check_image(Record("p", str(tmp_path / name)))
    assert finding.bad
    assert f"{name}: " in finding.sentence
    assert said in finding.sentence
    for source in (str(tmp_path / name), content):
        with pytest.raises(ValueError, match=r"The image 'p' .*; mend or replace the picture") as error:
            read_image(source, "p", 8)
        assert said in str(error.value)


def test_the_limit_is_checked_before_decoding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.png"
    SMALL.save(path)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 24 * 16)
    assert decode_image(str(path)).size == (24, 16)
    assert check_image(Record("a", str(path))) == []
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 24 * 16 - 1)
    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", lambda self: pytest.fail("the picture was decoded"))
    with pytest.raises(ValueError, match="has 24 x 16 pixels, more than the limit of 383"):
        decode_image(str(path))
    with pytest.raises(ValueError, match="has 24 x 16 pixels, more than the limit of 383"):
        read_image(SMALL, "a")
    assert [finding.problem for finding in check_image(Record("a", str(path)))] == ["broken"]


def test_the_limit_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", Image.MAX_IMAGE_PIXELS)
    for value in ("0", "-3", "many"):
        monkeypatch.setenv(LIMIT_VARIABLE, value)
        with pytest.raises(ValueError, match=f"{LIMIT_VARIABLE} is '{value}'; expected a number of pixels"):
            limit_from_environment()
    code = "import mlic_hf.pictures.image_reading, PIL.Image; print(PIL.Image.MAX_IMAGE_PIXELS)"
    environment = os.environ | {LIMIT_VARIABLE: "300"}
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=root, env=environment, check=True
    )
    assert done.stdout == "300\n"


def test_the_picture_that_took_three_gigabytes(tmp_path: Path) -> None:
    """13,300 pixels square in a small PNG: refused without its 0.5 GB of pixels, and not called a broken file."""
    resource = pytest.importorskip("resource")
    rows = zlib.compress(bytes((1 + 3 * 13_300) * 64))
    (tmp_path / "a.png").write_bytes(png_header(13_300, 13_300) + chunk(b"IDAT", rows) + chunk(b"IEND", b""))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    (finding,) = check_image(Record("a", str(tmp_path / "a.png")))
    assert "13300 x 13300 pixels" in finding.sentence
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000  # kB
