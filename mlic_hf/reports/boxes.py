"""Draws the boxes and key points of the labels that were found in a picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from PIL import Image, ImageDraw, ImageFont

#: colours that stay apart for colour-blind readers (Okabe and Ito), dark enough to carry white text
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#6A51A3", "#8C6D31", "#B22222", "#2F4F4F")


def draw_boxes(picture: Image.Image, found: Sequence[Mapping[str, Any]], image_size: int) -> Image.Image:
    """A copy of a picture with a box, a key point and a name for each label.

    Args:
        picture: as it was given to the model's image processor, of any size and mode.
        found: what `model.localize` gave for it: "label", "score", "key_point" (x, y) and "box" (left, top, right,
            bottom), in pixels of the model's square input.
        image_size: side of that input in pixels.

    Returns:
        An RGB picture of the same size.
    """
    drawn = picture.convert("RGB").copy()
    pen = ImageDraw.Draw(drawn)
    across, down = drawn.width / image_size, drawn.height / image_size
    line = max(1, round(min(drawn.size) / 150))
    font = ImageFont.load_default(size=max(10, min(drawn.size) // 25))
    for number, entry in enumerate(found):
        colour = COLOURS[number % len(COLOURS)]
        left, top, right, bottom = entry["box"]
        # The last row and column of a box are inside it.
        corners = (left * across, top * down, max(left * across, right * across - 1), max(top, bottom) * down - 1)
        pen.rectangle((*corners[:3], max(corners[1], corners[3])), outline=colour, width=line)
        _draw_point(pen, ((entry["key_point"][0] + 0.5) * across, (entry["key_point"][1] + 0.5) * down), line, colour)
        _draw_name(pen, f"{entry['label']} {entry['score']:.2f}", (corners[0], corners[1]), colour, font, drawn.size)
    return drawn


def _draw_point(pen: ImageDraw.ImageDraw, place: tuple[float, float], line: int, colour: str) -> None:
    x, y = place
    for radius, shade in ((3 * line, "white"), (2 * line, colour)):
        pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=shade)


def _draw_name(
    pen: ImageDraw.ImageDraw, text: str, place: tuple[float, float], colour: str, font: Any, size: tuple[int, int]
) -> None:
    """White on the box's colour, above the box's corner where there is room, always inside the picture."""
    left, top, right, bottom = pen.textbbox((0, 0), text, font=font)
    width, height = right - left + 4, bottom - top + 4
    x = max(0, min(place[0], size[0] - width))
    y = place[1] - height if place[1] >= height else min(place[1], max(0, size[1] - height))
    pen.rectangle((x, y, x + width, y + height), fill=colour)
    pen.text((x + 2 - left, y + 2 - top), text, fill="white", font=font)
