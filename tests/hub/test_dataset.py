"""A data set goes to the Hub with prepare_dataset.py and comes back as `hub:owner/name`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from dataset_builders import load_splits
from mlic_hf.modeling import MultiLabelImageProcessor
from tests.dataset_builders.trees import metadata
from tests.hub.loopback import client_environment, loopback_hub
from tests.modeling.tiny_models import tiny_model

pytest.importorskip("datasets")
ROOT = Path(__file__).resolve().parents[2]
SHOW = """
from dataset_builders import load_splits
for split, rows in load_splits("hub:tester/pictures").items():
    print(split, rows.features["labels"].feature.names, rows["image_id"][:], rows["labels"][:], rows[0]["image"].size)
"""


def test_a_prepared_data_set_comes_back_from_the_hub(tmp_path: Path) -> None:
    folder = metadata(tmp_path / "in", [{"file_name": f"{i}.png", "labels": ["ab"[i % 2]]} for i in range(5)])
    original = load_splits(folder)["train"]
    with loopback_hub() as server:

        def run(*arguments: str) -> str:
            environment = os.environ | client_environment(server, tmp_path / "home")
            command = [sys.executable, *arguments]
            done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stderr[-2000:] + "\n".join(server.requests)
            return done.stdout

        flags = ["--name", str(folder), "--to", "hub", "--repo_id", "tester/pictures"]
        said = run("training_scripts/prepare_dataset.py", *flags, "--output_dir", str(tmp_path / "out"))
        assert "pushed to tester/pictures" in said
        assert any(name.endswith(".parquet") for name in server.files("datasets/tester/pictures")[1])
        shown = run("-c", SHOW)
    expected = (original["image_id"][:], original["labels"][:], original[0]["image"].size)
    assert shown.strip() == f"train ['a', 'b'] {expected[0]} {expected[1]} {expected[2]}"


OTHER = """
import datasets
from mlic_hf.data import label_lists
from mlic_hf.runs.data import load_rows
from tests.data.pictures import encoded, picture

labels = datasets.Sequence(datasets.Value("string"))
rows = [{"photo": {"bytes": encoded(picture(30, 20, i)), "path": None}, "tags": tags}
        for i, tags in enumerate((["sea", "cat"], [], ["sky"]))]
rows = datasets.Dataset.from_list(rows, features=datasets.Features({"photo": datasets.Image(), "tags": labels}))
datasets.DatasetDict(train=rows, test=rows.select([2])).push_to_hub("tester/tagged")
splits, space = load_rows("hub:tester/tagged", None, {})
print(space.names, {name: label_lists(rows) for name, rows in splits.items()})
"""


def test_a_data_set_of_somebody_else(tmp_path: Path) -> None:
    with loopback_hub() as server:
        environment = os.environ | client_environment(server, tmp_path / "home")
        done = subprocess.run(
            [sys.executable, "-c", OTHER], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr[-2000:] + "\n".join(server.requests)
    assert done.stdout.strip() == "('cat', 'sea', 'sky') {'train': [[0, 1], [], [2]], 'test': [[2]]}"
    assert "labels from 'tags' as names" in done.stderr


STREAM = """
import datasets
from mlic_hf.data import label_lists
from mlic_hf.runs.data import stream_rows
from tests.methods.tiny import NAMES
from tests.dataset_builders.shards import features
from tests.training.tiny import rows

