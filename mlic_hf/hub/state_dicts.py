"""Finding the state dict in what a training script saved: wrapped, nested, prefixed, beside its moving average."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from typing import Any

from torch import Tensor

logger = logging.getLogger(__name__)
# what scripts call the weights they trained, alone or as the first part of a key
PLAIN = ("state_dict", "model", "model_state_dict", "student", "net", "network", "module", "weights", "params")
AVERAGED = ("ema", "ema_state_dict", "state_dict_ema", "model_ema", "ema_model", "ema_net", "student_ema", "averaged",
            "swa_model", "swa_state_dict")  # fmt: skip
# what lies beside them in one state dict, as Lightning saves it
OTHERS = ("teacher", "criterion", "loss", "loss_fn", "metrics")
PREFIXES = ("module.", "_orig_mod.")
COUNTER = "n_averaged"  # of torch.optim.swa_utils.AveragedModel


def choose_state(content: Any, name: str, ema: bool | None = None) -> dict[str, Tensor]:
    """The one state dict of a checkpoint's content.

    Args:
        content: what a file held.
        name: what messages call it.
        ema: averaged weights (True), plain ones (False), averaged where there are any (None).

    Returns:
        key -> tensor, without what wraps the keys.

    Raises:
        ValueError: when there is none, none of the wanted kind, or several.
    """
    found = list(states_in(content))
    averaged = [place for place, _ in found if is_averaged(place)]
    plain = [place for place, _ in found if not is_averaged(place)]
    if not found:
        keys = list(content) if isinstance(content, Mapping) else []
        seen = f"the keys {', '.join(map(str, keys[:5]))}" if keys else type(content).__name__
        raise ValueError(f"{name} holds no state dict: found {seen}; expected tensors by name.")
    wanted = averaged if ema or (ema is None and averaged) else plain
    places = ", ".join(".".join(place) or "tensors by name" for place, _ in found)
    if not wanted:
        raise ValueError(f"{name} holds no {'averaged' if ema else 'plain'} weights; it holds {places}.")
    if len(wanted) > 1:
        raise ValueError(f"{name} holds several state dicts of a kind ({places}); save the one you mean by itself.")
    if ema is None and averaged and plain:
        logger.warning("%s holds plain and averaged weights (%s); the averaged ones are taken.", name, places)
    return strip_prefixes(dict(found)[wanted[0]])


def is_averaged(place: tuple[str, ...]) -> bool:
    return any(part in AVERAGED for part in place)


def states_in(content: Any, place: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], dict[str, Tensor]]]:
    """Every state dict inside, with the names that lead to it; an outer one only where it holds no other."""
    if not isinstance(content, Mapping):
        return
    inner = [name for name in (*PLAIN, *AVERAGED) if isinstance(content.get(name), Mapping)]
    below = [found for name in inner for found in states_in(content[name], (*place, name))]
    if below:
        yield from below
        return
    tensors = {key: value for key, value in content.items() if isinstance(key, str) and isinstance(value, Tensor)}
    tensors = strip_wrappers(tensors)
    groups = {key.partition(".")[0] for key in tensors}
    kinds = sorted(groups & {*PLAIN, *AVERAGED})
    if kinds and groups <= {*PLAIN, *AVERAGED, *OTHERS}:  # several modules in one
        for kind in kinds:
            part = {k.removeprefix(f"{kind}."): t for k, t in tensors.items() if k.startswith(f"{kind}.")}
            yield from states_in(part, (*place, kind))
    elif tensors:
        yield place, tensors


def strip_wrappers(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Keys without what data-parallel and compiled modules put in front, and without a count of averages.

    Raises:
        ValueError: when two keys become one.
    """
    plain: dict[str, Tensor] = {}
    for key, tensor in state.items():
        new = key
        while new.startswith(PREFIXES):
            new = new.split(".", 1)[1]
        if new in plain:
            raise ValueError(f"The checkpoint holds {new} twice, with and without a prefix; keep one of them.")
        plain[new] = tensor
    if len(plain) > 1:
        plain.pop(COUNTER, None)
    return plain


def strip_prefixes(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Keys without wrappers, and without the name of the module when all have the same (`model.`)."""
    plain = strip_wrappers(state)
    first = {key.partition(".")[0] for key in plain}
    if len(first) == 1 and first <= {*PLAIN, *AVERAGED}:
        return strip_prefixes({key.partition(".")[2]: tensor for key, tensor in plain.items()})
    return plain
