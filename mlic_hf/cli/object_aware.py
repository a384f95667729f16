"""Train a classifier that learns where objects are (OASS): images are cut at their labels' key points.

accelerate launch training_scripts/object_aware.py
accelerate launch training_scripts/object_aware.py --config mlic_hf/recipes/voc2012/oass_ctopk_w.yaml \\
    --data_dir VOCdevkit --output_dir runs/voc2012_oass

The same training without OASS, for comparison:
accelerate launch training_scripts/object_aware.py --oass.weight_partial 0 --oass.weight_reconstruction 0 \\
    --output_dir runs/digit_scenes_without_oass
"""

from __future__ import annotations

from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> None:
    from mlic_hf.cli.train_and_tell import train_and_tell

    train_and_tell(__doc__ or "", "oass", arguments)
