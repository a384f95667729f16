"""Streams train, are measured, shared between processes and taken up again like data sets in memory."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from mlic_hf.data import MultiLabelDataset, ShardedRows, label_matrix
from mlic_hf.training import MultiLabelTrainer
from mlic_hf.training.checkpoint import find_checkpoints
from mlic_hf.training.order import training_order
from tests.distributed.launch import launch
from tests.methods.tiny import NAMES, tiny_linear
from tests.training import killed_run, streamed_run
from tests.training.test_kill_and_resume import assert_same_result, moments, nth, told
from tests.training.tiny import arguments, dataset, dataset_of, iterable, make_trainer, rows, same_weights, stream

pytest.importorskip("datasets")

DOCS = Path(__file__).resolve().parents[2] / "docs" / "datasets.md"
SHORT: dict[str, Any] = {"save_strategy": "no", "load_best_model_at_end": False, "num_train_epochs": 2}
SGD: dict[str, Any] = {"optim": "sgd", "optim_args": "momentum=0.9", "batch_norm": "frozen", "learning_rate": 2e-2}


def in_memory(order: list[int], count: int) -> MultiLabelDataset:
    """The images of a stream in this order."""
    images = dataset(count, kind="train")
    images.rows = [images.rows[place] for place in order]
    return images


class Watched(MultiLabelTrainer):
    """Notes which labelled images every step trains on."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.seen: list[list[str]] = []
        super().__init__(*args, **kwargs)

    def get_batch_samples(self, *args: Any) -> Any:
        batches, counts = super().get_batch_samples(*args)
        if batches:
            labelled = [
                name
                for batch in batches
                for name, labels in zip(batch["image_id"], batch["labels"])
                if (labels >= 0).any()
            ]
            self.seen.append(labelled)
        return batches, counts


def measured(metrics: dict[str, float]) -> dict[str, float]:
    return {name: value for name, value in metrics.items() if "second" not in name and "time" not in name}


def test_a_stream_trains_like_the_same_images_in_memory(tmp_path: Path) -> None:
    options = {**SHORT, "train_sampling_strategy": "sequential"}
    first = make_trainer(tmp_path / "a", train=in_memory(list(range(19)), 19), **options)
    first.train()
    for workers in (0, 2):
        second = make_trainer(tmp_path / "b", train=stream([7, 6, 6]), **options, dataloader_num_workers=workers)
        second.train()
        assert second.state.global_step == first.state.global_step == 6
        assert same_weights(second.model.state_dict(), first.model.state_dict())


def test_an_iterable_dataset_of_pictures_is_taken_as_it_is(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"set max_steps, or tell the rows of its shards, .*counts=\[\.\.\.\]"):
        MultiLabelTrainer(tiny_linear(), arguments(tmp_path), train_dataset=iterable(10, 2))
    trainer = Watched(
        tiny_linear(),
        arguments(tmp_path, **SHORT, max_steps=5, per_device_train_batch_size=4),
        train_dataset=iterable(10, 2),
        eval_dataset=iterable(7, 2, seed=1),
    )
    trainer.train()
    assert trainer.state.global_step == 5
    assert [len(step) for step in trainer.seen] == [4, 4, 2, 4, 4]
    assert Counter(name for step in trainer.seen[:3] for name in step) == Counter(f"image-0-{i}" for i in range(10))
    assert trainer.seen[0] != trainer.seen[3]
    assert measured(trainer.evaluate()) == measured(trainer.evaluate(rows(7, seed=1)))


def test_images_of_a_stream_cannot_be_repeated(tmp_path: Path) -> None:
    trainer = make_trainer(tmp_path, train=stream([4, 4]), **SHORT, train_sampling_strategy="repeat_factor")
    with pytest.raises(ValueError, match="'repeat_factor', but a stream is read from its first row to its last"):
        trainer.train()


def test_batches_of_a_stream_are_not_dispatched(tmp_path: Path) -> None:
    config = arguments(tmp_path, accelerator_config={"dispatch_batches": True}).accelerator_config
    several = SimpleNamespace(world_size=2, accelerator_config=config, train_sampling_strategy="random")
    with pytest.raises(ValueError, match="asks for dispatch_batches, but each process reads its own part of a stream"):
        training_order(stream([4, 4]), several, 0)


def test_labels_of_a_stream_are_counted_where_it_ends() -> None:
    found = label_matrix(stream([4, 3]))
    assert found.shape == (7, len(NAMES))
    assert torch.equal(found, label_matrix(dataset(7)))
    with pytest.raises(ValueError, match="The labels of a MultiLabelStream cannot be counted before the training"):
        label_matrix(stream([4, 3], known=False))


