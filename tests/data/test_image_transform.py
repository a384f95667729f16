from __future__ import annotations

import pickle
import random
import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torchvision.transforms import v2

from mlic_hf.data import PRESETS, TransformConfig, build_transform, stateless_generator, transform_preset
from mlic_hf.data.drawn_operations import (
    RAND_AUGMENT_OPERATIONS,
    draw_crop,
    draw_cutout,
    draw_operations,
    draw_rand_augment,
)
from mlic_hf.data.image_transform import choose_backend
from mlic_hf.modeling import MultiLabelImageProcessor
from tests.data.pictures import picture

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def test_eval_is_the_plain_resize() -> None:
    image = picture(130, 90)
    pixels = build_transform(transform_preset("eval", 64))(image)
    plain = torch.from_numpy(np.array(image.resize((64, 64), Image.Resampling.BILINEAR))).permute(2, 0, 1) / 255
    assert torch.equal(pixels, plain)
    reference = v2.Compose(
        [v2.Resize((64, 64)), v2.ToImage(), v2.ToDtype(torch.float32, scale=True), v2.Normalize(MEAN, STD)]
    )
    ours = build_transform(transform_preset("eval", 64, MEAN, STD))(image)
    torch.testing.assert_close(ours, torch.as_tensor(reference(image)))


@pytest.mark.parametrize("interpolation", ["nearest", "bilinear", "bicubic", "lanczos", "box", "hamming"])
def test_eval_is_what_the_image_processor_does(interpolation: str) -> None:
    image = picture(130, 90)
    config = TransformConfig("eval", 64, MEAN, STD, interpolation=interpolation)
    processor = MultiLabelImageProcessor(64, MEAN, STD, interpolation)
    served = processor(image, return_tensors="pt")["pixel_values"][0]
    torch.testing.assert_close(build_transform(config)(image), served, rtol=0, atol=1e-6)


@pytest.mark.parametrize("backend", ["torchvision", "albumentations"])
@pytest.mark.parametrize("preset", [name for name in PRESETS if name != "eval"])
def test_presets_give_the_size_and_touch_no_global_state(preset: str, backend: str) -> None:
    pytest.importorskip(backend)
    transform = build_transform(transform_preset(preset, 48, MEAN, STD, backend=backend))
    before = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()
    image = picture(70, 55)
    kept = np.array(image)
    one, same, other = (transform(image, stateless_generator(0, 0, "a", view)) for view in (0, 0, 1))
    assert one.shape == (3, 48, 48)
    assert one.dtype == torch.float32
    assert torch.equal(one, same)
    assert preset == "oass" or not torch.equal(one, other)
    assert np.array_equal(np.asarray(image), kept)
    assert before == (random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist())


def test_presets_hold_what_the_papers_do() -> None:
    def steps(name: str) -> list[str]:
        config = transform_preset(name, 64)
        names: list[str] = []
        for seed in range(40):
            drawn = [operation.name for operation in draw_operations(config, 90, 60, stateless_generator(seed))]
            names += [n for n in drawn if n not in names]
        return [n if n not in RAND_AUGMENT_OPERATIONS else "rand_augment" for n in names]

    def kinds(name: str) -> set[str]:
        return set(steps(name))

    assert kinds("psd") == kinds("l2d") == {"resize", "cutout", "rand_augment"}
    assert kinds("co_occurrence") == {"resize", "hflip", "cutout", "rand_augment"}
    assert kinds("mulcon_stage_one") == {"crop", "resize", "hflip", "rand_augment"}
    assert kinds("mulcon_stage_two") == {"resize", "hflip", "rand_augment"}
    assert kinds("oass") == {"resize", "place"}


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 3000), st.integers(1, 3000), st.integers(0, 10**6))
def test_crop_lies_inside_and_keeps_its_share(width: int, height: int, seed: int) -> None:
    left, top, box_width, box_height = draw_crop(width, height, (0.875, 1), (3 / 4, 4 / 3), stateless_generator(seed))
    assert 0 <= left <= left + box_width <= width
    assert 0 <= top <= top + box_height <= height
    assert box_width > 0
    assert box_height > 0
    if 0.8 < width / height < 1.25 and min(width, height) > 50:
        assert box_width * box_height >= 0.86 * width * height


@settings(max_examples=60, deadline=None)
@given(st.integers(8, 200), st.sampled_from([0.25, 0.5, 1.0]), st.integers(0, 10**6))
def test_cutout_box_is_the_fraction_or_cut_off_by_the_border(side: int, fraction: float, seed: int) -> None:
    left, top, right, bottom, *colour = draw_cutout(side, fraction, stateless_generator(seed)).values
    length = int(fraction * side + 0.5)
    for low, high in ((left, right), (top, bottom)):
        assert 0 <= low < high <= side
        assert high - low == length or low == 0 or high == side
        assert high - low >= length // 2
    assert len(colour) == 3
    assert all(0 <= channel <= 255 for channel in colour)


