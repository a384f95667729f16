"""Prepared data are whole or not there: stale, interrupted, full-disk, simultaneous writing."""

from __future__ import annotations

import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import datasets
import pyarrow
import pyarrow.parquet
import pytest

from dataset_builders import load_splits
from dataset_builders.prepared import MANIFEST, names_hash
from dataset_builders.prepared_writing import LOCK, PARTIAL, write_prepared
from mlic_hf.cli.prepare_dataset import main
from mlic_hf.data import LabelSpace
from tests.dataset_builders.trees import metadata, picture, write

ROOT = Path(__file__).resolve().parents[2]
COMMAND = [sys.executable, "-m", "mlic_hf.cli", "prepare_dataset"]
IMAGES = 60


def source(folder: Path, labels: str = "ab", count: int = IMAGES) -> Path:
    """A folder of pictures of about 7 kB, labelled in turn."""
    rows = [{"file_name": f"{index:03d}.png", "labels": [labels[index % len(labels)]]} for index in range(count)]
    for index, row in enumerate(rows):
        picture(folder / str(row["file_name"]), (48, 48), seed=index)
    return metadata(folder, rows, images=False)


def arguments(name: Path, output: Path, *more: str) -> list[str]:
    return ["--name", str(name), "--to", "parquet", "--output_dir", str(output), *more]


def names(splits: Any) -> dict[str, list[str]]:
    """Image id to label names, of all splits."""
    vocabulary = LabelSpace.from_dataset(splits).names
    return {
        row["image_id"]: [vocabulary[label] for label in row["labels"]]
        for rows in splits.values()
        for row in rows.select_columns(["image_id", "labels"])
    }


def expected(labels: str, count: int = IMAGES) -> dict[str, list[str]]:
    return {f"{index:03d}.png": [labels[index % len(labels)]] for index in range(count)}


def started(command: list[str], cache: Path, **options: Any) -> subprocess.Popen[str]:
    environment = os.environ | {"HF_DATASETS_CACHE": str(cache), "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options
    )


def wait_until(true: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    for _ in range(6000):
        if true():
            return
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    raise AssertionError("nothing happened in a minute")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 192 kB of its own."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=192k", "none", str(place)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("mounting a small disk is not permitted here; the test with a limit on file sizes remains")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_no_split_of_another_vocabulary_survives(tmp_path: Path) -> None:
    main(arguments(source(tmp_path / "in"), tmp_path / "out", "--data_options", '{"validation_fraction": 0.4}'))
    assert set(load_splits(tmp_path / "out")) == {"train", "validation"}
    main(arguments(source(tmp_path / "other", "zyx"), tmp_path / "out", "--overwrite"))
    splits = load_splits(tmp_path / "out")
    assert set(splits) == {"train"}
    assert names(splits) == expected("zyx")


def test_a_killed_overwrite_leaves_what_was_there(tmp_path: Path, own_cache: Path) -> None:
    output = tmp_path / "out"
    main(arguments(source(tmp_path / "in"), output, "--images_per_shard", "7"))
    other = arguments(source(tmp_path / "other", "zyx"), output, "--images_per_shard", "1", "--overwrite")
    process = started([*COMMAND, *other], own_cache)
    wait_until(lambda: len(list((output / PARTIAL).glob("*.parquet"))) > 5, process)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert (output / PARTIAL).is_dir()
    assert names(load_splits(output)) == expected("ab")
    main(other)
    assert names(load_splits(output)) == expected("zyx")
    assert sorted(path.name for path in output.iterdir()) == [LOCK, "data", "report.json"]


@pytest.mark.slow  # on a machine that is very busy the process may end before the signal reaches it
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_an_interrupted_first_run_leaves_no_data(tmp_path: Path, own_cache: Path, number: signal.Signals) -> None:
    output = tmp_path / "out"
    command = arguments(source(tmp_path / "in"), output, "--images_per_shard", "1")
    process = started([*COMMAND, *command], own_cache)
    wait_until(lambda: len(list((output / PARTIAL).glob("*.parquet"))) > 5, process)
    process.send_signal(number)
    process.communicate()
    assert process.returncode != 0
    assert not (output / "data").exists()
    with pytest.raises(FileNotFoundError, match=r"out has no metadata.jsonl"):
        load_splits(output)
    main(command)
    assert names(load_splits(output)) == expected("ab")


def test_a_kill_between_the_two_renames_is_seen_and_mended(tmp_path: Path, own_cache: Path) -> None:
    output = tmp_path / "out"
    main(arguments(source(tmp_path / "in"), output))
    other = arguments(source(tmp_path / "other", "zyx"), output, "--overwrite")
    code = (
        "import os, sys, pathlib; from mlic_hf.cli.prepare_dataset import main; rename = pathlib.Path.rename\n"
        "pathlib.Path.rename = lambda old, new: os._exit(9) if new.name == 'data' else rename(old, new)\n"
        "main(sys.argv[1:])"
    )
    process = started([sys.executable, "-c", code, *other], own_cache)
    process.communicate()
    assert process.returncode == 9
    with pytest.raises(ValueError, match=r"left in the middle of an exchange: its shards lie in .*\.data\.former"):
        load_splits(output)
    with pytest.raises(ValueError, match="holds parquet shards"):
        main(other[:-1])
    assert names(load_splits(output)) == expected("ab")


def test_a_full_disk_leaves_nothing_half(tmp_path: Path, small_disk: Path, own_cache: Path) -> None:
    few = source(tmp_path / "few", count=8)
    main(arguments(few, small_disk))
    for more in (["--overwrite"], ["--overwrite", "--images_per_shard", "4"]):
        process = started([*COMMAND, *arguments(source(tmp_path / "in", "zyx"), small_disk, *more)], own_cache)
        _, said = process.communicate()
        assert process.returncode == 2, said
        assert "Traceback" not in said
        assert f"{small_disk / PARTIAL} cannot be written: No space left on device" in said
        assert not (small_disk / PARTIAL).exists()
        assert names(load_splits(small_disk)) == expected("ab", 8)


def test_a_limit_on_file_sizes_leaves_nothing_half(tmp_path: Path, own_cache: Path) -> None:
    command = [*COMMAND, *arguments(source(tmp_path / "in"), tmp_path / "out")]
    limit = 100_000  # the shard would have some 420 kB
    process = started(command, own_cache, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)))
    _, said = process.communicate()
    assert process.returncode == 2, said
    assert "cannot be written: File too large" in said
    assert not (tmp_path / "out" / "data").exists()
    assert not (tmp_path / "out" / PARTIAL).exists()


