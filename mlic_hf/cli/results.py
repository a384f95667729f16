"""The table at the end of a run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mlic_hf.methods.registry import get_method

NAMES = {"teacher": "teacher", "alone": "student alone", "stage_one": "stage one", "student": "student"}
COLUMNS = ("mAP", "CF1", "OF1")


def print_table(outcome: dict[str, dict[str, Any]], saved: Path) -> None:
    """Print what each stage reached, on test where there is one, and where the student lies."""
    split = "test" if "test_mAP" in outcome["student"]["metrics"] else "eval"
    rows = [["model", "backbone", "pixels", "parameters", "steps", *(f"{split} {name}" for name in COLUMNS)]]
    for stage, told in outcome.items():
        settings = told["settings"]
        distilled = stage == "student" and get_method(told["method"]).needs_teacher
        name = "distilled student" if distilled else NAMES[stage]
        scores = [f"{100 * told['metrics'][f'{split}_{column}']:.1f}" for column in COLUMNS]
        rows.append(
            [
                name,
                str(settings.get("backbone", "resnet18")),
                str(settings.get("image_size", 224)),
                f"{told['parameters'] / 1e6:.2f} M",
                str(told["steps"]),
                *scores,
            ]
        )
    print_columns(rows)
    print(f"\nThe student is in {saved}; load it with")
    print(f'  AutoModelForImageClassification.from_pretrained("{saved}")  # after `import mlic_hf`')


def print_teachers(jobs: Sequence[Any], told: Sequence[dict[str, Any]]) -> None:
    """Print what the teacher of each part reached on its own labels."""
    rows = [["partition", "part", "labels", "validation mAP", "folder"]]
    for job, result in zip(jobs, told):
        names = ", ".join(job.labels[:4]) + (", ..." if len(job.labels) > 4 else "")
        score = f"{100 * result['metrics']['eval_mAP']:.1f}"
        rows.append([job.kind, str(job.part), f"{len(job.labels)}: {names}", score, str(job.folder)])
    print_columns(rows)


def print_columns(rows: Sequence[Sequence[str]]) -> None:
    """Print rows in aligned columns, the first one as a head."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for index, row in enumerate(rows):
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip())
        if index == 0:
            print("  ".join("-" * width for width in widths))
