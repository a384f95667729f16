"""How much PSD's teachers know together: the mAP of their joined logits on validation, a partition and both.

python -m benchmarks.part_teachers --config mlic_hf/recipes/digit_scenes/psd.yaml --teachers runs/psd_teachers
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from torch.utils.data import DataLoader

from mlic_hf.cli.parsing import parse
from mlic_hf.data import collate
from mlic_hf.methods.psd.part_teachers import load_part_teachers
from mlic_hf.metrics import multilabel_metrics
from mlic_hf.runs.data import evaluation_set, load_data


def main() -> None:
    settings = parse(__doc__ or "", "psd")
    if settings.run.teachers is None:
        raise SystemExit("--teachers is missing; name the folder that train_teachers.py wrote.")
    data = load_data(settings.run)
    teachers = load_part_teachers(Path(settings.run.teachers), data.labels.names, settings.method.kinds)
    images = evaluation_set(settings.run, data, teachers.pixels, settings.run.eval_split, "eval_split")
    answers: dict[str, list[torch.Tensor]] = {kind: [] for kind in settings.method.kinds}
    labels = []
    for batch in DataLoader(images, settings.training.per_device_eval_batch_size, collate_fn=collate):
        for kind, logits in teachers(batch["pixel_values"], teachers.pixels).items():
            answers[kind].append(logits)
        labels.append(batch["labels"])
    joined = {kind: torch.cat(logits) for kind, logits in answers.items()}
    joined["mean"] = torch.stack(list(joined.values())).mean(0)
    for name, logits in joined.items():
        metrics = multilabel_metrics(logits.sigmoid().double().numpy(), torch.cat(labels).numpy())
        sys.stdout.write(f"{name}: {100 * metrics['mAP']:.1f}\n")


if __name__ == "__main__":
    main()
