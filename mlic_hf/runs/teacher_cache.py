"""Ask a run's teacher once: from the settings of the run to a cache that teaches in the teacher's place."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from accelerate import PartialState

from mlic_hf.data import WithUnlabelled
from mlic_hf.methods.psd.part_teachers import load_part_teachers
from mlic_hf.methods.teacher_cache import (
    CachedTeacher,
    Manifest,
    Shown,
    begin_cache,
    fill_cache,
    keep_answers,
    load_manifest,
    missing_shards,
    plan_cache,
    sizes,
    teacher_hash,
)
from mlic_hf.methods.teachers import Teacher, as_teacher
from mlic_hf.methods.views import PixelSpec
from mlic_hf.runs.data import Data, load_data, training_set, with_unlabelled
from mlic_hf.runs.fit import sole_writer
from mlic_hf.runs.models import build_model
from mlic_hf.runs.settings import Settings
from mlic_hf.runs.teachers import teacher_options


@dataclass(frozen=True)
class Wish:
    """What of the teacher's answers is kept, and how.

    Attributes:
        views: draws of each image; None for one an epoch of the run.
        contents: of "logits", "label_embeddings", "class_maps", "pooled".
        dtype: float32, float16, bfloat16 or int8.
        top_k: how many logits of an image are kept; None for all.
        max_gb: the most the cache may take; None for no limit.
        dry_run: tell the size and write nothing.
    """

    views: int | None = 1
    contents: Sequence[str] = ("logits",)
    dtype: str = "float16"
    top_k: int | None = None
    max_gb: float | None = None
    dry_run: bool = False


def make_cache(settings: Settings, wish: Wish) -> Manifest:
    """Compute what is missing of a cache in the `output_dir` of the settings; says what it takes and does.

    Args:
        settings: of the run that shall be taught, with its teacher or teachers: the same transform, image size and
            seed of the draws hold there.
        wish: what is kept.

    Returns:
        What the cache holds (or would hold).

    Raises:
        ValueError: without a teacher, for a wish it cannot fulfil, or a folder that holds something else.
    """
    run, args, group = settings.run, settings.training, PartialState()
    data = load_data(run)
    teacher, told = load_teacher(settings, data)
    source = drawn_pixels(settings, data, teacher)
    images = taught_images(settings, data, source)
    views = int(args.num_train_epochs) if wish.views is None else wish.views
    plan = plan_cache(
        teacher,
        images,
        source,
        data.labels.names,
        told,
        views=views,
        contents=wish.contents,
        dtype=wish.dtype,
        top_k=wish.top_k,
        max_gb=wish.max_gb,
        device=group.device,
    )
    if group.is_main_process:
        _tell(plan)
    if wish.dry_run:
        return plan
    folder = Path(args.output_dir)
    with sole_writer(folder) if group.is_main_process else nullcontext():
        if group.is_main_process:
            begin_cache(folder, plan, images.image_ids())
        group.wait_for_everyone()
        plan, _ = load_manifest(folder)
        _fill(teacher, images, source, folder, plan, settings)
    return plan


def keep_table(settings: Settings, table: str, meaning: str, dtype: str) -> str:
    """Keep a tagger's answers for the images that the settings name; what became of them, in a line."""
    data = load_data(settings.run)
    pixels = PixelSpec(settings.run.image_size, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))  # nothing is drawn
    image_ids = taught_images(settings, data, pixels).image_ids()
    folder = Path(settings.training.output_dir)
    with sole_writer(folder):
        kept = keep_answers(table, folder, data.labels.names, image_ids, meaning=meaning, dtype=dtype)
    labels = len(data.labels) - len(kept.manifest.unanswered)
    return f"{len(image_ids)} images, {labels} of {len(data.labels)} labels; cache: {folder}"


