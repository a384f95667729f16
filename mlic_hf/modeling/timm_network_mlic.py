"""Creating a timm network without classifier, reading its weights, fusing its branches."""

from __future__ import annotations

import os
import pickle
from typing import Any

from torch import Tensor, nn

from .configuration_mlic import MultiLabelConfig

try:
    import timm
    from timm.models import load_state_dict
    from timm.utils.model import reparameterize_model
except Exception as error:  # a broken torchvision raises RuntimeError in there
    timm, TIMM_ERROR = None, error

# what a network of fixed input size may accept, from the most to the least lenient
SIZE_OPTIONS: tuple[dict[str, Any], ...] = (
    {"dynamic_img_size": True, "dynamic_img_pad": True},
    {"strict_img_size": False},
    {},
)
# buffers that timm computes itself and no longer stores
COMPUTED_KEYS = ("relative_position_index", "attn_mask", "num_batches_tracked")


def timm_problem(error: Exception) -> str:
    """Why timm did not import, in a sentence: it is missing, or something in it or below it is broken."""
    if isinstance(error, ModuleNotFoundError) and error.name == "timm":
        return "This backbone comes from timm, which is not installed: pip install 'timm>=1.0.31'."
    return (
        f"This backbone comes from timm, which is installed but does not import ({type(error).__name__}: {error}). "
        "Look for versions of torch, torchvision and timm that belong together."
    )


def create_network(config: MultiLabelConfig, **options: Any) -> nn.Module:
    """The timm network that a config names, without classifier and without pretrained weights unless asked.

    Args:
        config: names the backbone, its input size, stride and stochastic depth.
        **options: passed to `timm.create_model` (`pretrained`, `pretrained_cfg_overlay`).

    Raises:
        ImportError: when timm is missing, or does not import.
        ValueError: for an unknown name, or an option the network does not have.
    """
    if timm is None:
        raise ImportError(timm_problem(TIMM_ERROR)) from TIMM_ERROR
    if not timm.is_model(config.backbone.split(".")[0]):
        near = ", ".join(timm.list_models(f"*{config.backbone[:6]}*")[:5]) or "see timm.list_models()"
        raise ValueError(f"timm has no model named {config.backbone!r}. Names like it: {near}.")
    options = dict(options, num_classes=0)
    if config.drop_path_rate:
        options["drop_path_rate"] = config.drop_path_rate
    if config.output_stride is not None and config.output_stride != 32:
        options["output_stride"] = config.output_stride
    net = _create_sized(config, options)
    if "output_stride" in options and not config.dilation:
        _undilate(net)
    _drop_unused_parts(net)
    if config.reparameterized:
        fuse_branches(net, config.backbone)
    return net


def _create_sized(config: MultiLabelConfig, options: dict[str, Any]) -> nn.Module:
    known = timm.get_pretrained_cfg(config.backbone, allow_unregistered=True)
    attempts: list[dict[str, Any]] = [{}]
    if getattr(known, "fixed_input_size", False):
        attempts = [dict(extra, img_size=config.image_size) for extra in SIZE_OPTIONS] + attempts
    for position, extra in enumerate(attempts):
        try:
            return timm.create_model(config.backbone, **options, **extra)
        except TypeError as error:
            refused = [name for name in extra if f"'{name}'" in str(error)]
            if refused and position + 1 < len(attempts):
                continue
            raise ValueError(
                f"{config.backbone} does not take one of the options {sorted(options)}: {error}. "
                "Leave the option out or choose a backbone that has it."
            ) from error
    raise AssertionError("the last attempt returns or raises")


def _undilate(net: nn.Module) -> None:
    # Differs: timm dilates the convolutions whose stride it takes; the published object-aware models do not
    for module in net.modules():
        if isinstance(module, nn.Conv2d) and max(module.dilation) > 1:
            module.dilation = (1, 1)
            if not isinstance(module.padding, str):
                module.padding = tuple(size // 2 for size in module.kernel_size)


def _drop_unused_parts(net: nn.Module) -> None:
    """Remove layers behind the feature map: without a gradient they would break distributed training."""
    head = getattr(net, "head", None)
    if head is not None and hasattr(head, "pre_logits"):
        head.pre_logits = nn.Identity()
    if type(net).__name__ in ("MobileNetV3", "GhostNet", "HighPerfGpuNet"):
        for name in ("conv_head", "norm_head"):
            if hasattr(net, name):
                setattr(net, name, nn.Identity())


def classifier_names(net: Any) -> tuple[str, ...]:
    """Prefixes, with their dot, of the classifier's keys in a checkpoint of the whole timm network."""
    names = net.pretrained_cfg.get("classifier") or ()
    return tuple(f"{name}." for name in ((names,) if isinstance(names, str) else names))


def read_pretrained(config: MultiLabelConfig, pretrained: bool | str | os.PathLike) -> dict[str, Tensor]:
    """State dict of a config's network with pretrained weights, which timm fits to its input size.

    Args:
        config: names the backbone.
        pretrained: True for timm's own weights, or the path of a local state dict of that timm network.

    Raises:
        FileNotFoundError: when the path does not exist.
        OSError: when timm's own weights cannot be fetched.
        ValueError: when the file holds another network.
    """
    if config.reparameterized:
        raise ValueError("Pretrained weights have the unfused form: load them first, then call reparameterize().")
    if isinstance(pretrained, bool):
        try:
            return create_network(config, pretrained=True).state_dict()
        except OSError as error:
            raise OSError(
                f"The published weights of {config.backbone} could not be fetched ({error}). Fetch them where there "
                "is a connection, and give the file (`pretrained`); or start from random weights (`pretrained` false)."
            ) from error
    path = os.fspath(pretrained)
    if not os.path.isfile(path):
        raise FileNotFoundError(
            f"No weights at {path}: expected a .safetensors or .pth state dict of {config.backbone}."
        )
    _check_file(create_network(config), path, config.backbone)
    return create_network(config, pretrained=True, pretrained_cfg_overlay={"file": path}).state_dict()


def _check_file(net: Any, path: str, name: str) -> None:
    try:
        stored = load_state_dict(path, weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError):
        raise ValueError(
            f"{path} could not be read as weights alone: it is damaged, or holds objects that run code when they are "
            "loaded. Where it was made, save the weights with safetensors.torch.save_file."
        ) from None
    found = {key for key in stored if not key.endswith(COMPUTED_KEYS)}
    wanted = {key for key in net.state_dict() if not key.endswith(COMPUTED_KEYS)}
    missing = sorted(wanted - found)
    extra = sorted(key for key in found - wanted if not key.startswith(classifier_names(net)))
    if missing or extra:
        raise ValueError(
            f"{path} does not hold a timm {name}: {len(missing)} keys are missing, the first {missing[:3]}, "
            f"and {len(extra)} are unexpected, the first {extra[:3]}."
        )


def fuse_branches(net: nn.Module, name: str) -> None:
    """Fuse re-parameterisable blocks in place.

    Raises:
        ValueError: when the network has none.
    """
    before = set(net.state_dict())
    reparameterize_model(net, inplace=True)
    if set(net.state_dict()) == before:
        raise ValueError(f"{name} has no branches to fuse; reparameterize() is for RepVGG, MobileOne and their like.")
