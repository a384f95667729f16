"""Which of a classifier's labels stand for a student's: by a given map, by name, by one of its synonyms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence


def places_by_label(own: Sequence[str], wanted: Sequence[str], given: Mapping[str, str]) -> list[list[int]]:
    """For each label wanted, the places of the classifier's own labels that stand for it.

    A name with commas ("tabby, tabby cat", as ImageNet's are) also answers to each of its parts, where no other
    label does. A label of the classifier that the map names stands for nothing but what the map says.

    Args:
        own: the classifier's labels, in the order of its logits.
        wanted: the student's labels.
        given: {label of the classifier: label of the student}; several to one are allowed.

    Returns:
        As many lists as there are labels wanted; empty for those that the classifier lacks.

    Raises:
        ValueError: for a label in the map that its side does not have, or that several of the classifier's answer to.
    """
    strange = sorted(set(given.values()) - set(wanted))
    if strange:
        raise ValueError(
            f"teacher_labels leads to {strange[0]!r}, which is no label of the student; its labels are "
            f"{list(wanted[:5])}{', ...' if len(wanted) > 5 else ''}."
        )
    named = places_by_name(own)
    found: dict[str, list[int]] = {label: [] for label in wanted}
    taken = set()
    for theirs, ours in given.items():
        places = named.get(theirs, [])
        if len(places) != 1:
            several = [own[place] for place in places]
            raise ValueError(
                f"teacher_labels has {theirs!r}, which is "
                + (f"one of several labels of the teacher: {several}" if several else "no label of the teacher")
                + f"; write its labels as it does, the first is {own[0]!r}."
            )
        if places[0] in taken:
            raise ValueError(f"teacher_labels has the teacher's label {own[places[0]]!r} twice; leave one out.")
        taken.add(places[0])
        found[ours].append(places[0])
    for label in wanted:
        places = named.get(label, [])
        if len(places) == 1 and places[0] not in taken:
            found[label].append(places[0])
    return [found[label] for label in wanted]


def places_by_name(own: Sequence[str]) -> dict[str, list[int]]:
    """The places of a name: of the label so called, otherwise of the labels that have it among their synonyms."""
    found: dict[str, list[int]] = {}
    for place, label in enumerate(own):
        for part in {part.strip() for part in label.split(",")}:
            found.setdefault(part, []).append(place)
    return {**found, **{label: [place] for place, label in enumerate(own)}}
