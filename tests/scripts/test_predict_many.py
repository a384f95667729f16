"""Pictures from lists, tables and tars; shards that are whole or not there, whoever is killed."""

from __future__ import annotations

import io
import json
import math
import os
import signal
import subprocess
import sys
import tarfile
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import mlic_hf
from mlic_hf.cli import predict
from mlic_hf.methods.saved_model import load_saved
from mlic_hf.modeling import MultiLabelImageProcessor
from mlic_hf.runs.picture_sources import _of_parquet, find_pictures
from mlic_hf.runs.tag_shards import TagShards
from mlic_hf.runs.tagging import Tagged, tag

ROOT = Path(mlic_hf.__file__).parents[1]


@pytest.fixture(scope="module")
def student(distilled: tuple) -> str:
    return str(distilled[0] / "student")


def jsonl(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def shards(folder: Path) -> list[dict[str, Any]]:
    """All rows of all shards, in the order of their names."""
    if list(folder.glob("*.jsonl")):
        return [row for path in sorted(folder.glob("part-*.jsonl")) for row in jsonl(path)]
    parquet = pytest.importorskip("pyarrow.parquet", reason="needs the data extra")
    return [row for path in sorted(folder.glob("part-*.parquet")) for row in parquet.read_table(path).to_pylist()]


class TestSources:
    """Every way to say which pictures are meant gives the same tags."""

    def test_lists_tables_and_tars(self, student: str, folder: Path, tmp_path: Path) -> None:
        pyarrow = pytest.importorskip("pyarrow", reason="needs the data extra")
        parquet = pytest.importorskip("pyarrow.parquet", reason="needs the data extra")
        files = sorted((folder / "validation").glob("*.png"))
        place = tmp_path / "photos"
        place.mkdir()
        for path in files:
            (place / path.name).write_bytes(path.read_bytes())
        (tmp_path / "list.txt").write_text("\n".join(map(str, files)) + "\n\n")
        (place / "table.csv").write_text("id,file_name\n" + "".join(f"{i},{p.name}\n" for i, p in enumerate(files)))
        (place / "table.jsonl").write_text("".join(json.dumps({"path": p.name}) + "\n" for p in files))
        cells = [{"bytes": p.read_bytes(), "path": p.name} for p in files]
        table = pyarrow.table({"photo": cells, "n": list(range(len(files)))})
        parquet.write_table(table, tmp_path / "cells.parquet", row_group_size=5)
        parquet.write_table(pyarrow.table({"image": [p.name for p in files]}), place / "paths.parquet")
        with tarfile.open(tmp_path / "shard-0.tar", "w") as tar:
            for path in files:
                tar.add(path, f"deep/{path.name}")
                tar.addfile(tarfile.TarInfo(f"deep/{path.stem}.json"), io.BytesIO())
        flags = ["--model", student, "--top_k", "2"]
        predict.main([*map(str, files), *flags, "--output", str(tmp_path / "expected.jsonl")])
        expected = [row["labels"] for row in jsonl(tmp_path / "expected.jsonl")]
        given = [tmp_path / "list.txt", place / "table.csv", place / "table.jsonl", place / "paths.parquet"]
        given += [tmp_path / "cells.parquet", tmp_path / "shard-*.tar"]
        for number, source in enumerate(given):
            output = tmp_path / f"{number}.jsonl"
            more = ["--column", "photo"] if source.name == "cells.parquet" else []
            predict.main([str(source), *flags, *more, "--output", str(output), "--num_workers", str(number % 2)])
            rows = jsonl(output)
            assert [row["labels"] for row in rows] == expected, source
            assert len({row["file"] for row in rows}) == len(files)
        assert jsonl(tmp_path / "4.jsonl")[7]["file"] == f"{tmp_path / 'cells.parquet'}#7"
        assert jsonl(tmp_path / "5.jsonl")[0]["file"] == f"{tmp_path / 'shard-0.tar'}/deep/{files[0].name}"

    def test_what_cannot_be_meant_is_said(self, tmp_path: Path) -> None:
        (tmp_path / "t.csv").write_text("photo,n\na.jpg,1\n")
        with pytest.raises(ValueError, match=r"t\.csv has none of the columns image, .*Its columns: photo, n"):
            find_pictures([tmp_path / "t.csv"])
        with pytest.raises(ValueError, match="has no column 'pic'"):
            find_pictures([tmp_path / "t.csv"], "pic")
        (tmp_path / "out.csv").write_text("file\n../../secret.jpg\n")
        with pytest.raises(ValueError, match="points outside"):
            find_pictures([tmp_path / "out.csv"])
        (tmp_path / "no.tar").write_bytes(b"no tar at all")
        with pytest.raises(ValueError, match=r"no\.tar cannot be read as a tar"):
            find_pictures([tmp_path / "no.tar"])
        (tmp_path / "empty.txt").write_text("\n")
        with pytest.raises(FileNotFoundError, match=r"empty\.txt is no image, and no folder"):
            find_pictures([tmp_path / "empty.txt"])

    def test_a_table_elsewhere_that_is_gone_ends_the_run(self, student: str, folder: Path) -> None:
        """It is no picture that is broken, and what comes after it is not told of as broken either."""
        pyarrow = pytest.importorskip("pyarrow", reason="needs the data extra")
        parquet = pytest.importorskip("pyarrow.parquet", reason="needs the data extra")
        fsspec = pytest.importorskip("fsspec")
        cells = [{"bytes": path.read_bytes()} for path in sorted((folder / "validation").glob("*.png"))]
        cells[1] = {"bytes": b"no picture"}
        memory = fsspec.filesystem("memory")
        with memory.open("/many.parquet", "wb") as file:
            parquet.write_table(pyarrow.table({"image": cells}), file, row_group_size=4)
        pictures = list(_of_parquet("memory://many.parquet", None))
        model = load_saved(student).eval()
        found = tag(model, pictures, batch_size=4)
        first = [next(found) for _ in range(4)]
        assert [row.error is not None for row in first] == [False, True, False, False]
        memory.rm("/many.parquet")
        with pytest.raises(ConnectionError, match=r"memory://many\.parquet cannot be reached"):
            list(found)

    def test_only_parquet_is_read_where_it_lies(self, monkeypatch: pytest.MonkeyPatch) -> None:
        datasets = pytest.importorskip("datasets", reason="needs the data extra")
        config = SimpleNamespace(data_files={"train": ["hf://a.tar"]})
        other = SimpleNamespace(name="webdataset", config=config)
        monkeypatch.setattr(datasets, "load_dataset_builder", lambda name, config: other)
        with pytest.raises(ValueError, match=r"hub:a/b:small is made of webdataset files.*`hf download a/b"):
            find_pictures(["hub:a/b:small"])

    def test_a_picture_given_twice_is_tagged_once(self, folder: Path) -> None:
        path = folder / "train" / "image-0-0.png"
        assert len(find_pictures([path, path, folder / "train"])) == 24


class TestShards:
    def test_they_hold_what_one_file_holds(self, student: str, folder: Path, tmp_path: Path) -> None:
        flags = [str(folder), "--model", student, "--threshold", "0.4"]
        predict.main([*flags, "--output", str(tmp_path / "one.jsonl")])
        expected = jsonl(tmp_path / "one.jsonl")
        predict.main([*flags, "--output", str(tmp_path / "lines"), "--shard_size", "10", "--format", "jsonl"])
        assert shards(tmp_path / "lines") == expected
        names = sorted(path.name for path in (tmp_path / "lines").iterdir())
        assert names == ["_settings.json", *(f"part-{i:05}-of-00004.jsonl" for i in range(4))]
        predict.main([*flags, "--output", str(tmp_path / "cells"), "--shard_size", "10"])
        rows = shards(tmp_path / "cells")
        assert [row["file"] for row in rows] == [row["file"] for row in expected]
        for row, wanted in zip(rows, expected):
            assert row["error"] is None
            assert [x["label"] for x in row["labels"]] == [x["label"] for x in wanted["labels"]]
            assert [x["score"] for x in row["labels"]] == pytest.approx([x["score"] for x in wanted["labels"]])

    def test_datasets_reads_them(self, student: str, folder: Path, tmp_path: Path) -> None:
        datasets = pytest.importorskip("datasets", reason="needs the data extra")
        (tmp_path / "bad.png").write_bytes(b"")
        output = tmp_path / "tags"
        predict.main([str(folder), str(tmp_path / "bad.png"), "--model", student, "--output", str(output)])
        rows = datasets.load_dataset(
            "parquet", data_files=str(output / "*.parquet"), split="train", cache_dir=str(tmp_path / "cache")
        )
        assert len(rows) == 37
        assert rows[36]["labels"] is None
        assert "zero bytes" in rows[36]["error"]

    def test_a_run_goes_on_with_the_missing_ones(
        self, student: str, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        flags = [str(folder), "--model", student, "--shard_size", "10", "--format", "jsonl"]
        predict.main([*flags, "--output", str(tmp_path / "whole")])
        output = tmp_path / "tags"
        predict.main([*flags, "--output", str(output)])
        (output / "part-00002-of-00004.jsonl").unlink()
        kept = (output / "part-00001-of-00004.jsonl").stat().st_mtime_ns
        with pytest.raises(ValueError, match="holds the shards of another run; go on with `resume`"):
            predict.main([*flags, "--output", str(output)])
        with pytest.raises(ValueError, match=r"begun with other settings \(top_k\)"):
            predict.main([*flags, "--output", str(output), "--resume", "--top_k", "1"])
        with pytest.raises(ValueError, match=r"other settings \(names, pictures\)"):
            predict.main([str(folder / "train"), *flags[1:], "--output", str(output), "--resume"])
        predict.main([*flags, "--output", str(output), "--resume"])
        assert shards(output) == shards(tmp_path / "whole")
        assert (output / "part-00001-of-00004.jsonl").stat().st_mtime_ns == kept

    def test_every_shard_belongs_to_one_process(self, tmp_path: Path) -> None:
        pictures = find_pictures([self.names(tmp_path, 95)])
        made = TagShards(tmp_path / "tags", pictures, {}, 10, "jsonl")
        made.begin(resume=False)
        owned = [made.left(process, 3) for process in range(3)]
        assert sorted(shard for shards in owned for shard in shards) == list(range(10))
        assert [p for shard in range(10) for p in made.pictures_of([shard])] == pictures
        rows = list(made.write([9], iter(Tagged(p.name) for p in made.pictures_of([9]))))
        assert len(rows) == 5
        assert made.left() == list(range(9))

    def names(self, folder: Path, count: int) -> Path:
        (folder / "list.txt").write_text("\n".join(f"{i}.jpg" for i in range(count)))
        return folder / "list.txt"

    def test_other_folders_are_left_alone(self, student: str, folder: Path, tmp_path: Path) -> None:
        (tmp_path / "mine").mkdir()
        (tmp_path / "mine" / "letter.txt").write_text("dear")
        with pytest.raises(ValueError, match="is not empty and holds no shards"):
            predict.main([str(folder), "--model", student, "--output", str(tmp_path / "mine")])
        with pytest.raises(ValueError, match=r"a \.jsonl or \.csv file was expected, or a folder"):
            predict.main([str(folder), "--model", student, "--output", str(tmp_path / "tags.xml")])


def test_embeddings_are_unit_means_of_the_map(student: str, folder: Path, tmp_path: Path) -> None:
    output = tmp_path / "tags"
    flags = [str(folder / "validation"), "--model", student, "--embeddings"]
    predict.main([*flags, "--output", str(output), "--format", "jsonl"])
    rows = shards(output)
    model = load_saved(student).eval()
    processor = MultiLabelImageProcessor.for_model(model)
    for row in rows[:3]:
        with torch.no_grad():
            pixels = processor(Image.open(row["file"]), return_tensors="pt")["pixel_values"]
            expected = model(pixels, output_feature_map=True).feature_map.mean(dim=(2, 3))[0]
        found = torch.tensor(row["embedding"])
        assert float(found.norm()) == pytest.approx(1, abs=1e-5)
        torch.testing.assert_close(found, expected / expected.norm(), atol=1e-5, rtol=1e-4)
    with pytest.raises(ValueError, match="--embeddings are no reading for a screen"):
        predict.main(flags)


def test_calibrated_scores_are_shown_and_the_models_own_thresholds_stay(
    student: str, folder: Path, tmp_path: Path
) -> None:
    pictures = find_pictures([folder / "validation"])
    model = load_saved(student).eval()
    model.config.calibration = [[2.0, -1.0]] * 5
    plain, calibrated = list(tag(model, pictures, top_k=5)), list(tag(model, pictures, top_k=5, calibrated=True))
    for one, other in zip(plain, calibrated):
        logits = {x["label"]: math.log(x["score"] / (1 - x["score"])) for x in one.labels}
        expected = {name: 1 / (1 + math.exp(1 - 2 * logit)) for name, logit in logits.items()}
        assert {x["label"]: x["score"] for x in other.labels} == pytest.approx(expected, abs=1e-3)

    def decided(**how: Any) -> list[set[str]]:
        return [{x["label"] for x in one.labels} for one in tag(model, pictures, **how)]

    assert decided() == decided(calibrated=True)
    assert any(decided())
    reached = [{x["label"] for x in one.labels if x["score"] >= 0.3} for one in calibrated]
    assert decided(threshold=0.3, calibrated=True) == reached
    model.config.calibration = None
    with pytest.raises(ValueError, match="has no calibration"):
        list(tag(model, pictures, calibrated=True))
    flags = [str(folder / "validation"), "--model", student, "--calibrated", "--quiet"]
    predict.main([*flags, "--output", str(tmp_path / "tags.jsonl")])
    found = [json.loads(line) for line in (tmp_path / "tags.jsonl").read_text().splitlines()]
    own = list(tag(load_saved(student).eval(), pictures, calibrated=True))
    assert [row["labels"] for row in found] == [one.labels for one in own]


def test_workers_change_nothing(student: str, folder: Path) -> None:
    model = load_saved(student).eval()
    pictures = find_pictures([folder])
    assert list(tag(model, pictures, num_workers=2, batch_size=7)) == list(tag(model, pictures, batch_size=7))


def test_quiet_says_nothing(student: str, folder: Path, tmp_path: Path, capfd: pytest.CaptureFixture) -> None:
    flags = [str(folder / "validation"), "--model", student, "--output"]
    predict.main([*flags, str(tmp_path / "loud.jsonl")])
    said = capfd.readouterr().err
    assert "12/12" in said
    assert "images/s" in said
    model = load_saved(student)  # what transformers says of its own loading
    capfd.readouterr()
    assert model is not None
    predict.main([*flags, str(tmp_path / "quiet.jsonl"), "--quiet"])
    assert "images" not in capfd.readouterr().err


def many_pictures(folder: Path, count: int) -> set[str]:
    """Small JPEGs, every hundredth cut off; the names of the broken ones."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    broken = set()
    for number in range(count):
        file = io.BytesIO()
        Image.fromarray(rng.integers(0, 256, (6, 8, 3), dtype=np.uint8)).resize((64, 48)).save(file, "JPEG")
        path = folder / f"{number:06}.jpg"
        if number % 100 == 50:
            broken.add(str(path))
            path.write_bytes(file.getvalue()[:200])
        else:
            path.write_bytes(file.getvalue())
    return broken


@pytest.mark.slow
def test_killed_three_times(student: str, tmp_path: Path) -> None:
    """2,000 pictures in shards of 100, two processes of `accelerate launch` killed three times, one at the end."""
    broken = many_pictures(tmp_path / "photos", 2_000)
    output = tmp_path / "tags"
    verb = [str(tmp_path / "photos"), "--model", student, "--output", str(output), "--shard_size", "100"]
    verb += ["--format", "jsonl", "--resume", "--num_workers", "1", "--batch_size", "8"]
    two = str(ROOT / "training_scripts" / "launch" / "cpu_2.yaml")
    launch = [sys.executable, "-m", "accelerate.commands.launch", "--config_file", two]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    counts = []
    for _ in range(3):
        before = len(list(output.glob("part-*")))
        started = subprocess.Popen(
            [*launch, str(ROOT / "training_scripts" / "predict.py"), *verb],
            env=environment,
            start_new_session=True,
            stderr=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + 240
        while len(list(output.glob("part-*"))) < before + 2 and time.monotonic() < deadline:
            assert started.poll() is None, "it ended before it was killed"
            time.sleep(0.01)
        os.killpg(started.pid, signal.SIGKILL)
        started.wait()
        counts.append(len(list(output.glob("part-*"))))
    assert 0 < counts[0] < counts[1] < counts[2] < 20
    done = {path.name: path.stat().st_mtime_ns for path in output.glob("part-*")}
    subprocess.run([sys.executable, "-m", "mlic_hf.cli", "predict", *verb], env=environment, check=True, timeout=240)
    rows = shards(output)
    assert [row["file"] for row in rows] == sorted(map(str, (tmp_path / "photos").iterdir()))
    assert {row["file"] for row in rows if "error" in row} == broken
    assert {name: (output / name).stat().st_mtime_ns for name in done} == done
