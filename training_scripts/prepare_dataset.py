"""`mlic prepare_dataset`, for `accelerate launch training_scripts/prepare_dataset.py`."""

from mlic_hf.cli import run_verb

if __name__ == "__main__":
    run_verb("prepare_dataset")
