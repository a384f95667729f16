"""The originals' backbone keys in timm's names, and the timm model that they belong to."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping

import torch
from torch import Tensor

State = Mapping[str, Tensor]

# blocks a stage, channels of the first block's second convolution (out, in a group), bottlenecks or not
RESNETS: dict[tuple[tuple[int, ...], tuple[int, int], bool], str] = {
    ((2, 2, 2, 2), (64, 64), False): "resnet18",
    ((3, 4, 6, 3), (64, 64), False): "resnet34",
    ((3, 4, 6, 3), (64, 64), True): "resnet50",
    ((3, 4, 23, 3), (64, 64), True): "resnet101",
    ((3, 8, 36, 3), (64, 64), True): "resnet152",
    ((3, 4, 6, 3), (128, 128), True): "wide_resnet50_2",
    ((3, 4, 23, 3), (128, 128), True): "wide_resnet101_2",
    ((3, 4, 6, 3), (128, 4), True): "resnext50_32x4d",
    ((3, 4, 23, 3), (256, 8), True): "resnext101_32x8d",
}
# blocks a stage, then the widths of the stages
REPVGGS: dict[tuple[tuple[int, ...], tuple[int, ...]], str] = {
    ((2, 4, 14, 1), (48, 96, 192, 1280)): "repvgg_a0",
    ((2, 4, 14, 1), (64, 128, 256, 1280)): "repvgg_a1",
    ((2, 4, 14, 1), (96, 192, 384, 1408)): "repvgg_a2",
    ((4, 6, 16, 1), (64, 128, 256, 1280)): "repvgg_b0",
    ((4, 6, 16, 1), (128, 256, 512, 2048)): "repvgg_b1",
    ((4, 6, 16, 1), (160, 320, 640, 2560)): "repvgg_b2",
    ((4, 6, 16, 1), (192, 384, 768, 2560)): "repvgg_b3",
}
TRESNETS: dict[tuple[tuple[int, ...], int], str] = {
    ((3, 4, 11, 3), 64): "tresnet_m",
    ((4, 5, 18, 3), 76): "tresnet_l",
    ((4, 5, 24, 3), 83): "tresnet_xl",
}
MOBILENET_V2_BLOCKS = (1, 2, 3, 4, 3, 3, 1)
INPLACE_ABN_EPS = 1e-5
# positions in a Sequential made of a ResNet's children; 2 and 3 are ReLU and pooling
SEQUENTIAL_RESNET = {"0": "conv1", "1": "bn1", "4": "layer1", "5": "layer2", "6": "layer3", "7": "layer4"}


def blocks_a_stage(keys: Iterable[str], pattern: str) -> tuple[int, ...]:
    """How many blocks each stage has, from keys in which `pattern` finds (stage, block)."""
    found = {match.groups() for key in keys if (match := re.match(pattern, key))}
    stages = sorted({int(stage) for stage, _ in found})
    return tuple(sum(int(stage) == s for stage, _ in found) for s in stages)


def convert_backbone(state: State) -> tuple[str, dict[str, Tensor]]:
    """A backbone's tensors under timm's names.

    Args:
        state: the backbone's part of a checkpoint: torchvision's ResNet names, a Sequential of a ResNet's
            children, MobileNetV2, RepVGG in its training form, or TResNet.

    Returns:
        the timm model name and its state dict (keys that cannot be read are passed on unchanged).

    Raises:
        ValueError: when the keys are of no known family or size.
    """
    state = without_features(state)
    for family, marker, convert in FAMILIES:
        if marker in state:
            try:
                return convert(state)
            except KeyError as error:
                raise ValueError(
                    f"The backbone looks like a {family} of an unknown size, or its keys are incomplete: "
                    f"{error.args[0]!r} was looked for among {len(state)} keys."
                ) from error
    if any("rbr_reparam" in key for key in state):
        raise ValueError(
            "The backbone is a re-parameterised RepVGG (rbr_reparam keys); convert the checkpoint from "
            "training and call model.reparameterize() afterwards."
        )
    shown = ", ".join(sorted(state)[:5])
    families = ", ".join(family for family, _, _ in FAMILIES)
    raise ValueError(f"The backbone is none of {families}; its {len(state)} keys begin with: {shown}.")


def without_features(state: State) -> dict[str, Tensor]:
    """The state without a `features.` in front of every key."""
    if state and all(key.startswith("features.") for key in state):
        return {key.removeprefix("features."): tensor for key, tensor in state.items()}
    return dict(state)


def resnet(state: State) -> tuple[str, dict[str, Tensor]]:
    """torchvision's names are timm's; the size is read off the shapes."""
    second = state["layer1.0.conv2.weight"].shape
    signature = (
        blocks_a_stage(state, r"layer(\d)\.(\d+)\."),
        (int(second[0]), int(second[1])),
        "layer1.0.conv3.weight" in state,
    )
    return RESNETS[signature], dict(state)


def sequential_resnet(state: State) -> tuple[str, dict[str, Tensor]]:
    renamed = {}
    for key, tensor in state.items():
        position, _, rest = key.partition(".")
        renamed[f"{SEQUENTIAL_RESNET.get(position, position)}.{rest}"] = tensor
    return resnet(renamed)


def mobilenet_v2(state: State) -> tuple[str, dict[str, Tensor]]:
    """Numbered blocks to timm's stages; the first block has no expanding convolution."""
    places = [(stage, block) for stage, n in enumerate(MOBILENET_V2_BLOCKS) for block in range(n)]
    last = len(places) + 1
    names = {"0.0": "conv_stem", "0.1": "bn1", f"{last}.0": "conv_head", f"{last}.1": "bn2"}
    for number, (stage, block) in enumerate(places, start=1):
        parts = ["conv_pw", "bn1", "conv_dw", "bn2", "conv_pwl", "bn3"]
        if number == 1:
            parts = ["conv_dw", "bn1", "conv_pw", "bn2"]
        for position, part in zip((0, 1, 3, 4, 6, 7), parts, strict=False):
            names[f"{number}.conv.{position}"] = f"blocks.{stage}.{block}.{part}"
    renamed = {}
    for key, tensor in state.items():
        module, _, leaf = key.rpartition(".")
        renamed[f"{names.get(module, module)}.{leaf}"] = tensor
    if state["0.0.weight"].shape[0] != 32:
        raise KeyError("a stem of 32 channels")
    return "mobilenetv2_100", renamed


