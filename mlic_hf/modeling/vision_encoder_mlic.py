"""Vision encoders of transformers: built from their own config, run on pixels, and measured.

What a map's width, stride and leading tokens are is not looked up by family but measured, on torch's meta device,
where a forward pass costs neither memory nor arithmetic.
"""

from __future__ import annotations

import copy
import inspect
import math
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import MODEL_MAPPING, AutoModel, PretrainedConfig, PreTrainedModel
from transformers.core_model_loading import revert_weight_conversion

from .backbone_mlic import choose_stages

# Swin's maps before it merges patches, as those of other pyramids
FORWARD_OPTIONS: dict[str, dict[str, Any]] = {"swin": {"output_hidden_states_before_downsampling": True}}
SIDE = 64  # of the measured picture, in pixels, where the encoder's config names none


def create_encoder(config: PretrainedConfig) -> Any:
    """The vision encoder of a config, without pooling where its class can leave it out, with random weights.

    Raises:
        ValueError: when transformers has no vision encoder for this config.
    """
    model_class: Any = MODEL_MAPPING.get(type(config), None)
    if getattr(model_class, "main_input_name", None) != "pixel_values":
        raise ValueError(
            f"A {type(config).__name__} is not the config of a vision encoder of transformers; expected one whose "
            "model takes pixel_values, such as Dinov2Config, ViTConfig or CLIPVisionConfig."
        )
    known = inspect.signature(model_class.__init__).parameters
    options = {"add_pooling_layer": False} if "add_pooling_layer" in known else {}
    config = copy.deepcopy(config)  # for transformers writes into it
    if config._attn_implementation == "sdpa" and not model_class._supports_sdpa:
        config._attn_implementation = None  # asked of the whole model; an encoder without it keeps its own way
    # the number format is that of the model around
    return AutoModel.from_config(config, dtype=torch.get_default_dtype(), **options)


def stored_names(model: PreTrainedModel) -> dict[str, str]:
    """Names of tensors in the file that `save_pretrained` writes -> their names in the model.

    transformers stores a family's tensors under the names of its published checkpoints, which its modules have left
    behind: so a file serves older and newer versions.
    """
    own = model.state_dict()
    names = {id(tensor): name for name, tensor in own.items()}
    return {stored: names[id(tensor)] for stored, tensor in revert_weight_conversion(model, own).items()}


