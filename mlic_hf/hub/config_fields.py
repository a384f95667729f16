"""Config fields that can be read off the shapes of an original head's weights."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor

State = Mapping[str, Tensor]
# CoCo's graph steps by number of labels (VOC, COCO, NUS-WIDE, VG500); the checkpoints do not store them
GRAPH_STEPS = {20: 2, 80: 1, 81: 4, 500: 2}


def layers(head: State, pattern: str) -> int:
    """How many different numbers `pattern` finds among a head's keys."""
    return len({match[1] for key in head if (match := re.match(pattern, key))})


def linear_fields(head: State) -> dict[str, Any]:
    weight = next(t for key, t in head.items() if key.endswith("weight"))
    return {"num_labels": weight.shape[0], "classifier_bias": any(key.endswith("bias") for key in head)}


def ml_decoder_fields(head: State) -> dict[str, Any]:
    groups, width = head["decoder.query_embed.weight"].shape
    labels = head["decoder.duplicate_pooling_bias"].shape[0]
    return {
        "num_labels": labels,
        "num_groups": None if groups == labels else groups,
        "width": width,
        "feed_forward_size": head["decoder.layers.0.linear1.weight"].shape[0],
    }


def query2label_fields(head: State) -> dict[str, Any]:
    decoder_layers = layers(head, r"transformer\.decoder\.layers\.(\d+)\.")
    attending = layers(head, r"transformer\.decoder\.layers\.(\d+)\.self_attn\.")
    kinds = {0: "none", decoder_layers: "all"}
    return {
        "num_labels": head["query_embed.weight"].shape[0],
        "width": head["query_embed.weight"].shape[1],
        "feed_forward_size": head["transformer.decoder.layers.0.linear1.weight"].shape[0],
        "encoder_layers": layers(head, r"transformer\.encoder\.layers\.(\d+)\."),
        "decoder_layers": decoder_layers,
        "decoder_self_attention": kinds.get(attending, "after_first"),
    }


def label_transformer_fields(head: State) -> dict[str, Any]:
    # the number of labels is that of the word vectors, which the checkpoint does not hold
    heads = 4
    return {
        "label_vectors": "words",
        "label_vector_size": head["label_emb.0.weight"].shape[1],
        "width": head["fc.0.weight"].shape[0],
        "depth": layers(head, r"transformer\.layers\.(\d+)\."),
        "num_heads": heads,
        "head_width": head["transformer.layers.0.0.fn.fn.to_qkv.weight"].shape[0] // 3 // heads,
        "feed_forward_size": head["transformer.layers.0.1.fn.fn.net.0.weight"].shape[0],
    }


def mulcon_fields(head: State) -> dict[str, Any]:
    _, labels, width = head["A/I"].shape
    fields = {"num_labels": labels, "width": width}
    if "P/2.weight" in head:
        fields["projection_size"] = head["P/2.weight"].shape[0]
    return fields


def co_occurrence_fields(head: State) -> dict[str, Any]:
    labels = head["query_embed.weight"].shape[0]
    return {
        "num_labels": labels,
        "feed_forward_size": head["attention.encoder.layers.0.linear1.weight"].shape[0],
        "encoder_layers": layers(head, r"attention\.encoder\.layers\.(\d+)\."),
        "decoder_layers": layers(head, r"attention\.decoder\.layers\.(\d+)\."),
        "graph_steps": GRAPH_STEPS.get(labels),
    }


CONFIG_FIELDS: dict[str, Callable[[State], dict[str, Any]]] = {
    "linear": linear_fields,
    "ml_decoder": ml_decoder_fields,
    "query2label": query2label_fields,
    "label_transformer": label_transformer_fields,
    "mulcon": mulcon_fields,
    "co_occurrence": co_occurrence_fields,
}
