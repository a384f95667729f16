"""A data set's images as the feature maps of a frozen backbone, computed once: heads then train in minutes."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from mlic_hf.data.collate import collate
from mlic_hf.data.multi_label_dataset import MultiLabelDataset
from mlic_hf.data.view_of_epoch import view_of_epoch

IMAGES = "images.json"


class FeatureMaps(Dataset):
    """What a frozen backbone makes of a data set's images, V draws of each, kept as `view_<v>.npy` in a folder.

    Epoch e shows view e mod V, which is drawn as the images of epoch e mod V are: with a view for every epoch a head
    sees what it would see behind the backbone itself, to the rounding of float16.

    Args:
        images: the data set, for its ids and labels; its pictures are not read.
        folder: what `compute_feature_maps` wrote for these images.
        views: how many views are used.
        pairs: examples have a `second_view` as well: another view, so a draw of its own; from one turn of the views
            to the next it is a different one.

    Raises:
        FileNotFoundError: if a view is missing.
        ValueError: if the folder is that of other images, or pairs are to be made of one view.
    """

    def __init__(self, images: MultiLabelDataset, folder: Path, views: int, pairs: bool = False) -> None:
        if pairs and views < 2:
            raise ValueError(
                f"A second view of an image is another of its draws, but views is {views}: keep 2 or more."
            )
        missing = [view for view in range(views) if not view_file(folder, view).is_file()]
        if missing:
            raise FileNotFoundError(f"{folder} lacks the feature maps of view {missing[0]}; compute them first.")
        found = [(str(row["image_id"]), images.targets(row, str(row["image_id"]))) for row in images.rows]
        self.image_ids = [image_id for image_id, _ in found]
        self.labels = torch.stack([labels for _, labels in found])
        kept = json.loads((folder / IMAGES).read_text(encoding="utf-8"))
        if kept != self.image_ids:
            raise ValueError(
                f"{folder} holds the feature maps of other images: {len(kept)}, and here are {len(self.image_ids)}, "
                "or in another order. Choose another folder."
            )
        self.maps = [np.load(view_file(folder, view), mmap_mode="r") for view in range(views)]
        self.pairs = pairs
        self._epoch = torch.zeros((), dtype=torch.int64).share_memory_()

    def set_epoch(self, epoch: int) -> None:
        """Show the view of this epoch from now on, in running workers too."""
        self._epoch.fill_(int(epoch))

    def __len__(self) -> int:
        return len(self.image_ids)

    def __getitem__(self, index: int) -> dict[str, Any]:
        """One example: feature_map (D, h, w), labels (labels,), image_id and view; second_view of pairs."""
        place, views, epoch = int(index), len(self.maps), int(self._epoch)
        view = view_of_epoch(epoch, views)
        example: dict[str, Any] = {"feature_map": self._map(view, place), "labels": self.labels[place]}
        example |= {"image_id": self.image_ids[place], "view": view}
        if self.pairs:
            other = (view + 1 + epoch // views % (views - 1)) % views
            example["second_view"] = self._map(other, place)
        return example

    def _map(self, view: int, place: int) -> Tensor:
        return torch.from_numpy(self.maps[view][place].astype(np.float32))


def compute_feature_maps(
    images: MultiLabelDataset,
    backbone: Callable[[Tensor], Tensor],
    folder: Path,
    views: int = 1,
    batch_size: int = 128,
    num_workers: int = 0,
) -> FeatureMaps:
    """Compute the views that a folder does not hold yet; a broken computation goes on with the view it was at.

    Args:
        images: with the transform whose draws the views are.
        backbone: (B, 3, H, W) to (B, D, h, w), without gradient and without random draws.
        folder: of these images, this transform and this backbone alone.
        views: draws of each image; one is enough without augmentation.
        batch_size: images at once.
        num_workers: processes that load images.

    Raises:
        ValueError: if the disk is too small, or a value leaves the range of float16.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for view in range(views):
        if view_file(folder, view).is_file():
            continue
        images.set_epoch(view)
        loader = DataLoader(images, batch_size, collate_fn=collate, num_workers=num_workers)
        unfinished = folder / f"view_{view}.unfinished"
        image_ids: list[str] = []
        maps: np.ndarray | None = None
        for batch in loader:
            found = backbone(batch["pixel_values"]).to(torch.float16).cpu().numpy()
            if not np.isfinite(found).all():
                raise ValueError(f"A feature map of {batch['image_id'][0]!r} or a neighbour is too large for float16.")
            if maps is None:
                shape = (len(images), *found.shape[1:])
                check_space(folder, shape, views - view)
                maps = np.lib.format.open_memmap(unfinished, "w+", np.float16, shape)
            maps[len(image_ids) : len(image_ids) + len(found)] = found
            image_ids += batch["image_id"]
        assert maps is not None, "the data set has no image"
        maps.flush()
        (folder / IMAGES).write_text(json.dumps(image_ids) + "\n", encoding="utf-8")
        unfinished.replace(view_file(folder, view))
    return FeatureMaps(images, folder, views)


def view_file(folder: Path, view: int) -> Path:
    """Where a view lies once it is whole."""
    return folder / f"view_{view}.npy"


def check_space(folder: Path, shape: Sequence[int], views: int) -> None:
    """Refuse to begin what the disk cannot hold.

    Raises:
        ValueError: telling what is needed and what is free.
    """
    needed, free = views * math.prod(shape) * 2, shutil.disk_usage(folder).free
    if needed > free:
        raise ValueError(
            f"{views} views of {shape[0]} feature maps of {'x'.join(map(str, shape[1:]))} numbers take "
            f"{needed / 1e9:.1f} GB, but {folder} has {free / 1e9:.1f} GB free: take fewer views or another folder."
        )
