"""`mlic distill`, for `accelerate launch training_scripts/distill.py`."""

from mlic_hf.cli import run_verb

if __name__ == "__main__":
    run_verb("distill")
