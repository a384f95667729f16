"""Where a transformers backbone comes from: folders, configs, loaded models; pixel statistics; refusals."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from transformers import (
    AutoBackbone,
    AutoModel,
    AutoModelForImageClassification,
    BertConfig,
    BitImageProcessor,
    CLIPConfig,
    CLIPModel,
    Dinov2Config,
    EfficientNetImageProcessor,
    PretrainedConfig,
    ResNetConfig,
    SiglipImageProcessor,
    ViTImageProcessor,
)

from mlic_hf.modeling import (
    LabelTransformerForImageClassification,
    LinearConfig,
    LinearForImageClassification,
    MultiLabelImageProcessor,
    TimmBackbone,
)
from mlic_hf.modeling.encoder_source_mlic import image_size, preparation
from tests.modeling.families import FAMILIES, TOKENS, some_fast, tiny_config
from tests.modeling.tiny_models import LABELS, pictures

STATISTICS = {"image_mean": [0.5, 0.4, 0.3], "image_std": [0.2, 0.3, 0.4]}


def saved(folder: Path, model: nn.Module, **processor: Any) -> nn.Module:
    model.save_pretrained(folder)
    ViTImageProcessor(size={"height": 48, "width": 48}, resample=3, **STATISTICS, **processor).save_pretrained(folder)
    return model.eval()


def equal_weights(net: nn.Module, source: nn.Module) -> bool:
    theirs = source.state_dict()
    return all(torch.equal(tensor, theirs[name]) for name, tensor in net.state_dict().items())


@pytest.mark.parametrize("family", some_fast(FAMILIES))
def test_a_folder_gives_weights_statistics_size_and_filter(family: str, tmp_path: Path) -> None:
    source = saved(tmp_path, AutoModel.from_config(tiny_config(family)))
    model = LinearForImageClassification.from_backbone(str(tmp_path), LABELS)
    assert equal_weights(model.backbone.net, source)
    assert model.config.backbone == family
    assert model.config.backbone_config.model_type == family
    assert (model.config.image_mean, model.config.image_std) == (STATISTICS["image_mean"], STATISTICS["image_std"])
    assert (model.config.image_size, model.config.interpolation) == (48, "bicubic")
    text = json.dumps(model.config.to_dict())
    assert str(tmp_path) not in text
    processor = MultiLabelImageProcessor.for_model(model)
    assert processor.image_mean == STATISTICS["image_mean"]


@pytest.mark.parametrize(
    "family",
    some_fast(["resnet", "convnextv2", "swin", "vit", "dinov2_with_registers", "efficientnet", "mobilenet_v2"]),
)
def test_a_classifier_gives_its_encoder(family: str, tmp_path: Path) -> None:
    classifier = saved(tmp_path, AutoModelForImageClassification.from_config(tiny_config(family)))
    fields = {"image_size": 64, **STATISTICS}
    for source in (str(tmp_path), classifier):
        model = LinearForImageClassification.from_backbone(source, LABELS, **fields)
        assert equal_weights(model.backbone.net, classifier.base_model)
        assert model.config.num_labels == len(LABELS)
        assert model.config.backbone_config.num_labels == 2  # transformers' own default, not the classifier's


@pytest.mark.parametrize(
    "family", some_fast(["resnet", "convnextv2", "swin", "dinov2_with_registers", "beit", "dinov3_vit"])
)
def test_a_backbone_class_of_transformers_gives_its_weights(family: str) -> None:
    source = AutoBackbone.from_config(tiny_config(family))
    model = LinearForImageClassification.from_backbone(source, LABELS, image_size=64, **STATISTICS)
    # some keep the encoder as a part of their own, others are it
    every = {**source.base_model.state_dict(), **source.state_dict()}
    theirs = {name: tensor for name, tensor in every.items() if "norms" not in name}
    shared = set(theirs) & set(model.backbone.net.state_dict())
    assert set(model.backbone.net.state_dict()) - shared <= model.backbone.measured.unused
    assert all(torch.equal(theirs[name], model.backbone.net.state_dict()[name]) for name in shared)


def test_a_dual_encoder_gives_its_vision_tower(tmp_path: Path) -> None:
    text = {"vocab_size": 99, "max_position_embeddings": 8, "hidden_size": 16, "num_hidden_layers": 1}
    config = CLIPConfig(
        vision_config={"image_size": 64, "patch_size": 16, **TOKENS},
        text_config={**text, "num_attention_heads": 2, "intermediate_size": 16},
    )
    clip = saved(tmp_path, CLIPModel(config))
    for source in (str(tmp_path), clip):
        model = LinearForImageClassification.from_backbone(source, LABELS, image_size=64, **STATISTICS)
        assert model.config.backbone_config.model_type == "clip_vision_model"
        assert equal_weights(model.backbone.net, clip.vision_model)
    random = LinearForImageClassification.from_backbone(config, LABELS)
    assert random.config.backbone_config.model_type == "clip_vision_model"
    assert not equal_weights(random.backbone.net, clip.vision_model)


def test_random_weights_on_request(tmp_path: Path) -> None:
    source = saved(tmp_path, AutoModel.from_config(tiny_config("dinov2")))
    model = LinearForImageClassification.from_backbone(str(tmp_path), LABELS, pretrained=False)
    assert not equal_weights(model.backbone.net, source)
    assert model.config.image_mean == STATISTICS["image_mean"]


def test_a_name_without_a_slash_is_timms() -> None:
    for name in ("resnet10t", "timm/resnet10t"):
        model = LinearForImageClassification.from_backbone(name, LABELS, pretrained=False, image_size=64)
        assert isinstance(model.backbone, TimmBackbone)
        assert model.config.backbone == "resnet10t"
        assert model.config.backbone_config is None


def test_word_vectors_go_along() -> None:
    vectors = torch.randn(len(LABELS), 7)
    model = LabelTransformerForImageClassification.from_backbone(
        tiny_config("dinov2"), LABELS, word_vectors=vectors, image_size=64, width=32
    )
    assert torch.equal(model.head.word_vectors, vectors)


class TestRefusals:
    def test_weights_without_pixel_statistics(self, tmp_path: Path) -> None:
        AutoModel.from_config(tiny_config("dinov2")).save_pretrained(tmp_path)
        with pytest.raises(ValueError, match="dinov2 has weights, but no image processor"):
            LinearForImageClassification.from_backbone(str(tmp_path), LABELS)
        given = LinearForImageClassification.from_backbone(str(tmp_path), LABELS, **STATISTICS)
        assert given.config.image_mean == STATISTICS["image_mean"]
        assert given.config.image_size == 56

    def test_a_model_of_words(self) -> None:
        with pytest.raises(ValueError, match="BertConfig is not the config of a vision encoder"):
            LinearForImageClassification.from_backbone(BertConfig(), LABELS)

    @pytest.mark.parametrize("backbone", [7, None, nn.Linear(2, 2)])
    def test_something_else(self, backbone: object) -> None:
        with pytest.raises(ValueError, match="expected a Hub name, a folder, a config or a model"):
            LinearForImageClassification.from_backbone(backbone, LABELS)

    def test_weights_apart_from_the_backbone(self) -> None:
        with pytest.raises(ValueError, match=r"pretrained is 'weights.safetensors'; pass the folder"):
            LinearForImageClassification.from_backbone(Dinov2Config(), LABELS, pretrained="weights.safetensors")

    def test_no_such_name(self) -> None:
        with pytest.raises(OSError):
            LinearForImageClassification.from_backbone("nobody/nothing", LABELS)

    def test_a_type_that_this_version_does_not_have(self) -> None:
        with pytest.raises(ValueError, match=r"backbone_config.model_type is 'dinov9'"):
            LinearConfig(backbone="dinov9", backbone_config={"model_type": "dinov9"})

    def test_options_of_timm(self) -> None:
        for option in ({"output_stride": 16}, {"output_stride": 16, "dilation": True}, {"drop_path_rate": 0.1}):
            with pytest.raises(ValueError, match=r"is a resnet of transformers, which has no (output|drop)"):
                LinearForImageClassification.from_backbone(tiny_config("resnet"), LABELS, **option)

    def test_more_stages_than_there_are(self) -> None:
        config = ResNetConfig(embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1], layer_type="basic")
        with pytest.raises(ValueError, match="freeze_stages is 3; resnet has 2 stages"):
            LinearForImageClassification.from_backbone(config, LABELS, freeze_stages=3)

    def test_fusing_branches(self) -> None:
        model = LinearForImageClassification.from_backbone(tiny_config("resnet"), LABELS)
        with pytest.raises(ValueError, match="has no branches to fuse"):
            model.reparameterize()

    def test_lost_tensors_of_a_model_in_memory(self) -> None:
        source = AutoModel.from_config(tiny_config("dinov2"))
        del source.encoder.layer[0].norm1.weight
        with pytest.raises(ValueError, match=r"dinov2 lacks 1 tensors of its encoder.*norm1.weight"):
            LinearForImageClassification.from_backbone(source, LABELS, **STATISTICS)


def test_stochastic_depth_reaches_the_encoder() -> None:
    model = LinearForImageClassification.from_backbone(tiny_config("dinov2"), LABELS, drop_path_rate=0.2)
    assert model.backbone.net.config.drop_path_rate == 0.2
    assert model.train()(pictures()).logits.shape == (2, len(LABELS))


@pytest.mark.parametrize(
    "processor",
    [
        ViTImageProcessor(size={"height": 40, "width": 40}),
        SiglipImageProcessor(size={"height": 40, "width": 40}),
        BitImageProcessor(size={"shortest_edge": 40}, crop_size={"height": 40, "width": 40}),
        ViTImageProcessor(size={"height": 40, "width": 40}, do_normalize=False),
        ViTImageProcessor(size={"height": 40, "width": 40}, rescale_factor=1 / 127.5),
        EfficientNetImageProcessor(size={"height": 40, "width": 40}, include_top=True, image_std=[0.4, 0.5, 0.6]),
        EfficientNetImageProcessor(
            size={"height": 40, "width": 40}, include_top=False, rescale_factor=1 / 127.5, rescale_offset=True
        ),
    ],
    ids=lambda processor: type(processor).__name__,
)
def test_pixels_come_out_as_from_transformers_own_processor(processor: Any) -> None:
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8))
    theirs = torch.as_tensor(np.asarray(processor(picture, return_tensors="pt")["pixel_values"]))
    ours = MultiLabelImageProcessor(**preparation(processor))(picture, return_tensors="pt")["pixel_values"]
    assert preparation(processor)["image_size"] == 40
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


def test_a_processor_that_swaps_colours_is_refused() -> None:
    processor = ViTImageProcessor()
    processor.do_flip_channel_order = True
    with pytest.raises(ValueError, match="ViTImageProcessor swaps red and blue"):
        preparation(processor)


def test_sizes_of_processors() -> None:
    class Says:
        def __init__(self, **fields: Any) -> None:
            self.__dict__.update(fields)

    assert image_size(Says(size={"shortest_edge": 256}, crop_size={"height": 224}, do_center_crop=True)) == 224
    assert image_size(Says(size={"shortest_edge": 256}, crop_size={"height": 224}, do_center_crop=False)) == 256
    assert image_size(Says(max_num_patches=256, patch_size=16)) == 256
    assert image_size(Says()) is None


def test_the_config_of_an_encoder_is_part_of_the_models(tmp_path: Path) -> None:
    config = LinearConfig(backbone="x/y", backbone_config=Dinov2Config(hidden_size=24, num_attention_heads=2))
    config.save_pretrained(tmp_path)
    again = LinearConfig.from_pretrained(tmp_path)
    assert isinstance(again.backbone_config, PretrainedConfig)
    assert again.backbone_config.hidden_size == 24
    assert again.to_dict() == LinearConfig.from_dict(config.to_dict()).to_dict()
