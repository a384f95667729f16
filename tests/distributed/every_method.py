"""Every method of the registry at a size that a test can train: models without dropout, all of its losses on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from mlic_hf import modeling
from mlic_hf.methods.co_occurrence import CoOccurrenceLossConfig
from mlic_hf.methods.l2d.config import L2DConfig
from mlic_hf.methods.mulcon import MulConLossConfig
from mlic_hf.methods.oass.config import OASSConfig
from mlic_hf.methods.psd.config import PSDConfig
from mlic_hf.methods.psd.part_teachers import PartTeachers
from mlic_hf.methods.psd.partition import Partition
from mlic_hf.methods.registry import get_method
from mlic_hf.methods.supervised import SupervisedConfig
from mlic_hf.methods.teachers import ModelTeacher
from tests.methods.tiny import NAMES, SIZE, tiny_decoder, tiny_linear
from tests.methods.together import Together

# Light where embeddings are compared: those of a tiny random model are almost one point, and the gradient of the
# distance of two such points magnifies their last bits.
L2D = L2DConfig(
    weight_class_aware=0.1,
    weight_instance_aware=0.1,
    weight_partial_softmax=1.0,
    weight_pkt=2.0,
    weight_rkd=3.0,
    weight_review=4.0,
)
L2D_PER_IMAGE = L2DConfig(weight_class_aware=0.0, weight_instance_aware=10.0, weight_partial_softmax=1.0)
CUTS = {"chunk_size": 4, "ramp": 0.0}  # a chunk that is measured would differ from run to run


def tiny(architecture: str, **options: Any) -> Any:
    torch.manual_seed(7)
    return getattr(modeling, f"{architecture}ForImageClassification").from_timm(
        "test_resnet", NAMES, pretrained=False, image_size=SIZE, **options
    )


def with_maps() -> Any:
    return tiny("Linear", output_stride=8, class_maps_first=True, classifier_bias=False)


def part_teachers() -> PartTeachers:
    parts = {"cgp": (NAMES[:2], NAMES[2:]), "dgp": (NAMES[::2], NAMES[1::2])}
    partitions = {
        kind: Partition(kind, tuple(NAMES), tuple(tuple(part) for part in of_kind), None, 0, "spectral", "a test")
        for kind, of_kind in parts.items()
    }
    teachers = {
        kind: [ModelTeacher(tiny_linear(seed, list(part)), part) for seed, part in enumerate(of_kind)]
        for kind, of_kind in parts.items()
    }
    return PartTeachers(teachers, partitions, NAMES)


def wider_teacher() -> ModelTeacher:
    return ModelTeacher(tiny_decoder(1, width=24), NAMES)


def l2d_with_everything() -> Together:
    method = assemble("l2d", L2D, tiny_decoder(), wider_teacher())
    for module in method.objectives.modules():
        if isinstance(module, torch.nn.BatchNorm2d):  # `frozen` is the backbone's; the fusion's is each process's own
            module.train(False)
            module.train = lambda mode=True, module=module: module  # type: ignore[method-assign]
    return method


def assemble(key: str, config: Any, student: Any, teacher: Any = None) -> Together:
    return Together(student, get_method(key).objectives(config, student, teacher), teacher)


BUILD: dict[str, Callable[[], Together]] = {
    "supervised": lambda: assemble("supervised", SupervisedConfig(), tiny_linear()),
    "l2d": l2d_with_everything,
    "psd": lambda: assemble("psd", PSDConfig(), tiny_linear(), part_teachers()),
    "mulcon": lambda: assemble("mulcon", MulConLossConfig(denominator_size=60), tiny("MulCon", width=16)),
    "co_occurrence": lambda: assemble(
        "co_occurrence",
        CoOccurrenceLossConfig(scale=1.0),
        tiny("CoOccurrence", num_heads=2, feed_forward_size=32, dropout=0.0, graph_steps=2),
    ),
    "oass": lambda: assemble("oass", OASSConfig(**CUTS), with_maps()),
    # the same methods with other losses
    "oass_online": lambda: assemble("oass", OASSConfig(gradient="online", **CUTS), with_maps()),
    "l2d_per_image": lambda: assemble("l2d", L2D_PER_IMAGE, tiny_decoder(), wider_teacher()),
    "mulcon_stage_one": lambda: assemble("mulcon", MulConLossConfig(stage=1), tiny("MulCon", width=16)),
}
