"""Train a model on its labels, or by any method.

accelerate launch training_scripts/train.py --dataset digit_scenes --backbone resnet18 --pretrained false \\
    --output_dir runs/supervised
"""

from __future__ import annotations

from training_scripts.errors import explained

if __name__ == "__main__":

    def start() -> None:
        from training_scripts.run import main

        main(__doc__ or "", "supervised")

    explained(start)
