"""Shards as streams: their counts told without a picture, their rows strict, and those of the loaded data set."""

from __future__ import annotations

import tarfile
from pathlib import Path
from typing import Any

import pyarrow.parquet
import pytest

from dataset_builders import load_splits
from dataset_builders.streams import load_streams
from dataset_builders.tar_shards import read_samples
from mlic_hf.data import ShardedRows, without_images
from mlic_hf.runs.data import split_hash
from tests.dataset_builders.shards import parquet_folder, png, tar_folder, write_tar
from tests.dataset_builders.trees import metadata
from tests.methods.tiny import NAMES
from tests.training.tiny import rows

JSON = b'{"labels": ["cat"]}'


@pytest.fixture(scope="module")
def splits() -> dict[str, list[dict[str, Any]]]:
    found = {"train": rows(11), "validation": rows(5, seed=1)}
    found["train"][3]["ignored"] = [label for label in range(5) if label not in found["train"][3]["labels"]]
    return found


def plain(found: Any) -> list[tuple[Any, ...]]:
    return [(row["image_id"], sorted(row["labels"]), sorted(row["ignored"]), row["image"].tobytes()) for row in found]


@pytest.mark.parametrize("make", [tar_folder, parquet_folder])
def test_streams_have_the_rows_of_the_data_set_and_their_counts(make: Any, splits: Any, tmp_path: Path) -> None:
    streams = load_streams(make(tmp_path / "data", splits, NAMES, 4))
    assert {name: part.counts for name, part in streams.items()} == {"train": [4, 4, 3], "validation": [4, 1]}
    for name, part in streams.items():
        assert part.rows.num_shards == len(part.counts)
        assert part.rows.features["labels"].feature.names == list(NAMES)
        assert plain(part.rows) == plain(splits[name])
        shards = ShardedRows(part.rows, part.counts)
        assert [row["image_id"] for row in shards.shard(1)] == [row["image_id"] for row in splits[name][4:8]]
    loaded = load_splits(tmp_path / "data", streaming=True, split="train")
    assert plain(loaded) == plain(splits["train"])


def test_the_hash_of_a_prepared_stream_is_that_of_the_data_set(splits: Any, tmp_path: Path) -> None:
    parquet = parquet_folder(tmp_path / "data", splits, NAMES, 4)
    assert load_streams(parquet)["train"].hash == split_hash(load_splits(parquet)["train"])
    tars = tar_folder(tmp_path / "tars", splits, NAMES, 4)
    told = load_streams(tars)["train"].hash
    assert told == load_streams(tar_folder(tmp_path / "cut_otherwise", splits, NAMES, 5))["train"].hash
    splits["train"][0]["labels"], before = [], splits["train"][0]["labels"]
    assert told != load_streams(tar_folder(tmp_path / "other", splits, NAMES, 4))["train"].hash
    splits["train"][0]["labels"] = before


def test_parquet_of_others_is_counted(splits: Any, tmp_path: Path) -> None:
    import datasets

    table = {"photo": [row["image"] for row in splits["train"]], "tags": [["x"]] * 11}
    data = datasets.Dataset.from_dict(table).cast_column("photo", datasets.Image())
    for number in range(2):
        data.shard(2, number).to_parquet(tmp_path / f"train-{number}.parquet")
    (stream,) = load_streams(tmp_path).values()
    assert (stream.counts, stream.hash) == ([6, 5], None)


def test_a_shard_that_changes_while_it_is_read_is_noticed(splits: Any, tmp_path: Path) -> None:
    streams = load_streams(parquet_folder(tmp_path / "data", splits, NAMES, 4))
    path = tmp_path / "data" / "data" / "train-00001-of-00003.parquet"
    pyarrow.parquet.write_table(pyarrow.parquet.read_table(path).slice(0, 2), path)
    with pytest.raises(ValueError, match="Shard 1 of a stream has 2 rows, but 4 were counted"):
        list(without_images(ShardedRows(streams["train"].rows, streams["train"].counts)))


def test_labels_of_tars_keep_the_order_that_was_asked_for(splits: Any, tmp_path: Path) -> None:
    folder = tar_folder(tmp_path / "tars", splits, NAMES, 4)
    reverse = list(NAMES[::-1])
    stream = load_streams(folder, labels=reverse)["train"]
    assert stream.rows.features["labels"].feature.names == reverse
    names = [{reverse[label] for label in row["labels"]} for row in stream.rows]
    assert names == [{NAMES[label] for label in row["labels"]} for row in splits["train"]]
    with pytest.raises(ValueError, match=r"train-00000\.tar, sample 'image-0-\d': the label '\w+' is not among"):
        load_streams(folder, labels=NAMES[:2])
    with pytest.raises(ValueError, match="Unknown option 'year' of tar shards; expected labels"):
        load_streams(folder, year=3)


