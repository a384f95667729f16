"""Look at a data set before training on it: one HTML page with its pictures, for any browser.

mlic inspect --dataset photos/ --output photos.html
mlic inspect --dataset hub:owner/name --data_options '{"label_column": "tags"}' --output page.html

Counts of every label in every split, labels that go together, sizes; pictures that cannot be read, that stand twice
or in two splits (also nearly: other size, other compression), and labels that never occur in a split.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mlic_hf.cli.numbers import positive


def parse_arguments(given: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", required=True, help="a data set: name, folder, table, hub:owner/name")
    parser.add_argument("--data_dir", help="where the data set lies")
    parser.add_argument("--data_options", type=json.loads, default={}, help="its options, as JSON (docs/datasets.md)")
    parser.add_argument("--output", type=Path, required=True, help="the HTML file")
    parser.add_argument("--images", type=positive, default=24, help="pictures of each split on the page (default: 24)")
    parser.add_argument("--seed", type=int, default=0, help="of their draw (default: 0)")
    parser.add_argument("--num_workers", type=int, default=0, help="processes that read pictures (default: 0)")
    parser.add_argument("--traceback", metavar="true", help="show the traceback of an error")
    return parser.parse_args(given)


def rows_as_annotated(dataset: str, data_dir: str | None, options: dict[str, Any]) -> tuple[dict[str, Any], Any]:
    """The rows of every split, those with missing and broken pictures too."""
    from dataset_builders.loading import BUILDERS, make_builder, resolve
    from mlic_hf.data import adapt_splits
    from mlic_hf.runs.data import load_rows

    name, place = resolve(dataset, data_dir)
    if name not in BUILDERS or name == "digit_scenes":  # whose pictures are drawn
        return load_rows(dataset, data_dir, options)
    found = make_builder(name, place, **options).chosen()
    splits = {
        split: [
            {"image": r.path, "image_id": r.image_id, "labels": list(r.labels), "ignored": list(r.ignored)}
            for r in records
        ]
        for split, records in found.splits.items()
    }
    for note in found.notes:
        print(f"note: {note}")
    return adapt_splits(splits, labels=found.names, image_column="image", label_column="labels", label_form="names")


def main(given: Sequence[str] | None = None) -> None:
    arguments = parse_arguments(given)
    from mlic_hf.reports.data_page import write_data_page
    from mlic_hf.reports.data_survey import survey

    splits, space = rows_as_annotated(arguments.dataset, arguments.data_dir, arguments.data_options)
    found = survey(splits, space, arguments.num_workers)
    place = Path(arguments.dataset)
    title = place.resolve().name if place.exists() else arguments.dataset  # pages are passed on, paths are private
    write_data_page(found, splits, arguments.output, title, arguments.images, arguments.seed)
    for name, split in found.splits.items():
        print(f"{name}: {split.images} pictures, {len(found.absent[name])} of {len(space)} labels never occur")
    print(
        f"{len(found.broken)} pictures cannot be read; {len(found.duplicates)} stand twice, "
        f"{len(found.leaks)} of them in more than one split"
    )
    print(f"page: {arguments.output}")
