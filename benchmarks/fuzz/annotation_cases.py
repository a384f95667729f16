"""One case of damaged annotations: write, read with the library and with the strict reader, compare."""

from __future__ import annotations

import os
import random
import shutil
from pathlib import Path

from benchmarks.fuzz.layouts import LAYOUTS, Layout
from benchmarks.fuzz.mutations import damage
from benchmarks.fuzz.strict import Labels, Read
from benchmarks.fuzz.strict_json import Strict

SPARSE = 3 << 30


def run(root: Path, rng: random.Random) -> tuple[str, str]:
    """The class of one case and a word on it.

    Args:
        root: a folder of its own; emptied first.
        rng: where the case comes from.
    """
    name = rng.choice(list(LAYOUTS))
    layout = LAYOUTS[name]
    shutil.rmtree(root, ignore_errors=True)
    files = dict(layout.files)
    for victim in rng.sample(sorted(files), min(len(files), rng.choice((1, 1, 1, 2)))):
        files[victim] = damage(victim, files[victim], rng)
    for path, content in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(content)
    fate = rng.random()
    if fate < 0.04:
        victim = rng.choice(sorted(files))
        _replace(root / victim, rng)
        del files[victim]
    judged, word = judge(root, layout, files)
    return judged, f"{name}: {word}"


def _replace(path: Path, rng: random.Random) -> None:
    """No file, a folder in its place, a link to nothing, or a file of 3 GB of holes."""
    kind = rng.randrange(4)
    if kind == 3:
        os.truncate(path, SPARSE)
        return
    path.unlink()
    if kind == 1:
        path.mkdir()
    elif kind == 2:
        path.symlink_to(path.parent / "nowhere")


def judge(root: Path, layout: Layout, files: dict[str, bytes]) -> tuple[str, str]:
    """Read a tree in both ways.

    Returns:
        ("right", ""), ("error", sentence), or what is wrong: ("foreign", ...), ("silently wrong", ...).
    """
    try:
        told: Read | None = layout.read(files)
    except Strict as error:
        told, why = None, f"the strict reader says: {error}"
    else:
        why = "the strict reader reads something else"
    try:
        found = _read(root, layout)
    except (ValueError, FileNotFoundError) as error:
        sentence = str(error)
        if type(error) not in (ValueError, FileNotFoundError) or str(root) not in sentence or "\n" in sentence:
            return "foreign", f"{type(error).__name__}: {sentence}"
        return "error", sentence
    except Exception as error:
        return "foreign", f"{type(error).__name__}: {error}"
    if told is None or found != told:
        return "silently wrong", f"{why}: {_difference(found, told)}"
    return "right", ""


def _read(root: Path, layout: Layout) -> Read:
    from dataset_builders.loading import make_builder, resolve

    place = root / layout.place
    if layout.builder in ("folder", "table"):
        name, data_dir = resolve(place, None)
    else:
        name, data_dir = layout.builder, place
    builder = make_builder(name, data_dir, root.parent / "cache", **layout.options)
    annotations = builder.chosen()
    splits: dict[str, dict[str, Labels]] = {
        split: {r.image_id: (frozenset(r.labels), frozenset(r.ignored)) for r in rows}
        for split, rows in annotations.splits.items()
    }
    return list(annotations.names), splits


def _difference(found: Read, told: Read | None) -> str:
    if told is None:
        return str(found)[:600]
    if found[0] != told[0]:
        return f"names {found[0]} and {told[0]}"
    rows = [(split, key) for part in (found[1], told[1]) for split, each in part.items() for key in each]
    both = [(found[1].get(s, {}).get(k), told[1].get(s, {}).get(k), s, k) for s, k in rows]
    return str([each for each in both if each[0] != each[1]][:3])
