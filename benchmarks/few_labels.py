"""Photographs of which few have labels: the data of `benchmarks/studies/teacher_cache.yaml`.

python -m benchmarks.few_labels --photographs mirflickr --output_dir few

writes few/labelled/{train,validation} (2,000 drawn photographs of train, all of test) and few/unlabelled (the rest of
train, without metadata).
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any


def copy(rows: Sequence[dict[str, Any]], origin: Path, target: Path, *, with_labels: bool) -> None:
    """The photographs of rows from one folder to another."""
    target.mkdir(parents=True)
    for row in rows:
        shutil.copyfile(origin / row["file_name"], target / row["file_name"])
    if with_labels:
        lines = "".join(json.dumps(row) + "\n" for row in rows)
        (target / "metadata.jsonl").write_text(lines, encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photographs", type=Path, required=True, help="an imagefolder with train and test")
    parser.add_argument("--labelled", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0, help="of the draw")
    parser.add_argument("--output_dir", type=Path, required=True)
    args = parser.parse_args()
    rows = {
        split: [json.loads(line) for line in (args.photographs / split / "metadata.jsonl").open(encoding="utf-8")]
        for split in ("train", "test")
    }
    random.Random(args.seed).shuffle(rows["train"])
    train, test, labelled = args.photographs / "train", args.photographs / "test", args.output_dir / "labelled"
    copy(rows["train"][: args.labelled], train, labelled / "train", with_labels=True)
    copy(rows["test"], test, labelled / "validation", with_labels=True)
    copy(rows["train"][args.labelled :], train, args.output_dir / "unlabelled", with_labels=False)


if __name__ == "__main__":
    main()
