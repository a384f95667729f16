"""`mlic train_teachers`, for `accelerate launch training_scripts/train_teachers.py`."""

from mlic_hf.cli import run_verb

if __name__ == "__main__":
    run_verb("train_teachers")
