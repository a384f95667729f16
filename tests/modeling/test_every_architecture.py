"""Every architecture through build, forward, backward, save, load, the Auto classes and export."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from transformers import AutoConfig, AutoImageProcessor, AutoModel, AutoModelForImageClassification

from mlic_hf.modeling import ARCHITECTURES, MultiLabelImageProcessor
from tests.modeling.tiny_models import (
    BACKBONES,
    EMBEDDING_FIELDS,
    LABELS,
    pictures,
    targets,
    tiny_model,
)

WIDE_BACKBONES = [
    "resnet18",
    "resnet34",
    "resnext50_32x4d",
    "wide_resnet50_2",
    "mobilenetv2_100",
    "repvgg_a0",
    "repvgg_a2",
    "tresnet_l",
    "swin_tiny_patch4_window7_224",
    "convnext_atto",
    "vit_tiny_patch16_224",
    "deit3_small_patch16_224",
    "efficientnet_b0",
    "mobilenetv3_small_050",
    "regnety_002",
]
every_architecture = pytest.mark.parametrize("model_type", list(ARCHITECTURES))
every_backbone = pytest.mark.parametrize(
    "backbone", BACKBONES + [pytest.param(name, marks=pytest.mark.slow) for name in WIDE_BACKBONES]
)


def one_fast(fast: str) -> list[Any]:
    """Every architecture, all but one of them slow: a compiler takes its time."""
    return [name if name == fast else pytest.param(name, marks=pytest.mark.slow) for name in ARCHITECTURES]


class LogitsOnly(nn.Module):
    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, pixel_values: torch.Tensor) -> torch.Tensor:
        return self.model(pixel_values).logits


@every_backbone
@every_architecture
def test_forward_backward_save_load(model_type: str, backbone: str, tmp_path: Path) -> None:
    model = tiny_model(model_type, backbone)
    config_class, model_class = ARCHITECTURES[model_type]
    with torch.no_grad():
        logits = model(pictures()).logits
    assert logits.shape == (2, len(LABELS))
    assert torch.isfinite(logits).all()

    model.save_pretrained(tmp_path)
    MultiLabelImageProcessor.for_model(model).save_pretrained(tmp_path)
    for loader in (model_class, AutoModel, AutoModelForImageClassification):
        loaded = loader.from_pretrained(tmp_path)
        assert type(loaded) is model_class
        with torch.no_grad():
            assert torch.equal(loaded(pictures()).logits, logits)
    config = AutoConfig.from_pretrained(tmp_path)
    assert type(config) is config_class
    assert [config.id2label[i] for i in range(config.num_labels)] == LABELS
    processor = AutoImageProcessor.from_pretrained(tmp_path)
    assert type(processor) is MultiLabelImageProcessor
    assert processor.image_mean == model.backbone.mean

    model.train()
    loss = model(pictures(), labels=targets()).loss
    loss.backward()
    # the projector serves the contrastive loss alone
    without = [
        name
        for name, parameter in model.named_parameters()
        if parameter.requires_grad and parameter.grad is None and ".projector." not in name
    ]
    assert without == []
    assert all(name.startswith(("backbone.", "head.")) for name, _ in model.named_parameters())


@every_architecture
def test_the_saved_folder_names_all_classes(model_type: str, tmp_path: Path) -> None:
    model = tiny_model(model_type)
    model.save_pretrained(tmp_path)
    config_class, model_class = ARCHITECTURES[model_type]
    auto_map = json.loads((tmp_path / "config.json").read_text())["auto_map"]
    assert auto_map["AutoConfig"].split(".")[1] == config_class.__name__
    assert auto_map["AutoModel"] == auto_map["AutoModelForImageClassification"]
    module, name = auto_map["AutoModel"].split(".")
    assert name == model_class.__name__
    assert (tmp_path / f"{module}.py").exists()
    assert (tmp_path / "backbone_mlic.py").exists()


@every_backbone
@every_architecture
def test_torch_export_with_a_dynamic_batch(model_type: str, backbone: str) -> None:
    model = LogitsOnly(tiny_model(model_type, backbone)).eval()
    batch = torch.export.Dim("batch", min=1, max=16)
    exported = torch.export.export(model, (pictures(2),), dynamic_shapes={"pixel_values": {0: batch}})
    for size in (1, 3):
        with torch.no_grad():
            expected = model(pictures(size))
        torch.testing.assert_close(exported.module()(pictures(size)), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("backbone", ["resnet10t", pytest.param("test_vit", marks=pytest.mark.slow)])
@pytest.mark.parametrize("model_type", one_fast("mlic_query2label"))
def test_onnx_with_a_dynamic_batch(model_type: str, backbone: str, tmp_path: Path) -> None:
    pytest.importorskip("onnxscript", reason="needs the onnx extra")
    runtime = pytest.importorskip("onnxruntime", reason="needs the onnx extra")
    model = LogitsOnly(tiny_model(model_type, backbone)).eval()
    path = tmp_path / "model.onnx"
    batch = torch.export.Dim("batch", min=1, max=16)
    torch.onnx.export(
        model,
        (pictures(2),),
        path,
        dynamo=True,
        dynamic_shapes={"pixel_values": {0: batch}},
        input_names=["pixel_values"],
        verbose=False,
    )
    session = runtime.InferenceSession(path, providers=["CPUExecutionProvider"])
    with torch.no_grad():
        expected = model(pictures(3))
    found = session.run(None, {"pixel_values": pictures(3).numpy()})[0]
    torch.testing.assert_close(torch.from_numpy(found), expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("model_type", one_fast("mlic_ml_decoder"))
def test_compiled_logits_are_equal(model_type: str) -> None:
    model = tiny_model(model_type)
    torch._dynamo.reset()
    compiled = torch.compile(LogitsOnly(model), backend="aot_eager", fullgraph=True)
    with torch.no_grad():
        torch.testing.assert_close(compiled(pictures()), model(pictures()).logits, rtol=1e-4, atol=1e-5)


@every_architecture
def test_bfloat16_is_close(model_type: str) -> None:
    model = tiny_model(model_type)
    with torch.no_grad():
        exact = model(pictures()).logits.sigmoid()
        rough = model.to(torch.bfloat16)(pictures().bfloat16()).logits
    assert rough.dtype == torch.bfloat16
    assert (rough.float().sigmoid() - exact).abs().max() < 0.05


@pytest.mark.parametrize("backbone", BACKBONES)
@every_architecture
def test_gradient_checkpointing_changes_no_gradient(model_type: str, backbone: str) -> None:
    model = tiny_model(model_type, backbone, freeze_batch_norm=True)
    for module in model.head.modules():
        if isinstance(module, nn.Dropout) or hasattr(module, "dropout"):
            setattr(module, "p" if isinstance(module, nn.Dropout) else "dropout", _without(module))
    model.train()

    def gradients() -> list[torch.Tensor]:
        model.zero_grad()
        model(pictures(), labels=targets(), output_stage_maps=True).loss.backward()
        return [p.grad.clone() for p in model.parameters() if p.grad is not None]

    plain = gradients()
    model.gradient_checkpointing_enable()
    layers = [module for module in model.modules() if hasattr(module, "gradient_checkpointing")]
    assert model.backbone in layers
    assert len(layers) > 1 or model_type == "mlic_linear"  # the head's own layers too
    assert all(layer.gradient_checkpointing for layer in layers)
    for ours, theirs in zip(gradients(), plain, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-5)
    model.gradient_checkpointing_disable()
    assert not model.backbone.net.grad_checkpointing


def _without(module: nn.Module) -> object:
    """No dropout: 0 where a module keeps the probability, Identity where it keeps a layer."""
    kept = None if isinstance(module, nn.Dropout) else module.dropout
    return nn.Identity() if isinstance(kept, nn.Module) else 0.0


@every_architecture
def test_outputs_come_only_when_asked_for(model_type: str) -> None:
    model = tiny_model(model_type)
    with torch.no_grad():
        bare = model(pictures())
        assert {name for name, value in bare.items() if value is not None} == {"logits"}
        full = model(pictures(), labels=targets(), output_feature_map=True, output_stage_maps=True)
    assert full.feature_map.shape[1] == model.backbone.num_features
    assert [stage.shape[1] for stage in full.stage_maps] == model.backbone.stage_channels
    assert full.loss.ndim == 0
    names = EMBEDDING_FIELDS.get(model_type, ())
    if not names:
        with pytest.raises(ValueError, match="gives no label_embeddings"):
            model(pictures(), output_label_embeddings=True)
        with pytest.raises(ValueError, match="gives no attentions"):
            model(pictures(), output_attentions=True)
        return
    with torch.no_grad():
        given = model(pictures(), output_label_embeddings=True, output_attentions=True)
    assert set(names) <= model.provides
    for name in names:
        assert given[name].shape[:2] == (2, len(LABELS))
    places = full.feature_map.shape[2] * full.feature_map.shape[3]
    for weights in given.attentions:
        assert weights.shape[0] == 2
        assert weights.shape[2:] == (len(LABELS), places)
    torch.testing.assert_close(given.logits, bare.logits, rtol=1e-4, atol=1e-5)
    with pytest.raises(ValueError, match="gives no class_maps"):
        model(pictures(), output_class_maps=True)


@every_architecture
def test_a_tuple_on_request(model_type: str) -> None:
    model = tiny_model(model_type)
    with torch.no_grad():
        loss, logits = model(pictures(), labels=targets(), return_dict=False)
        expected = model(pictures(), labels=targets())
    assert torch.equal(loss, expected.loss)
    assert torch.equal(logits, expected.logits)


@every_architecture
def test_a_feature_map_stands_in_for_the_pixels(model_type: str) -> None:
    model = tiny_model(model_type)
    from_pixels = model(pictures(), labels=targets(), output_feature_map=True)
    kept = from_pixels.feature_map.detach()
    from_map = model(feature_map=kept, labels=targets())
    assert torch.equal(from_map.logits, from_pixels.logits)
    assert torch.equal(from_map.loss, from_pixels.loss)
    from_map.loss.backward()
    assert all(parameter.grad is None for parameter in model.backbone.parameters())
    with pytest.raises(ValueError, match="give one of the two"):
        model(pictures(), feature_map=kept)
    with pytest.raises(ValueError, match="give one of the two"):
        model(labels=targets())
    with pytest.raises(ValueError, match="Stage maps come from pixel_values"):
        model(feature_map=kept, output_stage_maps=True)


@every_architecture
def test_eager_attention_reaches_the_head(model_type: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny_model(model_type)
    model.save_pretrained(tmp_path)
    with torch.no_grad():
        expected = model(pictures()).logits

    def no_fused_kernel(*_: object, **__: object) -> None:
        raise AssertionError("the fused kernel was called")

    monkeypatch.setattr(torch.nn.functional, "scaled_dot_product_attention", no_fused_kernel)
    if model_type != "mlic_linear":
        with pytest.raises(AssertionError, match="fused kernel"):
            model(pictures())
    eager = type(model).from_pretrained(tmp_path, attn_implementation="eager")
    with torch.no_grad():
        torch.testing.assert_close(eager(pictures()).logits, expected, rtol=1e-4, atol=1e-5)
        model.set_attn_implementation("eager")
        torch.testing.assert_close(model(pictures()).logits, expected, rtol=1e-4, atol=1e-5)
    model.train()(pictures(), labels=targets()).loss.backward()


@every_backbone
def test_hidden_states_are_the_stages(backbone: str) -> None:
    model = tiny_model("mlic_linear", backbone)
    with torch.no_grad():
        output = model(pictures(), output_hidden_states=True)
        expected = model(pictures(), output_stage_maps=True)
        assert output.stage_maps is None
        assert expected.hidden_states is None
        for state, stage in zip(output.hidden_states, expected.stage_maps, strict=True):
            assert torch.equal(state, stage)
        model.config.output_hidden_states = True
        assert len(model(pictures()).hidden_states) == len(output.hidden_states)
        assert model(pictures(), output_hidden_states=False).hidden_states is None


def test_the_config_asks_for_attentions_too() -> None:
    model = tiny_model("mlic_query2label")
    model.set_attn_implementation("eager")
    model.config.output_attentions = True
    with torch.no_grad():
        assert len(model(pictures()).attentions) == 2
        assert model(pictures(), output_attentions=False).attentions is None
