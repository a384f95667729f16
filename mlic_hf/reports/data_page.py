"""A page on a data set: one HTML file with its pictures inside, for a browser without a network."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from mlic_hf.data import stateless_generator
from mlic_hf.data.multi_label_dataset import undecoded
from mlic_hf.reports.data_survey import DataSurvey, Place
from mlic_hf.reports.duplicates import Group
from mlic_hf.reports.page import picture, plural, section, table, write_page

MOST_GROUPS = 60  # of duplicates that are shown; all are counted
MOST_IN_MATRIX = 40  # labels of the co-occurrence picture, the most frequent ones
COLORS = ("#3b6ea8", "#c2703d", "#5a8f5a", "#8a5a9e")


def write_data_page(
    found: DataSurvey, splits: Mapping[str, Any], path: str | Path, title: str, num_images: int = 24, seed: int = 0
) -> None:
    """Write the page.

    Args:
        found: of `survey`.
        splits: the rows that were surveyed.
        path: of the HTML file.
        title: what the data set is called.
        num_images: pictures of each split that are shown, drawn at random.
        seed: of that draw.
    """
    show = Figures(found, splits)
    parts = [
        f"<h1>{escape(title)}</h1>",
        _summary(found),
        section("What to look at", _warnings(found)),
        section("Labels", _labels(found)),
        section("Labels of a picture", _cardinality(found)),
        section("Labels that go together", _together(found)),
        section("Sizes", _sizes(found)),
        section("Pictures that cannot be read", _broken(found)),
        section("The same picture twice", _duplicates(found, show)),
        *(section(f"Pictures of {name}", _sheet(found, show, name, num_images, seed)) for name in found.splits),
    ]
    write_page(path, title, parts)


class Figures:
    """Figures of pictures, read again when they are shown."""

    def __init__(self, found: DataSurvey, splits: Mapping[str, Any]) -> None:
        self.found = found
        self.rows = {name: undecoded(rows) for name, rows in splits.items()}

    def figure(self, number: int, with_split: bool = False) -> str:
        """The picture of a place with its id and labels."""
        place = self.found.places[number]
        image = self.rows[place.split][place.index]["image"]
        where = f"<b>{escape(place.split)}</b> " if with_split else ""
        told = f'{self.caption(place)}<br>{where}<span class="dim">{escape(place.image_id[-40:])}</span>'
        return picture(image, place.image_id, told)

    def caption(self, place: Place) -> str:
        """The labels of a picture; unknown ones in brackets."""
        names = [self.found.space.names[label] for label in place.labels]
        names += [f"({self.found.space.names[label]})" for label in place.ignored[:4]]
        return escape(", ".join(names)) or '<span class="dim">no label</span>'


def _color(number: int) -> str:
    return COLORS[number % len(COLORS)]


def _key(found: DataSurvey) -> str:
    keys = [
        f'<span class="key"><span class="bar" style="width:12px;background:{_color(i)}"></span> {escape(name)}</span>'
        for i, name in enumerate(found.splits)
    ]
    return f"<p>{''.join(keys)}</p>"


def _summary(found: DataSurvey) -> str:
    rows = []
    for name, split in found.splits.items():
        sizes = np.array(split.sizes or [(0, 0)])
        width, height = np.median(sizes, axis=0).astype(int)
        none = int(split.cardinality[0])
        rows.append(
            [
                escape(name),
                f"{split.images:,}",
                f"{split.positives.sum() / split.images:.2f}",
                f"{none:,} ({100 * none / split.images:.1f} %)",
                f"{int(split.ignored.sum()):,}",
                f"{int((split.positives > 0).sum())} of {len(found.space)}",
                f"{sum(found.places[i].split == name for i in found.broken):,}",
                f"{width} x {height}",
            ]
        )
    head = ["split", "pictures", "labels a picture", "without labels", "unknown cells", "labels that occur"]
    head += ["cannot be read", "median size"]
    return table(head, rows, range(1, 8))


def _warnings(found: DataSurvey) -> str:
    """The findings that change what a score means, worst first."""
    said = []
    if found.leaks:
        said.append(f"{plural(len(found.leaks), 'picture')} in more than one split: scores there are flattered.")
    if found.broken:
        said.append(f"{plural(len(found.broken), 'picture')} that cannot be read.")
    if found.contradictions:
        said.append(f"{plural(len(found.contradictions), 'picture')} twice or more, with labels that differ.")
    if within := len(found.duplicates) - len(found.leaks):
        said.append(f"{plural(within, 'picture')} more than once in one split.")
    for name, labels in found.absent.items():
        if labels:
            shown = ", ".join(map(escape, labels[:30])) + (", ..." if len(labels) > 30 else "")
            said.append(f"{plural(len(labels), 'label')} without a picture in {escape(name)}: {shown}")
    name, first = next(iter(found.splits.items()))
    if rare := int(((first.positives > 0) & (first.positives < 10)).sum()):
        said.append(f"{plural(rare, 'label')} on fewer than 10 pictures of {escape(name)}.")
    if not said:
        return "<p>Nothing was found.</p>"
    return f"<ul>{''.join(f'<li>{sentence}</li>' for sentence in said)}</ul>"


def _labels(found: DataSurvey) -> str:
    shares = {name: split.positives / split.images for name, split in found.splits.items()}
    most = max(float(share.max()) for share in shares.values()) or 1.0
    total = sum(split.positives for split in found.splits.values())
    unknown = np.sum([split.ignored for split in found.splits.values()], axis=0)
    together = sum(split.together for split in found.splits.values())
    rows = []
    for label in np.argsort(-np.asarray(total), kind="stable"):
        cells = [escape(found.space.names[label])]
        for i, (name, split) in enumerate(found.splits.items()):
            share = shares[name][label]
            none = ' class="bad"' if not split.positives[label] else ""
            cells += [
                f"<span{none}>{int(split.positives[label]):,}</span>",
                f'<span class="bar" style="width:{150 * share / most:.1f}px;background:{_color(i)}"></span> '
                f'<span class="dim">{100 * share:.1f} %</span>',
            ]
        if unknown.any():
            cells.append(f"{int(unknown[label]):,}" if unknown[label] else "")
        with_it = [other for other in np.argsort(-together[label], kind="stable")[:3] if together[label, other]]
        cells.append(", ".join(escape(found.space.names[other]) for other in with_it))
        rows.append(cells)
    head = ["label"]
    for name in found.splits:
        head += [escape(name), ""]
    numbers = [*range(1, 2 * len(found.splits), 2), *([2 * len(found.splits) + 1] if unknown.any() else [])]
    head += ["unknown"] * bool(unknown.any()) + ["most often with"]
    return f'<div class="tall">{table(head, rows, numbers)}</div>'


def _percent(share: float) -> str:
    return f"{100 * share:.0f}" if share >= 0.005 else "&lt;1"


def _cardinality(found: DataSurvey) -> str:
    """Bars: the share of the pictures that have so many labels."""
    longest = max(len(split.cardinality) for split in found.splits.values())
    shares = [np.pad(s.cardinality / s.images, (0, longest - len(s.cardinality))) for s in found.splits.values()]
    most = max(float(share.max()) for share in shares)
    step = min(90.0, 900 / longest)
    width = step * 0.8 / len(shares)
    parts = []
    for count in range(longest):
        for i, share in enumerate(shares):
            height = 110 * share[count] / most
            x = count * step + i * width
            told = f"{count} labels: {100 * share[count]:.1f} %"
            parts.append(_rectangle(x, 130 - height, width, height, _color(i), 1, told))
            if step >= 40 and share[count]:
                at = f'x="{x + width / 2:.1f}" y="{126 - height:.1f}"'
                parts.append(f'<text {at} text-anchor="middle">{_percent(share[count])}</text>')
        parts.append(f'<text x="{count * step + 0.4 * step:.1f}" y="145" text-anchor="middle">{count}</text>')
    svg = f'<svg width="{longest * step:.0f}" height="150">{"".join(parts)}</svg>'
    return _key(found) + svg + '<p class="dim">% of the pictures of a split, by their number of labels</p>'


def _rectangle(x: float, y: float, width: float, height: float, color: str, opacity: float, told: str) -> str:
    at = f'x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}"'
    return f'<rect {at} fill="{color}" opacity="{opacity:.2f}"><title>{escape(told)}</title></rect>'


def _together(found: DataSurvey) -> str:
    """The matrix of the most frequent labels of the first split, and the pairs that go together most."""
    name, split = next(iter(found.splits.items()))
    order = [label for label in np.argsort(-split.positives, kind="stable")[:MOST_IN_MATRIX] if split.positives[label]]
    names = found.space.names
    share = split.together / np.maximum(split.positives, 1)[:, None]
    side, left = 16, 110
    top = 16 + 5 * min(18, max((len(names[label]) for label in order), default=0))
    parts = []
    for row, label in enumerate(order):
        y = top + row * side
        parts.append(f'<text x="{left - 4}" y="{y + 12}" text-anchor="end">{escape(names[label][:18])}</text>')
        x = left + row * side + 12
        parts.append(f'<text transform="translate({x},{top - 5}) rotate(-60)">{escape(names[label][:18])}</text>')
        for column, other in enumerate(order):
            value = float(share[label, other])
            if value >= 0.005:
                told = (
                    f"{100 * value:.0f} % of the {int(split.positives[label])} with {names[label]} have {names[other]}"
                )
                x = left + column * side
                parts.append(_rectangle(x, y, side - 1, side - 1, _color(0), value**0.6, told))
    width, height = left + len(order) * side + 70, top + len(order) * side + 4
    told = f"Share of the pictures with the row's label that also have the column's; {escape(name)}"
    told += f", the {len(order)} most frequent labels." if len(order) < len(names) else "."
    expected = np.outer(split.positives, split.positives) / split.images
    lift = np.triu(split.together / np.maximum(expected, 1e-9), 1)
    enough = split.together >= max(5, split.images // 1000)
    best = [divmod(int(at), len(names)) for at in np.argsort(-np.where(enough, lift, 0), axis=None)[:12]]
    rows = [
        [escape(names[a]), escape(names[b]), int(split.together[a, b]), f"{expected[a, b]:.2f}", f"{lift[a, b]:.1f}"]
        for a, b in best
        if enough[a, b] and lift[a, b] > 1
    ]
    pairs = table(["label", "with", "pictures", "by chance", "times chance"], rows, (2, 3, 4)) if rows else ""
    return f'<svg width="{width}" height="{height}">{"".join(parts)}</svg><p class="dim">{told}</p>{pairs}'


def _sizes(found: DataSurvey) -> str:
    rows = []
    for name, split in found.splits.items():
        if not split.sizes:
            continue
        sizes = np.array(split.sizes)
        common = ", ".join(f"{w} x {h} ({n:,})" for (w, h), n in Counter(split.sizes).most_common(4))
        least, median, most = (np.percentile(sizes, q, axis=0).astype(int) for q in (0, 50, 100))
        shape = sizes.max(1) / sizes.min(1)
        ranges = [f"{least[i]} / {median[i]} / {most[i]}" for i in (0, 1)]
        rows.append([escape(name), *ranges, f"{shape.max():.1f}", common])
    head = ["split", "width: least / median / most", "height", "longest to shortest side, most", "most frequent"]
    return table(head, rows)


def _broken(found: DataSurvey) -> str:
    if not found.broken:
        return "<p>None.</p>"
    rows = [
        [escape(found.places[i].split), escape(found.places[i].image_id), escape(reason)]
        for i, reason in found.broken.items()
    ]
    return f'<div class="tall">{table(["split", "picture", "reason"], rows)}</div>'


def _duplicates(found: DataSurvey, show: Figures) -> str:
    if not found.duplicates:
        return "<p>None.</p>"
    leaks, contradictions = found.leaks, found.contradictions

    def rank(group: Group) -> tuple[bool, bool]:
        return group not in leaks, group not in contradictions

    exact = sum(group.exact for group in found.duplicates)
    told = f"{plural(len(found.duplicates), 'picture')}, {exact} pixel by pixel; {len(leaks)} in more than one split, "
    told += f"{len(contradictions)} with labels that differ."
    if len(found.duplicates) > MOST_GROUPS:
        told += f" {MOST_GROUPS} are shown, the worst first."
    parts = [f"<p>{told}</p>"]
    for group in sorted(found.duplicates, key=rank)[:MOST_GROUPS]:
        words = ["the same pixels" if group.exact else "nearly the same"]
        words += ["more than one split"] * (group in leaks) + ["other labels"] * (group in contradictions)
        figures = "".join(show.figure(number, with_split=True) for number in group.members[:6])
        left = f"<p>and {len(group.members) - 6} more</p>" if len(group.members) > 6 else ""
        parts.append(
            f'<div class="group"><div style="width:120px" class="dim">{", ".join(words)}</div>{figures}{left}</div>'
        )
    return "".join(parts)


def _sheet(found: DataSurvey, show: Figures, split: str, num_images: int, seed: int) -> str:
    numbers = [i for i, place in enumerate(found.places) if place.split == split and i not in found.broken]
    chosen = stateless_generator("data page", seed, split).permutation(len(numbers))[:num_images]
    return f'<div class="sheet">{"".join(show.figure(numbers[i]) for i in sorted(chosen.tolist()))}</div>'
