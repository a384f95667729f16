"""Train PSD's teachers: all parts of all partitions as parallel jobs; finished ones are skipped, broken ones resumed.

python training_scripts/train_teachers.py --config training_scripts/recipes/digit_scenes/psd.yaml \\
    --teachers runs/teachers --psd.jobs 2

The partitions lie in <teachers>/<kind>/partition.json (training_scripts/partition.py writes them); those that are
not there are made from the training labels.
"""

from __future__ import annotations

from training_scripts.errors import explained

if __name__ == "__main__":

    def start() -> None:
        from pathlib import Path

        from training_scripts.data import load_data
        from training_scripts.parsing import parse
        from training_scripts.results import print_teachers
        from training_scripts.teachers import make_jobs, make_partitions, train_all

        settings = parse(__doc__ or "", "psd")
        folder = Path(settings.run.teachers or Path(settings.training.output_dir) / "teachers")
        data = load_data(settings.run)
        jobs = make_jobs(settings, make_partitions(settings, data, folder), folder)
        print_teachers(jobs, train_all(jobs, settings.method.jobs))

    explained(start)
