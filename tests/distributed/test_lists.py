"""A plain list of pictures and label names in two processes trains what it trains in one."""

from __future__ import annotations

from pathlib import Path

import torch

from mlic_hf.training import MultiLabelTrainer
from tests.distributed.launch import launch
from tests.methods.tiny import NAMES, tiny_linear
from tests.training.tiny import arguments, rows


def test_a_list_in_two_processes_equals_one(tmp_path: Path) -> None:
    for processes in (1, 2):
        launch(_in_process, (str(tmp_path), processes), processes)
    one, *two = [torch.load(tmp_path / f"{name}.pt", weights_only=True) for name in ("1-0", "2-0", "2-1")]
    start = tiny_linear().state_dict()
    assert max((one["weights"][name] - tensor).abs().max() for name, tensor in start.items()) > 1e-3
    for found in two:
        assert abs(found["mAP"] - one["mAP"]) < 1e-6
        for name, tensor in one["weights"].items():
            torch.testing.assert_close(found["weights"][name], tensor, rtol=0, atol=1e-5)


def _in_process(folder: str, processes: int) -> None:
    def plain(count: int, seed: int) -> list[dict]:
        return [{"image": row["image"], "tags": [NAMES[i] for i in row["labels"]]} for row in rows(count, seed)]

    # 19 images are no multiple of the batch, 5 none of the processes
    args = arguments(Path(folder) / f"run-{processes}", per_device_train_batch_size=8 // processes,
                     batch_norm="frozen", load_best_model_at_end=False)  # fmt: skip
    trainer = MultiLabelTrainer(
        tiny_linear(), args, train_dataset=plain(19, 0), eval_dataset=plain(5, 1), transform="eval"
    )
    assert trainer.args.world_size == processes
    trainer.train()
    trainer.weights.hold("plain")
    scores = [line["eval_plain_mAP"] for line in trainer.state.log_history if "eval_plain_mAP" in line]
    kept = {"weights": trainer.model.state_dict(), "mAP": scores[-1]}
    torch.save(kept, Path(folder) / f"{processes}-{trainer.args.process_index}.pt")
