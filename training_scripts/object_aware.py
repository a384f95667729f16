"""`mlic object_aware`, for `accelerate launch training_scripts/object_aware.py`."""

from mlic_hf.cli import run_verb

if __name__ == "__main__":
    run_verb("object_aware")