@pytest.mark.parametrize("free", [0, 8192])
def test_a_full_cache_disk_is_a_sentence(tmp_path: Path, small_disk: Path, free: int) -> None:
    folder = source(tmp_path / "in")
    main(arguments(folder, tmp_path / "out"))
    (small_disk / "ballast").write_bytes(bytes(192 * 1024 - free))
    for name in (folder, tmp_path / "out"):
        with pytest.raises(OSError, match=rf"The cache {small_disk}/.* cannot be written: (No|Not enough disk) space"):
            load_splits(name, cache_dir=small_disk)
        for left in small_disk.iterdir():
            if left.is_dir():
                shutil.rmtree(left)


def test_one_writer_at_a_time(tmp_path: Path, own_cache: Path) -> None:
    folder, output = source(tmp_path / "in"), tmp_path / "out"
    first = started([*COMMAND, *arguments(folder, output, "--images_per_shard", "1")], own_cache)
    wait_until(lambda: (output / PARTIAL).is_dir(), first)
    second = started([*COMMAND, *arguments(folder, output, "--images_per_shard", "50", "--overwrite")], own_cache)
    wait_until(lambda: second.poll() is not None or first.poll() is not None, second)
    first.communicate()
    _, said = second.communicate()
    assert first.returncode == 0
    assert second.returncode in (0, 2)
    if second.returncode:
        assert f"Another process writes to {output} now" in said
    assert names(load_splits(output)) == expected("ab")


@pytest.mark.slow
def test_who_reads_while_data_are_exchanged_gets_one_or_the_other(tmp_path: Path, own_cache: Path) -> None:
    output = tmp_path / "out"
    folders = [source(tmp_path / "in", "ab", 8), source(tmp_path / "other", "zyx", 8)]
    main(arguments(folders[0], output, "--images_per_shard", "3"))
    code = (
        "import sys; from mlic_hf.cli.prepare_dataset import main\n"
        "for turn in range(1, 20): main(['--name', sys.argv[1 + turn % 2], '--to', 'parquet', '--output_dir',"
        " sys.argv[3], '--overwrite', '--images_per_shard', '3'])"
    )
    writer = started([sys.executable, "-c", code, *map(str, folders), str(output)], own_cache)
    seen: list[Any] = []
    refused: list[str] = []
    while writer.poll() is None:
        try:
            seen.append(names(load_splits(output, cache_dir=tmp_path / "cache")))
        except (ValueError, OSError) as error:
            refused.append(str(error))
    assert writer.returncode == 0, writer.communicate()
    writer.communicate()
    assert all(str(output) in sentence and "\n" not in sentence for sentence in refused)
    assert all(found in (expected("ab", 8), expected("zyx", 8)) for found in seen)
    assert expected("ab", 8) in seen
    assert expected("zyx", 8) in seen


