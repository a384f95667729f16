"""Which original a checkpoint comes from, told by its keys, and how its keys part into backbone and head."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

State = Mapping[str, Tensor]
IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
PLAIN = ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))


@dataclass(frozen=True)
class Origin:
    """One kind of original checkpoint.

    Args:
        name: what users call it.
        method: the method key.
        head: the architecture of its head (`linear`, `ml_decoder`, ...); `mlic_<head>` is the model type.
        marker: a key pattern that only this kind has.
        backbone: what comes before the backbone's keys.
        orders: number of labels -> the order of their names.
        image_size: side of the square it was tested at, in pixels.
        pixels: mean and standard deviation of its normalisation.
        config: further fields of the config.
    """

    name: str
    method: str
    head: str
    marker: str
    backbone: str
    orders: Mapping[int, str] = field(default_factory=dict)
    image_size: int = 448
    pixels: tuple[tuple[float, ...], tuple[float, ...]] = PLAIN
    config: Mapping[str, Any] = field(default_factory=dict)


ALPHABETICAL = {80: "coco_alphabetical", 81: "nus_wide", 20: "voc"}
BY_ID = {80: "coco_by_id", 81: "nus_wide", 20: "voc"}
ORIGINS = (
    Origin("PSD, pool and linear", "psd", "linear", r"classify\.weight$", "features.", ALPHABETICAL),
    Origin("PSD, TResNet", "psd", "linear", r"head\.fc\.weight$", "body.", ALPHABETICAL),
    Origin("PSD, label transformer", "psd", "label_transformer", r"label_emb\.0\.weight$", "features.",
           ALPHABETICAL),
    Origin("PSD, Query2Label", "psd", "query2label", r"fc\.W$", "backbone.0.body.", ALPHABETICAL),
    Origin("L2D, ML-Decoder", "l2d", "ml_decoder", r"\w+\.decoder\.duplicate_pooling$", "", ALPHABETICAL,
           image_size=224),
    Origin("MulCon", "mulcon", "mulcon", r"A/I$", "E/", ALPHABETICAL, pixels=IMAGENET),
    Origin("CoCo", "co_occurrence", "co_occurrence", r"encoder\.fc1_w\.weight$", "backbone.", BY_ID,
           pixels=IMAGENET),
    Origin("OASS", "oass", "linear", r"classifier\.weight$", "model.", {20: "voc"}, 512, IMAGENET,
           config={"output_stride": 16, "class_maps_first": True, "freeze_batch_norm": True}),
)  # fmt: skip


def find_origin(state: State) -> Origin:
    """The original that a state's keys belong to.

    Raises:
        ValueError: when no kind or more than one kind is recognised; the sentence says what was looked for.
    """
    found = [origin for origin in ORIGINS if any(re.match(origin.marker, key) for key in state)]
    if len(found) == 1:
        return found[0]
    if found:
        marked = "; ".join(f"{origin.name} by {marker_key(state, origin)}" for origin in found)
        raise ValueError(
            f"The checkpoint mixes keys of {len(found)} kinds of original ({marked}). Missing: none. "
            "Unexpected: the keys of all but one of them; keep those of one model."
        )
    known = "; ".join(f"{origin.name}: {plain_marker(origin)}" for origin in ORIGINS)
    keys = list(state)
    shown = ", ".join([*keys[:4], "...", *keys[-4:]] if len(keys) > 8 else keys)
    raise ValueError(
        f"The checkpoint is of no known original. Missing: one of the keys that tell them apart ({known}). "
        f"Unexpected: its {len(state)} keys, {shown}."
    )


def marker_key(state: State, origin: Origin) -> str:
    return next(key for key in state if re.match(origin.marker, key))


def plain_marker(origin: Origin) -> str:
    return origin.marker.replace("\\", "").replace("w+", "*").rstrip("$")


def part_keys(state: State, origin: Origin) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """The backbone's keys without their prefix (TResNet's keep theirs), and the head's keys.

    Args:
        state: key -> tensor, without wrappers.
        origin: what `find_origin` gave.
    """
    if origin.name == "OASS":
        return part_shared_stages(state)
    if origin.head == "ml_decoder":
        head_prefix = marker_key(state, origin).split("decoder.")[0]
        head = {key.removeprefix(head_prefix): t for key, t in state.items() if key.startswith(head_prefix)}
        return {key: t for key, t in state.items() if not key.startswith(head_prefix)}, head
    backbone = {key: tensor for key, tensor in state.items() if key.startswith(origin.backbone)}
    head = {key: tensor for key, tensor in state.items() if key not in backbone}
    if origin.backbone == "body.":
        return backbone, head
    return {key.removeprefix(origin.backbone): tensor for key, tensor in backbone.items()}, head


def part_shared_stages(state: State) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """OASS stores its backbone twice, as `model.*` and as `stage1` to `stage5`, which are the same modules.

    The stages are what a loader reads last, so they win.
    """
    backbone = {key.removeprefix("model."): t for key, t in state.items() if key.startswith("model.")}
    head: dict[str, Tensor] = {}
    stems = {"0": "conv1", "1": "bn1"}
    for key, tensor in state.items():
        if match := re.match(r"stage1\.([01])\.(.+)", key):
            backbone[f"{stems[match[1]]}.{match[2]}"] = tensor
        elif match := re.match(r"stage([2-5])\.0\.(.+)", key):
            backbone[f"layer{int(match[1]) - 1}.{match[2]}"] = tensor
        elif not key.startswith("model."):
            head[key] = tensor
    return backbone, head
