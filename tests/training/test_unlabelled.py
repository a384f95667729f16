"""Training on labelled and unlabelled photographs together."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from mlic_hf.data import LabelSpace, MultiLabelDataset, Unlabelled, WithUnlabelled, build_transform, pictures_of
from mlic_hf.methods.l2d import L2DConfig
from mlic_hf.methods.teacher_cache import compute_cache
from mlic_hf.training import MultiLabelTrainer
from tests.distributed.launch import launch
from tests.methods.tiny import NAMES, tiny_decoder
from tests.training.test_cached_teacher import decoder, images, same, told, trained, transform
from tests.training.tiny import arguments, rows

LOGITS = L2DConfig(weight_class_aware=0, weight_instance_aware=0)
METHOD = L2DConfig(weight_class_aware=1.0, weight_instance_aware=1.0, weight_mld=1.0, logit_reduction="sum")


def others(count: int = 7) -> MultiLabelDataset:
    plain = [{"image": row["image"], "image_id": f"plain-{place}"} for place, row in enumerate(rows(count, seed=5))]
    space = LabelSpace(NAMES)
    return MultiLabelDataset(Unlabelled(plain, space), space, build_transform(transform()), seed=42)


def test_an_epoch_shows_so_many_of_them_and_others_in_the_next() -> None:
    mixed = WithUnlabelled(images(), others(), ratio=0.25)
    assert len(mixed) == 24 + 6
    shown = []
    for epoch in (0, 1, 0):
        mixed.set_epoch(epoch)
        found = [mixed[place] for place in range(24, 30)]
        assert all(example["unlabelled"] and (example["labels"] == -1).all() for example in found)
        shown.append([example["image_id"] for example in found])
    assert shown[0] == shown[2] != shown[1]
    assert len(set(shown[0])) == 6
    assert not mixed[23]["unlabelled"]
    assert mixed.labels.shape == (30, 5)
    assert len({WithUnlabelled(images(), others(), 1.0)[place]["image_id"] for place in range(24, 48)}) == 7


def test_wrong_mixtures_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"is 0; it must be above 0"):
        WithUnlabelled(images(), others(), 0)
    with pytest.raises(ValueError, match="24 images are both labelled and unlabelled, among them 'image-0-0'"):
        WithUnlabelled(images(), images())
    mixed = WithUnlabelled(images(), others())
    with pytest.raises(ValueError, match="no loss of this method asks it without labels"):
        trained(tmp_path, "supervised", None, train=mixed)
    with pytest.raises(ValueError, match="a mixture with an unlabelled image has none"):
        trained(tmp_path, LOGITS, tiny_decoder(3), train=mixed, mixup_alpha=0.3)
    with pytest.raises(ValueError, match="holds no pictures"):
        pictures_of(tmp_path)


def test_a_cache_of_both_sides_is_the_uncached_run(tmp_path: Path) -> None:
    sides = [images(), others()]
    compute_cache(
        decoder(), sides, tmp_path / "cache", views=3, dtype="float32", contents=["logits", "label_embeddings"]
    )
    uncached, cached = (
        trained(tmp_path / name, METHOD, teacher, train=WithUnlabelled(*sides, ratio=0.5))
        for name, teacher in (("uncached", decoder()), ("cached", str(tmp_path / "cache")))
    )
    assert told(cached) == told(uncached)
    assert same(cached, uncached)
    alone = trained(tmp_path / "alone", METHOD, decoder())
    assert told(alone)[0] != told(uncached)[0]


def _run(folder: str, processes: int) -> None:
    # 24 + 6 images: with a global batch of 8 the last is filled up with two that nobody looks at
    settings: dict[str, Any] = {"per_device_train_batch_size": 8 // processes, "batch_norm": "frozen", "optim": "sgd"}
    mixed = WithUnlabelled(images(), others(), ratio=0.25)
    trainer = trained(Path(folder) / str(processes), METHOD, tiny_decoder(3), train=mixed, **settings)
    if trainer.args.process_index == 0:
        torch.save(told(trainer), Path(folder) / f"{processes}.pt")


def test_two_processes_train_as_one_does(tmp_path: Path) -> None:
    for processes in (1, 2):
        launch(_run, (str(tmp_path), processes), processes)
    one, two = (torch.load(tmp_path / f"{processes}.pt", weights_only=True) for processes in (1, 2))
    assert len(one) == 12
    for own, its in zip(one, two):
        assert own == {name: pytest.approx(value, rel=2e-3, abs=1e-5) for name, value in its.items()}


def test_rows_and_a_trainer_that_evaluates(tmp_path: Path) -> None:
    trainer = MultiLabelTrainer(
        tiny_decoder(7),
        arguments(tmp_path, num_train_epochs=1),
        train_dataset=WithUnlabelled(images(), others(), 0.5),
        eval_dataset=rows(6, seed=1),
        method=METHOD,
        teacher=tiny_decoder(3),
    )
    trainer.train()
    assert 0 < trainer.evaluate()["eval_mAP"] <= 1
