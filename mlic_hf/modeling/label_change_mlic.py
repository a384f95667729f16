"""What `from_pretrained` does when other labels are asked for than the checkpoint's own."""

from __future__ import annotations

import copy
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from transformers import PretrainedConfig

from .configuration_mlic import MultiLabelConfig
from .labels_mlic import LABEL_FIELDS, asked_names, label_names, sources

HUB_OPTIONS = ("cache_dir", "force_download", "local_files_only", "proxies", "revision", "subfolder", "token")
LABEL_OPTIONS = ("num_labels", "id2label", "label2id")


@dataclass
class LabelChange:
    """The labels that a model gets after it was loaded with its own.

    Attributes:
        names: the labels, in the order of the logits.
        fields: values a label that were given, so that they do not follow the names.
    """

    names: list[str]
    fields: dict[str, Any] = field(default_factory=dict)


def label_change(
    config_class: type[MultiLabelConfig],
    path: str | os.PathLike | None,
    labels: Sequence[str] | None,
    options: dict[str, Any],
) -> tuple[LabelChange | None, dict[str, Any]]:
    """Find out whether a checkpoint is asked for other labels than it has.

    Args:
        config_class: of the model.
        path: folder or name of the checkpoint.
        labels: the names asked for, or None.
        options: the other keywords of `from_pretrained`.

    Returns:
        the change, None where the labels are the checkpoint's own; and the keywords to load it with.

    Raises:
        ValueError: when labels are new but nobody said that they may start untrained; when the model is to be
            quantised or distributed at once.
    """
    config: Any = options.get("config")
    given = isinstance(config, PretrainedConfig)
    asked = {"labels": labels, **{name: options.get(name) for name in LABEL_OPTIONS}}
    if given:
        asked["id2label"] = config.id2label
    if path is None or all(value is None for value in asked.values()):
        return None, options
    try:
        fields, _ = config_class.get_config_dict(path, **{k: v for k, v in options.items() if k in HUB_OPTIONS})
    except OSError:
        if given:  # weights alone, without a config to compare with
            return None, options
        raise
    stored = label_names(fields)
    names = asked_names(asked, stored) or stored
    chosen = sources(names, stored)
    if chosen == list(range(len(stored))):
        named = {} if given else {"id2label": dict(enumerate(names))}
        return None, {**{k: v for k, v in options.items() if k not in LABEL_OPTIONS}, **named}
    new = [name for name, place in zip(names, chosen) if place is None]
    if new and labels is None and not options.get("ignore_mismatched_sizes"):
        raise ValueError(
            f"{len(new)} of {len(names)} labels are not among the {len(stored)} of {path}, the first {new[0]!r}; they "
            "would start untrained. Say that they may: labels=[...] or ignore_mismatched_sizes=True. To give labels "
            "other names, load the model and set config.id2label and config.label2id."
        )
    for option in ("quantization_config", "device_map"):
        if options.get(option) is not None:
            raise ValueError(f"Other labels cannot be given together with {option}: load, save, and load again.")
    rest = {k: v for k, v in options.items() if k not in (*LABEL_OPTIONS, *LABEL_FIELDS, "ignore_mismatched_sizes")}
    if not given:
        return LabelChange(names, {k: options[k] for k in LABEL_FIELDS if k in options}), rest
    rest["config"] = copy.deepcopy(config)
    rest["config"].set_labels(stored)
    return LabelChange(names, {k: getattr(config, k) for k in LABEL_FIELDS}), rest
