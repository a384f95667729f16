"""Train PSD's teachers: all parts of all partitions as parallel jobs; finished ones are skipped, broken ones resumed.

mlic train_teachers --config digit_scenes/psd --teachers runs/teachers --psd.jobs 2

The partitions lie in <teachers>/<kind>/partition.json (`mlic partition` writes them); those that are
not there are made from the training labels.
"""

from __future__ import annotations

from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> None:
    from pathlib import Path

    from mlic_hf.cli.parsing import parse
    from mlic_hf.cli.results import print_teachers
    from mlic_hf.runs.data import load_data
    from mlic_hf.runs.teachers import make_jobs, make_partitions, train_all

    settings = parse(__doc__ or "", "psd", arguments)
    folder = Path(settings.run.teachers or Path(settings.training.output_dir) / "teachers")
    data = load_data(settings.run)
    jobs = make_jobs(settings, make_partitions(settings, data, folder), folder)
    print_teachers(jobs, train_all(jobs, settings.method.jobs))
