"""Train a model on its labels, or by any method.

accelerate launch training_scripts/train.py --dataset digit_scenes --backbone resnet18 --pretrained false \\
    --output_dir runs/supervised
"""

from __future__ import annotations

from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> None:
    from mlic_hf.cli.train_and_tell import train_and_tell

    train_and_tell(__doc__ or "", "supervised", arguments)
