"""From a published checkpoint of the originals to a model of this package with the same logits."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mlic_hf.hub.backbone_keys import convert_backbone, with_batch_counts
from mlic_hf.hub.config_fields import CONFIG_FIELDS
from mlic_hf.hub.head_keys import convert_head
from mlic_hf.hub.label_orders import default_labels, read_labels
from mlic_hf.hub.origins import Origin, find_origin, part_keys
from mlic_hf.hub.read_original import read_original
from mlic_hf.hub.state_dicts import strip_prefixes
from mlic_hf.modeling import ARCHITECTURES, MultiLabelModel, load_word_vectors
from mlic_hf.modeling.sine_position_mlic import sine_position

# MulCon's evaluation files come without the projector, which only the contrastive loss uses
MAY_BE_ABSENT = ("head.projector.",)
LISTED_KEYS = 12
POSITION_CODE = "backbone.1.pe"
POSITION_TOLERANCE = 1e-3


@dataclass(frozen=True)
class ConvertedState:
    """An original's weights under this package's names.

    Args:
        origin: which original it is.
        config: fields of the model's config, without the labels.
        num_labels: how many labels the weights have; None where they do not tell (label transformer).
        state: key -> tensor, for `model.load_state_dict`.
    """

    origin: Origin
    config: dict[str, Any]
    num_labels: int | None
    state: dict[str, Tensor]


def convert_checkpoint(
    path: str | Path,
    labels: str | Path | Sequence[str] | None = None,
    *,
    word_vectors: str | Path | Tensor | None = None,
    epoch: int | None = None,
    ema: bool | None = None,
    **config: Any,
) -> MultiLabelModel:
    """The model of an original checkpoint (PSD, L2D, MulCon, CoCo, OASS), recognised by its keys.

    Args:
        path: the checkpoint file, or MulCon's folder of `epoch_N_net_*.pth` files.
        labels: label names in the order of the logits, a file with one name a line, or a known order
            (`coco_by_id`, ...); None for the origin's own order.
        word_vectors: for a label transformer, which stores none: a GloVe text file or a (C, n) tensor.
        epoch, ema: which of a folder's files or of a file's state dicts, as in `read_original`.
        **config: fields that win over what was read off, e.g. `image_size=576` or `graph_steps=2`.

    Returns:
        the model in evaluation mode, with the origin's image size and normalisation in its config.

    Raises:
        FileNotFoundError: when a file is not there.
        ValueError: for an unknown or mixed-up file (missing and unexpected keys are listed), or labels that
            do not fit.
    """
    converted = convert_state(read_original(path, epoch=epoch, ema=ema))
    return build_converted(converted, labels, word_vectors=word_vectors, **config)


def convert_state(state: Mapping[str, Tensor]) -> ConvertedState:
    """Rename an original's tensors; no model is built.

    Args:
        state: key -> tensor as the original saved them; MulCon's parts as "<part>/<key>".

    Raises:
        ValueError: when the keys belong to no original, or to several, or a number is not finite.
    """
    state = strip_prefixes(state)
    if broken := [key for key, tensor in state.items() if not torch.isfinite(tensor).all()]:
        raise ValueError(f"The checkpoint holds numbers that are not finite (NaN or infinity) in {listed(broken)}.")
    origin = find_origin(state)
    backbone_part, head_part = part_keys(state, origin)
    name, backbone = convert_backbone(backbone_part)
    try:
        fields = CONFIG_FIELDS[origin.head](head_part)
    except (KeyError, StopIteration) as error:
        missing = error.args[0] if error.args else "a weight"
        raise ValueError(
            f"The checkpoint looks like {origin.name}, but its head is incomplete. Missing: {missing}. "
            f"Found: {listed(head_part)}."
        ) from error
    num_labels = fields.pop("num_labels", None)
    mean, std = origin.pixels
    shared = {"image_size": origin.image_size, "image_mean": mean, "image_std": std}
    return ConvertedState(
        origin,
        {"backbone": name, **shared, "interpolation": "bilinear", **origin.config, **fields},
        num_labels,
        {
            **{f"backbone.net.{key}": tensor for key, tensor in backbone.items()},
            **{f"head.{key}": tensor for key, tensor in rename_head(origin, head_part).items()},
        },
    )


def rename_head(origin: Origin, head: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The head's keys as `convert_head` expects them, and through it."""
    if origin.head == "linear":
        head = {re.sub(r"^.*\.(?=weight$|bias$)", "classifier.", key): t for key, t in head.items()}
    if origin.head == "query2label":
        head = without_position_code(head)
    if origin.head == "mulcon":
        head = {re.sub(r"^C_(\d+)/", r"C.\1.", key).replace("/", "."): t for key, t in head.items()}
    try:
        return convert_head(origin.head, dict(head))
    except (ValueError, KeyError) as error:
        raise ValueError(
            f"The checkpoint looks like {origin.name}, but not all of its head's keys belong there: {error}"
        ) from error


