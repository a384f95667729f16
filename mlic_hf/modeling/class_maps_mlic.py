"""Class activation maps and what is read from them: key points, the cut in four, the merge, boxes (OASS).

Everything works on all (image, label) pairs at once. A coordinate pair is (row, column) in pixels of the image.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

REFERENCE_SIZE = 512  # the image size that OASS's 20 pixels belong to
MIN_DISTANCE = 20
# pixels of resized maps that are worked on at once, more pairs are taken in turns: on a CPU they should stay in
# its cache (four times faster than all at once), a GPU wants many
PIXELS_AT_ONCE_CPU, PIXELS_AT_ONCE = 1 << 20, 1 << 25
RULES = ("max", "cmax", "ctopk", "ctopk_w")


def class_activation_maps(class_maps: Tensor, eps: float = 1e-5) -> Tensor:
    """ReLU(ReLU(map) - eps) / (max of ReLU(map) + eps), for each image and class.

    Args:
        class_maps: (B, C, h, w) raw class maps.
        eps: OASS's 1e-5.

    Returns:
        (B, C, h, w) in [0, 1).
    """
    positive = class_maps.relu()
    return (positive - eps).relu() / (positive.amax(dim=(-2, -1), keepdim=True) + eps)


def key_points(
    cams: Tensor,
    targets: Tensor,
    image_size: int | tuple[int, int],
    rule: str = "ctopk_w",
    k: int = 5,
    min_distance: int | None = None,
    pairs: tuple[Tensor, Tensor] | None = None,
) -> Tensor:
    """A key point for each true label of each image, from its CAM resized bilinearly to the image.

    `max`: the maximum of the sum of the image's true labels' CAMs, the same
    point for each of them; `cmax`: the maximum of each label's own; `ctopk`: the mean place of its k highest local
    maxima; `ctopk_w`: their mean weighted by the response, each of the k terms cut to a whole pixel before the sum.
    Without a local maximum, or with a coordinate of 0, the image centre.

    Args:
        cams: (B, C, h, w) normalised class activation maps.
        targets: (B, C), positive where > 0.
        image_size: pixels, one number for a square or (height, width).
        rule: "max", "cmax", "ctopk" or "ctopk_w".
        k: how many local maxima.
        min_distance: pixels between local maxima and from the border; None scales OASS's 20 at 512.
        pairs: (images, labels) of the positive targets where they are listed already: to list them waits for a GPU.

    Returns:
        (B, C, 2) int64, -1 where the label is not positive.

    Raises:
        ValueError: for another rule.

    Source:
        OASS, key points of object-aware cropping.
    """
    if rule not in RULES:
        raise ValueError(f'rule is "{rule}"; expected one of {", ".join(RULES)}.')
    size = (image_size, image_size) if isinstance(image_size, int) else (image_size[0], image_size[1])
    images, labels = (targets > 0).nonzero(as_tuple=True) if pairs is None else pairs
    maps = cams.detach()
    maps = maps.float() if maps.dtype in (torch.float16, torch.bfloat16) else maps
    points = torch.full((*targets.shape, 2), -1, dtype=torch.long, device=cams.device)
    if rule == "max":
        # Differs: "merged" is not said how; a sum, for every CAM's maximum is near 1 and rounding would choose
        maps = (maps * (targets > 0)[:, :, None, None]).sum(dim=1, keepdim=True)
        labels_of_maps = torch.zeros_like(labels)
    else:
        labels_of_maps = labels
    at_once = PIXELS_AT_ONCE_CPU if cams.device.type == "cpu" else PIXELS_AT_ONCE
    turn = max(1, at_once // (size[0] * size[1]))
    for first in range(0, len(images), turn):
        pick = slice(first, first + turn)
        some = maps[images[pick], labels_of_maps[pick]]
        points[images[pick], labels[pick]] = _key_points(some, size, rule, k, min_distance)
    return points


def _key_points(maps: Tensor, size: tuple[int, int], rule: str, k: int, min_distance: int | None) -> Tensor:
    """(N, h, w) maps -> (N, 2) points."""
    centre = torch.tensor([size[0] // 2, size[1] // 2], device=maps.device)
    resized = F.interpolate(maps[:, None], size=size, mode="bilinear", align_corners=False)[:, 0]
    if rule in ("max", "cmax"):
        place = resized.flatten(1).argmax(dim=1)
        points = torch.stack([place // size[1], place % size[1]], dim=1)
    else:
        distance = scaled_min_distance(size) if min_distance is None else min_distance
        responses, coordinates = highest_local_maxima(resized, k, distance)
        found = responses > 0
        if rule == "ctopk_w":
            weights = responses / responses.sum(dim=1, keepdim=True).clamp(min=torch.finfo(maps.dtype).tiny)
        else:
            weights = found / found.sum(dim=1, keepdim=True).clamp(min=1)
        terms = coordinates * weights[:, :, None]
        points = terms.long().sum(dim=1) if rule == "ctopk_w" else (terms.sum(dim=1) + 1e-3).long()
    return torch.where((points == 0).any(dim=1, keepdim=True), centre, points)


def scaled_min_distance(size: tuple[int, int]) -> int:
    """OASS's 20 pixels at 512, for another image size."""
    return max(1, round(MIN_DISTANCE * min(size) / REFERENCE_SIZE))


