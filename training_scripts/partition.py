"""`mlic partition`, for `accelerate launch training_scripts/partition.py`."""

from mlic_hf.cli import run_verb

if __name__ == "__main__":
    run_verb("partition")
