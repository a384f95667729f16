"""Measure everything against its named rival and write docs/benchmarks.md: `make bench`.

python -m benchmarks [--quick] [--only losses metrics ...] [--output docs/benchmarks.md]
"""

from __future__ import annotations

import argparse
import importlib
import os
import platform
from importlib import metadata
from pathlib import Path

SECTIONS = ("losses", "key_points", "object_aware", "metrics", "trainer", "teacher_cache", "data", "fuzz")


def machine() -> str:
    """What the figures were measured on."""
    import torch

    name = torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU"
    versions = ", ".join(f"{n} {metadata.version(n)}" for n in ("torch", "numpy", "scikit-learn", "scikit-image"))
    return f"{platform.machine()}, {os.cpu_count()} CPU cores, {name}; Python {platform.python_version()}, {versions}."


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="small shapes and few repeats, to see that it runs")
    parser.add_argument("--only", nargs="+", choices=SECTIONS, default=SECTIONS, help="sections that are measured")
    parser.add_argument("--output", default="docs/benchmarks.md", help="the file that is written")
    arguments = parser.parse_args()
    parts = [
        "# Benchmarks",
        "Ratios within one run on one machine; `make bench` writes this page.",
        f"Machine: {machine()}",
    ]
    for name in arguments.only:
        print(f"measuring {name} ...", flush=True)
        parts.append(importlib.import_module(f"benchmarks.{name}").section(arguments.quick).strip())
    Path(arguments.output).write_text("\n\n".join(parts) + "\n", encoding="utf-8")
    print(f"written to {arguments.output}")


if __name__ == "__main__":
    main()