def local_maxima(maps: Tensor, min_distance: int) -> Tensor:
    """Pixels equal to the maximum of their window, above the map's minimum and off the border.

    Args:
        maps: (N, H, W).
        min_distance: the window reaches this far to each side; border pixels closer than it never count.

    Returns:
        (N, H, W) bool. A plateau is marked whole; `highest_local_maxima` thins it.
    """
    inner = maps[:, min_distance:-min_distance, min_distance:-min_distance]
    out = torch.zeros_like(maps, dtype=torch.bool)
    if inner.numel() == 0:
        return out
    # the border never counts, so only windows that lie wholly inside the map are needed
    window = _window_maximum(_window_maximum(maps, 2 * min_distance + 1, 2), 2 * min_distance + 1, 1)
    peak = (inner == window) & (inner > maps.amin(dim=(1, 2), keepdim=True))
    out[:, min_distance:-min_distance, min_distance:-min_distance] = peak
    return out


def _window_maximum(maps: Tensor, width: int, dim: int) -> Tensor:
    """Sliding maximum of whole windows along one dimension, by doubling: log2(width) passes, not width."""
    reach = 1
    while 2 * reach <= width:
        length = maps.shape[dim] - reach
        maps = torch.maximum(maps.narrow(dim, 0, length), maps.narrow(dim, reach, length))
        reach *= 2
    rest = width - reach
    if rest:
        length = maps.shape[dim] - rest
        maps = torch.maximum(maps.narrow(dim, 0, length), maps.narrow(dim, rest, length))
    return maps


def highest_local_maxima(maps: Tensor, k: int, min_distance: int) -> tuple[Tensor, Tensor]:
    """The k highest local maxima of each map, no two of them closer than `min_distance`.

    Equal values are taken in reading order; a pixel of a plateau within the distance of one already taken is left
    out (as scikit-image's `peak_local_max` does).

    Args:
        maps: (N, H, W).
        k: how many.
        min_distance: pixels, along the larger of the two coordinate differences.

    Returns:
        responses (N, k), 0 where a map has fewer maxima; coordinates (N, k, 2) int64, (row, column).
    """
    count = len(maps)
    owner, row, column = local_maxima(maps, min_distance).nonzero(as_tuple=True)
    values = maps[owner, row, column]
    places = torch.stack([row, column], dim=1)
    listed = torch.arange(len(owner), device=maps.device)
    responses = maps.new_zeros(count, k)
    coordinates = torch.zeros(count, k, 2, dtype=torch.long, device=maps.device)
    if len(owner) == 0:
        return responses, coordinates
    for turn in range(k):
        highest = maps.new_zeros(count).scatter_reduce(0, owner, values, "amax")
        # of equal values the first in reading order, which is that of the list
        first = torch.where((values == highest[owner]) & (values > 0), listed, len(owner) - 1)
        chosen = torch.full_like(highest, len(owner) - 1, dtype=torch.long).scatter_reduce(0, owner, first, "amin")
        point = places[chosen]
        responses[:, turn] = highest
        coordinates[:, turn] = point * (highest > 0)[:, None]
        near = (places - point[owner]).abs().amax(dim=1) < max(1, min_distance)
        values = values.masked_fill(near, 0)
    return responses, coordinates


