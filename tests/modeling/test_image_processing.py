"""The image processor, and the pipeline that uses it."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import AutoImageProcessor, pipeline

from mlic_hf.data.image_reading import to_rgb
from mlic_hf.modeling import MultiLabelImageProcessor
from tests.modeling.tiny_models import LABELS, tiny_model


def picture(mode: str = "RGB") -> Image.Image:
    array = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    return Image.fromarray(array).convert(mode)


def test_pixels_are_squashed_rescaled_and_normalised() -> None:
    processor = MultiLabelImageProcessor(8, image_mean=[0.1, 0.2, 0.3], image_std=[0.5, 0.6, 0.7])
    pixels = processor(picture(), return_tensors="pt")["pixel_values"]
    assert pixels.shape == (1, 3, 8, 8)
    resized = np.asarray(picture().resize((8, 8), Image.Resampling.BILINEAR), dtype=np.float32) / 255
    expected = (resized - np.float32([0.1, 0.2, 0.3])) / np.float32([0.5, 0.6, 0.7])
    torch.testing.assert_close(pixels[0], torch.from_numpy(expected).permute(2, 0, 1))


def test_every_kind_of_picture_gives_the_same() -> None:
    processor = MultiLabelImageProcessor(20)
    array = np.asarray(picture())
    kinds = [picture(), array, array.transpose(2, 0, 1), torch.from_numpy(array.copy()), array / 255.0]
    rows = processor(kinds, return_tensors="np")["pixel_values"]
    assert rows.shape == (5, 3, 20, 20)
    assert all(np.array_equal(row, rows[0]) for row in rows)
    batch = np.stack([array, array])
    assert processor(batch, return_tensors="np")["pixel_values"].shape == (2, 3, 20, 20)


@pytest.mark.parametrize("mode", ["L", "1", "P", "CMYK", "RGBA", "LA"])
def test_other_modes(mode: str) -> None:
    pixels = MultiLabelImageProcessor(8)(picture(mode), return_tensors="pt")["pixel_values"]
    assert pixels.shape == (1, 3, 8, 8)


@pytest.mark.parametrize("mode", ["RGB", "L", "1", "P", "CMYK", "RGBA", "LA", "I;16", "transparent P"])
def test_a_picture_is_what_it_was_in_training(mode: str) -> None:
    shown = sixteen_bits() if mode == "I;16" else picture(mode.split()[-1])
    if mode == "transparent P":
        shown.info["transparency"] = 0
    processor = MultiLabelImageProcessor(8)
    given, read = processor([shown, to_rgb(shown)], return_tensors="pt")["pixel_values"]
    assert torch.equal(given, read)


def test_transparency_is_dropped_and_sixteen_bits_are_scaled() -> None:
    processor = MultiLabelImageProcessor(4, image_mean=[0, 0, 0], image_std=[1, 1, 1])
    clear_red = processor(Image.new("RGBA", (4, 4), (255, 0, 0, 0)), return_tensors="np")["pixel_values"][0]
    assert clear_red.mean(axis=(1, 2)).tolist() == [1, 0, 0]
    half = processor(Image.fromarray(np.full((4, 4), 257 * 51, np.uint16)), return_tensors="np")["pixel_values"]
    assert np.allclose(half, 51 / 255)


def sixteen_bits() -> Image.Image:
    return Image.fromarray(np.arange(0, 65536, 256, dtype=np.uint16).reshape(16, 16))


@pytest.mark.parametrize(
    ("found", "message"),
    [
        ("a.jpg", "A picture is a str"),
        (np.zeros((4,), np.uint8), r"shape \(4,\)"),
        (np.full((4, 4, 3), 300.0), "values of float64 from 300.0 to 300.0"),
    ],
)
def test_what_is_no_picture(found: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        MultiLabelImageProcessor(4)(found)


def test_wrong_fields() -> None:
    with pytest.raises(ValueError, match="interpolation is 'wavy'"):
        MultiLabelImageProcessor(interpolation="wavy")
    with pytest.raises(ValueError, match="image_size is 0"):
        MultiLabelImageProcessor(0)
    with pytest.raises(ValueError, match="std above 0"):
        MultiLabelImageProcessor(image_std=(1, 1, 0))


@pytest.mark.parametrize("backend", [None, "pil", "torchvision"])
def test_any_backend_gives_this_processor(backend: str | None, tmp_path: Path) -> None:
    model = tiny_model("mlic_linear")
    model.save_pretrained(tmp_path)
    saved = MultiLabelImageProcessor.for_model(model)
    saved.save_pretrained(tmp_path)
    options = {} if backend is None else {"backend": backend}
    loaded = AutoImageProcessor.from_pretrained(tmp_path, **options)
    assert type(loaded) is MultiLabelImageProcessor
    assert loaded.image_size == saved.image_size
    first, second = (p(picture(), return_tensors="pt")["pixel_values"] for p in (loaded, saved))
    assert torch.equal(first, second)


def test_the_pipeline_gives_sigmoid_scores_with_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_questions(*_: object) -> str:
        raise AssertionError("the pipeline asked whether to run custom code")

    monkeypatch.setattr("builtins.input", no_questions)
    assert "mlic_hf.auto" in sys.modules
    model = tiny_model("mlic_linear")
    model.save_pretrained(tmp_path)
    processor = MultiLabelImageProcessor.for_model(model)
    processor.save_pretrained(tmp_path)
    answers = pipeline("image-classification", model=str(tmp_path))(picture(), top_k=len(LABELS))
    with torch.no_grad():
        scores = model(**processor(picture(), return_tensors="pt")).logits.sigmoid()[0]
    found = {answer["label"]: answer["score"] for answer in answers}
    assert found == pytest.approx({name: scores[i].item() for i, name in enumerate(LABELS)}, rel=1e-4)
