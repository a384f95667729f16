"""Every operation of the albumentations backend against the Pillow one, and Pillow's against torchvision's."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms import v2

from mlic_hf.data import build_transform, stateless_generator, transform_preset
from mlic_hf.data.drawn_operations import RAND_AUGMENT_OPERATIONS, Operation, draw_operations
from mlic_hf.data.pillow_operations import OPERATIONS as PILLOW
from mlic_hf.data.pillow_operations import apply_with_pillow
from tests.data.pictures import picture

fast = pytest.importorskip("mlic_hf.data.albumentations_operations")

# operation, values, greatest difference in levels, greatest share of pixels that differ
CASES = [
    ("hflip", (), 0, 0),
    ("crop", (3, 5, 40, 30), 0, 0),
    ("cutout", (10, 20, 50, 41, 1, 2, 3), 0, 0),
    ("place", (-10, 30, 130, 50), 0, 0),
    ("place", (7, -20, 50, 130), 0, 0),
    ("identity", (), 0, 0),
    ("shear_x", (0.09,), 0, 0),
    ("shear_x", (-0.23,), 255, 0.08),  # ties between two pixels go either way
    ("shear_y", (0.11,), 255, 0.02),
    ("translate_x", (17,), 0, 0),
    ("translate_y", (-20,), 0, 0),
    ("rotate", (9.0,), 255, 0.01),
    ("rotate", (-27.0,), 255, 0.01),
    *((name, (factor,), 0, 0) for name in ("brightness", "contrast") for factor in (0.1, 0.73, 1.27, 1.9)),
    *((name, (factor,), 2, 1) for name in ("color", "sharpness") for factor in (0.1, 0.73, 1.27, 1.9)),
    *(("posterize", (bits,), 0, 0) for bits in (4, 7, 8)),
    *(("solarize", (threshold,), 0, 0) for threshold in (0.0, 178.5, 255.0)),
    ("auto_contrast", (), 0, 0),
    ("equalize", (), 0, 0),
]


@pytest.mark.parametrize(("name", "values", "level", "share"), CASES)
def test_operation_by_operation(name: str, values: tuple, level: int, share: float) -> None:
    image = picture(96, 80, seed=3)
    operation = [Operation(name, values)]
    slow = np.asarray(apply_with_pillow(image, operation, (9, 8, 7)), int)
    quick = fast.apply_with_albumentations(np.asarray(image), operation, (9, 8, 7)).astype(int)
    assert slow.shape == quick.shape
    difference = np.abs(slow - quick)
    assert difference.max() <= level
    assert (difference.max(-1) > 0).mean() <= share


def test_every_operation_is_compared() -> None:
    assert set(PILLOW) == set(fast.OPERATIONS)
    assert {name for name, *_ in CASES} | {"resize"} == set(PILLOW) | {"place"}
    assert set(RAND_AUGMENT_OPERATIONS) < set(PILLOW)


@pytest.mark.parametrize("size", [(224, 224), (100, 90), (300, 300), (400, 300), (600, 100), (31, 31)])
def test_resize_is_antialiased_alike(size: tuple[int, int]) -> None:
    image = picture(500, 375, seed=1)
    noisy = np.asarray(image, int) + np.random.default_rng(0).normal(0, 10, (375, 500, 3))
    image = Image.fromarray(noisy.clip(0, 255).astype(np.uint8))
    operation = [Operation("resize", size)]
    slow = np.asarray(apply_with_pillow(image, operation, (0, 0, 0)), int)
    quick = fast.apply_with_albumentations(np.array(image), operation, (0, 0, 0)).astype(int)
    assert np.abs(slow - quick).max() <= 2
    # grain shows what is not smoothed: plain bilinear differs by 1.5 to 6 levels here
    assert np.abs(slow - quick).mean() < 0.3
    part = fast.apply_with_albumentations(np.array(image)[20:, 30:], operation, (0, 0, 0)).astype(int)
    assert np.abs(np.asarray(image.crop((30, 20, 500, 375)).resize(size, Image.Resampling.BILINEAR)) - part).max() <= 2


@pytest.mark.parametrize("extreme", [0, 255])
def test_flat_images_survive_every_operation(extreme: int) -> None:
    flat = np.full((20, 20, 3), extreme, np.uint8)
    for name, values in [(name, values) for name, values, *_ in CASES if name not in ("crop", "cutout")]:
        slow = apply_with_pillow(Image.fromarray(flat), [Operation(name, values)], (0, 0, 0))
        quick = fast.apply_with_albumentations(flat, [Operation(name, values)], (0, 0, 0))
        assert np.abs(np.asarray(slow, int) - quick).max() <= 1, name


@pytest.mark.parametrize("name", [name for name in RAND_AUGMENT_OPERATIONS if name != "identity"])
def test_pillow_operation_is_torchvisions_rand_augment(name: str) -> None:
    """torchvision's own application of the operation, with the same value."""
    values = {"posterize": (6,), "solarize": (100.0,), "auto_contrast": (), "equalize": ()}.get(name)
    if values is None:
        values = (
            (0.2,) if "shear" in name else (11,) if "translate" in name else (12.0,) if name == "rotate" else (1.3,)
        )
    image = picture(64, 48)
    theirs = v2.RandAugment()
    title = name.title().replace("_", "").replace("Autocontrast", "AutoContrast")
    magnitude = values[0] if values else 0.0
    if name in ("brightness", "color", "contrast", "sharpness"):
        magnitude -= 1
    if name == "solarize":
        magnitude /= 255
    expected = theirs._apply_image_or_video_transform(image, title, magnitude, theirs.interpolation, theirs._fill)
    assert np.array_equal(np.asarray(PILLOW[name](image, *values)), np.asarray(expected))


@pytest.mark.parametrize("preset", ["psd", "co_occurrence", "mulcon_stage_one", "oass"])
def test_whole_pipelines_agree(preset: str) -> None:
    image = picture(150, 110, seed=2)
    slow, quick = (
        build_transform(transform_preset(preset, 64, backend=backend)) for backend in ("torchvision", "albumentations")
    )
    differences = []
    for seed in range(30):
        names = {op.name for op in draw_operations(slow.config, 150, 110, stateless_generator(seed))}
        if names & {"equalize", "solarize", "auto_contrast", "sharpness", "posterize"}:
            continue  # these turn one level of the resize into many
        a, b = (transform(image, stateless_generator(seed)) for transform in (slow, quick))
        differences.append((a - b).abs().mean())
    assert len(differences) >= 8
    assert torch.stack(differences).max() < 2.5 / 255
