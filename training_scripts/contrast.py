"""Train with a contrastive method: MulCon (two stages, one command) or CoCo.

accelerate launch training_scripts/contrast.py --method mulcon
accelerate launch training_scripts/contrast.py --method co_occurrence
accelerate launch training_scripts/contrast.py --method mulcon --mulcon.stage 1 --output_dir runs/stage_one
accelerate launch training_scripts/contrast.py --method mulcon --init_from runs/stage_one --output_dir runs/stage_two
"""

from __future__ import annotations

from training_scripts.errors import explained

if __name__ == "__main__":

    def start() -> None:
        from training_scripts.run import main

        main(__doc__ or "", "mulcon")

    explained(start)
