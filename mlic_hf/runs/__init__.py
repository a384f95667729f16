"""Runs: stages that train into folders, each resumable, joined by what they leave on disk."""

from __future__ import annotations

from typing import Any

from mlic_hf.runs.part_teachers import train_part_teachers

__all__ = ["run", "train_part_teachers"]


def run(method: str = "supervised", **settings: Any) -> dict[str, dict[str, Any]]:
    """Train by a method with all its stages, as the command line does; finished stages are read, broken ones resumed.

    Args:
        method: supervised, psd, l2d, mulcon, co_occurrence or oass.
        **settings: any setting of a recipe by its name (`config` names a recipe); those of a method as a dict,
            e.g. `l2d={"weight_mld": 5}`.

    Returns:
        The run.json of each stage: "teacher", "alone" or "stage_one" where there are any, and "student".

    Example:
        >>> run("l2d", dataset="photographs", backbone="resnet18", output_dir="runs/tagger")  # doctest: +SKIP
    """
    from mlic_hf.runs.settings import flatten, resolve
    from mlic_hf.runs.stages import run as run_stages

    return run_stages(resolve(flatten({"method": method, **settings}), method))