rows = datasets.Dataset.from_list(rows(8), features=features(NAMES))
datasets.DatasetDict(train=rows).push_to_hub("tester/shards", num_shards={"train": 3})
splits, space = stream_rows("hub:tester/shards", None, {})
train = splits["train"]
print(space.names == tuple(NAMES), train.counts, len(train), [row["image_id"] for row in train.shard(1)])
print(label_lists(train) == [sorted(found) for found in rows["labels"]])
"""


def test_shards_on_the_hub_are_counted_and_streamed(tmp_path: Path) -> None:
    with loopback_hub() as server:
        environment = os.environ | client_environment(server, tmp_path / "home")
        done = subprocess.run(
            [sys.executable, "-c", STREAM], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr[-2000:] + "\n".join(server.requests)
    assert done.stdout.split("\n")[:2] == ["True (3, 3, 2) 8 ['image-0-3', 'image-0-4', 'image-0-5']", "True"]
    copies = [path for path in (tmp_path / "home").rglob("*") if path.suffix in (".parquet", ".arrow")]
    assert copies == []


PREDICT = """
import io, sys
import datasets, pyarrow.parquet
from pathlib import Path
from huggingface_hub import HfApi
from mlic_hf.cli import predict
from tests.data.pictures import encoded, picture

def table(count, start):
    cells = [{"bytes": encoded(picture(30, 20, start + i)), "path": None} for i in range(count)]
    file = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.table({"photo": cells}), file, row_group_size=2)
    return file.getvalue()

api = HfApi()
api.create_repo("tester/many", repo_type="dataset")
shards = ("train-00000-of-00002", 5, 0), ("train-00001-of-00002", 3, 5), ("test-00000-of-00001", 2, 8)
for name, count, start in shards:
    file = f"data/{name}.parquet"
    api.upload_file(path_or_fileobj=table(count, start), path_in_repo=file, repo_id="tester/many", repo_type="dataset")
for n in range(10):
    Path(sys.argv[2]).mkdir(exist_ok=True)
    (Path(sys.argv[2]) / f"{n}.png").write_bytes(encoded(picture(30, 20, n)))
same = ["--model", sys.argv[1], "--top_k", "2", "--quiet", "--column", "photo"]
predict.main([sys.argv[2], *same[:-2], "--output", "local.jsonl"])
in_shards = ["hub:tester/many", *same, "--output", "all", "--format", "jsonl", "--shard_size", "4"]
predict.main([*in_shards, "--num_workers", "2"])
Path("all/part-00001-of-00003.jsonl").unlink()
predict.main([*in_shards, "--resume"])
predict.main(["hub:tester/many", *same, "--split", "train", "--output", "train.jsonl"])
try:
    predict.main(["hub:tester/many", *same, "--split", "dev", "--output", "dev.jsonl"])
except ValueError as error:
    print(error)
"""


def test_pictures_on_the_hub_are_tagged_where_they_lie(tmp_path: Path) -> None:
    """Two files of train and one of test, by row groups; a lost shard is written again."""
    model = tiny_model("mlic_linear")
    model.save_pretrained(tmp_path / "model")
    MultiLabelImageProcessor.for_model(model).save_pretrained(tmp_path / "model")
    with loopback_hub() as server:
        environment = os.environ | client_environment(server, tmp_path / "home") | {"PYTHONPATH": str(ROOT)}
        command = [sys.executable, "-c", PREDICT, str(tmp_path / "model"), str(tmp_path / "photos")]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr[-2000:] + "\n".join(server.requests)
        commit = server.files("datasets/tester/many")[0]

    def rows(*paths: Path) -> list[dict]:
        return [json.loads(line) for path in paths for line in path.read_text().splitlines()]

    expected = [row["labels"] for row in rows(tmp_path / "local.jsonl")]
    found = rows(*sorted((tmp_path / "all").glob("part-*")))
    assert sorted(map(str, expected[:8])) != [str(expected[0])] * 8, "pictures that cannot be told apart"
    assert [row["labels"] for row in found] == expected
    assert rows(tmp_path / "train.jsonl") == found[:8]
    place = f"hf://datasets/tester/many@{commit}/data"
    names = [f"{place}/train-00000-of-00002.parquet#{n}" for n in range(5)]
    names += [f"{place}/train-00001-of-00002.parquet#{n}" for n in range(3)]
    assert [row["file"] for row in found[:8]] == names
    assert done.stdout.strip() == "split is 'dev', but hub:tester/many has train, test."
    copies = [path for path in (tmp_path / "home").rglob("*") if path.suffix in (".parquet", ".arrow")]
    assert copies == []
