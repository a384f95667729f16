"""Each loss, forward and backward, against the plain loop of its equation: the same machine, inputs and run.

    python benchmarks/losses.py [--quick] [--device cuda] [--threads 2]

The loops are those of tests/losses/oracles.py, the ones that the tests hold the losses to.
"""

from __future__ import annotations

import argparse
import platform
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from mlic_hf import losses
from tests.losses import oracles
from tests.losses.cases import weighed

SHAPES = [(64, 80, 768), (128, 500, 768), (32, 20, 768)]
POSITIVES = {80: 2.9, 500: 13.6, 20: 1.5}  # labels an image: about COCO's, VG500's and VOC's
REQUIRED = ("class-aware (CD)", "instance-aware (ID)", "partial softmax", "label contrastive")

Case = tuple[Callable[..., Tensor], Callable[..., Tensor], list[Tensor], list[Tensor]]


def long_tailed_targets(images: int, labels: int, mean: float) -> Tensor:
    """Multi-hot rows whose label frequencies fall off like a real set's, at a mean number of labels an image."""
    frequency = 1 / torch.arange(1, labels + 1).float()
    low, high = 0.0, 100.0
    for _ in range(60):
        scale = (low + high) / 2
        rate = (frequency * scale).clamp(max=0.6)
        low, high = (scale, high) if rate.sum() < mean else (low, scale)
    return (torch.rand(images, labels) < rate).float()


def build_cases(images: int, labels: int, width: int, device: str) -> dict[str, Case]:
    """name -> (ours, loop, inputs with a gradient, fixed inputs)."""
    torch.manual_seed(0)
    y = long_tailed_targets(images, labels, POSITIVES[labels]).to(device)
    z, t = (3 * torch.randn(2, images, labels)).to(device)
    e, et = torch.randn(2, images, labels, width).to(device)
    f, ft = torch.randn(2, images, width).to(device)
    proj = torch.nn.functional.normalize(torch.randn(images, labels, 128), dim=-1).to(device)
    graph, view = (0.05 * torch.randn(2, images, labels, width)).to(device)
    stages = ((64, 28), (128, 14), (256, 7))
    maps, teacher = ([torch.randn(images, c, s, s).to(device) for c, s in stages] for _ in "ab")
    cut_image, cut_label = y.nonzero(as_tuple=True)
    cut_image, cut_label = cut_image[:64], cut_label[:64]
    class_maps, merged = torch.randn(images, labels, 16, 16).to(device), torch.randn(len(cut_label), labels, 16, 16)
    merged = merged.to(device)
    maps_t = torch.randn(images, labels, 8, 8).to(device)
    return {
        **(imperfect_cases(z, y) if labels <= 100 else {}),
        "asymmetric": (losses.asymmetric_loss, oracles.asymmetric_loss, [z], [y]),
        "binary cross-entropy": (losses.binary_cross_entropy, oracles.binary_cross_entropy, [z], [y]),
        "focal": (losses.focal, oracles.focal, [z], [y]),
        "soft margin": (lambda *a: losses.soft_margin(*a, reduction="sum"), oracles.soft_margin, [z], [y]),
        "logit distillation (MLD)": (
            losses.multi_label_logit_distillation,
            oracles.multi_label_logit_distillation,
            [z],
            [t, y],
        ),
        "partial softmax": (
            lambda *a: losses.partial_softmax_distillation(*a, reduction="sum"),
            oracles.partial_softmax_distillation,
            [z],
            [t, y],
        ),
        "symmetric logit distillation": (
            losses.symmetric_logit_distillation,
            oracles.symmetric_logit_distillation,
            [z],
            [t, y],
        ),
        "class maps (CAM)": (losses.class_map_distillation, oracles.class_map_distillation, [class_maps], [maps_t, y]),
        "partition MSE": (losses.partition_distillation_mse, oracles.partition_distillation_mse, [z], [t]),
        "partition KL": (losses.partition_distillation_kl, oracles.partition_distillation_kl, [z], [t]),
        "class-aware (CD)": (
            losses.class_aware_distillation,
            oracles.class_aware_distillation,
            [e],
            [et, y],
        ),
        "instance-aware (ID)": (
            losses.instance_aware_distillation,
            oracles.instance_aware_distillation,
            [e],
            [et, y],
        ),
        "CD, the loop unbound": (
            losses.class_aware_distillation,
            lambda *a: oracles.class_aware_distillation(*a, unbind=True),
            [e],
            [et, y],
        ),
        "ID, the loop unbound": (
            losses.instance_aware_distillation,
            lambda *a: oracles.instance_aware_distillation(*a, unbind=True),
            [e],
            [et, y],
        ),
        "both embeddings (LED)": (
            lambda s, t, y: weighed(*losses.label_embedding_distillation(s, t, y)),
            lambda s, t, y: (
                100 * oracles.class_aware_distillation(s, t, y) + 1000 * oracles.instance_aware_distillation(s, t, y)
            ),
            [e],
            [et, y],
        ),
        "PKT": (
            losses.probabilistic_knowledge_transfer,
            oracles.probabilistic_knowledge_transfer,
            [f],
            [ft],
        ),
        "RKD": (losses.relational_distillation, oracles.relational_distillation, [f], [ft]),
        "ReviewKD": (
            lambda *m: losses.review_distillation(m[:3], m[3:]),
            lambda *m: oracles.review_distillation(m[:3], m[3:]),
            list(maps),
            list(teacher),
        ),
        "label contrastive": (losses.label_contrastive, oracles.label_contrastive, [proj], [y]),
        "co-occurrence contrast": (
            lambda *a: losses.co_occurrence_contrast(*a, reduction="sum"),
            oracles.co_occurrence_contrast,
            [graph],
            [view, view.flip(0), y],
        ),
        "partial class": (losses.partial_class_loss, oracles.partial_class_loss, [merged], [cut_label]),
        "reconstruction": (
            losses.reconstruction_loss,
            oracles.reconstruction_loss,
            [class_maps],
            [merged, cut_image, cut_label],
        ),
    }


