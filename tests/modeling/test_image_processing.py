"""The image processor, and the pipeline that uses it."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import AutoImageProcessor, pipeline
from transformers.image_utils import ChannelDimension, SizeDict

from mlic_hf.modeling import MultiLabelImageProcessor
from mlic_hf.pictures.image_reading import to_rgb
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


class TestCallArguments:
    """For one call, what the processor was made with; named as other processors of transformers name it."""

    processor = MultiLabelImageProcessor(16, image_mean=[0.1, 0.2, 0.3], image_std=[0.5, 0.6, 0.7])

    def pixels(self, shown: object = None, **given: object) -> np.ndarray:
        return self.processor(picture() if shown is None else shown, return_tensors="np", **given)["pixel_values"]

    def test_each_step_can_be_left_out(self) -> None:
        raw = self.pixels(do_rescale=False, do_normalize=False)
        resized = np.asarray(picture().resize((16, 16), Image.Resampling.BILINEAR), dtype=np.float32)
        assert np.array_equal(raw[0], resized.transpose(2, 0, 1))
        rescaled = self.pixels(do_normalize=False)
        assert np.array_equal(rescaled, raw / 255)
        mean, std = (np.float32(value)[:, None, None] for value in ([0.1, 0.2, 0.3], [0.5, 0.6, 0.7]))
        assert np.allclose(self.pixels(), (rescaled - mean) / std)
        assert np.allclose(self.pixels(rescale_factor=1 / 127.5, do_normalize=False), raw / 127.5)
        assert self.pixels(do_resize=False).shape == (1, 3, 20, 30)

    def test_pixels_that_were_rescaled_already(self) -> None:
        shares = np.asarray(picture()) / 255.0
        given = {"do_rescale": False, "do_normalize": False}
        assert np.array_equal(self.pixels(shares, **given), self.pixels(do_normalize=False))

    @pytest.mark.parametrize(
        ("given", "shape"),
        [
            ({"size": 24}, (24, 24)),
            ({"image_size": 24}, (24, 24)),
            ({"size": {"height": 24, "width": 48}}, (24, 48)),
            ({"size": [24, 48]}, (24, 48)),
            ({"size": SizeDict(height=24, width=48)}, (24, 48)),
        ],
    )
    def test_sizes(self, given: dict, shape: tuple[int, int]) -> None:
        assert self.pixels(**given).shape == (1, 3, *shape)

    def test_statistics_and_filters(self) -> None:
        half = self.pixels(image_mean=0.5, image_std=[0.5, 0.5, 0.5])
        assert np.allclose(half, self.pixels(do_normalize=False) * 2 - 1)
        assert np.array_equal(self.pixels(resample=Image.Resampling.BICUBIC), self.pixels(interpolation="bicubic"))
        assert not np.array_equal(self.pixels(resample=3), self.pixels())

    def test_layouts(self) -> None:
        assert np.array_equal(self.pixels(data_format="channels_last"), self.pixels().transpose(0, 2, 3, 1))
        last = self.pixels(data_format=ChannelDimension.LAST)
        assert last.shape == (1, 16, 16, 3)
        small = np.zeros((3, 5, 3), np.uint8)
        small[0] = 255
        first, final = (self.pixels(small, input_data_format=name) for name in ("channels_first", "channels_last"))
        assert not np.array_equal(first, final)
        assert np.array_equal(final, self.pixels(small))

    def test_the_device_of_tensors(self) -> None:
        tensors = self.processor(picture(), return_tensors="pt", device="meta")["pixel_values"]
        assert tensors.device.type == "meta"

    def test_the_processor_is_left_as_it_was(self) -> None:
        before = self.processor.to_dict()
        self.pixels(size=8, do_normalize=False, image_mean=0.5, resample=0)
        assert self.processor.to_dict() == before

    @pytest.mark.parametrize(
        ("given", "message"),
        [
            ({"do_normalise": False}, "no argument 'do_normalise'; did you mean 'do_normalize'?"),
            ({"imagesize": 8}, "no argument 'imagesize'; did you mean 'image_size'?"),
            ({"do_center_crop": True}, "no argument 'do_center_crop'"),
            ({"size": {"shortest_edge": 8}}, r"size is {'shortest_edge': 8}; expected a whole number"),
            ({"size": 0}, "size is 0"),
            ({"size": 8, "image_size": 9}, "size is 8 and image_size 9"),
            ({"do_normalize": "no"}, "do_normalize is 'no'"),
            ({"data_format": "NCHW"}, "data_format is 'NCHW'"),
            ({"resample": 17}, "resample is 17"),
            ({"image_mean": [0.5]}, "expected three numbers each"),
            ({"do_convert_rgb": False}, "do_convert_rgb is False"),
        ],
    )
    def test_refusals(self, given: dict, message: str) -> None:
        with pytest.raises(ValueError, match=message):
            self.pixels(**given)

    def test_what_asks_for_nothing_is_let_through(self) -> None:
        assert np.array_equal(self.pixels(do_center_crop=False, size=None, crop_size=None), self.pixels())

    def test_pictures_of_different_sizes(self) -> None:
        with pytest.raises(ValueError, match=r"different sizes \[\(3, 20, 30\), \(3, 30, 20\)\]"):
            self.pixels([picture(), picture().rotate(90, expand=True)], do_resize=False)


class TestSize:
    def test_it_is_named_as_elsewhere(self) -> None:
        processor = MultiLabelImageProcessor(16, interpolation="bicubic")
        assert processor.size == {"height": 16, "width": 16}
        assert processor.resample == Image.Resampling.BICUBIC
        processor.size = {"height": 8, "width": 8}
        assert processor.image_size == 8

    def test_settings_survive_and_can_be_changed_on_loading(self, tmp_path: Path) -> None:
        MultiLabelImageProcessor(16, do_normalize=False, rescale_factor=0.5).save_pretrained(tmp_path)
        load = MultiLabelImageProcessor.from_pretrained
        loaded = load(tmp_path)
        assert (loaded.image_size, loaded.do_normalize, loaded.rescale_factor) == (16, False, 0.5)
        assert load(tmp_path, image_size=32).image_size == 32
        assert load(tmp_path, interpolation="box").interpolation == "box"
        with pytest.raises(ValueError, match="image_size is 'big'"):
            load(tmp_path, image_size="big")

    def test_other_spellings_when_it_is_made(self) -> None:
        made = MultiLabelImageProcessor(size={"height": 16, "width": 16}, resample=3)
        assert (made.image_size, made.interpolation) == (16, "bicubic")
        with pytest.raises(ValueError, match="expected a square"):
            MultiLabelImageProcessor(size={"height": 16, "width": 8})


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
