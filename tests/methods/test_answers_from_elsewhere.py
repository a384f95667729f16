"""A tagger's table as a teacher: matched by name, silent where it says nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from mlic_hf.methods.base import Weighted
from mlic_hf.methods.l2d.config import L2DConfig
from mlic_hf.methods.l2d.method import l2d_objectives
from mlic_hf.methods.teacher_cache import keep_answers
from mlic_hf.methods.views import PixelSpec
from tests.methods.tiny import NAMES, tiny_batch, tiny_decoder
from tests.methods.together import Together

TABLE = "image_id,dog,whale,ant,bee\np1,0.5,0.1,,1\np0,0.9,0.1,0.25,0.5\np2,,0.1,0.75,0\n"
LOGITS_ALONE = L2DConfig(weight_hard=0.0, weight_class_aware=0.0, weight_instance_aware=0.0, weight_mld=1.0)


def written(folder: Path, text: str = TABLE, name: str = "tags.csv") -> Path:
    (folder / name).write_text(text)
    return folder / name


def test_probabilities_become_logits_of_the_labels_by_name(tmp_path: Path) -> None:
    kept = keep_answers(written(tmp_path), tmp_path / "cache", NAMES, ["p0", "p1"], meaning="probabilities")
    assert kept.manifest.unanswered == ["cat", "eel"]
    assert kept.manifest.views is None
    said = kept(torch.zeros(2, 3, 4, 4), kept.pixels, image_id=["p1", "p0"])
    assert said.answered.tolist() == [[False, True, False, True, False], [True, True, False, True, False]]
    found = said.logits.sigmoid()[said.answered]
    torch.testing.assert_close(found, torch.tensor([1.0, 0.5, 0.25, 0.5, 0.9]), rtol=1e-3, atol=1e-5)
    with pytest.raises(ValueError, match="lacks the image 'p2'"):
        kept(torch.zeros(1, 3, 4, 4), kept.pixels, image_id=["p2"])


def test_parquet_and_csv_say_the_same(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow", reason="pyarrow reads and writes Parquet")
    from pyarrow import parquet

    columns = {"image_id": ["p1", "p0"], "dog": [0.25, None], "ant": [1.5, -2.0]}
    parquet.write_table(pyarrow.table(columns), tmp_path / "tags.parquet")
    text = "image_id,dog,ant\np1,0.25,1.5\np0,,-2.0\n"
    said = [
        keep_answers(table, tmp_path / table.suffix, NAMES)(
            torch.zeros(2, 3, 4, 4), PixelSpec(4, (0.0,) * 3, (1.0,) * 3), image_id=["p0", "p1"]
        )
        for table in (tmp_path / "tags.parquet", written(tmp_path, text))
    ]
    assert torch.equal(said[0].logits, said[1].logits)
    assert torch.equal(said[0].answered, said[1].answered)
    assert said[0].logits[0].tolist() == [-2.0, 0.0, 0.0, 0.0, 0.0]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("id,dog\np0,1\n", "but none is called image_id"),
        ("image_id,dog\np0,1\np0,2\n", "has 1 images twice, among them 'p0'"),
        ("image_id,whale\np0,1\n", "has a column for none of the 5 labels, such as 'ant'"),
        ("image_id,dog\np0,woof\n", "column 'dog': could not convert string to float: 'woof'"),
        ("image_id,dog\np0,inf\n", "column 'dog', row 0: inf, but a finite logit was expected"),
        ("image_id,dog\n", "has no rows"),
    ],
)
def test_wrong_tables_are_refused(tmp_path: Path, text: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        keep_answers(written(tmp_path, text), tmp_path / "cache", NAMES)
    assert not (tmp_path / "cache").exists()


def test_wrong_calls_are_refused(tmp_path: Path) -> None:
    table = written(tmp_path, TABLE.replace("0.9", "1.9"))
    with pytest.raises(ValueError, match=r"column 'dog', row 1: 1.9, but a probability from 0 to 1 was expected"):
        keep_answers(table, tmp_path / "cache", NAMES, meaning="probabilities")
    with pytest.raises(ValueError, match="lacks 1 of 2 images, among them 'p7'"):
        keep_answers(table, tmp_path / "cache", NAMES, ["p0", "p7"])
    with pytest.raises(ValueError, match="The answers are 'guesses'"):
        keep_answers(table, tmp_path / "cache", NAMES, meaning="guesses")
    with pytest.raises(FileNotFoundError, match="no table of answers"):
        keep_answers(tmp_path / "none.csv", tmp_path / "cache", NAMES)
    with pytest.raises(ValueError, match=r"is no .parquet or .csv file"):
        keep_answers(written(tmp_path, "x", "tags.txt"), tmp_path / "cache", NAMES)


def test_cells_without_an_answer_take_no_part(tmp_path: Path) -> None:
    kept = keep_answers(written(tmp_path), tmp_path / "cache", NAMES)
    student = tiny_decoder(7).eval()
    objectives: list[Weighted] = list(l2d_objectives(LOGITS_ALONE, student, kept))
    both = Together(student, objectives, kept, PixelSpec.of_model(student))
    pixels, _ = tiny_batch(3)
    ids = ["p0", "p1", "p2"]
    nobody = torch.full((3, 5), -1.0)
    found = both(pixels, nobody, image_id=ids, unlabelled=torch.ones(3, dtype=torch.bool))
    found["loss"].backward()
    taught = kept(pixels, kept.pixels, image_id=ids)
    cells = torch.where(taught.answered, 0.0, -1.0)
    expected = both.objectives["mld"].loss(found["logits"], taught.logits, cells, reduction="sum", temperature=1.0)
    torch.testing.assert_close(found["mld"], expected / 9)  # batchmean, and the images once more
    labels = torch.zeros(3, 5)
    torch.testing.assert_close(both(pixels, labels, image_id=ids)["mld"], expected / 9)
