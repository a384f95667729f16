"""Whether a student is shown the pictures that the teacher was shown: what is told of them, and a look at some."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from mlic_hf.data import MultiLabelDataset, describe_transform
from mlic_hf.methods.teacher_cache.manifest import Manifest
from mlic_hf.methods.teacher_cache.shards import THUMBNAIL, read_shard
from mlic_hf.methods.views import PixelSpec

LOOKS = 4
#: decoders of different machines differ by a level or two of 255; another crop, colour or box by much more
TOLERANCE = 0.02


def thumbnail(pixels: Tensor, source: PixelSpec) -> Tensor:
    """(3, 4, 4) means of a picture (3, H, W) in [0, 1], whatever normalisation it has."""
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (source.mean, source.std))
    return F.adaptive_avg_pool2d(pixels.float() * std + mean, 4)


def draws_of(images: MultiLabelDataset, source: PixelSpec) -> dict[str, Any]:
    """`transform` and `seed` of a data set's pictures, as a manifest has them; no seed where nothing is drawn."""
    config = getattr(images.transform, "config", None)
    return {
        "transform": {"image_size": source.image_size, **describe_transform(images.transform)},
        "seed": None if config is not None and config.deterministic else images.seed,
    }


def refuse_other_draws(images: MultiLabelDataset, source: PixelSpec, manifest: Manifest, folder: Path) -> None:
    """Refuse a data set whose pictures are normalised, transformed or drawn otherwise than the teacher's were.

    Raises:
        ValueError: naming what differs.
    """
    config = getattr(images.transform, "config", None)
    if config is not None and (tuple(config.mean), tuple(config.std)) != (tuple(source.mean), tuple(source.std)):
        raise ValueError(
            f"The training images are normalised with mean {tuple(config.mean)} and std {tuple(config.std)}, but the "
            f"student wants {source.mean} and {source.std}, and so its teacher would have been shown other pictures."
        )
    own = draws_of(images, source)
    if own["transform"] != manifest.transform:
        was, now = dict(manifest.transform or {}), own["transform"]
        names = sorted(name for name in {*was, *now} if was.get(name) != now.get(name))
        told = ", ".join(f"{name} was {was.get(name)!r} and is {now.get(name)!r} here" for name in names)
        raise ValueError(
            f"The teacher cache {folder} was made of images under another transform: {told}. Use that transform, or "
            "make a cache of this one."
        )
    if own["seed"] != manifest.seed:
        raise ValueError(
            f"The teacher cache {folder} was made of draws from the seed {manifest.seed}, and here it is "
            f"{own['seed']}: set data_seed to {manifest.seed} (the model's own seed may differ), or make a cache of "
            "these draws."
        )


def refuse_other_pictures(
    images: MultiLabelDataset, source: PixelSpec, manifest: Manifest, folder: Path, image_ids: list[str]
) -> None:
    """Draw some pictures and hold them against what the teacher saw under their ids.

    Args:
        images: the data set.
        source: the normalisation of its pictures.
        manifest: of the cache.
        folder: of the cache.
        image_ids: those of the cache, in its order.

    Raises:
        ValueError: naming an image that looks different.
    """
    place = {image_id: index for index, image_id in enumerate(images.image_ids())}
    shown = [(view, first) for view, first in manifest.shards if image_ids[first] in place]
    for view, first in shown[:: max(1, len(shown) // LOOKS)][:LOOKS]:
        seen = read_shard(folder, manifest, view, first)[THUMBNAIL]
        own = thumbnail(images.shown(place[image_ids[first]], view)["pixel_values"], source)
        if (own - seen).abs().max() > TOLERANCE:
            raise ValueError(
                f"The image {image_ids[first]!r} looks different here (by {(own - seen).abs().max():.2f} of the range "
                f"from black to white) from what the teacher saw when {folder} was made: other pictures under the "
                "same ids, or another transform. Make the cache anew."
            )
