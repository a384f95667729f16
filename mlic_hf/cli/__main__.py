"""`python -m mlic_hf.cli`, the same as `mlic`."""

from mlic_hf.cli import main

if __name__ == "__main__":
    main()
