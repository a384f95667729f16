"""Training on kept answers is training on the teacher."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from mlic_hf.data import LabelSpace, MultiLabelDataset, TransformConfig, build_transform
from mlic_hf.methods.l2d import L2DConfig
from mlic_hf.methods.psd.config import PSDConfig
from mlic_hf.methods.psd.part_teachers import PartTeachers
from mlic_hf.methods.teacher_cache import compute_cache
from mlic_hf.methods.teachers import ModelTeacher
from mlic_hf.methods.views import PixelSpec
from mlic_hf.modeling.outputs_mlic import MultiLabelOutput
from mlic_hf.training import MultiLabelTrainer
from mlic_hf.training.checkpoint import find_checkpoints
from tests.distributed.launch import launch, start
from tests.methods.test_teacher_cache import parts
from tests.methods.tiny import NAMES, SIZE, tiny_decoder, tiny_linear
from tests.training.killed_run import Moments
from tests.training.tiny import arguments, rows

COUNT, BATCH, EPOCHS = 24, 8, 3
CONTENTS = ["logits", "label_embeddings", "pooled"]
# all losses that look at what can be kept
L2D = L2DConfig(weight_pkt=1.0, weight_symmetric=1.0, weight_class_aware=1.0, weight_instance_aware=1.0)
QUIET: dict[str, Any] = {"eval_strategy": "no", "save_strategy": "no", "load_best_model_at_end": False}
EACH_STEP: dict[str, Any] = {"logging_strategy": "steps", "logging_steps": 1}


def transform(**changes: Any) -> TransformConfig:
    pixels = vars(PixelSpec.of_model(tiny_linear()))
    return TransformConfig(**{**pixels, "resize": "random_resized_crop", "scale": (0.3, 1.0), "hflip": True} | changes)


def images() -> MultiLabelDataset:
    return MultiLabelDataset(rows(COUNT), LabelSpace(NAMES), build_transform(transform()), seed=42)


class OneByOne:
    """A teacher that is shown one image at a time: the last bits of a batch's answers depend on its company.

    Args:
        teacher: any other.
    """

    fingerprint = "one by one"

    def __init__(self, teacher: Any) -> None:
        self.teacher = teacher
        self.pixels, self.provides = teacher.pixels, teacher.provides
        self.stage_channels = teacher.stage_channels
        if isinstance(teacher, PartTeachers):
            self.kinds = teacher.kinds

    def __call__(self, pixel_values: Tensor, source: PixelSpec, *, image_id: Any = None, **asked: Any) -> Any:
        asked.pop("view", None)
        said = [self.teacher(one[None], source, **asked) for one in pixel_values]
        joined = {name: torch.cat([one[name] for one in said]) for name, value in said[0].items()}
        return joined if isinstance(self.teacher, PartTeachers) else MultiLabelOutput(**joined)


def decoder() -> OneByOne:
    return OneByOne(ModelTeacher(tiny_decoder(3), NAMES))


def cache(folder: Path, teacher: Any, **wishes: Any) -> str:
    options = {"dtype": "float32", "contents": CONTENTS, "images_per_shard": 10, "batch_size": 4}
    compute_cache(teacher, images(), folder, **(options | wishes))
    return str(folder)


def trained(
    folder: Path, method: Any, teacher: Any, train: Any = None, resume: str | None = None, **changes: Any
) -> MultiLabelTrainer:
    settings: dict[str, Any] = {"num_train_epochs": EPOCHS, "learning_rate": 1e-3, **QUIET, **EACH_STEP}
    trainer = MultiLabelTrainer(
        tiny_linear(7) if isinstance(method, PSDConfig) else tiny_decoder(7),
        arguments(folder, **(settings | changes)),
        train_dataset=train or images(),
        method=method,
        teacher=teacher,
    )
    trainer.train(resume_from_checkpoint=resume)
    return trainer


def told(trainer: MultiLabelTrainer) -> list[dict[str, float]]:
    log = trainer.state.log_history
    return [{k: v for k, v in line.items() if k.startswith("loss")} for line in log if "loss" in line]


def same(one: MultiLabelTrainer, other: MultiLabelTrainer) -> bool:
    theirs = other.model.state_dict()
    return all(torch.equal(value, theirs[name]) for name, value in one.model.state_dict().items())


@pytest.mark.parametrize("name", ["l2d", "psd"])
def test_all_views_in_float32_are_the_uncached_run_bit_for_bit(tmp_path: Path, name: str) -> None:
    method: Any = L2D if name == "l2d" else PSDConfig()
    teacher: Any = decoder() if name == "l2d" else OneByOne(parts())
    wishes: dict[str, Any] = {} if name == "l2d" else {"contents": ["logits"]}
    kept = cache(tmp_path / "cache", teacher, views=EPOCHS, **wishes)
    uncached, cached = trained(tmp_path / "uncached", method, teacher), trained(tmp_path / "cached", method, kept)
    assert len(told(uncached)) == EPOCHS * COUNT // BATCH
    assert told(cached) == told(uncached)
    assert same(cached, uncached)


def test_a_teacher_of_batches_says_the_same_to_the_last_bits(tmp_path: Path) -> None:
    kept = cache(tmp_path / "cache", tiny_decoder(3), views=EPOCHS)
    uncached, cached = (
        trained(tmp_path / name, L2D, teacher, learning_rate=0.0)
        for name, teacher in (("uncached", tiny_decoder(3)), ("cached", kept))
    )
    for found, expected in zip(told(cached), told(uncached)):
        assert found == {name: pytest.approx(value, rel=1e-4) for name, value in expected.items()}


def test_float16_answers_move_the_losses_by_their_rounding(tmp_path: Path) -> None:
    kept = cache(tmp_path / "cache", tiny_decoder(3), views=EPOCHS, dtype="float16")
    uncached = trained(tmp_path / "uncached", L2D, tiny_decoder(3), learning_rate=0.0)
    cached = trained(tmp_path / "cached", L2D, kept, learning_rate=0.0)
    for found, expected in zip(told(cached), told(uncached)):
        # CD compares distances between the embeddings of an untrained teacher, which differ in their last digits only
        allowed = {name: 0.2 if name == "loss_class_aware" else 1e-2 for name in expected}
        assert found == {name: pytest.approx(value, rel=allowed[name]) for name, value in expected.items()}
    assert told(cached) != told(uncached)


def test_two_views_are_the_uncached_run_whose_draws_come_again(tmp_path: Path) -> None:
    kept = cache(tmp_path / "cache", decoder(), views=2)
    cached = trained(tmp_path / "cached", L2D, kept)
    again = trained(tmp_path / "again", L2D, decoder(), train=images().repeating(2))
    assert told(cached) == told(again)
    assert same(cached, again)
    never = trained(tmp_path / "never", L2D, decoder())
    two_epochs = 2 * COUNT // BATCH
    assert told(cached)[:two_epochs] == told(never)[:two_epochs]
    assert told(cached)[two_epochs:] != told(never)[two_epochs:]


def test_the_trainer_shows_rows_as_the_teacher_saw_them(tmp_path: Path) -> None:
    kept = cache(tmp_path / "cache", tiny_decoder(3), views=2)

    def trainer(size: int = SIZE, seed: int = 42, **changes: Any) -> MultiLabelTrainer:
        return MultiLabelTrainer(
            tiny_decoder(7, image_size=size),
            arguments(tmp_path, seed=seed, **QUIET),
            train_dataset=rows(COUNT),
            transform=transform(image_size=size, **changes),
            method=L2D,
            teacher=kept,
        )

    assert trainer().train_dataset.repeats_after == 2
    with pytest.raises(ValueError, match="another transform: hflip was True and is False here"):
        trainer(hflip=False)
    with pytest.raises(ValueError, match="draws from the seed 42, and here it is 1: set data_seed to 42"):
        trainer(seed=1)
    with pytest.raises(ValueError, match="another transform: image_size was 32 and is 48 here"):
        trainer(size=48)


def test_mixed_images_have_no_kept_answers(tmp_path: Path) -> None:
    kept = cache(tmp_path / "cache", tiny_decoder(3))
    with pytest.raises(ValueError, match="nobody asked the teacher about the mixtures"):
        trained(tmp_path, L2DConfig(weight_class_aware=0, weight_instance_aware=0), kept, mixup_alpha=0.2)


def test_a_resumed_run_finds_the_same_answers(tmp_path: Path) -> None:
    kept = cache(tmp_path / "cache", tiny_decoder(3), views=2)
    saved: dict[str, Any] = {"save_strategy": "steps", "save_steps": 4, "save_total_limit": 5}
    whole = trained(tmp_path / "whole", L2D, kept, **saved)
    resumed = trained(tmp_path / "other", L2D, kept, resume=str(tmp_path / "whole" / "checkpoint-4"), **saved)
    assert told(resumed)[-5:] == told(whole)[-5:]
    assert same(resumed, whole)


def _killed(folder: str, at: int) -> None:
    """A cached run from its last checkpoint, which ends itself with SIGKILL at a moment (0: never)."""
    place = Path(folder)
    kept = [str(path) for path in find_checkpoints(place)[-1:]]
    Moments(at, place.parent / f"{place.name}.diary").watch()
    trained(
        place, L2D, str(place.parent / "cache"), resume=kept[0] if kept else None, save_strategy="steps", save_steps=2
    )


def test_a_killed_run_finds_the_same_answers(tmp_path: Path) -> None:
    cache(tmp_path / "cache", tiny_decoder(3), views=2)
    codes = []
    for name, moments in (("whole", [0]), ("killed", [60, 40, 0])):
        for at in moments:
            process = start(_killed, (str(tmp_path / name), at))
            process.join(120)
            codes.append(process.exitcode)
            assert find_checkpoints(tmp_path / name)  # the next start goes on from there
    assert codes == [0, -signal.SIGKILL, -signal.SIGKILL, 0]
    whole, killed = (find_checkpoints(tmp_path / name)[-1] for name in ("whole", "killed"))
    assert whole.name == killed.name == f"checkpoint-{EPOCHS * COUNT // BATCH}"
    assert (killed / "model.safetensors").read_bytes() == (whole / "model.safetensors").read_bytes()
    losses = [
        [{k: v for k, v in line.items() if k.startswith("loss")} for line in json.loads(text)["log_history"]]
        for text in ((place / "trainer_state.json").read_text() for place in (whole, killed))
    ]
    assert losses[0] == losses[1]
    assert len(losses[0]) >= EPOCHS * COUNT // BATCH


def _one_of_two(folder: str) -> None:
    place = Path(folder)
    teacher: Any = decoder()
    for name, taught in (("uncached", teacher), ("cached", str(place / "cache"))):
        trainer = trained(place / name, L2D, taught, per_device_train_batch_size=BATCH // 2)
        if trainer.args.process_index == 0:
            torch.save({"told": told(trainer), "model": trainer.model.state_dict()}, place / f"{name}.pt")


def test_two_processes_look_up_what_two_teachers_say(tmp_path: Path) -> None:
    cache(tmp_path / "cache", decoder(), views=EPOCHS)
    launch(_one_of_two, (str(tmp_path),))
    uncached, cached = (torch.load(tmp_path / f"{name}.pt", weights_only=True) for name in ("uncached", "cached"))
    assert cached["told"] == uncached["told"]
    assert all(torch.equal(value, uncached["model"][name]) for name, value in cached["model"].items())
