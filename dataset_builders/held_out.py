"""Take a validation part out of training, with every label in about the same share."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dataset_builders.record import Annotations, Record


def hold_out(records: Sequence[Record], fraction: float, seed: int = 0) -> tuple[list[Record], list[Record]]:
    """Split records by image, stratified over labels, deterministically.

    From the rarest label to the most frequent, the images that carry it and are still free are dealt to the two
    parts in their shares; images without labels fill the rest. (A light form of Sechidis et al. 2011, iterative
    stratification.)

    Args:
        records: the training records.
        fraction: share to hold out, strictly between 0 and 1.
        seed: another seed draws other images.

    Returns:
        (kept, held out), both in the order of `records`.

    Raises:
        ValueError: the fraction is out of range or leaves a part empty.
    """
    if not 0 < fraction < 1:
        raise ValueError(f"validation_fraction is {fraction}; expected a share such as 0.1.")
    wanted = round(len(records) * fraction)
    if wanted == 0 or wanted == len(records):
        raise ValueError(f"validation_fraction {fraction} of {len(records)} images leaves one part empty.")
    order = np.random.default_rng(seed).permutation(len(records))
    carriers: dict[str, list[int]] = {}
    for position in order.tolist():
        for name in records[position].labels:
            carriers.setdefault(name, []).append(position)
    held: set[int] = set()
    kept: set[int] = set()
    for name in sorted(carriers, key=lambda key: (len(carriers[key]), key)):
        missing = round(len(carriers[name]) * fraction) - sum(position in held for position in carriers[name])
        free = [position for position in carriers[name] if position not in held and position not in kept]
        taken = max(0, min(missing, wanted - len(held)))
        held.update(free[:taken])
        kept.update(free[taken:])
    for position in sorted(order.tolist(), key=kept.__contains__):  # undecided images, those without labels, first
        if len(held) >= wanted:
            break
        held.add(position)
    return (
        [record for position, record in enumerate(records) if position not in held],
        [record for position, record in enumerate(records) if position in held],
    )


def with_validation(annotations: Annotations, fraction: float | None, seed: int = 0) -> Annotations:
    """Annotations with a validation split taken out of training.

    Raises:
        ValueError: there is no training split, or a validation split exists already.
    """
    if fraction is None:
        return annotations
    if "validation" in annotations.splits:
        raise ValueError("validation_fraction is set, but the data has its own validation split; unset it.")
    if "train" not in annotations.splits:
        raise ValueError(f"validation_fraction needs a train split; found {sorted(annotations.splits)}.")
    train, validation = hold_out(annotations.splits["train"], fraction, seed)
    others = {split: rows for split, rows in annotations.splits.items() if split != "train"}
    splits = {"train": train, "validation": validation, **others}
    return Annotations(annotations.names, splits, annotations.notes)