def run_encoder(
    net: Any, taken: Collection[str], pixels: Tensor, with_states: bool
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """The last hidden state and, on request, the intermediate ones, as transformers gives them.

    Args:
        net: from `create_encoder`.
        taken: names of the arguments that its forward takes.
        pixels: (B, 3, H, W); position codes are resampled to its size.
        with_states: also return the intermediate states.

    Returns:
        Maps (B, D, h, w) or tokens (B, N, D).
    """
    inputs: dict[str, Any] = {"pixel_values": pixels, **FORWARD_OPTIONS.get(net.config.model_type, {})}
    if "interpolate_pos_encoding" in taken:
        inputs["interpolate_pos_encoding"] = True
    if "spatial_shapes" in taken:
        inputs.update(_patches(pixels, net.config.patch_size))
    output = net(**inputs, output_hidden_states=with_states)
    states = output.get("reshaped_hidden_states") or output.get("hidden_states") or ()
    return output.last_hidden_state, tuple(states)


def _patches(pixels: Tensor, side: int) -> dict[str, Any]:
    """What SigLIP 2 takes instead of pixels: flat patches, row by row, and the grid's shape."""
    patches = pixels.unfold(2, side, side).unfold(3, side, side).permute(0, 2, 3, 4, 5, 1)
    # one shape for the whole batch: the position codes are broadcast
    grid = torch.tensor([patches.shape[1:3]], device="cpu")
    return {
        "pixel_values": patches.flatten(3).flatten(1, 2),
        "spatial_shapes": grid,
        "pixel_attention_mask": None,
    }


@dataclass(frozen=True)
class Layout:
    """How one state of an encoder lies: its channels, pixels a step, and tokens in front of the places."""

    channels: int
    stride: int
    prefix: int

    def as_map(self, state: Tensor, pixels: Tensor) -> Tensor:
        """(B, D, h, w), from the state of a pass over pixels (B, 3, H, W)."""
        if state.ndim == 4:
            return state
        places = state.shape[1] - self.prefix
        height, width = (side // self.stride for side in pixels.shape[-2:])
        if height * width != places:  # some networks drop what is left at the border, some fill it up
            height, width = (-(-side // self.stride) for side in pixels.shape[-2:])
        return state[:, self.prefix :].transpose(1, 2).reshape(state.shape[0], -1, height, width)


@dataclass(frozen=True)
class Measured:
    """What a pass shows of an encoder.

    Attributes:
        taken: names of the arguments that its forward takes.
        last: layout of the last state.
        stages: for each stage its position among the states, and its layout.
        unused: names of the parameters that the last state does not depend on (a pooling layer, a mask token).
        frozen: names of the parameters that the first stages depend on, as many stages as were asked for.
    """

    taken: frozenset[str]
    last: Layout
    stages: list[tuple[int, Layout]]
    unused: frozenset[str]
    frozen: frozenset[str]


def measure_encoder(config: PretrainedConfig, freeze_stages: int = 0) -> Measured:
    """Run an encoder without arithmetic on a square and on a picture twice as wide, and compare.

    Raises:
        ValueError: when it has no map: its states are neither maps nor a grid of tokens behind a few others.
    """
    # whatever the caller has switched off, the first pass needs a graph
    with torch.inference_mode(False), torch.enable_grad():
        with torch.device("meta"):
            net = create_encoder(config).eval()
        taken = frozenset(inspect.signature(net.forward).parameters)
        patch, size = _first(getattr(config, "patch_size", None), 1), _first(getattr(config, "image_size", None), SIDE)
        side = patch * math.ceil(size / patch)
        # what the network makes for itself and keeps (BEiT's index of places) must be real: others will use it
        with torch.device("cpu"):
            last, states = run_encoder(net, taken, torch.empty(1, 3, side, side, device="meta"), True)
            with torch.no_grad():
                wide, wide_states = run_encoder(net, taken, torch.empty(1, 3, side, 2 * side, device="meta"), True)
        layouts = [_layout(*pair, side, config) for pair in zip(states, wide_states, strict=True)]
        positions = _stage_positions([layout.stride for layout in layouts])
        named = {name: parameter for name, parameter in net.named_parameters() if parameter.requires_grad}
        deepest = positions[freeze_stages - 1] if 0 < freeze_stages <= len(positions) else None
        return Measured(
            taken=taken,
            last=_layout(last, wide, side, config),
            stages=[(position, layouts[position]) for position in positions],
            unused=frozenset(named) - _upstream(named, last),
            frozen=frozenset() if deepest is None else _upstream(named, states[deepest]),
        )


def _first(value: Any, otherwise: int) -> int:
    """A size that some configs give as one number and some as (height, width)."""
    value = value[0] if isinstance(value, (list, tuple)) and value else value
    return value if isinstance(value, int) and value > 0 else otherwise


def _layout(square: Tensor, wide: Tensor, side: int, config: PretrainedConfig) -> Layout:
    if square.ndim == 4:
        return Layout(square.shape[1], side // square.shape[2], 0)
    places = wide.shape[1] - square.shape[1] if square.ndim == 3 else 0
    edge = math.isqrt(max(places, 0))
    if edge == 0 or edge * edge != places or places > square.shape[1]:
        raise ValueError(
            f"{config.model_type} gives states of shape {tuple(square.shape)} and {tuple(wide.shape)} for pictures of "
            f"{side}x{side} and {side}x{2 * side} pixels: not a map. Choose another vision encoder."
        )
    return Layout(square.shape[2], side // edge, square.shape[1] - places)


def _stage_positions(strides: list[int]) -> list[int]:
    if len(set(strides)) == 1:
        # blocks of one resolution; the first state is their input
        return [1 + position for position in choose_stages([{"reduction": stride} for stride in strides[1:]])]
    ends = {stride: position for position, stride in enumerate(strides)}  # the last state of each resolution
    chosen = choose_stages([{"reduction": stride} for stride in ends])
    return [list(ends.values())[index] for index in chosen]


def _upstream(named: dict[str, Tensor], state: Tensor) -> frozenset[str]:
    """Names of the parameters that a state depends on: those that get a gradient from it."""
    gradients = torch.autograd.grad(state.sum(), list(named.values()), allow_unused=True, retain_graph=True)
    return frozenset(name for name, gradient in zip(named, gradients, strict=True) if gradient is not None)
