"""Damage annotations of all layouts and pictures of many kinds, read them, and count what comes of it.

python -m benchmarks.fuzz [--cases 10000] [--seed 0] [--case 4711]

Two of three cases damage an annotation tree, one a picture. A case is right (both readers agree), an error (one
sentence that names the file), or one of four that must not be: a foreign error, a hang, too much memory, or
silently wrong against the strict readers of this folder.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections import Counter
from pathlib import Path

from benchmarks.fuzz.worker import case, run_cases

ALLOWED = ("right", "error")
CLASSES = (*ALLOWED, "foreign", "hang", "over memory", "silently wrong")


def fuzz(cases: int, seed: int, show: int = 30) -> dict[str, int]:
    """Counts of the classes; the first `show` cases that must not be are printed."""
    counts: Counter[str] = Counter(dict.fromkeys(CLASSES, 0))
    start = time.monotonic()
    for number, judged, word in run_cases(cases, seed):
        counts[judged] += 1
        if judged not in ALLOWED and sum(counts[name] for name in CLASSES[2:]) <= show:
            print(f"case {number}, {judged}: {word[:1500]!r}", flush=True)
    found = ", ".join(f"{name} {counts[name]}" for name in CLASSES)
    print(f"{cases} cases, seed {seed}, {time.monotonic() - start:.0f} s: {found}")
    return dict(counts)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=10_000, help="how many (default: 10000)")
    parser.add_argument("--seed", type=int, default=0, help="other seeds are other cases")
    parser.add_argument("--case", type=int, help="run this one alone, leave its files, and say where")
    arguments = parser.parse_args()
    if arguments.case is not None:
        folder = tempfile.mkdtemp()
        print(folder, *case(arguments.case, arguments.seed, Path(folder)))
        return
    counts = fuzz(arguments.cases, arguments.seed)
    if any(counts[name] for name in CLASSES if name not in ALLOWED):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
