"""MulCon's and CoCo's losses and input gradients, through the methods' own code on the originals' weights."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from mlic_hf import modeling
from mlic_hf.hub.head_keys import convert_head
from mlic_hf.methods.co_occurrence import CoOccurrenceLossConfig, co_occurrence_objectives
from mlic_hf.methods.mulcon import MulConLossConfig, mulcon_objectives
from mlic_hf.modeling.modeling_co_occurrence_mlic import CoOccurrenceHead
from mlic_hf.modeling.modeling_mulcon_mlic import MulConHead
from tests.golden import cases
from tests.methods.co_occurrence.head_alone import HeadAlone
from tests.methods.together import Together

RELATIVE = 1e-4


def original_state(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {key.removeprefix("state."): value for key, value in tensors.items() if key.startswith("state.")}


def close(found: Tensor, expected: Tensor, relative: float = RELATIVE) -> None:
    """Equal relative to the largest magnitude."""
    largest = float(expected.abs().max())
    torch.testing.assert_close(found, expected, rtol=relative, atol=relative * largest * 0.1)


@pytest.mark.parametrize("case", cases.params("head_mulcon"))
def test_mulcon(case: str) -> None:
    tensors, known = cases.load(case)
    config = modeling.MulConConfig(
        width=known["dim_out"],
        num_heads=known["num_heads"],
        projection_size=known["projection_dim"],
        num_labels=known["num_classes"],
    )
    head = MulConHead(known["dim_in"], config)
    head.load_state_dict(convert_head("mulcon", original_state(tensors)))
    student = HeadAlone(head, config, known["dim_in"], modeling.MulConOutput)
    settings = MulConLossConfig(
        weight_contrast=known["coef_contrastive"],
        temperature=known["temperature"],
        denominator_size=known["denominator_size"],
        views=1,
    )
    method = Together(student, mulcon_objectives(settings, student))
    feature_map = tensors["feature_map"].clone().requires_grad_()
    outputs = method(feature_map, tensors["targets"])
    outputs["loss"].backward()
    close(outputs["logits"], tensors["logits"])
    close(outputs["bce"], tensors["loss_attention"])
    close(outputs["contrast"], tensors["loss_contrastive"])
    close(outputs["loss"], tensors["loss_total"])
    close(feature_map.grad, tensors["grad_feature_map"])


@pytest.mark.parametrize("case", cases.params("head_cooccurrence"))
def test_co_occurrence(case: str) -> None:
    tensors, known = cases.load(case)
    config = modeling.CoOccurrenceConfig(
        num_heads=known["num_heads"],
        feed_forward_size=known["dim_feedforward"],
        encoder_layers=known["encoder_layers"],
        decoder_layers=known["decoder_layers"],
        graph_steps=known["gnn_steps"],
        dropout=known["dropout"],
        num_labels=known["num_classes"],
    )
    head = CoOccurrenceHead(known["dim"], config)
    head.load_state_dict(convert_head("co_occurrence", original_state(tensors)))
    student = HeadAlone(head, config, known["dim"], modeling.CoOccurrenceOutput)
    asl = known["asl"]
    settings = CoOccurrenceLossConfig(
        weight_contrast=known["lamda"],
        tau=known["tau"],
        gamma_neg=asl["gamma_neg"],
        gamma_pos=asl["gamma_pos"],
        clip=asl["clip"],
        eps=asl["eps"],
    )
    method = Together(student, co_occurrence_objectives(settings, student))
    features = tensors["features"].clone().requires_grad_()
    side = int(features.shape[1] ** 0.5)
    feature_map = features.transpose(1, 2).unflatten(2, (side, side))
    outputs = method(feature_map, tensors["targets"])
    outputs["loss"].backward()
    close(outputs["logits"], tensors["logits_train"])
    close(outputs["asl"], tensors["classification_loss"])
    close(outputs["graph_contrast"], tensors["contrastive_loss"])
    close(features.grad, tensors["grad_features"])
