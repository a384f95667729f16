"""The heads give the originals' numbers, with weights that went through the users' own conversion."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from mlic_hf.hub.head_keys import convert_head
from mlic_hf.modeling import (
    CoOccurrenceConfig,
    LabelTransformerConfig,
    MLDecoderConfig,
    MulConConfig,
    Query2LabelConfig,
)
from mlic_hf.modeling.base_mlic import HeadRequest
from mlic_hf.modeling.modeling_co_occurrence_mlic import CoOccurrenceHead
from mlic_hf.modeling.modeling_label_transformer_mlic import LabelTransformerHead
from mlic_hf.modeling.modeling_ml_decoder_mlic import MLDecoderHead
from mlic_hf.modeling.modeling_mulcon_mlic import MulConHead
from mlic_hf.modeling.modeling_query2label_mlic import Query2LabelHead
from mlic_hf.modeling.sine_position_mlic import sine_position
from tests.golden import cases

EVERYTHING = HeadRequest(label_embeddings=True, attentions=True)
EMBEDDINGS = HeadRequest(label_embeddings=True)


def assert_close(ours: Tensor, golden: Tensor) -> None:
    difference = (ours - golden).abs().max()
    assert difference <= 1e-4 * golden.abs().max().clamp(min=1e-6), f"differs by {difference}"


def filled(head: nn.Module, kind: str, tensors: dict[str, Tensor]) -> nn.Module:
    state = {key.removeprefix("state."): value for key, value in tensors.items() if key.startswith("state.")}
    if kind == "label_transformer":
        state["word_vectors"] = tensors["word_vectors"]
    head.load_state_dict(convert_head(kind, state))
    return head.eval()


def both_ways(head: nn.Module, feature_map: Tensor) -> dict[str, Any]:
    """All outputs by the explicit attention, after checking that the fused one gives the same."""
    with torch.no_grad():
        explicit, fused = head(feature_map, EVERYTHING), head(feature_map, EMBEDDINGS)
    torch.testing.assert_close(fused["logits"], explicit["logits"], rtol=1e-4, atol=1e-5)
    return explicit


@pytest.mark.parametrize("name", cases.params("head_ml_decoder"))
def test_ml_decoder(name: str) -> None:
    tensors, given = cases.load(name)
    groups = given["num_of_groups"]
    config = MLDecoderConfig(
        num_labels=given["num_classes"],
        num_groups=None if groups == -1 else groups,
        width=given["decoder_embedding"],
        num_heads=given["num_heads"],
        feed_forward_size=given["dim_feedforward"],
    )
    head = filled(MLDecoderHead(given["in_features"], config), "ml_decoder", tensors)
    fields = both_ways(head, tensors["feature_map"])
    name_of_embeddings = "label_embeddings" if groups == -1 else "group_embeddings"
    assert_close(fields[name_of_embeddings], tensors["label_embeddings"])
    assert_close(fields["logits"], tensors["logits"])


@pytest.mark.parametrize("name", cases.params("head_query2label"))
def test_query2label(name: str) -> None:
    tensors, given = cases.load(name)
    assert given["remove_first_self_attention"]
    config = Query2LabelConfig(
        num_labels=given["num_classes"],
        width=given["d_model"],
        num_heads=given["num_heads"],
        feed_forward_size=given["dim_feedforward"],
        encoder_layers=given["encoder_layers"],
        decoder_layers=given["decoder_layers"],
        decoder_self_attention="after_first",
    )
    head = filled(Query2LabelHead(given["in_features"], config), "query2label", tensors)
    fields = both_ways(head, tensors["feature_map"])
    height, width = tensors["feature_map"].shape[-2:]
    assert_close(sine_position(height, width, given["d_model"]), tensors["position"][0])
    assert_close(fields["label_embeddings"], tensors["label_embeddings"])
    assert_close(fields["logits"], tensors["logits"])


@pytest.mark.parametrize("name", cases.params("head_label_transformer"))
def test_label_transformer(name: str) -> None:
    tensors, given = cases.load(name)
    config = LabelTransformerConfig(
        num_labels=given["num_classes"],
        label_vectors="words",
        label_vector_size=tensors["word_vectors"].shape[1],
        width=given["dim"],
        depth=given["depth"],
        num_heads=given["heads"],
        head_width=given["dim_head"],
        feed_forward_size=given["mlp_dim"],
    )
    head = filled(LabelTransformerHead(given["in_features"], config), "label_transformer", tensors)
    fields = both_ways(head, tensors["feature_map"])
    assert_close(fields["label_embeddings"], tensors["label_embeddings"])
    assert_close(fields["logits"], tensors["logits"])


@pytest.mark.parametrize("name", cases.params("head_mulcon"))
def test_mulcon(name: str) -> None:
    tensors, given = cases.load(name)
    config = MulConConfig(
        num_labels=given["num_classes"],
        width=given["dim_out"],
        num_heads=given["num_heads"],
        projection_size=given["projection_dim"],
    )
    head = filled(MulConHead(given["dim_in"], config), "mulcon", tensors)
    fields = both_ways(head, tensors["feature_map"])
    assert_close(fields["label_embeddings"], tensors["label_embeddings"])
    assert_close(fields["logits"], tensors["logits"])
    assert_close(fields["projections"].flatten(0, 1), tensors["projections"])
    # the original stacks the heads along the batch
    heads_first = fields["attentions"][0].transpose(0, 1).flatten(0, 1)
    assert_close(heads_first, tensors["attention"])


@pytest.mark.parametrize("name", cases.params("head_cooccurrence"))
def test_co_occurrence(name: str) -> None:
    tensors, given = cases.load(name)
    config = CoOccurrenceConfig(
        num_labels=given["num_classes"],
        num_heads=given["num_heads"],
        feed_forward_size=given["dim_feedforward"],
        encoder_layers=given["encoder_layers"],
        decoder_layers=given["decoder_layers"],
        graph_steps=given["gnn_steps"],
        dropout=0.0,
    )
    head = filled(CoOccurrenceHead(given["dim"], config), "co_occurrence", tensors)
    sequence = tensors["features"]
    feature_map = sequence.transpose(1, 2).unflatten(2, (-1, 1))
    fields = both_ways(head, feature_map)
    assert_close(fields["graph_embeddings"], tensors["graph_embeddings"])
    assert_close(fields["logits"], tensors["logits_eval"])
    again = head.graph(fields["label_embeddings"], fields["co_occurrence"])
    torch.testing.assert_close(again, fields["graph_embeddings"])
    # without dropout nothing else may differ while training
    assert_close(head.train()(feature_map, EMBEDDINGS)["logits"], tensors["logits_train"])
