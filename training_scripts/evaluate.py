"""`mlic evaluate`, for `accelerate launch training_scripts/evaluate.py`."""

from mlic_hf.cli import run_verb

if __name__ == "__main__":
    run_verb("evaluate")
