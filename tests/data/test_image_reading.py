from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mlic_hf.data import read_image
from tests.data.pictures import encoded, picture


@pytest.mark.parametrize("mode", ["L", "LA", "RGBA", "P", "1", "CMYK", "YCbCr"])
def test_every_mode_becomes_rgb(mode: str) -> None:
    shown = picture().convert(mode)
    # Pillow before 12 writes TIFFs of YCbCr that nobody can read
    image = read_image(shown if mode == "YCbCr" else encoded(shown, "TIFF" if mode == "CMYK" else "PNG"), "x")
    assert image.mode == "RGB"
    expected = np.asarray(picture().convert(mode).convert("RGB"), int)
    assert np.abs(np.asarray(image, int) - expected).max() == 0


def test_cmyk_and_grey_jpeg() -> None:
    for mode in ("CMYK", "L"):
        image = read_image(encoded(picture().convert(mode), "JPEG", quality=95), "x", minimum_size=10)
        assert image.mode == "RGB"
        expected = np.asarray(picture().convert(mode).convert("RGB").resize(image.size), float)
        assert np.abs(np.asarray(image, float) - expected).mean() < 6


def test_sixteen_bits_keep_their_range() -> None:
    levels = np.array([[0, 257, 65535, 128 * 257]], np.uint16)
    image = read_image(encoded(Image.fromarray(levels), "PNG"), "x")
    assert np.asarray(image)[0, :, 0].tolist() == [0, 1, 255, 128]


def test_transparent_palette_without_warning(recwarn: pytest.WarningsRecorder) -> None:
    content = encoded(picture().convert("P"), "PNG", transparency=b"\x00\x80")
    assert read_image(content, "x").mode == "RGB"
    assert not recwarn.list


def test_png_named_jpg(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(encoded(picture(), "PNG"))
    assert np.array_equal(np.asarray(read_image(str(path), "x")), np.asarray(picture()))


def test_orientation_is_applied() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    content = encoded(picture(60, 40), "JPEG", exif=exif)
    assert read_image(content, "x").size == (40, 60)


@pytest.mark.parametrize(
    ("minimum", "size"),
    [(None, (400, 300)), (300, (400, 300)), (151, (400, 300)), (150, (200, 150)), (80, (200, 150)), (37, (50, 38))],
)
def test_rule_of_the_reduced_decode(minimum: int | None, size: tuple[int, int]) -> None:
    content = encoded(picture(400, 300), "JPEG", quality=95)
    image = read_image(content, "x", minimum)
    assert image.size == size
    exact = np.asarray(read_image(content, "x").resize(size, Image.Resampling.BOX), float)
    assert np.abs(np.asarray(image, float) - exact).mean() < 2


def test_sources_of_a_row(tmp_path: Path) -> None:
    content = encoded(picture(), "PNG")
    path = tmp_path / "b.png"
    path.write_bytes(content)
    expected = np.asarray(picture())
    sources = (
        content,
        path,
        str(path),
        {"bytes": content, "path": None},
        {"bytes": None, "path": str(path)},
        picture(),
    )
    for source in sources:
        assert np.array_equal(np.asarray(read_image(source, "x")), expected)


def test_bad_images_name_id_and_file(tmp_path: Path) -> None:
    whole = encoded(picture(), "JPEG")
    cases = {
        "cut.jpg": (whole[: len(whole) // 2], "cannot be decoded"),
        "zero.jpg": (b"", "has zero bytes"),
        "text.jpg": (b"not an image at all", "cannot be decoded"),
        "cut.png": (encoded(picture(), "PNG")[:300], "cannot be decoded"),
    }
    for name, (content, sentence) in cases.items():
        path = tmp_path / name
        path.write_bytes(content)
        for minimum in (None, 20):
            with pytest.raises(ValueError, match=rf"'im7' \(.*{name}\) {sentence}"):
                read_image(str(path), "im7", minimum)
        with pytest.raises(ValueError, match=f"'im7' {sentence}"):
            read_image(content, "im7")
    with pytest.raises(ValueError, match=r"'im7' \(.*gone.jpg\) does not exist"):
        read_image(tmp_path / "gone.jpg", "im7")
    with pytest.raises(ValueError, match="'im7' is a int"):
        read_image(3, "im7")
    with pytest.raises(ValueError, match="floating-point"):
        read_image(Image.new("F", (4, 4)), "im7")
