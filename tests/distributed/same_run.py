"""One run, cut in processes and accumulation steps as asked; what it left behind."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

from mlic_hf.training import MultiLabelTrainer
from tests.distributed.every_method import BUILD
from tests.distributed.launch import launch
from tests.training.tiny import dataset, make_trainer

#: method, images, processes, accumulation steps
Case = tuple[str, int, int, int]
GLOBAL_BATCH = 8
# Two steps of 8 images and one of what is left.
SETTINGS: dict[str, Any] = {
    "optim": "sgd",
    "optim_args": "momentum=0.9",
    "lr_scheduler_type": "constant",
    "batch_norm": "frozen",
    "num_train_epochs": 1,
    "ema_decay": 0.5,
    "save_strategy": "no",
    "load_best_model_at_end": False,
}


#: Steps where a loss has kinks or steep gradients (|map - merged map|, relational angles) are short ones, or the last
#: bits of a sum over 8 images, which depend on how it is cut, grow too large to tell.
LEARNING_RATES = {"l2d": 2e-3, "oass": 4e-3}


def trained(key: str, folder: Path, images: int, processes: int = 1, accumulation: int = 1) -> MultiLabelTrainer:
    """Train one epoch with a global batch of 8; the trainer afterwards."""
    both = BUILD[key]()
    train = dataset(images, kind="train", views=both.views)
    for position, row in enumerate(train.rows):
        if position % 5 == 0:  # some cells are unknown
            row["ignored"] = [label for label in range(5) if label not in row["labels"]][:1]
    batch = GLOBAL_BATCH // (processes * accumulation)
    changes: dict[str, Any] = {"per_device_train_batch_size": batch, "gradient_accumulation_steps": accumulation}
    changes["learning_rate"] = LEARNING_RATES.get(key, 2e-2)
    trainer = make_trainer(folder, both, train=train, **SETTINGS, **changes)
    assert trainer.args.world_size == processes
    trainer.train()
    return trainer


def left_behind(trainer: MultiLabelTrainer) -> dict[str, Any]:
    """Weights, averages, the method's own tensors, and the log."""
    log = [{k: v for k, v in line.items() if k.startswith(("loss", "eval_"))} for line in trainer.state.log_history]
    return {
        "student": trainer.model.state_dict(),
        "ema": dict(enumerate(trainer.weights.average.kept)),
        "objectives": trainer.method.objectives.state_dict(),
        "companions": {k: v for m in trainer.method.companions().values() for k, v in m.state_dict().items()},
        "log": [{k: v for k, v in line.items() if "second" not in k and "time" not in k} for line in log if line],
        "step": trainer.state.global_step,
    }


def _in_process(cases: list[Case], folder: str) -> None:
    for key, images, processes, accumulation in cases:
        place = Path(folder) / "-".join(map(str, (key, images, processes, accumulation)))
        trainer = trained(key, place, images, processes, accumulation)
        if processes > 1:
            assert dist.get_world_size() == processes
            assert dist.get_backend() == "gloo"
        torch.save(left_behind(trainer), f"{place}-{trainer.args.process_index}.pt")


def run_all(cases: list[Case], folder: Path) -> dict[Case, list[dict[str, Any]]]:
    """What each process of each run left behind; the runs of one process and those of two are launched together."""
    for processes in sorted({case[2] for case in cases}):
        launch(_in_process, ([case for case in cases if case[2] == processes], str(folder)), processes)
    return {
        case: [
            torch.load(f"{folder / '-'.join(map(str, case))}-{rank}.pt", weights_only=True) for rank in range(case[2])
        ]
        for case in cases
    }


def differences(found: dict[str, Any], expected: dict[str, Any]) -> dict[str, float]:
    """The largest difference of each group of tensors."""
    told = {}
    for group in ("student", "ema", "objectives", "companions"):
        assert found[group].keys() == expected[group].keys()
        told[group] = max(
            ((found[group][n].double() - t.double()).abs().max().item() for n, t in expected[group].items()),
            default=0.0,
        )
    return told
