"""Configs refuse what cannot work, in a sentence, and survive a round trip."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoConfig

from mlic_hf.modeling import (
    ARCHITECTURES,
    CoOccurrenceConfig,
    LabelTransformerConfig,
    LinearConfig,
    LinearForImageClassification,
    MLDecoderConfig,
    MulConConfig,
    Query2LabelConfig,
    TextDecoderConfig,
)
from tests.modeling.tiny_models import FIELDS


@pytest.mark.parametrize(
    ("config_class", "fields", "message"),
    [
        (LinearConfig, {"image_size": 0}, "image_size is 0; expected a whole number"),
        (LinearConfig, {"output_stride": 7}, "output_stride is 7; expected one of None, 8, 16, 32"),
        (LinearConfig, {"dropout": 1.0}, r"dropout is 1.0; expected a number in \[0, 1\)"),
        (LinearConfig, {"drop_path_rate": -0.1}, "drop_path_rate is -0.1"),
        (LinearConfig, {"backbone": ""}, "backbone is ''; expected a timm model name"),
        (LinearConfig, {"problem_type": "regression"}, "problem_type is 'regression'"),
        (LinearConfig, {"freeze_stages": 5}, "freeze_stages is 5"),
        (LinearConfig, {"freeze_batch_norm_affine": True}, "needs freeze_batch_norm"),
        (LinearConfig, {"image_mean": [0.5]}, "image_mean is .*three numbers"),
        (LinearConfig, {"image_std": [1, 1, 0]}, "image_std is .*above 0"),
        (LinearConfig, {"interpolation": "wavy"}, "interpolation is 'wavy'"),
        (LinearConfig, {"num_labels": 3, "thresholds": [0.5]}, "thresholds has 1 numbers for 3 labels"),
        (LinearConfig, {"num_labels": 1, "thresholds": [1.5]}, "expected numbers in"),
        (LinearConfig, {"id2label": {1: "a", 2: "b"}}, r"id2label has the ids \[1, 2\]; expected 0 to 1"),
        (Query2LabelConfig, {"width": 30}, "width is 30, which num_heads 4 does not divide"),
        (Query2LabelConfig, {"width": 6, "num_heads": 2}, "needs a multiple of 4"),
        (Query2LabelConfig, {"decoder_self_attention": "some"}, "decoder_self_attention is 'some'"),
        (Query2LabelConfig, {"encoder_layers": -1}, "encoder_layers is -1"),
        (LabelTransformerConfig, {"label_vectors": "glove"}, "label_vectors is 'glove'"),
        (TextDecoderConfig, {"label_vectors": "glove"}, "label_vectors is 'glove'"),
        (TextDecoderConfig, {"width": 30}, "width is 30, which num_heads 8 does not divide"),
        (TextDecoderConfig, {"label_vector_size": 10**9}, "label_vector_size is 1000000000; expected .* to 65536"),
        (TextDecoderConfig, {"labels_per_step": 10**9}, "labels_per_step is 1000000000; expected a whole number"),
        (MulConConfig, {"label_blocks": -1}, "label_blocks is -1"),
        (MulConConfig, {"width": 30}, "does not divide"),
        (CoOccurrenceConfig, {"graph_steps": 0}, "graph_steps is 0"),
        # a stranger's config must neither hang nor fill the memory
        (
            CoOccurrenceConfig,
            {"graph_steps": 10**9},
            "graph_steps is 1000000000; expected a whole number from 1 to 200",
        ),
        (CoOccurrenceConfig, {"decoder_layers": 100_000}, "decoder_layers is 100000; expected .* from 1 to 200"),
        (Query2LabelConfig, {"encoder_layers": 100_000}, "encoder_layers is 100000"),
        (LabelTransformerConfig, {"depth": 100_000}, "depth is 100000"),
        (MulConConfig, {"feature_blocks": 100_000}, "feature_blocks is 100000"),
        (MulConConfig, {"width": 10**9}, "width is 1000000000; expected .* from 1 to 65536"),
        (LinearConfig, {"num_labels": 10**9}, "num_labels is 1000000000; expected a whole number from 1 to 200,000"),
        (LinearConfig, {"image_size": 10**6}, "image_size is 1000000"),
        # types
        (LinearConfig, {"thresholds": 0.5}, "thresholds is 0.5; expected a list of numbers, one a label"),
        (LinearConfig, {"thresholds": ["0.5", "0.5"]}, "thresholds is .*; expected a list of numbers"),
        (LinearConfig, {"thresholds": [float("nan"), 0.5]}, "thresholds is .*; expected a list of numbers"),
        (LinearConfig, {"image_mean": 0.5}, "image_mean is 0.5; expected a list of numbers, one a colour"),
        (LinearConfig, {"image_std": "0.5"}, "image_std is '0.5'; expected a list of numbers"),
        (LinearConfig, {"freeze_batch_norm": "false"}, "freeze_batch_norm is 'false'; expected true or false"),
        (LinearConfig, {"classifier_bias": 1}, "classifier_bias is 1; expected true or false"),
        (LinearConfig, {"num_labels": "7"}, "num_labels is '7'"),
        (LinearConfig, {"id2label": ["a", "b"]}, "id2label is a list; expected a mapping"),
        (LinearConfig, {"id2label": {"x": "a"}}, "id2label maps 'x'; expected whole numbers"),
        (LinearConfig, {"id2label": {0: 3}}, "id2label maps 3; expected whole numbers from 0 to names"),
        (LinearConfig, {"label2id": 3}, "label2id is a int"),
        (MLDecoderConfig, {"num_groups": "3"}, "num_groups is '3' for 2 labels"),
        (MLDecoderConfig, {"num_groups": 1.0}, "num_groups is 1.0"),
        (LinearConfig, {"calibration": 1.0}, r"calibration is 1.0; expected \[scale, shift\] a label"),
        (LinearConfig, {"calibration": [1.0, 0.0]}, "calibration is .*; expected"),
        (LinearConfig, {"calibration": [[0.0, 1.0]], "num_labels": 1}, "scale above 0"),
        (LinearConfig, {"calibration": [[1.0, 0.0]]}, "calibration has 1 pairs for 2 labels"),
    ],
)
def test_refusals(config_class: Any, fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        config_class(**fields)


@pytest.mark.parametrize("model_type", list(ARCHITECTURES))
def test_round_trip(model_type: str, tmp_path: Path) -> None:
    config_class = ARCHITECTURES[model_type][0]
    names = {0: "a", 1: "b", 2: "c"}
    config = config_class(
        backbone="resnet10t",
        image_size=96,
        id2label=names,
        label2id={name: i for i, name in names.items()},
        thresholds=(0.1, 0.2, 0.3),
        calibration=((1, 0), (2, 0.5), (0.5, -1)),
        **FIELDS[model_type],
    )
    config.save_pretrained(tmp_path)
    loaded = config_class.from_pretrained(tmp_path)
    saved, again = config.to_dict(), loaded.to_dict()
    assert {k: v for k, v in again.items() if k != "auto_map"} == {k: v for k, v in saved.items() if k != "auto_map"}
    assert loaded.thresholds == [0.1, 0.2, 0.3]
    assert loaded.calibration == [[1.0, 0.0], [2.0, 0.5], [0.5, -1.0]]
    assert loaded.problem_type == "multi_label_classification"
    assert "label_embeddings" in loaded.keys_to_ignore_at_inference


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"num_labels": 10**9}, "num_labels is 1000000000"),
        ({"id2label": [1]}, "id2label is a list"),
        ({"thresholds": 0.5}, "thresholds is 0.5"),
        ({"encoder_layers": 10**9}, "encoder_layers is 1000000000"),
    ],
)
def test_a_strangers_file_is_refused_in_a_sentence(fields: dict[str, Any], message: str, tmp_path: Path) -> None:
    Query2LabelConfig(backbone="resnet10t").save_pretrained(tmp_path)
    path = tmp_path / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))
    for load in (Query2LabelConfig.from_pretrained, AutoConfig.from_pretrained):
        with pytest.raises(ValueError, match=message):
            load(tmp_path)


@pytest.mark.parametrize(
    ("labels", "message"),
    [([], "0 entries"), (["a", "a"], r"repeated: \['a'\]"), (["a", ""], "not names"), ("abc", "is the text")],
)
def test_label_names(labels: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        LinearForImageClassification.from_timm("resnet10t", labels, pretrained=False)


def test_an_unknown_field_is_refused() -> None:
    with pytest.raises(ValueError, match=r"LinearConfig has no field \['imagesize'\].*'image_size'"):
        LinearForImageClassification.from_timm("resnet10t", ["a"], pretrained=False, imagesize=64)


def test_heads_must_divide_the_backbones_channels() -> None:
    from mlic_hf.modeling import MulConForImageClassification

    with pytest.raises(ValueError, match="num_heads is 5, which does not divide the backbone's 512"):
        MulConForImageClassification.from_timm("resnet10t", ["a"], pretrained=False, num_heads=5, width=20)


def test_a_width_of_ones_own_takes_the_place_of_the_backbones_channels() -> None:
    from mlic_hf.modeling import CoOccurrenceForImageClassification

    narrow = {"width": 24, "num_heads": 4, "feed_forward_size": 16, "encoder_layers": 1}
    model = CoOccurrenceForImageClassification.from_timm("resnet10t", ["a", "b"], pretrained=False, **narrow).eval()
    found = model(torch.rand(3, 3, 64, 64), output_label_embeddings=True)
    assert found.label_embeddings.shape == found.graph_embeddings.shape == (3, 2, 24)
    assert found.logits.shape == (3, 2)
    assert all("input_projection" in name or 512 not in tensor.shape for name, tensor in model.head.named_parameters())
    with pytest.raises(ValueError, match="num_heads is 5, which does not divide the width's 24"):
        CoOccurrenceForImageClassification.from_timm("resnet10t", ["a"], pretrained=False, **narrow | {"num_heads": 5})
    with pytest.raises(ValueError, match="width is 0"):
        CoOccurrenceForImageClassification.from_timm("resnet10t", ["a"], pretrained=False, width=0)
