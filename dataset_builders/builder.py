"""The one `datasets` builder behind all data sets: records in, Arrow rows out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import datasets

from dataset_builders.corrections import correct, read_corrections
from dataset_builders.held_out import with_validation
from dataset_builders.image_check import check_images, raise_for, shown_picture
from dataset_builders.label_choice import choose_labels
from dataset_builders.option_types import check_options
from dataset_builders.record import Annotations, Record, features

SHARD = 256  # records in a shard of the generator: enough shards for any num_proc and for streaming workers


@dataclass
class RecordConfig(datasets.BuilderConfig):
    """Options common to all data sets.

    Attributes:
        labels: vocabulary in id order; None takes the data set's own.
        other_labels: "raise" or "drop" annotated labels that `labels` does not name.
        min_images_per_label: drop labels on fewer training images.
        corrections: a table of single labels to change, as `mlic audit` writes it (`corrections.correct`).
        unlisted: what a label means that a training image does not list: "negative", or "unknown" (it is ignored
            there). Validation and test keep their negatives: nothing can be measured where only positives are known.
        unlabeled: "keep" or "drop" images without any annotated label; None is the data set's habit.
        validation_fraction: share of training to hold out where the data set has no validation split.
        split_seed: seed of that draw.
        on_bad_image: "raise" names all bad files of a split, "skip" leaves them out and counts them.
        check_images: "stat" looks for missing and empty files, "decode" reads every pixel.
        with_boxes: add the `boxes` column.
    """

    labels: tuple[str, ...] | None = None
    other_labels: str = "raise"
    min_images_per_label: int = 0
    corrections: str | None = None
    unlisted: str = "negative"
    unlabeled: str | None = None
    validation_fraction: float | None = None
    split_seed: int = 0
    on_bad_image: str = "raise"
    check_images: str = "stat"
    with_boxes: bool = False

    def __post_init__(self) -> None:
        """Refuse values that no builder knows."""
        super().__post_init__()
        check_options(self)
        if self.min_images_per_label < 0 or self.split_seed < 0:
            raise ValueError("min_images_per_label and split_seed must not be negative.")
        for key, allowed in (
            ("other_labels", ("raise", "drop")),
            ("unlisted", ("negative", "unknown")),
            ("unlabeled", (None, "keep", "drop")),
            ("on_bad_image", ("raise", "skip")),
            ("check_images", ("stat", "decode")),
        ):
            if getattr(self, key) not in allowed:
                raise ValueError(f"{key} is {getattr(self, key)!r}; expected one of {allowed}.")


class RecordBuilder(datasets.GeneratorBasedBuilder):
    """Turns `read()`'s annotations into splits; a data set only says how to read its files."""

    VERSION = datasets.Version("1.0.0")
    BUILDER_CONFIG_CLASS = RecordConfig

    @classmethod
    def sources(cls, config: Any) -> Iterable[Path]:
        """Annotation files whose change must rebuild the cache."""
        return ()

    def read(self) -> Annotations:
        """All records, as annotated."""
        raise NotImplementedError

    def drops_unlabeled(self) -> bool:
        """Whether images without labels are left out unless the options say otherwise."""
        return False

    def annotations(self) -> Annotations:
        """`chosen()` after the image check."""
        return _without_bad(self.chosen(), self.config.check_images, self.config.on_bad_image)

    def chosen(self) -> Annotations:
        """`read()` after the common options: corrections, unlabelled images, vocabulary, validation part."""
        config = self.config
        annotations = self.read()
        if config.corrections is not None:
            annotations = correct(annotations, config.corrections)
        if config.unlabeled == "drop" or (config.unlabeled is None and self.drops_unlabeled()):
            annotations = _without_unlabeled(annotations)
        annotations = choose_labels(annotations, config.labels, config.other_labels, config.min_images_per_label)
        _refuse_repeated(annotations)
        annotations = self.finish(with_validation(annotations, config.validation_fraction, config.split_seed))
        if config.unlisted == "unknown":
            seen = {} if config.corrections is None else read_corrections(config.corrections)
            annotations = _unlisted_unknown(annotations, seen)
        for split, records in annotations.splits.items():
            if not records:
                raise ValueError(f"Split {split!r} of {config.data_dir or self.name} has no image.")
        return annotations

    def finish(self, annotations: Annotations) -> Annotations:
        """A data set's last word, once the splits are final."""
        return annotations

    def _info(self) -> datasets.DatasetInfo:
        # features come with the labels, in _split_generators: reading them here would parse large files on
        # every load of an already cached data set
        return datasets.DatasetInfo()

    def _split_generators(self, dl_manager: Any) -> list[datasets.SplitGenerator]:
        annotations = self.annotations()
        self.info.features = features(annotations.names, self.config.with_boxes)
        self.info.description = "\n".join(annotations.notes)
        return [
            datasets.SplitGenerator(
                name=split,
                gen_kwargs={"shards": [tuple(rows[i : i + SHARD]) for i in range(0, len(rows), SHARD)]},
            )
            for split, rows in annotations.splits.items()
        ]

    def _generate_examples(self, shards: list[tuple[Record, ...]]) -> Iterator[tuple[str, dict[str, Any]]]:
        for shard in shards:
            for record in shard:
                yield record.image_id, self.row(record)

    def row(self, record: Record) -> dict[str, Any]:
        """The Arrow row of a record: the absolute path of its image (see `shown_picture`) and its label names."""
        row: dict[str, Any] = {
            "image": shown_picture(record.path) if record.path else "",
            "image_id": record.image_id,
            "labels": list(record.labels),
            "ignored": list(record.ignored),
        }
        if self.config.with_boxes:
            row["boxes"] = [{"label": name, "bbox": list(box)} for name, box in record.boxes]
        return row


