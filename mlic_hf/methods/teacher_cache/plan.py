"""How large a cache will be, and what is left out where there is no room."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from mlic_hf.methods.teacher_cache.answers import CONTENTS, FIELD_OF, answers_of
from mlic_hf.methods.teacher_cache.encoding import LOGITS
from mlic_hf.methods.teacher_cache.look_alike import draws_of
from mlic_hf.methods.teacher_cache.manifest import Manifest, describe_images
from mlic_hf.methods.teacher_cache.shown import Shown
from mlic_hf.methods.teachers.protocol import Teacher, unanswered
from mlic_hf.methods.views import PixelSpec

BYTES = {"float32": 4, "float16": 2, "bfloat16": 2, "int8": 1}


def plan_cache(
    teacher: Teacher,
    images: Shown,
    source: PixelSpec,
    labels: Sequence[str],
    identity: Mapping[str, str],
    *,
    views: int = 1,
    contents: Sequence[str] = (LOGITS,),
    dtype: str = "float16",
    top_k: int | None = None,
    max_gb: float | None = None,
    device: torch.device | str = "cpu",
    images_per_shard: int = 1024,
) -> Manifest:
    """What a cache will hold; the teacher is asked about one image for the shapes.

    Args:
        teacher: who is asked.
        images: about what.
        source: size and normalisation of the pictures.
        labels: of the answers.
        identity: name and hash of the teacher.
        views: draws of each image.
        contents: of "logits", "label_embeddings", "class_maps", "pooled".
        dtype: of `Manifest`.
        top_k: of `Manifest`.
        max_gb: the most the cache may take, in GB (10^9 bytes); class maps are dropped first, then label
            embeddings, then pooled features.
        device: where the teacher runs.
        images_per_shard: images of a file.

    Raises:
        ValueError: for contents that do not exist or that the teacher does not give, draws that do not exist, or
            logits that do not fit.
    """
    if unknown := [name for name in contents if name not in CONTENTS]:
        raise ValueError(f"contents names {unknown[0]!r}; it is made of {', '.join(CONTENTS)}.")
    # every model has a feature map, which its `provides` does not name
    offered = [name for name, field in FIELD_OF.items() if field in teacher.provides | {"feature_map"}]
    if lacking := [name for name in contents if name not in (LOGITS, *offered)]:
        raise ValueError(f"The teacher gives no {lacking[0]}: it gives {', '.join([LOGITS, *offered])}.")
    draws = draws_of(images.sets[0], source)
    if draws["seed"] is None and views > 1:
        raise ValueError(f"The transform draws nothing, so all {views} views are the same: one (views=1) is all.")
    first = images[0, 0]["pixel_values"][None].to(device)
    shapes = {name: list(value.shape[1:]) for name, value in answers_of(teacher, first, source, contents).items()}
    common: Any = {"teacher": dict(identity), "labels": list(labels), **draws}
    common |= {"unanswered": unanswered(teacher, labels)}
    common |= {"views": views, "dtype": dtype, "top_k": top_k}
    of_images = describe_images(images.image_ids())
    dropped: list[str] = []
    while True:
        plan = Manifest(
            contents=shapes, images=of_images, images_per_shard=images_per_shard, dropped=list(dropped), **common
        )
        if max_gb is None or sum(sizes(plan).values()) <= max_gb * 1e9:
            return plan
        present = [name for name in FIELD_OF if name in shapes]
        if not present:
            fits = int(max_gb * 1e9 / sum(sizes(plan).values()) * views)
            raise ValueError(
                f"The logits alone take {sum(sizes(plan).values()) / 1e9:.3g} GB, more than max_gb {max_gb:g}: "
                + (f"{fits} views would fit, " if fits else "")
                + "or keep fewer bytes (dtype int8, top_k)."
            )
        dropped.append(present[0])
        del shapes[present[0]]


def sizes(manifest: Manifest) -> dict[str, int]:
    """Content -> bytes that it takes on disk, headers left out."""
    told = {}
    answers = manifest.images["count"] * (manifest.views or 1)
    for name, shape in manifest.contents.items():
        is_logits = name.partition(".")[0] == LOGITS
        numbers = manifest.top_k if is_logits and manifest.top_k else torch.Size(shape).numel()
        dtype = "float16" if manifest.dtype == "int8" and not is_logits else manifest.dtype
        each = numbers * BYTES[dtype]
        each += 8 if is_logits and dtype == "int8" else 0
        each += 4 * numbers + 4 if is_logits and manifest.top_k else 0
        told[name] = answers * each
    return told