def test_a_held_lock_is_a_sentence(tmp_path: Path, own_cache: Path) -> None:
    code = (
        "import sys, pathlib; from dataset_builders.prepared_writing import one_writer\n"
        "with one_writer(pathlib.Path(sys.argv[1])): print('mine', flush=True); sys.stdin.read()"
    )
    holder = started([sys.executable, "-c", code, str(tmp_path / "out")], own_cache, stdin=subprocess.PIPE)
    assert holder.stdout is not None
    assert holder.stdout.readline() == "mine\n"
    with pytest.raises(ValueError, match=r"Another process writes to .*out now"):
        main(arguments(source(tmp_path / "in", count=2), tmp_path / "out"))
    holder.communicate("")
    main(arguments(tmp_path / "in", tmp_path / "out"))


def test_the_output_may_not_hide_or_replace_the_source(tmp_path: Path) -> None:
    folder = source(tmp_path / "in", count=3)
    for output in (folder, folder / ".." / "in"):
        with pytest.raises(ValueError, match="would hide or replace the original"):
            main(arguments(folder, output))
    inner = source(tmp_path / "out" / "data", count=3)
    for name in (inner, source(inner / "deeper", count=3)):
        with pytest.raises(ValueError, match="would hide or replace the original"):
            main(arguments(name, tmp_path / "out", "--overwrite"))
    with pytest.raises(ValueError, match="is no shard, and the whole folder would be replaced"):
        main(arguments(folder, tmp_path / "out", "--overwrite"))
    main(arguments(folder, tmp_path / "fine"))
    write(tmp_path / "fine" / "metadata.jsonl", '{"file_name": "a.jpg", "labels": ["x"]}\n')
    with pytest.raises(ValueError, match=r"metadata.jsonl and parquet shards, and only one of the two"):
        load_splits(tmp_path / "fine")


def prepared(tmp_path: Path, options: str = '{"validation_fraction": 0.5}') -> Path:
    main(
        arguments(
            source(tmp_path / "in", count=8), tmp_path / "out", "--images_per_shard", "2", "--data_options", options
        )
    )
    return tmp_path / "out" / "data"


def test_the_manifest_says_everything(tmp_path: Path) -> None:
    data = prepared(tmp_path)
    manifest = json.loads((data / MANIFEST).read_text())
    assert manifest["format_version"] == 1
    assert manifest["name"] == str(tmp_path / "in")
    assert manifest["options"] == {"validation_fraction": 0.5}
    assert manifest["labels"] == ["a", "b"]
    assert manifest["labels_hash"] == names_hash(["a", "b"]) == LabelSpace("ab").hash
    assert [shard["rows"] for shard in manifest["splits"]["train"]["shards"]] == [2, 2]
    assert manifest["splits"]["validation"]["rows"] == 4
    hub = datasets.load_dataset(str(tmp_path / "out"))  # the manifest is not in the way of others
    assert {split: len(rows) for split, rows in hub.items()} == {"train": 4, "validation": 4}


FIRST, SECOND = "train-00000-of-00002.parquet", "train-00001-of-00002.parquet"


def rewrite(path: Path, edit: Callable[[pyarrow.Table], pyarrow.Table]) -> None:
    pyarrow.parquet.write_table(edit(pyarrow.parquet.read_table(path)), path)


def relabel(table: pyarrow.Table, label: int = 0) -> pyarrow.Table:
    place = table.schema.get_field_index("labels")
    column = pyarrow.array([[label]] * len(table), table.schema.field("labels").type)
    return table.set_column(place, table.schema.field("labels"), column)


def edit_manifest(data: Path, edit: Callable[[dict[str, Any]], object]) -> None:
    manifest = json.loads((data / MANIFEST).read_text())
    edit(manifest)
    (data / MANIFEST).write_text(json.dumps(manifest))