def without_position_code(head: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The head without its stored position code, which this package computes.

    Raises:
        ValueError: when the stored code is another than the computed one.
    """
    rest = dict(head)
    stored = rest.pop(POSITION_CODE, None)
    if stored is not None:
        _, channels, height, width = stored.shape
        difference = (sine_position(height, width, channels) - stored[0]).abs().max()
        if difference > POSITION_TOLERANCE:
            raise ValueError(
                f"{POSITION_CODE} is not the sine code of a {height}x{width} map (they differ by up to "
                f"{difference:.3g}); other position codes are not supported."
            )
    return rest


def build_converted(
    converted: ConvertedState,
    labels: str | Path | Sequence[str] | None = None,
    *,
    word_vectors: str | Path | Tensor | None = None,
    **config: Any,
) -> MultiLabelModel:
    """A model with converted weights; arguments as in `convert_checkpoint`.

    Raises:
        ValueError: when labels or word vectors do not fit, or keys are missing, unexpected or misshapen.
    """
    names = choose_labels(converted, labels, word_vectors)
    fields = {**converted.config, **config}
    if fields.get("graph_steps", 1) is None:
        raise ValueError(
            f"{converted.origin.name} with {len(names)} labels: the number of graph steps is not stored and "
            "is known only for VOC, COCO, NUS-WIDE and VG500; give graph_steps."
        )
    state = dict(converted.state)
    if converted.origin.head == "label_transformer":
        state["head.word_vectors"] = vectors_for(names, word_vectors)
    elif word_vectors is not None:
        raise ValueError(f"{converted.origin.name} has no word vectors; leave word_vectors out.")
    config_class, model_class = ARCHITECTURES[f"mlic_{converted.origin.head}"]
    label2id = {name: position for position, name in enumerate(names)}
    model = model_class(config_class(id2label=dict(enumerate(names)), label2id=label2id, **fields))
    load_strictly(model, state, converted.origin.name)
    return model.eval()


def choose_labels(
    converted: ConvertedState,
    labels: str | Path | Sequence[str] | None,
    word_vectors: str | Path | Tensor | None,
) -> list[str]:
    """The given names, checked against the weights, or the origin's own."""
    count = converted.num_labels
    if labels is not None:
        names = read_labels(labels)
        if count is not None and len(names) != count:
            raise ValueError(f"labels has {len(names)} names, but {converted.origin.name} has {count} labels.")
        return names
    if count is None and isinstance(word_vectors, Tensor):
        count = word_vectors.shape[0]
    if count is None:
        raise ValueError(
            f"{converted.origin.name}: the checkpoint does not tell its number of labels; give their names "
            "with labels, e.g. coco_alphabetical or a file with one name a line."
        )
    return default_labels(converted.origin.orders, count, converted.origin.name)


def vectors_for(names: list[str], word_vectors: str | Path | Tensor | None) -> Tensor:
    """One word vector a label, from a GloVe file or as given."""
    if word_vectors is None:
        raise ValueError(
            "The label transformer's checkpoint does not hold its word vectors; give word_vectors, "
            "the GloVe text file (300 numbers a word) that it was trained with."
        )
    vectors = word_vectors if isinstance(word_vectors, Tensor) else load_word_vectors(word_vectors, names)
    if not torch.isfinite(vectors).all():
        raise ValueError("word_vectors holds numbers that are not finite (NaN or infinity).")
    if vectors.ndim != 2 or vectors.shape[0] != len(names):
        raise ValueError(f"word_vectors has shape {tuple(vectors.shape)}; expected {len(names)} rows.")
    return vectors


def load_strictly(model: MultiLabelModel, state: Mapping[str, Tensor], origin: str) -> None:
    """Load a state whose keys and shapes are exactly the model's.

    Raises:
        ValueError: with the missing, the unexpected and the misshapen keys.
    """
    own = model.state_dict()
    full = with_batch_counts(state, own)
    missing = [key for key in own if key not in full and not key.startswith(MAY_BE_ABSENT)]
    unexpected = [key for key in full if key not in own]
    misshapen = [
        f"{key} {tuple(full[key].shape)} for {tuple(own[key].shape)}"
        for key in own
        if key in full and full[key].shape != own[key].shape
    ]
    if missing or unexpected or misshapen:
        raise ValueError(
            f"The checkpoint looks like {origin} on {model.config.backbone}, but does not fit. "
            f"Missing: {listed(missing)}. Unexpected: {listed(unexpected)}. "
            f"Other shapes: {listed(misshapen)}. (Keys as this package names them.)"
        )
    model.load_state_dict(full, strict=False)


def listed(keys: Iterable[str]) -> str:
    """Keys as text, with their number where there are many."""
    names = list(keys)
    if not names:
        return "none"
    more = f" and {len(names) - LISTED_KEYS} more" if len(names) > LISTED_KEYS else ""
    return f"{', '.join(names[:LISTED_KEYS])}{more}"
