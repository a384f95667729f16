"""Check every file of a data set once and say what was found."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from dataset_builders.image_check import Finding, look_at_image
from dataset_builders.record import Annotations, Record

FORMAT_VERSION = 1


@dataclass
class DataReport:
    """What a full check found.

    Attributes:
        annotations: the records that were checked.
        findings: split name to its findings, in the order of the records.
        duplicates: groups of (split, image id) whose pictures have the same pixels.
    """

    annotations: Annotations
    findings: dict[str, list[Finding]] = field(default_factory=dict)
    duplicates: list[list[tuple[str, str]]] = field(default_factory=list)

    def bad(self, split: str) -> list[Finding]:
        """Findings of a split that keep an image from being used."""
        return [finding for finding in self.findings[split] if finding.bad]

    @property
    def across_splits(self) -> list[list[tuple[str, str]]]:
        """The duplicates that lie in more than one split: test pictures that were trained on."""
        return [group for group in self.duplicates if len({split for split, _ in group}) > 1]

    def raise_for_bad(self) -> None:
        """Name all bad files of all splits in one error.

        Raises:
            ValueError: there are some.
        """
        parts = [
            f"{len(bad)} of {len(rows)} in split {split!r}: " + "; ".join(finding.sentence for finding in bad)
            for split, rows in self.annotations.splits.items()
            if (bad := self.bad(split))
        ]
        if parts:
            raise ValueError(f"Bad image files, {' | '.join(parts)}. Mend them, or set on_bad_image to skip.")

    def as_dict(self) -> dict[str, Any]:
        """The report as JSON values."""
        return {
            "format_version": FORMAT_VERSION,
            "labels": self.annotations.names,
            "notes": self.annotations.notes,
            "splits": {split: self._split(split) for split in self.annotations.splits},
            "duplicates_across_splits": [_as_dicts(group) for group in self.across_splits],
            "duplicates_within_a_split": [
                _as_dicts(group) for group in self.duplicates if len({split for split, _ in group}) == 1
            ],
        }

    def _split(self, split: str) -> dict[str, Any]:
        rows, findings = self.annotations.splits[split], self.findings[split]
        return {
            "images": len(rows),
            "images_without_labels": sum(not record.labels for record in rows),
            "bad_images": len({finding.image_id for finding in findings if finding.bad}),
            "problems": dict(Counter(finding.problem for finding in findings)),
            "label_counts": self.annotations.label_counts(split),
            "findings": [finding._asdict() for finding in findings],
        }


def _as_dicts(group: list[tuple[str, str]]) -> list[dict[str, str]]:
    return [{"split": split, "image_id": image_id} for split, image_id in group]


def check_data(annotations: Annotations, num_proc: int = 1) -> DataReport:
    """Decode every image once and compare all pictures.

    Args:
        annotations: the records; those without a path (drawn scenes) have nothing to check.
        num_proc: processes that decode.

    Returns:
        The report.
    """
    report = DataReport(annotations)
    places: dict[str, list[tuple[str, str]]] = {}
    for split, rows in annotations.splits.items():
        report.findings[split] = []
        with_file = [record for record in rows if record.path]
        for record, (findings, digest) in zip(with_file, _look(with_file, num_proc)):
            report.findings[split] += findings
            if digest:
                places.setdefault(digest, []).append((split, record.image_id))
    report.duplicates = [group for group in places.values() if len(group) > 1]
    return report


def _look(records: list[Record], num_proc: int) -> Iterable[tuple[list[Finding], str]]:
    if num_proc <= 1:
        yield from map(look_at_image, records)
        return
    import mlic_hf.pictures.image_reading  # noqa: F401  (once, here, and not in every process)

    with ProcessPoolExecutor(num_proc) as pool:
        yield from pool.map(look_at_image, records, chunksize=64)