def _refuse_repeated(annotations: Annotations) -> None:
    ids: dict[str, str] = {}
    paths: dict[str, str] = {}
    for record in (record for rows in annotations.splits.values() for record in rows):
        for what, seen, key in (("image id", ids, record.image_id), ("file", paths, record.path)):
            if key in seen:
                raise ValueError(
                    f"{record.source}: {what} {key!r} was already used in {seen[key]}; every image may come once, "
                    "in one split."
                )
            if key:  # a picture that is drawn has no file
                seen[key] = record.source


def _without_unlabeled(annotations: Annotations) -> Annotations:
    splits = {
        split: [record for record in rows if record.labels or record.ignored]
        for split, rows in annotations.splits.items()
    }
    notes = [
        f"{split}: {len(rows) - len(splits[split])} images without labels were dropped (unlabeled='drop')."
        for split, rows in annotations.splits.items()
        if len(rows) != len(splits[split])
    ]
    return Annotations(annotations.names, splits, annotations.notes + notes)


def _unlisted_unknown(annotations: Annotations, seen: Mapping[str, Iterable[str]]) -> Annotations:
    """The training images with every label unknown that they do not list and that nobody has seen to be absent."""
    train = []
    for record in annotations.splits.get("train", []):
        listed = {*record.labels, *seen.get(record.image_id, ())} - set(record.ignored)
        train.append(record._replace(ignored=tuple(name for name in annotations.names if name not in listed)))
    cells = sum(len(record.ignored) for record in train)
    note = f"train: {cells} cells that nobody listed are unknown (unlisted='unknown')."
    return Annotations(annotations.names, annotations.splits | {"train": train}, [*annotations.notes, note])


def _without_bad(annotations: Annotations, level: Any, on_bad_image: str) -> Annotations:
    splits, notes = {}, list(annotations.notes)
    for split, rows in annotations.splits.items():
        findings = check_images(rows, level)
        if on_bad_image == "raise":
            raise_for(findings, split, len(rows))
        bad = {finding.image_id for finding in findings if finding.bad}
        if bad:
            listed = "; ".join(finding.sentence for finding in findings if finding.bad)
            notes.append(f"{split}: {len(bad)} bad images were skipped: {listed}")
        if len(bad) == len(rows):
            raise FileNotFoundError(
                f"Not one of the {len(rows)} images of split {split!r} can be read: {listed[:2000]}"
            )
        splits[split] = [record for record in rows if record.image_id not in bad]
        noted = [finding for finding in findings if not finding.bad]
        if noted:
            words = "; ".join(finding.sentence for finding in noted)
            notes.append(f"{split}: {len(noted)} images read with a word: {words}")
    return Annotations(annotations.names, splits, notes)
