"""Distil a student from a teacher; the teacher is trained first when no --teacher is given.

accelerate launch training_scripts/distill.py
accelerate launch training_scripts/distill.py --config training_scripts/recipes/coco/l2d_resnet101_resnet34.yaml \\
    --data_dir coco --output_dir runs/coco
"""

from __future__ import annotations

from pathlib import Path

from training_scripts.errors import explained

DEFAULT = Path(__file__).parent / "recipes" / "digit_scenes" / "l2d.yaml"

if __name__ == "__main__":

    def start() -> None:
        from training_scripts.run import main

        main(__doc__ or "", "l2d", str(DEFAULT))

    explained(start)