def test_folders_that_are_no_shards_are_sentences(splits: Any, tmp_path: Path) -> None:
    photos = metadata(tmp_path / "photos", [{"file_name": "a.png", "labels": []}])
    with pytest.raises(ValueError, match=r"photos is read picture by picture .* streaming is for parquet shards"):
        load_streams(photos)
    with pytest.raises(ValueError, match="digit_scenes is read picture by picture"):
        load_streams("digit_scenes")
    folder = tar_folder(tmp_path / "tars", splits, NAMES, 8)
    with pytest.raises(ValueError, match="holds tar shards, which are read from one end to the other: ask for stream"):
        load_splits(folder)
    with pytest.raises(ValueError, match=r"split is 'test', but .* has train, validation"):
        load_splits(folder, streaming=True, split="test")
    (folder / "extra.tar").touch()
    with pytest.raises(ValueError, match=r"extra\.tar belongs to no split"):
        load_streams(folder)
    (folder / "extra.tar").unlink()
    (folder / "metadata.jsonl").touch()
    with pytest.raises(ValueError, match=r"holds metadata\.jsonl and tar shards, and only one of the two"):
        load_streams(folder)


def sample(*members: tuple[str, bytes]) -> list[tuple[str, bytes]]:
    return [("x/a.jpg", b"1"), ("x/a.json", JSON), *members]


@pytest.mark.parametrize(
    "members, message",
    [
        (sample(("b.jpg", b"2")), r"sample 'b': it has no file with labels \(\.json\)"),
        (sample(("b.json", JSON)), "sample 'b': it has no file with a picture"),
        (sample(("x/a.png", b"2")), "sample 'x/a': it has two files with a picture"),
        (sample(("x/a.v2.json", JSON)), r"sample 'x/a': it has two files with labels"),
        (sample(("b.jpg", b"2"), ("b.json", JSON), *sample()), "two samples are named 'x/a'"),
        ([("a.jpg", b"1"), ("a.json", b"{")], r"s\.tar/a\.json, line 1"),
        ([("a.jpg", b"1"), ("a.json", b"\xff")], r"a\.json: byte 0xff is not UTF-8"),
        ([("a.jpg", b"1"), ("a.json", b'["cat"]')], r"a\.json: {\"labels\": \[names\]} was expected"),
        ([("a.jpg", b"1"), ("a.json", b'{"labels": "cat"}')], "labels is 'cat', but a list of names was expected"),
        ([("a.jpg", b"1"), ("a.json", b'{"labels": [1]}')], r"labels is '\[1\]', but a list of names"),
        ([("a.jpg", b"1"), ("a.json", b'{"labels": ["b"], "ignored": ["b"]}')], "'b' is a label and ignored at once"),
        ([("a.jpg", b"1"), ("a.json", b" " * (1 << 20) + JSON)], "a file of at most 1048576 bytes was expected"),
        ([("a.jpg", b"1"), ("a.json", b'{"labels": []}')], "Not one sample of the tar shards has a label"),
    ],
)
def test_bad_samples_are_named(members: list[tuple[str, bytes]], message: str, tmp_path: Path) -> None:
    write_tar(tmp_path / "train-s.tar", members)
    with pytest.raises(ValueError, match=message):
        load_streams(tmp_path)


def test_files_of_other_endings_are_left_alone(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "train-0.tar", sample(("x/a.txt", b"a caption"), ("b.JPG", b"2"), ("b.json", JSON)))
    assert [row["image_id"] for row in read_samples(path)] == ["x/a", "b"]
    assert next(read_samples(path))["image"] == {"path": "x/a.jpg", "bytes": b"1"}


def test_links_in_tars_are_refused(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "train-0.tar", "w") as tar:
        link = tarfile.TarInfo("a.json")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(link)
    with pytest.raises(ValueError, match=r"a\.json: a file of at most .* but it is a link or a device"):
        load_streams(tmp_path)


def test_a_tar_that_is_cut_anywhere_or_damaged_is_an_error(splits: Any, tmp_path: Path) -> None:
    """tarfile itself takes half a header, or rubbish in its place, for the end of the file."""
    folder = tar_folder(tmp_path, {"train": splits["train"][:3]}, NAMES, 3)
    path = folder / "train-00000.tar"
    whole = path.read_bytes()
    end = len(whole.rstrip(b"\0"))
    for cut in [*range(0, end, 128), *range(512, end, 512)]:
        path.write_bytes(whole[:cut])
        with pytest.raises(ValueError, match=r"train-00000\.tar"):
            load_streams(folder)
    second = whole.index(b".json") // 512 * 512
    path.write_bytes(whole[:second] + b"?" * 512 + whole[second + 512 :])
    with pytest.raises(ValueError, match="cut off or damaged at byte"):
        load_streams(folder)


def test_a_tar_of_many_pictures_is_not_remembered(tmp_path: Path) -> None:
    """The library's own list of members grows by about a kilobyte a file."""
    import tracemalloc

    picture = png(rows(1)[0]["image"])
    members = [(f"{i}{end}", content) for i in range(3000) for end, content in ((".png", picture), (".json", JSON))]
    path = write_tar(tmp_path / "train-0.tar", members)
    samples = read_samples(path)
    next(samples)
    tracemalloc.start()
    assert sum(1 for _ in samples) == 2999
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 300_000
