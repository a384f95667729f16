"""PSD's first two stages on data in memory: partitions, and one teacher a part, one after the other."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from mlic_hf.data import adapt, co_occurrence_counts, label_lists
from mlic_hf.methods.psd.partition import FILE_NAME
from mlic_hf.methods.psd.partition_labels import partition_labels
from mlic_hf.methods.supervised import SupervisedConfig
from mlic_hf.methods.views import PixelSpec
from mlic_hf.training import MultiLabelTrainer, MultiLabelTrainingArguments
from mlic_hf.training.checkpoint import WEIGHTS, find_checkpoints, set_aside_unfinished
from mlic_hf.training.examples import of_rows


def train_part_teachers(
    make_teacher: Callable[[list[str]], Any],
    args: MultiLabelTrainingArguments,
    train_dataset: Any,
    eval_dataset: Any = None,
    *,
    folder: str | Path,
    labels: Sequence[str] | None = None,
    parts: int = 5,
    kinds: Sequence[str] = ("cgp", "dgp"),
    method: Any = None,
    transform: Any = "psd",
    **options: Any,
) -> Path:
    """Cut the labels in parts and train a teacher of each; finished ones are skipped, a broken one is taken up.

    Args:
        make_teacher: a new model for a list of label names.
        args: the teachers' settings; `output_dir` is each teacher's own folder.
        train_dataset: pictures and labels (see `mlic_hf.data.adapt`).
        eval_dataset: the same, or None.
        folder: where `<kind>/partition.json` and `<kind>/part_<i>/` are written.
        labels: the label names; the data's own when None.
        parts: how many parts a partition has.
        kinds: cgp, dgp or random.
        method: what a teacher is trained by; the asymmetric loss when None, as published.
        transform: the training images' pipeline, as of `MultiLabelTrainer`.
        **options: what else `MultiLabelTrainer` takes.

    Returns:
        The folder, which is the `teacher` of a trainer with `method="psd"`.

    Source:
        Xu et al., IJCAI 2022.
    """
    folder = Path(folder)
    rows, space = adapt(train_dataset, labels=labels)
    measured = None if eval_dataset is None else adapt(eval_dataset, labels=space.names)[0]
    counts, occurrences = co_occurrence_counts(label_lists(rows), len(space))
    for kind in kinds:
        partition = partition_labels(counts, occurrences, space.names, kind, parts, source="the training data")
        partition.save(folder / kind / FILE_NAME)
        for number, part in enumerate(partition.parts):
            place = folder / kind / f"part_{number}"
            if (place / WEIGHTS).is_file():
                continue
            own = copy.deepcopy(args)
            own.output_dir = str(place / "run")
            teacher = make_teacher(list(part))
            pixels = PixelSpec.of_model(teacher)
            trainer = MultiLabelTrainer(
                teacher,
                own,
                train_dataset=of_rows(rows, part, pixels, transform, seed=args.seed),
                eval_dataset=None if measured is None else of_rows(measured, part, pixels, None),
                method=method or SupervisedConfig(loss="asl"),
                **options,
            )
            set_aside_unfinished(place / "run")
            trainer.train(resume_from_checkpoint=bool(find_checkpoints(place / "run")))
            trainer.save_model(str(place))
    return folder
