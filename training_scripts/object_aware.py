"""Train a classifier that learns where objects are (OASS): images are cut at their labels' key points.

accelerate launch training_scripts/object_aware.py
accelerate launch training_scripts/object_aware.py --config training_scripts/recipes/voc2012/oass_ctopk_w.yaml \\
    --data_dir VOCdevkit --output_dir runs/voc2012_oass

The same training without OASS, for comparison:
accelerate launch training_scripts/object_aware.py --oass.weight_partial 0 --oass.weight_reconstruction 0 \\
    --output_dir runs/digit_scenes_without_oass
"""

from __future__ import annotations

from training_scripts.errors import explained

if __name__ == "__main__":

    def start() -> None:
        from training_scripts.run import main

        main(__doc__ or "", "oass")

    explained(start)
