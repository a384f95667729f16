"""Reading the originals' checkpoint files: one file, wrapped or not, or MulCon's folder of parts."""

from __future__ import annotations

import argparse
import pickle
import re
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mlic_hf.hub.state_dicts import choose_state

# MulCon: epoch_15_net_E.pth, ema_epoch_15_net_E.pth, epoch_15_net_C_7.pth
PART_FILE = re.compile(r"(?P<ema>ema_)?epoch_(?P<epoch>\d+)_net_(?P<late_ema>ema_)?(?P<part>\w+?)\.pth$")


def read_original(path: str | Path, *, epoch: int | None = None, ema: bool | None = None) -> dict[str, Tensor]:
    """All tensors of an original checkpoint, without wrappers and without `module.` in front of keys.

    Args:
        path: a .pth/.ckpt/.safetensors file, or a folder of MulCon's `epoch_N_net_*.pth` files.
        epoch: for a folder, which epoch; None for the last.
        ema: averaged weights (True), plain ones (False), averaged where there are any (None).

    Returns:
        key -> tensor; a folder's keys are "<part>/<key>".

    Raises:
        FileNotFoundError: when the path or the wanted epoch does not exist.
        ValueError: when a file is no checkpoint, holds objects that are not weights, lacks the wanted weights, or
            holds several of a kind.
    """
    path = Path(path)
    if path.is_dir():
        return read_parts(path, epoch, ema)
    if epoch is not None:
        raise ValueError(f"epoch chooses among the files of a folder, but {path} is not a folder.")
    return read_file(path, ema)


def read_file(path: Path, ema: bool | None = None) -> dict[str, Tensor]:
    """The tensors of one file; see `read_original`."""
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist; expected a checkpoint file or a folder of parts.")
    if path.suffix == ".safetensors":
        from safetensors.torch import load_file

        return choose_state(load_file(path), str(path), ema)
    try:
        with torch.serialization.safe_globals(harmless_classes()):
            content = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError) as error:
        if classes := refused_classes(path, error):
            raise ValueError(
                f"{path} holds more than weights: objects of {', '.join(classes)}. Loading them runs code of whoever "
                "made the file, so it is not done here. Where it was made, save the weights alone and convert those: "
                '`safetensors.torch.save_file(model.state_dict(), "weights.safetensors")`.'
            ) from None
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ValueError(
            f"{path} could not be read as weights alone: it is damaged or no PyTorch checkpoint ({reason})."
        ) from None
    return choose_state(content, str(path), ema)


def harmless_classes() -> list[Any]:
    """Classes that training scripts save beside the weights: numbers from numpy, parsed arguments."""
    dtypes = [type(np.dtype(kind)) for kind in ("float64", "float32", "int64", "int32", "bool")]
    scalar = np.float64(0).__reduce__()[0]
    return [argparse.Namespace, np.dtype, scalar, (scalar, "numpy.core.multiarray.scalar"), *dtypes]


def refused_classes(path: Path, error: Exception) -> list[str]:
    """The classes, beside tensors and plain values, that a pickle asks for; of an old file only the first."""
    try:
        with torch.serialization.safe_globals(harmless_classes()):
            return sorted(torch.serialization.get_unsafe_globals_in_checkpoint(path))
    except (ValueError, RuntimeError, pickle.UnpicklingError):  # no zip file: PyTorch before 1.6
        return sorted(set(re.findall(r"Unsupported (?:global: GLOBAL|class) (\S+)", str(error))))


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
    return {f"{part}/{key}": tensor for part, file in parts.items() for key, tensor in read_file(file).items()}