def cut_in_four(images: Tensor, owners: Tensor, points: Tensor, size: tuple[int, int] | None = None) -> Tensor:
    """Cut images in four at key points and resize each piece (nearest).

    Args:
        images: (B, 3, H, W).
        owners: (N,) the image of each cut.
        points: (N, 2) key points, (row, column).
        size: (height, width) of the resized pieces; None is half the image.

    Returns:
        (N, 4, 3, height, width): top left, top right, bottom left, bottom right.
    """
    height, width = images.shape[-2:]
    out_h, out_w = size or (height // 2, width // 2)
    rows = _half_indices(points[:, 0].clamp(1, height - 1), height, out_h)
    columns = _half_indices(points[:, 1].clamp(1, width - 1), width, out_w)
    # (N, halves, halves, h, w, 3) by one gather from channels-last pixels
    rows, columns = rows[:, :, None, :, None], columns[:, None, :, None, :]
    pieces = images.permute(0, 2, 3, 1)[owners[:, None, None, None, None], rows, columns]
    return pieces.permute(0, 1, 2, 5, 3, 4).flatten(1, 2)


def _half_indices(split: Tensor, length: int, out: int) -> Tensor:
    """(N,) splits -> (N, 2, out) source positions of the two halves resized to `out` (nearest)."""
    step = torch.arange(out, device=split.device, dtype=torch.float32)
    first, second = split[:, None], length - split[:, None]
    # float32 and floor: the arithmetic of torch's own nearest interpolation
    before = (step * (first.float() / out)).long().minimum(first - 1)
    after = (step * (second.float() / out)).long().minimum(second - 1) + first
    return torch.stack([before, after], dim=1)


def merge_four(pieces: Tensor, points: Tensor, stride: int, size: tuple[int, int]) -> Tensor:
    """Put the class maps of the four pieces back to their places, resized (nearest).

    Args:
        pieces: (N, 4, C, h, w) class maps, in the order of `cut_in_four`; differentiable.
        points: (N, 2) key points in pixels.
        stride: pixels of the image to a cell of the class map.
        size: (height, width) in cells of the whole image's class map.

    Returns:
        (N, C, height, width), split at floor(point / stride) clamped to [1, cells - 1].
    """
    count, _, channels, height, width = pieces.shape
    rows = _merge_indices(points[:, 0], stride, size[0], height)
    columns = _merge_indices(points[:, 1], stride, size[1], width)
    # the four maps as one mosaic, from which every cell of the result is one cell
    mosaic = pieces.view(count, 2, 2, channels, height, width).permute(0, 3, 1, 4, 2, 5)
    mosaic = mosaic.reshape(count, channels, 2 * height, 2 * width)
    rows = rows[:, None, :, None].expand(-1, channels, -1, 2 * width)
    columns = columns[:, None, None, :].expand(-1, channels, size[0], -1)
    return mosaic.gather(2, rows).gather(3, columns)


def _merge_indices(point: Tensor, stride: int, cells: int, piece: int) -> Tensor:
    """(N, cells) positions in a mosaic of two pieces side by side."""
    split = (point // stride).clamp(1, cells - 1)[:, None]
    cell = torch.arange(cells, device=point.device)[None]
    before = (cell.float() * (piece / split.float())).long().clamp(0, piece - 1)
    after = ((cell - split).float() * (piece / (cells - split).float())).long().clamp(0, piece - 1) + piece
    return torch.where(cell < split, before, after)


def boxes(cams: Tensor, image_size: int | tuple[int, int], threshold: float = 0.4) -> Tensor:
    """A box for each image and class: around the cells connected to the peak that reach a share of it.

    Args:
        cams: (B, C, h, w) normalised class activation maps.
        image_size: pixels, one number for a square or (height, width).
        threshold: share of the CAM's maximum that a cell must reach.

    Returns:
        (B, C, 4) float32 pixels (left, top, right, bottom); all 0 where the CAM is empty.

    Raises:
        ValueError: when the threshold is not in (0, 1].
    """
    if not 0 < threshold <= 1:
        raise ValueError(f"threshold is {threshold}; it is a share of the maximum and must lie in (0, 1].")
    size = (image_size, image_size) if isinstance(image_size, int) else (image_size[0], image_size[1])
    height, width = cams.shape[-2:]
    peak = cams.amax(dim=(-2, -1), keepdim=True)
    area = (cams >= threshold * peak) & (peak > 0)
    seed = torch.zeros_like(area).flatten(2)
    seed.scatter_(2, cams.flatten(2).argmax(dim=2, keepdim=True), True)
    reached = _flood(seed.view_as(area) & area, area)
    left, right = _extent(reached.any(dim=-2))
    top, bottom = _extent(reached.any(dim=-1))
    cells = torch.stack([left, top, right, bottom], dim=-1).float()
    pixels = torch.tensor([size[1] / width, size[0] / height, size[1] / width, size[0] / height], device=cams.device)
    return cells * pixels * reached.flatten(2).any(dim=2, keepdim=True)


def _flood(reached: Tensor, area: Tensor) -> Tensor:
    """Grow to the eight neighbours inside the area until nothing changes."""
    while True:
        grown = F.max_pool2d(reached.float(), 3, stride=1, padding=1).bool() & area
        if torch.equal(grown, reached):
            return reached
        reached = grown


def _extent(line: Tensor) -> tuple[Tensor, Tensor]:
    """First true position and one past the last, along the last dimension."""
    length = line.shape[-1]
    return line.int().argmax(dim=-1), length - line.flip(-1).int().argmax(dim=-1)
