"""What a head is asked for, what it must offer, and how it passes its labels' weights on to another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass
class HeadRequest:
    """What a head is asked for beside the logits.

    Attributes:
        label_embeddings, attentions, class_maps: which outputs.
        eager: compute attention explicitly, as `attn_implementation="eager"` asks.
    """

    label_embeddings: bool = False
    attentions: bool = False
    class_maps: bool = False
    eager: bool = False

    @property
    def explicit(self) -> bool:
        """Whether attention weights are computed, instead of the fused kernel."""
        return self.attentions or self.eager


class Head(nn.Module):
    """Base of the heads: `head(feature_map, request) -> dict` with at least "logits" (B, C).

    Attributes:
        label_rows: names of the tensors whose first dimension is the labels; all others serve every label.
    """

    label_rows: tuple[str, ...] = ()

    @torch.no_grad()
    def take_labels(self, old: Head, own: Sequence[int], theirs: Sequence[int]) -> list[int]:
        """Become `old` but for the labels: of these only the given ones are taken.

        Args:
            old: a head of the same architecture and sizes, with other labels.
            own: places of the labels to take, here.
            theirs: their places in `old`, in the same order.

        Returns:
            which of `own` were taken; all of them, unless a head says otherwise.
        """
        given = old.state_dict()
        for name, tensor in self.state_dict().items():
            if name in self.label_rows:
                tensor[list(own)] = given[name][list(theirs)]
            else:
                tensor.copy_(given[name])
        return list(own)

    def check_plain(self) -> None:
        """Raises ValueError when tensors are quantised, offloaded or adapted, so that rows cannot be moved."""
        for name, tensor in self.state_dict().items():
            plain = isinstance(tensor, Tensor) and type(tensor.data) is Tensor and tensor.is_floating_point()
            if not plain or tensor.device.type == "meta" or ".lora_" in name or ".base_layer." in name:
                raise ValueError(
                    f"The labels of a model cannot change while head.{name} is quantised, offloaded or adapted: "
                    "change them first (`set_labels`, save), or merge the adapter (`merge_and_unload`)."
                )


def succeed(new: Head, old: Head, own: Sequence[int], theirs: Sequence[int]) -> list[int]:
    """Make a fresh head the successor of another: weights, device, precision, mode, what is frozen.

    Args:
        new: just built, for other labels; the weights of labels that are new are its own.
        old, own, theirs: as in `Head.take_labels`.

    Returns:
        which of `own` were taken.

    Raises:
        ValueError: when the old head's tensors are not plain.
    """
    old.check_plain()
    some = next(old.parameters())
    new.to(device=some.device, dtype=some.dtype).train(old.training)
    taken = new.take_labels(old, own, theirs)
    trained = {name: parameter.requires_grad for name, parameter in old.named_parameters()}
    for name, parameter in new.named_parameters():
        parameter.requires_grad_(trained.get(name, True))
    modules = dict(old.named_modules())
    for name, module in new.named_modules():
        for setting in ("gradient_checkpointing", "_gradient_checkpointing_func"):
            if hasattr(modules.get(name), setting):
                setattr(module, setting, getattr(modules[name], setting))
    return taken
