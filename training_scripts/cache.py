"""`mlic cache`, for the shell."""

from mlic_hf.cli import run_verb

if __name__ == "__main__":
    run_verb("cache")