def test_rows_of_a_generator_object_stream_too(tmp_path: Path) -> None:
    class Rows(torch.utils.data.IterableDataset):
        def __iter__(self) -> Any:
            return iter({"photo": row["image"], "tags": [NAMES[i] for i in row["labels"]]} for row in rows(6))

    args = arguments(tmp_path, **SHORT)
    trainer = Watched(tiny_linear(), args, train_dataset=ShardedRows(Rows(), counts=[6]), eval_dataset=rows(5))
    trainer.train()
    assert [len(step) for step in trainer.seen] == [6, 6]


def test_the_python_of_the_docs(tmp_path: Path) -> None:
    section = DOCS.read_text(encoding="utf-8").partition("## Streams")[2]
    (code,) = re.findall(r"```python\n(.*?)```", section, re.DOTALL)
    names: dict[str, Any] = {
        "dataset": {"train": dataset_of(600), "validation": dataset_of(8)},
        "MultiLabelTrainer": MultiLabelTrainer,
    }
    exec(code, names | {"student": tiny_linear(), "args": arguments(tmp_path, **SHORT, eval_strategy="no")}, names)
    assert len(names["trainer"].train_dataset) == 600


# In two processes

TWO = ["counted", "uncounted", "uneven", "list"]


def trained(kind: str, folder: Path) -> Watched:
    data: Any = {
        "counted": lambda: stream([5, 5, 4, 4]),
        "uncounted": lambda: stream([5, 5, 4, 4], known=False),
        "uneven": lambda: stream([6, 6, 6]),
        "list": lambda: rows(18),
    }[kind]()
    settings = {**SHORT, **SGD, "train_sampling_strategy": "sequential", "max_steps": 5}
    settings["per_device_train_batch_size"] = 4
    both = make_trainer(folder / "made")  # for its model and method
    trainer = Watched(
        both.model,
        arguments(folder, **settings),
        train_dataset=data,
        eval_dataset=iterable(7, 2, seed=1),
        method=both.method,
    )
    trainer.train()
    return trainer


def _two(folder: str) -> None:
    for kind in TWO:
        trainer = trained(kind, Path(folder) / kind)
        output = trainer.predict(iterable(7, 2, seed=1))
        found = {
            "seen": trainer.seen,
            "weights": trainer.model.state_dict(),
            "scores": torch.from_numpy(output.predictions),
            "labels": torch.from_numpy(output.label_ids),
            "loss": trainer.evaluate()["eval_loss"],
        }
        torch.save(found, Path(folder) / f"{kind}-{trainer.args.process_index}.pt")


