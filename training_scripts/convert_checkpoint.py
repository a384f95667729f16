"""`mlic convert_checkpoint`, for `accelerate launch training_scripts/convert_checkpoint.py`."""

from mlic_hf.cli import run_verb

if __name__ == "__main__":
    run_verb("convert_checkpoint")