def imperfect_cases(z: Tensor, y: Tensor) -> dict[str, Case]:
    """The losses for missing and rare labels, whose loops go cell by cell."""
    counts = y.sum(dim=0).clamp(min=1)
    total, share = len(y) + 1, 0.02

    def summed(loss: Callable[..., Tensor], **settings: Any) -> Callable[..., Tensor]:
        return partial(loss, reduction="sum", **settings)

    pairs: dict[str, tuple[Callable[..., Tensor], Callable[..., Tensor]]] = {
        "entropy maximisation (EM)": (summed(losses.entropy_maximization), oracles.entropy_maximization),
        "weak negatives (WAN)": (summed(losses.weak_negatives), oracles.weak_negatives),
        "expected positives (EPR)": (
            summed(losses.expected_positives, expected=3.0),
            lambda z, y: oracles.expected_positives(z, y, 3.0),
        ),
        "Hill": (losses.hill, oracles.hill),
        "self-paced correction (SPLC)": (losses.self_paced_correction, oracles.self_paced_correction),
        "large losses rejected (LL-R)": (
            summed(losses.large_loss_rejection, share=share),
            lambda z, y: oracles.large_loss(z, y, share, corrected=False),
        ),
        "large losses corrected (LL-Ct)": (
            summed(losses.large_loss_correction, share=share),
            lambda z, y: oracles.large_loss(z, y, share, corrected=True),
        ),
        "distribution-balanced (DB)": (
            summed(losses.distribution_balanced, counts=counts, num_images=total),
            lambda z, y: oracles.distribution_balanced(z, y, counts, total),
        ),
        "two-way": (summed(losses.two_way), oracles.two_way),
        "ZLPR": (summed(losses.zlpr), oracles.zlpr),
    }
    return {name: (ours, loop, [z], [y]) for name, (ours, loop) in pairs.items()}


def step(loss: Callable[..., Tensor], leaves: list[Tensor], fixed: list[Tensor]) -> float:
    """Milliseconds of one forward and backward."""
    device = leaves[0].device
    start = time.perf_counter()
    value = loss(*leaves, *fixed)
    torch.autograd.grad(value, leaves)
    if device.type == "cuda":
        torch.cuda.synchronize()
    return (time.perf_counter() - start) * 1e3


def measure(case: Case, repeats: int, loop_repeats: int) -> tuple[float, float]:
    """Fastest milliseconds of ours and of the loop, their turns taken alternately so that both see the same load."""
    ours, loop, leaves, fixed = case
    leaves = [leaf.requires_grad_() for leaf in leaves]
    step(ours, leaves, fixed)
    fast, slow = [], []
    for _ in range(loop_repeats):
        slow.append(step(loop, leaves, fixed))
        fast += [step(ours, leaves, fixed) for _ in range(max(1, repeats // loop_repeats))]
    return min(fast), min(slow)


def section(quick: bool, device: str = "cpu", threads: int = 2) -> str:
    """The markdown section of docs/benchmarks.md about the losses."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    shapes = [SHAPES[0], SHAPES[2]] if quick else SHAPES
    where = torch.cuda.get_device_name() if device == "cuda" else f"{platform.machine()} CPU, {threads} threads"
    lines = [
        "## Losses against plain loops",
        "",
        f"Forward and backward, fastest of several runs in milliseconds, torch {torch.__version__}, {where}; loop = "
        "the equation written one image, label or pair at a time (`tests/losses/oracles.py`), in the same run on the "
        "same inputs. The loops of CD and ID index the embeddings at every turn, as one writes it, and autograd "
        "then writes a gradient of the whole (B, C, d) a turn; the rows with the loop unbound spare it that, and "
        "both sides then mostly write the one gradient that is needed. The loops of the losses for missing and rare "
        "labels (EM to DB) go cell by cell: a thousandfold is what it costs to be plain.",
        "",
        "| loss | images, labels, width | loop ms | ours ms | ratio |",
        "|---|---|---|---|---|",
    ]
    for shape in shapes:
        for name, case in build_cases(*shape, device=device).items():
            large = shape[1] > 100
            ours, loop = measure(case, 8 if quick or large else 30, 1 if large else 2 if quick else 5)
            mark = "**" if name in REQUIRED and shape == SHAPES[0] else ""
            lines.append(f"| {name} | {shape} | {loop:.2f} | {ours:.2f} | {mark}{loop / ours:.1f}x{mark} |")
    torch.set_num_threads(before)
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="two shapes, few repeats")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    sys.stdout.write(section(options.quick, options.device, options.threads))