@pytest.fixture(scope="module")
def in_two(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("two")
    launch(_two, (str(folder),))
    return {kind: [torch.load(folder / f"{kind}-{rank}.pt", weights_only=True) for rank in range(2)] for kind in TWO}


#: which images both processes train on in the five steps, in batches of 4; shards of 5, 5, 4, 4 begin at 0, 5, 10, 14
PASS = {
    "counted": [[0, 1, 2, 3, 5, 6, 7, 8], [4, 10, 11, 12, 9, 14, 15, 16], [13, 17]],
    "uncounted": [list(range(8)), list(range(8, 16)), [16, 17]],
    "uneven": [[0, 1, 2, 3, 6, 7, 8, 9], [4, 5, 12, 14, 10, 11, 13, 15], [16, 17]],
    "list": [list(range(8)), list(range(8, 16)), [16, 17]],
}


@pytest.mark.parametrize("kind", TWO)
def test_two_processes_share_a_stream(kind: str, in_two: Any, tmp_path: Path) -> None:
    """No image is lost or seen twice in a pass, and the weights are those of one process with the same batches."""
    first, second = in_two[kind]
    assert same_weights(first["weights"], second["weights"])
    steps = [sorted(a + b) for a, b in zip(first["seen"], second["seen"], strict=True)]
    expected = [sorted(f"image-0-{place}" for place in batch) for batch in (PASS[kind] * 2)[:5]]
    assert steps == expected
    settings = {**SHORT, **SGD, "train_sampling_strategy": "sequential", "max_steps": 5}
    order = [place for batch in PASS[kind] for place in batch]
    one = MultiLabelTrainer(
        make_trainer(tmp_path / "made").model,
        arguments(tmp_path, **settings),
        train_dataset=_as_trained(kind, order),
        eval_dataset=rows(7, seed=1),
    )
    one.train()
    for name, tensor in one.model.state_dict().items():
        torch.testing.assert_close(first["weights"][name], tensor, rtol=1e-4, atol=1e-5)
    alone = one.predict(rows(7, seed=1))
    for found in (first, second):
        np.testing.assert_allclose(found["scores"], alone.predictions, rtol=1e-3, atol=1e-4)
        np.testing.assert_array_equal(found["labels"], alone.label_ids)
        assert found["loss"] == pytest.approx(one.evaluate()["eval_loss"], rel=1e-4)


def _as_trained(kind: str, order: list[int]) -> Any:
    """In memory, in the order of the stream. Its draws: pictures of a list have their places as ids."""
    return rows(18) if kind == "list" else in_memory(order, 18)


# Killed in the middle of an epoch


def killed(folder: str, at: int, counts: list[int], known: bool, batch: int, steps: int) -> None:
    killed_run.run(
        "supervised",
        folder,
        at,
        train=stream(counts, known),
        batch=batch,
        max_steps=steps,
    )


@pytest.mark.parametrize("known", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_a_killed_run_on_a_stream_ends_with_the_same_bits(known: bool, tmp_path: Path) -> None:
    """Of unknown length, it is taken up in the second reading of the stream."""
    options = ([10, 9, 9], known, 8, 14)  # four steps a reading
    whole, broken = tmp_path / "whole", tmp_path / "run"
    launch(killed, (str(whole), 0, *options), 1)
    kill = nth(moments(whole), "before compute_loss", 8)
    with pytest.raises(AssertionError, match="ended with"):
        launch(killed, (str(broken), kill, *options), 1)
    assert [path.name for path in find_checkpoints(broken)][-1] == "checkpoint-6"
    launch(killed, (str(broken), 0, *options), 1)
    assert_same_result(broken, whole)


def test_two_processes_take_a_stream_up_in_the_middle_of_an_epoch(tmp_path: Path) -> None:
    options = ([6, 5, 5, 5], True, 3, 14)
    whole, broken = tmp_path / "whole", tmp_path / "run"
    launch(killed, (str(whole), 0, *options))
    kill = nth(moments(whole), "before compute_loss", 8)
    with pytest.raises(AssertionError, match="ended with"):
        launch(killed, (str(broken), kill, *options))
    assert [path.name for path in find_checkpoints(broken)][-1] == "checkpoint-6"
    launch(killed, (str(broken), 0, *options))
    a, b = (find_checkpoints(place)[-1] for place in (broken, whole))
    assert a.name == b.name == "checkpoint-14"
    for name in ("model.safetensors", "weights.json"):
        assert (a / name).read_bytes() == (b / name).read_bytes()
    for line, expected in zip(told(a), told(b), strict=True):
        assert line == pytest.approx(expected, rel=1e-6)


# More pictures than a process may hold

PICTURES, EACH, MORE = 20_000, 1_000, 300  # 553 MB of files; a process may allocate 300 MB beyond its start


@pytest.mark.slow
@pytest.mark.parametrize("kind, processes", [("tar", 1), ("parquet", 2)])
def test_twenty_thousand_pictures_under_a_memory_limit(kind: str, processes: int, tmp_path: Path) -> None:
    size = streamed_run.write_shards(tmp_path / "data", kind, PICTURES, EACH)
    assert size > 1.8e6 * MORE
    (tmp_path / "out").mkdir()
    launch(streamed_run.limited, (str(tmp_path / "data"), str(tmp_path / "out"), MORE, True), processes, limit=1800)
    told = [torch.load(tmp_path / "out" / f"{rank}.pt", weights_only=True) for rank in range(processes)]
    print(kind, f"{size / 1e6:.0f} MB of shards;", [f"{part['peak']:.0f} MB at most" for part in told])
    seen = [name for part in told for name in part["seen"]]
    assert Counter(seen) == Counter(f"image-{index}" for index in range(PICTURES))
    expected = torch.tensor([[index >> label & 1 for label in range(5)] for index in range(PICTURES)])
    for part in told:
        assert part["steps"] == PICTURES // 50 // processes
        assert part["finite"]
        assert torch.equal(part["labels"].long(), expected)
        assert part["peak"] < MORE
        assert part["disk"] < 1e6
    if kind == "tar":
        return
    for more, held in ((MORE, None), (10 * MORE, PICTURES)):  # all of them in memory, as cache_images keeps them
        launch(streamed_run.limited, (str(tmp_path / "data"), str(tmp_path / "out"), more, False), 1, limit=1800)
        told = torch.load(tmp_path / "out" / "0.pt", weights_only=True)
        assert told["held"] == held
    print(f"in memory {told['peak']:.0f} MB at most, {told['disk'] / 1e6:.0f} MB on the disk")
    assert told["peak"] > 1.8 * MORE
