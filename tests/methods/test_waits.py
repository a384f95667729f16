"""No method waits for the device more than once a step: forward, backward and what follows the optimizer."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from mlic_hf.training import MultiLabelTrainer
from tests.distributed.every_method import BUILD
from tests.methods.tiny import tiny_batch
from tests.training.tiny import arguments
from tests.waits import Waits

# OASS lists the (image, label) pairs that are cut and, with the key points of the paper, the local maxima of their
# maps: the second list needs the first and the forward pass, so the two waits cannot be one
TWICE = {"oass", "oass_online"}


@pytest.mark.parametrize("key", BUILD)
def test_at_most_one_wait_a_step(key: str) -> None:
    method = BUILD[key]().train()
    pixels, labels = tiny_batch()
    views = {"second_view": pixels} if method.views > 1 else {}
    with Waits() as waits:
        method(pixels, labels, **views)["loss"].backward()
        method.after_step()
    assert waits.total <= (2 if key in TWICE else 1), waits.seen


@pytest.mark.parametrize("key", BUILD)
def test_the_trainer_adds_one_wait_a_step(key: str, tmp_path: Path) -> None:
    # to see whether the gradient is finite before the optimizer uses it
    def seen(steps: int) -> Counter[str]:
        both = BUILD[key]().train()
        pixels, labels = tiny_batch()
        rows = [{"pixel_values": p, "labels": y, "image_id": str(i)} for i, (p, y) in enumerate(zip(pixels, labels))]
        if both.method.views > 1:
            rows = [row | {"second_view": row["pixel_values"]} for row in rows]
        size, rows = len(rows), rows * 8  # one epoch: each begins with a draw on the host
        settings = {"max_steps": steps, "logging_strategy": "no", "per_device_train_batch_size": size}
        args = arguments(tmp_path, **settings, eval_strategy="no", save_strategy="no", load_best_model_at_end=False)
        trainer = MultiLabelTrainer(both.student, args, train_dataset=rows, method=both.method)
        with Waits() as waits:
            trainer.train()
        return waits.seen

    more = seen(7)
    more.subtract(seen(3))
    assert more.total() <= 4 * (3 if key in TWICE else 2), more
