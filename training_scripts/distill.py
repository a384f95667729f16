"""Distil a student from a teacher; the teacher is trained first when no --teacher is given.

accelerate launch training_scripts/distill.py
accelerate launch training_scripts/distill.py --method psd
accelerate launch training_scripts/distill.py --config training_scripts/recipes/coco/l2d.yaml \\
    --data_dir coco --output_dir runs/coco
"""

from __future__ import annotations

from training_scripts.errors import explained

if __name__ == "__main__":

    def start() -> None:
        from training_scripts.run import main

        main(__doc__ or "", "l2d")

    explained(start)