def load_teacher(settings: Settings, data: Data) -> tuple[Teacher, dict[str, str]]:
    """The teacher that the settings name, and what a manifest says of it: its folder's name and its hash.

    Raises:
        ValueError: if they name none.
    """
    run, own = settings.run, settings.method
    given = run.teacher or run.teachers
    if given is None:
        raise ValueError("Nobody is asked: name the model (`teacher`) or the folder of PSD's teachers (`teachers`).")
    if run.method == "psd" and run.teachers is not None:
        labels = data.labels.names
        teacher: Any = load_part_teachers(Path(given), labels, own.kinds, run.teacher_half, own.stack_teachers)
    else:
        teacher = as_teacher(given, data.labels.names, run.teacher_half, teacher_options(run))
    if Path(given).is_file():  # an ONNX file, whose numbers are nobody's parameters
        read = json.dumps([run.teacher_labels, run.teacher_options], sort_keys=True).encode()
        return teacher, {"name": Path(given).name, "hash": sha256(Path(given).read_bytes() + read).hexdigest()[:16]}
    return teacher, {"name": Path(given).name, "hash": teacher_hash(teacher)}


def drawn_pixels(settings: Settings, data: Data, teacher: Teacher) -> PixelSpec:
    """Size and normalisation of the pictures in the run that shall be taught: as its `Method` would have them."""
    # a student without weights: all that is asked is how it wants its pictures
    student = build_model(replace(settings.run, pretrained="false", init_from=None), data.labels.names)
    pixels = PixelSpec.of_model(student)
    return replace(pixels, image_size=max(pixels.image_size, teacher.pixels.image_size))


def taught_images(settings: Settings, data: Data, source: PixelSpec) -> Shown:
    """The images of the run that shall be taught."""
    args = settings.training
    seed = args.seed if args.data_seed is None else args.data_seed
    images = with_unlabelled(settings.run, data, training_set(settings.run, data, source, views=1, seed=seed))
    return Shown(images.parts if isinstance(images, WithUnlabelled) else [images])


def open_cache(settings: Settings, data: Data) -> CachedTeacher | None:
    """The cache that a run names (`teacher_cache`); None if it names none.

    Raises:
        ValueError: if the run names a teacher too, and the cache is another one's.
    """
    run = settings.run
    if run.teacher_cache is None:
        return None
    cache = CachedTeacher(run.teacher_cache, data.labels.names)
    if (run.teacher or run.teachers) is None:
        return cache
    _, told = load_teacher(settings, data)
    asked = cache.manifest.teacher
    if asked["hash"] != told["hash"]:
        raise ValueError(
            f"The teacher cache {cache.folder} keeps the answers of another teacher ({asked['name']}, "
            f"{asked['hash']}) than {told['name']} ({told['hash']}). Leave the teacher out, or make a cache of its "
            "answers."
        )
    return cache


def _fill(
    teacher: Teacher, images: Shown, source: PixelSpec, folder: Path, plan: Manifest, settings: Settings
) -> None:
    """This process's share of what is missing, with a bar; every process sees the same list before any writes."""
    from tqdm import tqdm

    args, group = settings.training, PartialState()
    missing = missing_shards(folder, plan)
    group.wait_for_everyone()
    own = missing[group.process_index :: group.num_processes]
    size = plan.images_per_shard
    total = sum(min(size, plan.images["count"] - first) for _, first in own)
    start = time.perf_counter()
    with tqdm(total=total, unit="image", disable=args.disable_tqdm or not group.is_main_process) as bar:
        fill_cache(
            teacher,
            images,
            source,
            folder,
            plan,
            own,
            batch_size=args.per_device_eval_batch_size,
            num_workers=args.dataloader_num_workers,
            device=group.device,
            told=bar.update,
        )
    group.wait_for_everyone()
    if group.is_main_process:
        took = time.perf_counter() - start
        done = sum(min(size, plan.images["count"] - first) for _, first in missing)
        rate = f", {done / took:.1f} a second" if done else ""
        sys.stdout.write(f"{done} answers in {took:.1f} s{rate}; cache: {folder}\n")


def _tell(plan: Manifest) -> None:
    """Print what a cache takes, a line a content."""
    lines = [f"{plan.images['count']} images, {plan.views} views, {plan.dtype}"]
    lines += [
        f"  {name:<20}{'x'.join(map(str, plan.contents[name])):>12}{size / 1e6:12.1f} MB"
        for name, size in sizes(plan).items()
    ]
    lines += [f"  {name:<20}     dropped: no room for it" for name in plan.dropped]
    sys.stdout.write("\n".join(lines) + "\n")