def test_rand_augment_draws_torchvisions_values() -> None:
    """Names, and values at magnitude 9 of 31 bins on 224 pixels, from torchvision's own table."""
    space = v2.RandAugment._AUGMENTATION_SPACE
    theirs = {}
    for name, (magnitudes, signed) in space.items():
        values = magnitudes(31, 224, 224)
        theirs[name.lower()] = (0.0 if values is None else float(values[9]), signed)
    seen: dict[str, set[float]] = {}
    for seed in range(600):
        name, values = draw_rand_augment(9, 224, stateless_generator(seed))
        seen.setdefault(name.replace("_", ""), set()).add(values[0] if values else 0.0)
    assert set(seen) == set(theirs)
    for name, values in seen.items():
        value, signed = theirs[name]
        if name in ("brightness", "color", "contrast", "sharpness"):
            expected = {1 + value, 1 - value}
        elif name.startswith("translate"):
            expected = {float(int(value)), -float(int(value))}
        elif name == "solarize":
            expected = {255 * value}
        else:
            expected = {value, -value} if signed else {value}
        assert sorted(values) == pytest.approx(sorted(expected), rel=1e-5), name


def test_rand_augment_operations_are_equally_likely() -> None:
    names = [draw_rand_augment(9, 64, stateless_generator("draw", seed)).name for seed in range(2800)]
    counts = [names.count(name) for name in RAND_AUGMENT_OPERATIONS]
    assert sum((count - 200) ** 2 / 200 for count in counts) < 35  # chi-squared, 13 degrees, p = 0.001


def test_oass_pads_with_zero_after_normalisation() -> None:
    config = transform_preset("oass", 64, MEAN, STD, long_side=(256, 256))
    pixels = build_transform(config)(picture(200, 40), stateless_generator(1))
    empty = pixels.abs().amax(0) < 0.01
    assert empty.all(1).sum() == 64 - round(40 * 32 / 200)  # rows; 256 at 512 is 32 at 64
    assert empty.all(0).sum() == 64 - 32


def test_reduced_decoding_never_enlarges_more() -> None:
    assert build_transform(transform_preset("eval", 224)).minimum_size is None
    assert build_transform(transform_preset("psd", 224)).minimum_size == 224
    assert build_transform(transform_preset("mulcon_stage_one", 448)).minimum_size == 512
    assert build_transform(transform_preset("oass", 512)).minimum_size == 640


def test_transform_is_picklable_for_spawned_workers() -> None:
    transform = pickle.loads(pickle.dumps(build_transform(transform_preset("psd", 32))))
    assert transform(picture(), stateless_generator(0)).shape == (3, 32, 32)


def test_without_albumentations(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert choose_backend(TransformConfig()) == "torchvision"
    with pytest.raises(ValueError, match=r"pip install 'mlic_hf\[albumentations\]'"):
        build_transform(TransformConfig(backend="albumentations"))
    monkeypatch.undo()
    assert choose_backend(TransformConfig(kind="eval", backend="albumentations")) == "torchvision"


def test_core_import_stays_without_extras() -> None:
    code = (
        # older transformers bring scikit-learn themselves, where it is installed
        "import sys; from transformers import AutoModelForImageClassification; before = set(sys.modules);"
        "import mlic_hf.data; new = set(sys.modules) - before;"
        "bad = {'albumentations', 'cv2', 'datasets', 'matplotlib', 'sklearn'} & new;"
        "assert not bad, bad"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"kind": "test"}, "kind is 'test', but must be one of train, eval"),
        ({"backend": "cv2"}, "backend is 'cv2'"),
        ({"resize": "fit"}, "resize is 'fit'"),
        ({"interpolation": "wavy"}, "interpolation is 'wavy', but must be one of nearest, bilinear"),
        ({"scale": (0.5, 1.5)}, r"scale is \(0.5, 1.5\)"),
        ({"ratio": (2, 1)}, "ratio is"),
        ({"mean": (0.5,)}, "must be three numbers"),
        ({"std": (1.0, 0.0, 1.0)}, "must be positive"),
        ({"image_size": 0}, "image_size is 0"),
        ({"cutout": 1.5}, r"cutout is 1.5, but must lie in 0\.\.1"),
        ({"magnitude": 31}, r"magnitude is 31, but must lie in 0\.\.30"),
    ],
)
def test_bad_settings(fields: dict, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        TransformConfig(**fields)


def test_bad_use() -> None:
    with pytest.raises(ValueError, match="no transform preset 'asl'; the presets are eval, psd"):
        transform_preset("asl", 224)
    with pytest.raises(ValueError, match="needs a random generator"):
        build_transform(TransformConfig(image_size=8))(picture())
