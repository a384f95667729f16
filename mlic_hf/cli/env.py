"""What a report of a problem should say: versions, processors, devices. No path and no name of the machine.

mlic env
"""

from __future__ import annotations

import argparse
import os
import platform
from collections.abc import Sequence
from importlib import metadata

EXTRAS = ("peft", "evaluate", "scikit-learn", "matplotlib", "onnx", "onnxruntime", "huggingface_hub", "safetensors")


def main(arguments: Sequence[str] | None = None) -> None:
    argparse.ArgumentParser("mlic env", description=__doc__.splitlines()[0]).parse_args(arguments)
    for name, value in facts().items():
        print(f"{name:<18}{value}")


def facts() -> dict[str, str]:
    """Name -> version or number, of what a result depends on; "missing" for an extra that is not installed."""
    import torch

    from mlic_hf.runs.fit import versions

    told = {"mlic_hf": metadata.version("mlic_hf"), **versions()}
    for name in EXTRAS:
        try:
            told[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            told[name] = "missing"
    devices = [torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count())]
    told["platform"] = f"{platform.system()} {platform.machine()}"
    told["processors"] = f"{os.cpu_count()}, torch uses {torch.get_num_threads()} threads"
    told["devices"] = ", ".join(devices) or "no GPU"
    return told
