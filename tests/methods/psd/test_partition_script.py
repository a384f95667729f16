"""`mlic partition`: from counts or a data set to partition.json and its picture."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from mlic_hf.cli import partition as script
from mlic_hf.cli import run_verb
from mlic_hf.methods.psd.partition import Partition
from tests.methods.psd.test_partition_file import COOCCURRENCE, COUNTS, NAMES

pytest.importorskip("sklearn")


@pytest.fixture
def counts_file(tmp_path: Path) -> Path:
    file = tmp_path / "counts.npz"
    np.savez(file, cooccurrence=COOCCURRENCE, counts=COUNTS, names=np.array(NAMES))
    return file


def run(counts_file: Path, output: Path, *options: str) -> Partition:
    flags = ["--cooccurrence", str(counts_file), "--kind", "cgp", "--parts", "2", "--output_dir", str(output)]
    return script.make_partition(script.parse_arguments([*flags, *options]))


def test_counts_become_a_file_and_a_picture(counts_file: Path, tmp_path: Path, capsys) -> None:
    pytest.importorskip("matplotlib")
    made = run(counts_file, tmp_path / "out")
    assert Partition.load(tmp_path / "out") == made
    assert made.source == "counts.npz"
    assert made.parts == (("cat", "dog", "yeti"), ("fork", "knife", "unicorn"))
    assert (tmp_path / "out" / "partition.png").read_bytes().startswith(b"\x89PNG")
    assert "2 labels never occur" in capsys.readouterr().out


def test_the_picture_needs_matplotlib_but_the_file_does_not(counts_file, tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    made = run(counts_file, tmp_path / "out")
    assert Partition.load(tmp_path / "out") == made
    assert "mlic_hf[reports]" in capsys.readouterr().err


def test_another_partition_in_the_folder_is_not_lost(counts_file: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(script, "draw_partition", lambda *arguments: None)
    first = run(counts_file, tmp_path / "out")
    assert run(counts_file, tmp_path / "out") == first
    with pytest.raises(ValueError, match="holds another partition"):
        run(counts_file, tmp_path / "out", "--parts", "3")
    assert run(counts_file, tmp_path / "out", "--parts", "3", "--overwrite").num_parts == 3


def test_the_train_split_of_a_data_set_is_counted(tmp_path) -> None:
    datasets = pytest.importorskip("datasets")
    label = datasets.Sequence(datasets.ClassLabel(names=["a", "b", "c"]))
    features = datasets.Features({"image": datasets.Image(), "image_id": datasets.Value("string"), "labels": label})
    labels = [[0, 1], [0], [], [1, 2, 0], [1]]
    rows = {"image": [None] * 5, "image_id": list("01234"), "labels": labels}
    datasets.Dataset.from_dict(rows, features=features).save_to_disk(tmp_path)
    cooccurrence, counts, names = script.count_train_split(str(tmp_path), None)
    assert names == ["a", "b", "c"]
    assert counts.tolist() == [3, 3, 1]
    assert cooccurrence.tolist() == [[0, 2, 1], [2, 0, 1], [1, 1, 0]]


def test_counts_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no counts file .*absent\.npz"):
        script.read_counts(tmp_path / "absent.npz")
    np.savez(tmp_path / "half.npz", counts=COUNTS)
    with pytest.raises(ValueError, match="lacks the arrays cooccurrence, names; it holds counts"):
        script.read_counts(tmp_path / "half.npz")
    (tmp_path / "text.npz").write_text("not an archive", encoding="utf-8")
    np.save(tmp_path / "one.npy", COUNTS)
    np.savez(
        tmp_path / "objects.npz",
        cooccurrence=COOCCURRENCE,
        counts=COUNTS,
        names=np.array(NAMES, dtype=object),
    )
    for name in ("text.npz", "one.npy", "objects.npz"):
        with pytest.raises(ValueError, match=f"{name} is not an .npz file of plain arrays"):
            script.read_counts(tmp_path / name)


def test_a_user_error_is_one_line_and_exit_status_two(counts_file: Path, tmp_path: Path, capsys) -> None:
    flags = ["--cooccurrence", str(counts_file), "--kind", "cgp", "--output_dir", str(tmp_path / "out")]
    with pytest.raises(SystemExit) as ended:
        run_verb("partition", [*flags, "--parts", "7"])
    assert ended.value.code == 2
    assert capsys.readouterr().err == "error: 6 labels cannot form 7 parts; expected 1 to 6.\n"
    assert not (tmp_path / "out").exists()
    run_verb("partition", [*flags, "--parts", "2"])
    assert (tmp_path / "out" / "partition.json").is_file()