def same_size(data: Path) -> None:
    """Another row order and labels in a file of the same size."""
    content = (data / FIRST).read_bytes()
    edit_manifest(data, lambda m: m["splits"]["train"]["shards"][0].update(hash="0" * 16))
    (data / FIRST).write_bytes(content)


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda data: (data / SECOND).unlink(), f"{SECOND} is missing, but manifest.json names it"),
        (lambda data: shutil.copy(data / FIRST, data / "test-1.parquet"), "test-1.parquet is not named in manifest"),
        (lambda data: (data / FIRST).write_bytes((data / FIRST).read_bytes()[:-90]), f"{FIRST} is no whole parquet"),
        (lambda data: rewrite(data / FIRST, relabel), f"{FIRST} has [0-9]+ bytes, but manifest.json says"),
        (same_size, f"{FIRST} does not hold the 2 rows"),
        (lambda data: rewrite(data / FIRST, lambda table: relabel(table, 2)), "row 0: label id 2 lies outside 0 to 1"),
        (lambda data: rewrite(data / FIRST, lambda table: table.drop_columns("ignored")), "no whole parquet|lacks"),
        (lambda data: rewrite(data / FIRST, lambda table: table.replace_schema_metadata()), "does not say its label"),
        (lambda data: edit_manifest(data, lambda m: m.update(format_version=2)), "has format_version 2; expected 1"),
        (lambda data: edit_manifest(data, lambda m: m.pop("splits")), "manifest.json lacks a part"),
        (lambda data: edit_manifest(data, lambda m: m.update(labels=["b", "a"])), "its label list is not that of"),
        (lambda data: edit_manifest(data, lambda m: m.update(labels_hash="0")), "its label list is not that of"),
        (lambda data: edit_manifest(data, lambda m: m["splits"]["train"].update(rows=3)), "split 'train' is not the"),
        (lambda data: (data / MANIFEST).write_text("{"), "manifest.json, line 1, column 2: not valid JSON"),
    ],
)
def test_damage_is_named(tmp_path: Path, damage: Callable[[Path], object], said: str) -> None:
    data = prepared(tmp_path)
    damage(data)
    for streaming in (False, True):
        with pytest.raises(ValueError, match=said):
            load_splits(tmp_path / "out", streaming=streaming)


def test_a_changed_pixel_is_seen_when_the_bytes_are_read(tmp_path: Path) -> None:
    path = prepared(tmp_path) / FIRST
    content = bytearray(path.read_bytes())
    place = content.index(b"IDAT") + 40
    content[place] ^= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match=f"{FIRST} was changed after it was written"):
        load_splits(tmp_path / "out")


def test_val_is_validation_and_strangers_are_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    data = prepared(tmp_path)
    (data / MANIFEST).unlink()
    for path in data.glob("validation-*"):
        path.rename(path.with_name(path.name.replace("validation", "val")))
    splits = load_splits(tmp_path / "out")
    assert {split: len(rows) for split, rows in splits.items()} == {"train": 4, "validation": 4}
    assert "has no manifest.json, so nothing says whether its shards are all there" in caplog.text
    (data / "val-00001-of-00002.parquet").rename(data / "val-00002-of-00003.parquet")
    with pytest.raises(ValueError, match="'validation' are not 00000 to 00001 of 00002, each once"):
        load_splits(tmp_path / "out")
    (data / "val-00002-of-00003.parquet").rename(data / "extra-00000-of-00001.parquet")
    with pytest.raises(ValueError, match=r"extra-00000-of-00001.parquet belongs to no split"):
        load_splits(tmp_path / "out")


def test_shards_of_two_vocabularies_without_a_manifest(tmp_path: Path) -> None:
    data = prepared(tmp_path)
    (data / MANIFEST).unlink()
    main(arguments(source(tmp_path / "b", "zy", 2), tmp_path / "z", "--images_per_shard", "1"))
    shutil.copy(tmp_path / "z" / "data" / SECOND, data / SECOND)
    with pytest.raises(ValueError, match="have different label lists"):
        load_splits(tmp_path / "out")


def test_an_error_while_writing_leaves_no_trace(tmp_path: Path) -> None:
    folder = source(tmp_path / "in", count=3)
    splits = load_splits(folder)
    (folder / "001.png").unlink()
    (tmp_path / "out").mkdir()
    with pytest.raises(OSError, match=r"001\.png"):
        write_prepared(tmp_path / "out", splits, {})
    assert list((tmp_path / "out").iterdir()) == []
    with pytest.raises(ValueError, match="images_per_shard is 0"):
        write_prepared(tmp_path / "out", splits, {}, 0)
