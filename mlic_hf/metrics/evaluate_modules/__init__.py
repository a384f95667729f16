"""Modules for `evaluate.load`, one folder each, laid out as a metric Space on the Hub is."""

from __future__ import annotations

from pathlib import Path


def evaluate_module(name: str) -> str:
    """The folder of a module, for `evaluate.load(evaluate_module("multilabel_metrics"))`.

    Args:
        name: `multilabel_metrics`, `multilabel_mean_average_precision` or `multilabel_f1`.

    Raises:
        ValueError: there is no such module.
    """
    root = Path(__file__).resolve().parent
    known = sorted(folder.name for folder in root.iterdir() if (folder / f"{folder.name}.py").is_file())
    if name not in known:
        raise ValueError(f"there is no evaluate module {name!r}; expected one of {known}.")
    return str(root / name)
