"""The picture of key points and boxes."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageColor

from mlic_hf.reports.boxes import COLOURS, draw_boxes

ENTRY = {"label": "cat", "score": 0.8, "key_point": (32, 48), "box": (16, 32, 56, 64)}


def test_box_and_point_are_scaled_to_the_picture() -> None:
    grey = Image.new("RGB", (640, 320), (128, 128, 128))
    drawn = np.asarray(draw_boxes(grey, [ENTRY], 64))
    colour = ImageColor.getrgb(COLOURS[0])
    assert drawn.shape == (320, 640, 3)
    assert tuple(drawn[250, 160]) == colour  # left edge: 16 / 64 of 640
    assert tuple(drawn[319, 300]) == colour  # bottom edge is inside
    assert tuple(drawn[242, 325]) == colour  # the point: 32.5 / 64 of 640, 48.5 / 64 of 320
    assert tuple(drawn[200, 600]) == (128, 128, 128)
    assert np.asarray(grey).min() == 128, "the given picture is not changed"


def test_labels_have_their_own_colours_and_no_label_draws_nothing() -> None:
    picture = Image.new("L", (64, 64), 128)
    nothing = np.asarray(draw_boxes(picture, [], 64))
    assert (nothing == 128).all()
    two = [ENTRY, {**ENTRY, "label": "dog", "box": (0, 0, 10, 10), "key_point": (5, 5)}]
    shades = {tuple(pixel) for pixel in np.asarray(draw_boxes(picture, two, 64)).reshape(-1, 3)}
    assert {ImageColor.getrgb(colour) for colour in COLOURS[:2]} <= shades


@pytest.mark.parametrize("box", [(0, 0, 0, 0), (63, 63, 64, 64), (0, 0, 64, 64)])
@pytest.mark.parametrize("size", [(8, 8), (30, 200)])
def test_any_box_can_be_drawn_on_any_picture(box: tuple[int, ...], size: tuple[int, int]) -> None:
    assert draw_boxes(Image.new("RGBA", size), [{**ENTRY, "box": box}], 64).size == size