def repvgg(state: State) -> tuple[str, dict[str, Tensor]]:
    """Branches to timm's names; stage 0 is timm's stem."""
    widths = tuple(int(state[f"stage{s}.0.rbr_dense.conv.weight"].shape[0]) for s in (1, 2, 3, 4))
    name = REPVGGS[blocks_a_stage(state, r"stage(\d)\.(\d+)\."), widths]
    branches = {"rbr_dense": "conv_kxk", "rbr_1x1": "conv_1x1", "rbr_identity": "identity"}
    renamed = {}
    for key, tensor in state.items():
        new = re.sub(r"^stage(\d)\.", lambda m: f"stages.{int(m[1]) - 1}.", key)
        new = new.replace("stages.-1.", "stem.")
        renamed[re.sub(r"rbr_\w+", lambda m: branches.get(m[0], m[0]), new)] = tensor
    return name, renamed


def tresnet(state: State) -> tuple[str, dict[str, Tensor]]:
    """Numbered convolution and norm to timm's names.

    The originals' in-place activated batch norm uses |weight| + eps where timm's uses the weight, so the
    weight that gives the same output is stored.
    """
    width = int(state["body.conv1.0.weight"].shape[0])
    name = TRESNETS[blocks_a_stage(state, r"body\.layer(\d)\.(\d+)\."), width]
    renamed = {}
    for key, tensor in state.items():
        new = re.sub(
            r"\.(conv\d|downsample\.\d)\.(?:0\.)?([01])\.(?=[a-z])",
            lambda m: f".{m[1]}.{'conv' if m[2] == '0' else 'bn'}.",
            key,
        )
        renamed[new] = tensor.abs() + INPLACE_ABN_EPS if new.endswith(".bn.weight") else tensor
    return name, renamed


FAMILIES: tuple[tuple[str, str, Callable[[State], tuple[str, dict[str, Tensor]]]], ...] = (
    ("ResNet", "layer1.0.conv1.weight", resnet),
    ("ResNet", "4.0.conv1.weight", sequential_resnet),
    ("MobileNetV2", "1.conv.0.weight", mobilenet_v2),
    ("RepVGG", "stage0.rbr_dense.conv.weight", repvgg),
    ("TResNet", "body.conv1.0.weight", tresnet),
)


def with_batch_counts(state: State, wanted: Iterable[str]) -> dict[str, Tensor]:
    """The state with a zero for every `num_batches_tracked` that frozen batch norms do not store."""
    counts = {key: torch.zeros((), dtype=torch.long) for key in wanted if key.endswith("num_batches_tracked")}
    return {**{key: tensor for key, tensor in counts.items() if key not in state}, **state}
