"""Check a data set once, and write it as parquet shards, to the Hub, or as pictures to look at.

mlic prepare_dataset --name coco --data_dir coco --to parquet --output_dir coco_parquet
mlic prepare_dataset --name photos/ --to inspect --output_dir looked_at

Every image is decoded once: missing, empty, truncated and wrongly sized files, repeated ids and pictures that
lie in two splits are found, and report.json says so. A PNG named .jpg and grey or CMYK pictures are accepted
with a word. The parquet folder trains without the original one: `--dataset coco_parquet`.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any


def parse_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--name", required=True, help="digit_scenes, coco, voc, nus_wide, visual_genome, or a folder")
    parser.add_argument("--data_dir", help="where the files of a named data set lie")
    parser.add_argument(
        "--data_options",
        type=json.loads,
        default={},
        metavar="JSON",
        help='options of the data set, such as \'{"year": "2014"}\' (docs/datasets.md lists them)',
    )
    parser.add_argument(
        "--to",
        required=True,
        choices=("parquet", "hub", "inspect"),
        help="parquet: shards in output_dir/data; hub: push to --repo_id; inspect: counts and pictures",
    )
    parser.add_argument("--output_dir", required=True, help="folder for report.json and the result")
    parser.add_argument(
        "--on_bad_image",
        choices=("raise", "skip"),
        default="raise",
        help="raise: name all bad files and stop (default); skip: leave them out, counted and listed",
    )
    parser.add_argument("--num_proc", type=int, default=1, help="processes (default: 1)")
    parser.add_argument("--images_per_shard", type=int, default=2500, help="rows of a parquet file (default: 2500)")
    parser.add_argument("--repo_id", help="data set on the Hub, as owner/name")
    parser.add_argument("--private", action="store_true", help="make the Hub data set private")
    parser.add_argument("--overwrite", action="store_true", help="replace parquet shards in the folder")
    parser.add_argument("--cache_dir", help="where the datasets library keeps its cache")
    parser.add_argument("--traceback", metavar="true", help="show the whole story of an error")
    return parser.parse_args(arguments)


def prepare(options: argparse.Namespace) -> dict[str, Any]:
    """Check, report, write.

    Args:
        options: as `parse_arguments` returns them.

    Returns:
        What report.json holds.

    Raises:
        ValueError: bad annotations, bad images with on_bad_image "raise", shards already there.
    """
    from dataset_builders.loading import resolve
    from dataset_builders.prepared_writing import check_target, one_writer

    _check_options(options)
    name, data_dir = resolve(options.name, options.data_dir)
    if name in ("parquet", "hub"):
        raise ValueError(f"{options.name} holds parquet shards already; prepare the folder they were made from.")
    output = Path(options.output_dir)
    with one_writer(output):
        if options.to == "parquet":
            check_target(output, None if data_dir is None else Path(data_dir), options.overwrite)
        return _prepare(options, name, data_dir, output)


def _prepare(options: argparse.Namespace, name: str, data_dir: Any, output: Path) -> dict[str, Any]:
    from dataset_builders.data_report import check_data
    from dataset_builders.loading import make_builder

    config = {**options.data_options, "on_bad_image": options.on_bad_image}
    report = check_data(make_builder(name, data_dir, options.cache_dir, **config).chosen(), options.num_proc)
    told = {"name": options.name, "options": options.data_options, **report.as_dict()}
    told["on_bad_image"] = options.on_bad_image
    (output / "report.json").write_text(json.dumps(told, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    tell(told, output / "report.json")
    if options.on_bad_image == "raise":
        report.raise_for_bad()
    _write(options, good_rows(options, config, report), output)
    return told


def _check_options(options: argparse.Namespace) -> None:
    if (options.to == "hub") != bool(options.repo_id):
        raise ValueError("--to hub needs --repo_id owner/name, and only it does.")
    if not isinstance(options.data_options, dict):
        raise ValueError(f"--data_options is {options.data_options!r}; expected a JSON object.")
    if "on_bad_image" in options.data_options:
        raise ValueError("on_bad_image is a flag of its own here: --on_bad_image raise or skip.")
    if options.images_per_shard < 1 or options.num_proc < 1:
        raise ValueError("--images_per_shard and --num_proc must be 1 or more.")


def good_rows(options: argparse.Namespace, config: dict[str, Any], report: Any) -> Any:
    """The loaded splits without the images that the check found bad."""
    from dataset_builders import load_splits

    splits = load_splits(
        options.name, options.data_dir, num_proc=_processes(options), cache_dir=options.cache_dir, **config
    )
    for split in list(splits):
        bad = {finding.image_id for finding in report.bad(split)}
        if bad:
            ids = splits[split]["image_id"]
            splits[split] = splits[split].select([row for row, key in enumerate(ids) if key not in bad])
        if not len(splits[split]):
            raise ValueError(f"Not one image of split {split!r} of {options.name} is good; see report.json.")
    return splits


def _processes(options: argparse.Namespace) -> int | None:
    return options.num_proc if options.num_proc > 1 else None


def _write(options: argparse.Namespace, splits: Any, output: Path) -> None:
    if options.to == "parquet":
        from dataset_builders.prepared_writing import write_prepared

        described = {"name": options.name, "options": options.data_options, "on_bad_image": options.on_bad_image}
        data = write_prepared(output, splits, described, options.images_per_shard)
        print(f"parquet shards: {data} (train with --dataset {output})")
    elif options.to == "hub":
        splits.push_to_hub(options.repo_id, private=options.private)
        print(f"pushed to {options.repo_id}")
    else:
        from mlic_hf.data import inspect_dataset

        for split, rows in splits.items():
            inspect_dataset(rows, output / split)
        print(f"counts and pictures: {', '.join(str(output / split) for split in splits)}")


def tell(report: dict[str, Any], path: Path) -> None:
    """Print the report in a few lines."""
    for note in report["notes"]:
        print(f"note: {note}")
    for split, found in report["splits"].items():
        problems = ", ".join(f"{count} {problem}" for problem, count in sorted(found["problems"].items()))
        print(
            f"{split}: {found['images']} images, {found['images_without_labels']} without labels, "
            f"{found['bad_images']} bad" + (f" ({problems})" if problems else "")
        )
        for finding in found["findings"]:
            print(f"  {finding['sentence']}")
    across = report["duplicates_across_splits"]
    if across:
        print(f"{len(across)} pictures lie in more than one split; scores on them say little:")
        for group in across:
            print("  " + " = ".join(f"{place['split']}/{place['image_id']}" for place in group))
    print(f"report: {path}")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line."""
    prepare(parse_arguments(arguments))
