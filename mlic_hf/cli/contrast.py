"""Train with a contrastive method: MulCon (two stages, one command) or CoCo.

accelerate launch training_scripts/contrast.py --method mulcon
accelerate launch training_scripts/contrast.py --method co_occurrence
accelerate launch training_scripts/contrast.py --method mulcon --mulcon.stage 1 --output_dir runs/stage_one
accelerate launch training_scripts/contrast.py --method mulcon --init_from runs/stage_one --output_dir runs/stage_two
"""

from __future__ import annotations

from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> None:
    from mlic_hf.cli.train_and_tell import train_and_tell

    train_and_tell(__doc__ or "", "mulcon", arguments)
