"""What `mlic inspect` finds, and the page that shows it."""

from __future__ import annotations

import io
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mlic_hf.cli import inspect
from mlic_hf.data import adapt_splits
from mlic_hf.reports.data_page import write_data_page
from mlic_hf.reports.data_survey import DataSurvey, survey
from mlic_hf.reports.duplicates import find_duplicates, fingerprint
from tests.data.pictures import encoded, picture
from tests.dataset_builders.trees import metadata


def groups(*images: Image.Image | None) -> list[tuple[tuple[int, ...], bool]]:
    found = find_duplicates([None if image is None else fingerprint(image) for image in images])
    return [(group.members, group.exact) for group in found]


def recompressed(image: Image.Image, quality: int) -> Image.Image:
    return Image.open(io.BytesIO(encoded(image, quality=quality))).convert("RGB")


def test_the_same_picture_is_found_again() -> None:
    one = picture(160, 120, seed=1)
    others = [picture(160, 120, seed=seed) for seed in range(2, 40)]
    assert groups(one, *others) == []
    assert groups(one, *others, one.copy()) == [((0, 39), True)]
    assert groups(one, *others, one.resize((80, 60))) == [((0, 39), False)]
    assert groups(one, None, recompressed(one, 40), one.copy()) == [((0, 2, 3), False)]
    # mirrored and shifted pictures are others
    assert groups(one, one.transpose(Image.Transpose.FLIP_LEFT_RIGHT), one.crop((40, 30, 160, 120))) == []


def test_flat_pictures_are_the_same_only_when_they_are() -> None:
    flat = [Image.new("RGB", (20, 20), (level, level, level)) for level in (10, 200, 201)]
    assert groups(*flat) == []
    assert groups(*flat, flat[0].copy()) == [((0, 3), True)]


def test_the_hashes_of_many_pictures_are_compared_as_a_plain_loop_would() -> None:
    base = [picture(48, 48, seed=seed) for seed in range(30)]
    images = base + [recompressed(image, 70) for image in base[:20]] + [image.resize((30, 40)) for image in base[:5]]
    prints = [fingerprint(image) for image in images]
    near = {
        (a, b)
        for a in range(len(images))
        for b in range(a + 1, len(images))
        if bin(prints[a].gradient ^ prints[b].gradient).count("1") <= 3
        and np.abs(prints[a].small.astype(int) - prints[b].small).mean() <= 6
    }
    found = find_duplicates(prints)
    pairs = {(a, b) for group in found for a in group.members for b in group.members if a < b}
    assert near <= pairs
    assert len(near) > 15


def rows() -> dict[str, list[dict[str, Any]]]:
    def row(seed: int, labels: list[str], ignored: tuple[str, ...] = ()) -> dict[str, Any]:
        image = encoded(picture(60, 40, seed), "PNG")
        return {"image": image, "image_id": f"p{seed}", "labels": labels, "ignored": list(ignored)}

    train = [row(0, ["cat", "sea"]), row(1, ["cat"], ("dog",)), row(2, []), row(3, ["sea", "cat"])]
    test = [row(0, ["dog"]) | {"image_id": "again"}, row(9, ["<b>&"]), row(4, ["cat"]) | {"image": b"broken"}]
    return {"train": train, "test": test}


@pytest.fixture
def found() -> tuple[DataSurvey, dict[str, Any]]:
    splits, space = adapt_splits(rows())
    return survey(splits, space), splits


def test_everything_is_counted(found: tuple[DataSurvey, dict[str, Any]]) -> None:
    seen, _ = found
    assert seen.space.names == ("<b>&", "cat", "dog", "sea")
    train, test = seen.splits["train"], seen.splits["test"]
    assert (train.images, train.positives.tolist(), train.ignored.tolist()) == (4, [0, 3, 0, 2], [0, 0, 1, 0])
    assert train.together[1, 3] == 2
    assert train.cardinality.tolist() == [1, 1, 2]
    assert train.sizes == [(60, 40)] * 4
    assert len(test.sizes) == 2
    assert seen.absent == {"train": ["<b>&", "dog"], "test": ["sea"]}
    assert {seen.places[i].image_id for i in seen.broken} == {"p4"}
    assert "cannot be decoded" in next(iter(seen.broken.values()))
    (leak,) = seen.leaks
    assert [seen.places[i].image_id for i in leak.members] == ["p0", "again"]
    assert seen.contradictions == [leak]


class Page(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.sources: list[str] = []
        self.tags: list[str] = []
        self.text: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.sources += [str(value) for name, value in attributes if name in ("src", "href")]

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def test_the_page_stands_alone_and_says_it_all(found: tuple[DataSurvey, dict[str, Any]], tmp_path: Path) -> None:
    write_data_page(*found, tmp_path / "new" / "page.html", title="<photos>")
    page = Page((tmp_path / "new" / "page.html").read_text(encoding="utf-8"))
    assert all(source.startswith("data:image/jpeg;base64,") for source in page.sources)
    assert page.tags.count("img") == 2 + 4 + 2  # the leak, and the good pictures of the two sheets
    assert "script" not in page.tags
    assert "b" in page.tags  # of our own; that of a label's name is text
    said = " ".join(" ".join(page.text).split())
    for sentence in (
        "<photos>",
        "1 picture in more than one split: scores there are flattered.",
        "1 picture that cannot be read.",
        "1 picture twice or more, with labels that differ.",
        "2 labels without a picture in train: <b>&, dog",
        "1 label without a picture in test: sea",
        "The image 'p4' cannot be decoded",
    ):
        assert sentence in said, sentence


def test_a_split_without_rows() -> None:
    splits, space = adapt_splits({"train": rows()["train"]})
    splits["test"] = []
    with pytest.raises(ValueError, match="Split 'test' has no rows"):
        survey(splits, space)


def test_the_verb_shows_what_a_builder_would_refuse(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    pytest.importorskip("datasets")
    lines = [{"file_name": f"{i}.png", "labels": ["ab"[i % 2]], "split": ["train", "test"][i > 3]} for i in range(6)]
    folder = metadata(tmp_path / "photos", lines)
    (folder / "1.png").write_bytes(b"")
    (folder / "2.png").unlink()
    (folder / "5.png").write_bytes((folder / "0.png").read_bytes())
    inspect.main(["--dataset", str(folder), "--output", str(tmp_path / "page.html"), "--images", "2"])
    assert "<h1>photos</h1>" in (tmp_path / "page.html").read_text(encoding="utf-8")
    assert str(tmp_path) not in (tmp_path / "page.html").read_text(encoding="utf-8").partition("cannot be read")[0]
    said = capsys.readouterr().out
    assert "train: 4 pictures, 0 of 2 labels never occur" in said
    assert "2 pictures cannot be read; 1 stand twice, 1 of them in more than one split" in said
    page = (tmp_path / "page.html").read_text()
    assert "has zero bytes" in page
    assert "does not exist" in page
    assert page.count("<img") == 2 + 2 + 2
