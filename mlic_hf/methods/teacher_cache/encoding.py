"""Logits in fewer bytes: half precision, 8 bits, or the k largest and one number for the rest."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from mlic_hf.methods.teacher_cache.manifest import Manifest

LOGITS = "logits"
LEVELS = 255


def encode(answers: Mapping[str, Tensor], manifest: Manifest) -> dict[str, Tensor]:
    """Answers of some images as the tensors of a shard.

    Args:
        answers: content -> (n, ...), float.
        manifest: says how they are kept.

    Raises:
        ValueError: if a number cannot be kept so.
    """
    kept: dict[str, Tensor] = {}
    for name, values in answers.items():
        if name.partition(".")[0] == LOGITS:
            kept |= {name + suffix: tensor for suffix, tensor in encode_logits(values, manifest).items()}
        else:
            kept[name] = narrowed(values, "float16" if manifest.dtype == "int8" else manifest.dtype, name)
    return kept


def decode(kept: Mapping[str, Tensor], name: str, manifest: Manifest) -> Tensor:
    """The float32 answers (n, ...) of one content from the tensors that `encode` made of it."""
    if name.partition(".")[0] != LOGITS:
        return kept[name].float()
    values = kept[name].float()
    if manifest.dtype == "int8":
        values = kept[f"{name}.low"][:, None] + values * kept[f"{name}.step"][:, None]
    if manifest.top_k is None:
        return values
    rest = kept[f"{name}.rest"][:, None].expand(-1, len(manifest.labels))
    return rest.scatter(1, kept[f"{name}.places"].long(), values)


def encode_logits(logits: Tensor, manifest: Manifest) -> dict[str, Tensor]:
    """Suffix -> tensor for logits (n, C).

    With 8 bits an image's logits lie on 256 even steps from its smallest to its largest: they are off by half a step
    at most. With top_k the largest keep their value, and the others share the logit of their mean probability, so that
    the expected number of labels of an image stays what the teacher said.
    """
    kept: dict[str, Tensor] = {}
    if manifest.top_k is not None:
        refuse_unknown(logits, "top_k")
        largest, places = logits.topk(manifest.top_k, dim=1)
        others = torch.ones_like(logits, dtype=torch.bool).scatter_(1, places, False)
        kept[".places"] = places.int()
        kept[".rest"] = (logits.double().sigmoid() * others).sum(1).div(others.sum(1)).logit(eps=1e-12).float()
        logits = largest
    if manifest.dtype == "int8":
        refuse_unknown(logits, "dtype int8")
        low, high = logits.float().aminmax(dim=1)
        step = (high - low).clamp_min(1e-12) / LEVELS
        levels = ((logits.float() - low[:, None]) / step[:, None]).round().clamp(0, LEVELS)
        return kept | {"": levels.to(torch.uint8), ".low": low, ".step": step}
    return kept | {"": narrowed(logits, manifest.dtype, LOGITS)}


def narrowed(values: Tensor, dtype: str, name: str) -> Tensor:
    """Values in a number format.

    Raises:
        ValueError: if a finite one would become infinite.
    """
    found = values.to(getattr(torch, dtype))
    if (found.isinf() & values.isfinite()).any():
        raise ValueError(
            f"An answer of the teacher ({name}) is {values.abs().max():.3g}, beyond the range of {dtype}: keep "
            "bfloat16 or float32."
        )
    return found


def refuse_unknown(logits: Tensor, setting: str) -> None:
    """Refuse logits of which some are unknown.

    Raises:
        ValueError: naming the setting that has no place for them.
    """
    if not logits.isfinite().all():
        raise ValueError(f"Some logits are unknown or infinite, which {setting} has no place for: leave it out.")
