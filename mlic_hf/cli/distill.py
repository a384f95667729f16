"""Distil a student from a teacher; the teacher is trained first when no --teacher is given.

accelerate launch training_scripts/distill.py
accelerate launch training_scripts/distill.py --method psd
accelerate launch training_scripts/distill.py --config mlic_hf/recipes/coco/l2d.yaml \\
    --data_dir coco --output_dir runs/coco
"""

from __future__ import annotations

from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> None:
    from mlic_hf.cli.train_and_tell import train_and_tell

    train_and_tell(__doc__ or "", "l2d", arguments)
