"""A README that two write: what is not ours stays as it was."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from mlic_hf.hub import card_difference, write_card
from mlic_hf.hub.readme import BEGIN, END, merge_fields, read_readme

HAND_WRITTEN = """---
# chosen by our lawyers
license: cc-by-4.0
base_model: me/my-backbone   # fine-tuned before
tags: [birds, multi-label-image-classification]
language:
- de
---

# Bird tagger

We made this in *spring*.

## How we labelled

By hand.
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "config.json").write_text('{"model_type": "mlic_linear", "id2label": {"0": "owl", "1": "jay"}}')
    (tmp_path / "run.json").write_text('{"method": "psd", "metrics": {"test_mAP": 0.5}, "data": {"name": "birds"}}')
    return tmp_path


def test_a_hand_written_readme_and_its_front_matter_stay(folder: Path) -> None:
    path = folder / "README.md"
    path.write_text(HAND_WRITTEN)
    write_card(folder, {"repo_id": "me/bird-tagger"})
    text = path.read_text()
    front, body = HAND_WRITTEN.split("---\n", 2)[1:]
    assert body.strip() in text
    for line in ("# chosen by our lawyers", "license: cc-by-4.0", "base_model: me/my-backbone   # fine-tuned before",
                 "language:\n- de"):  # fmt: skip
        assert line in front
        assert line in text
    fields = read_readme(text).fields
    assert fields["tags"] == ["birds", "multi-label-image-classification", "mlic_hf", "mlic_linear", "psd"]
    assert fields["model-index"][0]["results"][0]["metrics"][0]["value"] == 0.5
    assert text.split("---\n", 2)[2].count("\n# ") == 1  # one title, theirs
    assert text.index("By hand.") < text.index(BEGIN) < text.index("## Labels") < text.index(END)


def test_our_section_is_written_anew_where_it_stands(folder: Path) -> None:
    path = write_card(folder)
    above, below = "Above it.", "## Below\n\nIt."
    text = path.read_text().replace(BEGIN, f"{above}\n\n{BEGIN}") + f"\n{below}\n"
    path.write_text(text.replace("owl", "cow"))
    write_card(folder, {"license": "mit"})
    told = path.read_text()
    assert told.index(above) < told.index(BEGIN) < told.index("owl") < told.index(END) < told.index(below)
    assert "cow" not in told
    assert read_readme(told).fields["license"] == "mit"
    before = told
    write_card(folder)  # not given again, but it stands there
    assert path.read_text() == before


def test_a_license_that_is_given_wins(folder: Path) -> None:
    (folder / "README.md").write_text(HAND_WRITTEN)
    text = write_card(folder, {"license": "apache-2.0"}).read_text()
    assert read_readme(text).fields["license"] == "apache-2.0"
    assert "lawyers" in text


def test_a_dry_run_shows_the_difference_and_writes_nothing(folder: Path) -> None:
    (folder / "README.md").write_text(HAND_WRITTEN)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    told = card_difference(folder)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    lines = told.splitlines()
    assert lines[:2] == ["--- README.md (as it is)", "+++ README.md (as it would be)"]
    assert f"+{BEGIN}" in lines
    assert [line for line in lines[2:] if line.startswith("-")] == ["-tags: [birds, multi-label-image-classification]"]
    write_card(folder)
    assert card_difference(folder) == ""


def test_results_of_others_stay_and_ours_are_replaced() -> None:
    def model(name: str, *results: tuple[str, float]) -> dict:
        return {"name": name, "results": [{"dataset": {"type": d}, "metrics": [{"value": v}]} for d, v in results]}

    theirs = {"model-index": [model("tagger", ("coco", 0.1), ("birds", 0.2)), model("other", ("fish", 0.3))]}
    ours = {"model-index": [model("tagger", ("birds", 0.9))]}
    assert merge_fields(theirs, ours) == {
        "model-index": [model("other", ("fish", 0.3)), model("tagger", ("coco", 0.1), ("birds", 0.9))]
    }
    with pytest.raises(ValueError, match="model-index has the entry 'x'"):
        merge_fields({"model-index": ["x"]}, ours)


def test_tags_of_another_method_of_ours_go_and_others_stay() -> None:
    merged = merge_fields({"tags": ["l2d", "birds", "mlic_linear"]}, {"tags": ["mlic_hf", "psd", "mlic_linear"]})
    assert merged["tags"] == ["birds", "mlic_linear", "mlic_hf", "psd"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("---\na: [\n---\n", "front matter of .*README.md is no YAML, line"),
        ("---\n- a\n---\n", "front matter of .*README.md is a list; fields"),
        (f"{BEGIN}\n", "1 lines <!-- mlic_hf: begin --> and 0 lines"),
        (f"{END}\n{BEGIN}\n", "one pair was expected"),
        (f"{BEGIN}\n{BEGIN}\n{END}\n", "2 lines"),
    ],
)
def test_a_readme_that_cannot_be_read_is_left_alone(text: str, said: str, folder: Path) -> None:
    (folder / "README.md").write_text(text)
    with pytest.raises(ValueError, match=said):
        write_card(folder)
    assert (folder / "README.md").read_text() == text


@pytest.mark.parametrize("text", ["", "---\n---\n", "no front matter\n", "---\nlicense: mit\n---", "a\n\n---\n\nb\n"])
def test_short_readmes(text: str, folder: Path) -> None:
    (folder / "README.md").write_text(text)
    told = write_card(folder).read_text()
    assert yaml.safe_load(told.split("---\n")[1])["library_name"] == "transformers"
    for line in ("no front matter", "license: mit", "a\n\n---\n\nb"):
        assert (line in told) == (line in text)
    assert card_difference(folder) == ""
