"""Reading the originals' checkpoint files: one file, wrapped or not, or MulCon's folder of parts."""

from __future__ import annotations

import argparse
import pickle
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

WRAPPERS = ("state_dict", "model", "model_state_dict", "ema", "net")
PREFIXES = ("module.", "_orig_mod.")
# MulCon: epoch_15_net_E.pth, ema_epoch_15_net_E.pth, epoch_15_net_C_7.pth
PART_FILE = re.compile(r"(?P<ema>ema_)?epoch_(?P<epoch>\d+)_net_(?P<late_ema>ema_)?(?P<part>\w+?)\.pth$")


def read_original(path: str | Path, *, epoch: int | None = None, ema: bool | None = None) -> dict[str, Tensor]:
    """All tensors of an original checkpoint, without wrappers and without `module.` in front of keys.

    Args:
        path: a .pth/.ckpt/.safetensors file, or a folder of MulCon's `epoch_N_net_*.pth` files.
        epoch: for a folder, which epoch; None for the last.
        ema: for a folder, averaged weights (True), plain ones (False), averaged where there are any (None).

    Returns:
        key -> tensor; a folder's keys are "<part>/<key>".

    Raises:
        FileNotFoundError: when the path or the wanted epoch does not exist.
        ValueError: when a file is no checkpoint, or holds objects that are not weights.
    """
    path = Path(path)
    if path.is_dir():
        return read_parts(path, epoch, ema)
    if epoch is not None or ema is not None:
        raise ValueError(f"epoch and ema choose among the files of a folder, but {path} is not a folder.")
    return read_file(path)


def read_file(path: Path) -> dict[str, Tensor]:
    """The tensors of one file; see `read_original`."""
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist; expected a checkpoint file or a folder of parts.")
    if path.suffix == ".safetensors":
        from safetensors.torch import load_file

        return unwrap(load_file(path), path)
    try:
        with torch.serialization.safe_globals(harmless_classes()):
            content = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ValueError(
            f"{path} could not be read as weights alone ({reason}). It is damaged, no PyTorch checkpoint, or "
            "holds other Python objects; save only its state dict and try again."
        ) from error
    return unwrap(content, path)


def harmless_classes() -> list[Any]:
    """Classes that training scripts save beside the weights: numbers from numpy, parsed arguments."""
    dtypes = [type(np.dtype(kind)) for kind in ("float64", "float32", "int64", "int32", "bool")]
    scalar = np.float64(0).__reduce__()[0]
    return [argparse.Namespace, np.dtype, scalar, (scalar, "numpy.core.multiarray.scalar"), *dtypes]


def unwrap(content: Any, path: Path) -> dict[str, Tensor]:
    """The state dict inside what a file held."""
    for name in WRAPPERS:
        if isinstance(content, Mapping) and isinstance(content.get(name), Mapping):
            content = content[name]
            break
    entries = content if isinstance(content, Mapping) else {}
    tensors = {key: value for key, value in entries.items() if isinstance(value, Tensor)}
    if not tensors:
        found = f"the keys {', '.join(map(str, list(entries)[:5]))}" if entries else type(content).__name__
        raise ValueError(f"{path} holds no state dict: found {found}; expected tensors by name.")
    return strip_prefixes(tensors)


def strip_prefixes(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Keys without what data-parallel and compiled modules put in front.

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
    return plain


def read_parts(folder: Path, epoch: int | None, ema: bool | None) -> dict[str, Tensor]:
    """MulCon's parts of one epoch as one state; see `read_original`."""
    files: dict[tuple[int, bool], dict[str, Path]] = {}
    for file in sorted(folder.glob("*.pth")):
        if match := PART_FILE.match(file.name):
            averaged = bool(match["ema"] or match["late_ema"])
            files.setdefault((int(match["epoch"]), averaged), {})[match["part"]] = file
    epochs = sorted({number for number, _ in files})
    if not epochs:
        raise FileNotFoundError(f"{folder} holds no epoch_N_net_<part>.pth file, as MulCon saves them.")
    chosen = epochs[-1] if epoch is None else epoch
    averaged = (chosen, True) in files if ema is None else ema
    if (chosen, averaged) not in files:
        kind = "averaged" if averaged else "plain"
        there = ", ".join(f"{n}{' (averaged)' if e else ''}" for n, e in sorted(files))
        raise FileNotFoundError(f"{folder} holds no {kind} weights of epoch {chosen}; it holds epochs {there}.")
    parts = files[chosen, averaged]
    return {f"{part}/{key}": t for part, file in parts.items() for key, t in read_file(file).items()}
