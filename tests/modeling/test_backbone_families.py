"""Every architecture on every family of vision encoders of transformers: two families fast, all of them slow."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import AutoModel, AutoModelForImageClassification

from mlic_hf.modeling import ARCHITECTURES, LinearForImageClassification, TransformersBackbone
from tests.modeling.families import FAMILIES, some_fast, tiny_config, tiny_on
from tests.modeling.test_every_architecture import LogitsOnly, one_fast
from tests.modeling.tiny_models import LABELS, pictures, targets

every_architecture = pytest.mark.parametrize("model_type", list(ARCHITECTURES))
every_family = pytest.mark.parametrize("family", some_fast(FAMILIES))
CONVOLUTIONS = ("resnet", "convnextv2", "dinov3_convnext", "mobilenet_v2", "efficientnet")
WITH_ATTENTION = [name for name in FAMILIES if name not in CONVOLUTIONS]


@every_family
@every_architecture
def test_build_forward_backward_save_load(model_type: str, family: str, tmp_path: Path) -> None:
    model = tiny_on(model_type, family)
    model_class = ARCHITECTURES[model_type][1]
    with torch.no_grad():
        logits = model(pictures()).logits
        output = model(pictures(), output_feature_map=True, output_stage_maps=True)
    assert logits.shape == (2, len(LABELS))
    assert torch.isfinite(logits).all()
    assert output.feature_map.shape[1] == model.backbone.num_features
    assert [stage.shape[1] for stage in output.stage_maps] == model.backbone.stage_channels

    model.save_pretrained(tmp_path)
    assert json.loads((tmp_path / "config.json").read_text())["backbone_config"]["model_type"] == family
    assert {"transformers_backbone_mlic.py", "vision_encoder_mlic.py"} <= {path.name for path in tmp_path.iterdir()}
    loaded = AutoModelForImageClassification.from_pretrained(tmp_path)
    assert type(loaded) is model_class
    with torch.no_grad():
        assert torch.equal(loaded(pictures()).logits, logits)

    for trained in (model.train(), loaded.train()):
        trained(pictures(), labels=targets()).loss.backward()
        without = [
            name
            for name, parameter in trained.named_parameters()
            if parameter.requires_grad and parameter.grad is None and ".projector." not in name
        ]
        assert without == []


@every_family
@pytest.mark.parametrize("model_type", one_fast("mlic_ml_decoder"))
def test_export_with_a_dynamic_batch(model_type: str, family: str) -> None:
    model = LogitsOnly(tiny_on(model_type, family)).eval()
    batch = torch.export.Dim("batch", min=1, max=16)
    exported = torch.export.export(model, (pictures(2),), dynamic_shapes={"pixel_values": {0: batch}})
    for size in (1, 3):
        with torch.no_grad():
            expected = model(pictures(size))
        torch.testing.assert_close(exported.module()(pictures(size)), expected, rtol=1e-4, atol=1e-5)


@every_family
@torch.no_grad()
def test_the_map_is_transformers_own_bit_for_bit(family: str) -> None:
    model = tiny_on("mlic_linear", family)
    alone = AutoModel.from_config(tiny_config(family)).eval()
    alone.load_state_dict(model.backbone.net.state_dict(), strict=False)
    for height, width in ((64, 64), (64, 96), (70, 56)):
        pixels = torch.randn(2, 3, height, width)
        ours = model.backbone.feature_map(pixels)
        theirs = alone(**_inputs(alone, family, pixels)).last_hidden_state
        if theirs.ndim == 3:
            places = ours.shape[2] * ours.shape[3]
            assert 0 <= theirs.shape[1] - places <= 5  # class and register tokens
            theirs = theirs[:, theirs.shape[1] - places :].transpose(1, 2).reshape(ours.shape)
        assert torch.equal(ours, theirs)
        assert ours.shape[3] >= ours.shape[2] if width > height else ours.shape[2] >= ours.shape[3]


def _inputs(alone: nn.Module, family: str, pixels: torch.Tensor) -> dict[str, Any]:
    """The pixels as the family's own documentation hands them over."""
    if family == "siglip2_vision_model":
        rows, columns = pixels.shape[2] // 16, pixels.shape[3] // 16
        patches = [
            [picture[:, 16 * r : 16 * r + 16, 16 * c : 16 * c + 16].permute(1, 2, 0).flatten()]
            for picture in pixels
            for r in range(rows)
            for c in range(columns)
        ]
        flat = torch.stack([row[0] for row in patches]).view(len(pixels), rows * columns, -1)
        mask = torch.ones(len(pixels), rows * columns, dtype=torch.long)
        return {
            "pixel_values": flat,
            "pixel_attention_mask": mask,
            "spatial_shapes": torch.tensor([[rows, columns]] * 2),
        }
    resampled = {"vit", "siglip_vision_model", "clip_vision_model", "beit", "swinv2"}
    return {"pixel_values": pixels, **({"interpolate_pos_encoding": True} if family in resampled else {})}


@every_family
def test_a_stored_file_is_a_state_dict(family: str, tmp_path: Path) -> None:
    model, other = tiny_on("mlic_linear", family), tiny_on("mlic_linear", family, freeze_stages=1)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.zero_()
    model.save_pretrained(tmp_path)
    other.load_state_dict(load_file(tmp_path / "model.safetensors"))
    other.load_state_dict(model.state_dict())
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, other.state_dict()[name])


@every_family
@torch.no_grad()
def test_stage_maps_are_transformers_hidden_states(family: str) -> None:
    backbone = tiny_on("mlic_linear", family).backbone
    pixels = torch.randn(2, 3, 64, 128)
    _, stages = backbone(pixels, with_stages=True)
    strides = [64 // stage.shape[2] for stage in stages]
    assert strides == [4, 8, 16, 32] or len(set(strides)) == 1
    assert all(stage.shape[3] == 2 * stage.shape[2] for stage in stages if backbone.measured.last.stride != 14)
    inputs = _inputs(backbone.net, family, pixels)
    if family == "swin":
        inputs["output_hidden_states_before_downsampling"] = True
    output = backbone.net(**inputs, output_hidden_states=True)
    states = output.get("reshaped_hidden_states") or output.hidden_states
    values = [
        torch.sort(state[:, -stage[0, 0].numel() :].flatten()).values if state.ndim == 3 else state
        for (position, _), stage in zip(backbone.measured.stages, stages)
        for state in [states[position]]
    ]
    for stage, expected in zip(stages, values, strict=True):
        found = stage if stage.shape == expected.shape else torch.sort(stage.flatten()).values
        assert torch.equal(found, expected)


@pytest.mark.parametrize("family", some_fast(["dinov2_with_registers", "swin", "convnextv2", "mobilenet_v2"]))
def test_freezing_stages_freezes_what_their_maps_depend_on(family: str) -> None:
    for stages in (1, 2):
        model = tiny_on("mlic_linear", family, freeze_stages=stages).train()
        model.train()
        before = {name: parameter.clone() for name, parameter in model.backbone.net.named_parameters()}
        _, maps = model.backbone(pictures(), with_stages=True)
        assert not maps[stages - 1].requires_grad
        assert maps[stages].requires_grad
        frozen = {name for name, parameter in model.backbone.net.named_parameters() if not parameter.requires_grad}
        torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=1.0)
        model(pictures(), labels=targets()).loss.backward()
        trained = {name for name, p in model.backbone.net.named_parameters() if p.grad is not None}
        assert frozen | trained == set(before)
        assert not frozen & trained


def test_frozen_batch_norm_of_a_transformers_network() -> None:
    model = tiny_on("mlic_linear", "resnet", freeze_batch_norm=True, freeze_batch_norm_affine=True).train()
    norms = [module for module in model.backbone.modules() if isinstance(module, nn.BatchNorm2d)]
    assert norms
    assert not any(norm.training or norm.weight.requires_grad for norm in norms)


@pytest.mark.parametrize("family", some_fast(["dinov2_with_registers", "swin", "clip_vision_model", "beit"]))
def test_gradient_checkpointing_changes_no_gradient(family: str) -> None:
    model = tiny_on("mlic_linear", family).train()

    def gradients() -> dict[str, torch.Tensor]:
        model.zero_grad()
        model(pictures(), labels=targets()).loss.backward()
        return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}

    plain = gradients()
    model.gradient_checkpointing_enable()
    inner = [module for module in model.backbone.net.modules() if getattr(module, "gradient_checkpointing", False)]
    assert len(inner) >= 4
    again = gradients()
    assert plain.keys() == again.keys()
    for name in plain:
        torch.testing.assert_close(again[name], plain[name], rtol=1e-3, atol=1e-5)
    model.gradient_checkpointing_disable()
    assert not any(module.gradient_checkpointing for module in inner)


def test_gradient_checkpointing_that_a_family_lacks_is_refused() -> None:
    with pytest.raises(ValueError, match="resnet has no gradient checkpointing"):
        tiny_on("mlic_linear", "resnet").gradient_checkpointing_enable()


@pytest.mark.parametrize("family", some_fast(name for name in WITH_ATTENTION if name != "swinv2"))
@torch.no_grad()
def test_both_ways_of_attention(family: str, tmp_path: Path) -> None:
    model = tiny_on("mlic_linear", family)
    assert model.backbone.net.config._attn_implementation == "sdpa"
    fused = model(pictures()).logits
    model.save_pretrained(tmp_path)
    eager = LinearForImageClassification.from_pretrained(tmp_path, attn_implementation="eager")
    assert eager.backbone.net.config._attn_implementation == "eager"
    torch.testing.assert_close(eager(pictures()).logits, fused, rtol=1e-4, atol=1e-5)
    eager.set_attn_implementation("sdpa")
    assert torch.equal(eager(pictures()).logits, fused)


@pytest.mark.parametrize("family", ["swinv2", "resnet"])
def test_an_attention_that_a_family_lacks_is_the_heads_alone(family: str, tmp_path: Path) -> None:
    model = tiny_on("mlic_linear", family)
    model.save_pretrained(tmp_path)
    loaded = LinearForImageClassification.from_pretrained(tmp_path, attn_implementation="sdpa")
    with torch.no_grad():
        assert torch.equal(loaded(pictures()).logits, model(pictures()).logits)


@every_family
@torch.no_grad()
def test_bfloat16_is_close(family: str, tmp_path: Path) -> None:
    model = tiny_on("mlic_linear", family)
    exact = model(pictures()).logits.sigmoid()
    model.save_pretrained(tmp_path)
    rough = LinearForImageClassification.from_pretrained(tmp_path, dtype=torch.bfloat16)
    assert {p.dtype for p in rough.parameters()} == {torch.bfloat16}
    logits = rough(pictures().bfloat16()).logits
    assert logits.dtype == torch.bfloat16
    assert (logits.float().sigmoid() - exact).abs().max() < 0.05


def test_a_model_built_in_inference_mode_measures_the_same() -> None:
    with torch.inference_mode():
        inside = TransformersBackbone(tiny_on("mlic_linear", "dinov2").config).measured
    assert inside == tiny_on("mlic_linear", "dinov2").backbone.measured


@every_family
def test_missing_tensors_start_as_transformers_starts_them(family: str, tmp_path: Path) -> None:
    model = tiny_on("mlic_linear", family)
    model.save_pretrained(tmp_path)
    tensors = load_file(tmp_path / "model.safetensors")
    lost = [name for name in tensors if name.startswith("backbone.")][::3]
    save_file({k: v for k, v in tensors.items() if k not in lost}, tmp_path / "model.safetensors", {"format": "pt"})
    loaded, info = LinearForImageClassification.from_pretrained(tmp_path, output_loading_info=True)
    assert len(info["missing_keys"]) == len(lost)
    for name, tensor in loaded.state_dict().items():
        assert torch.isfinite(tensor.float()).all(), name
        assert name not in info["missing_keys"] or tensor.float().abs().max() < 5, name


# what a user names to adapt the attention, in newer and older versions of transformers
ATTENTION = ["q_proj", "v_proj", "query", "value"]


@pytest.mark.parametrize("family", some_fast(name for name in WITH_ATTENTION if name != "swinv2"))
def test_lora_on_attention(family: str, tmp_path: Path) -> None:
    peft = pytest.importorskip("peft", reason="needs peft")
    config = peft.LoraConfig(
        target_modules=ATTENTION, modules_to_save=["head"], r=2, lora_alpha=8, init_lora_weights=False
    )
    adapted = peft.get_peft_model(tiny_on("mlic_ml_decoder", family), config).train()
    adapted(pixel_values=pictures(), labels=targets()).loss.backward()
    backbone = {name: parameter for name, parameter in adapted.named_parameters() if ".backbone." in name}
    adapters = {name for name in backbone if "lora_" in name}
    assert adapters
    assert {name for name, parameter in backbone.items() if parameter.grad is not None} == adapters
    adapted.eval()
    with torch.no_grad():
        logits = adapted(pixel_values=pictures()).logits
    adapted.save_pretrained(tmp_path)
    again = peft.PeftModel.from_pretrained(tiny_on("mlic_ml_decoder", family), tmp_path).eval()
    with torch.no_grad():
        torch.testing.assert_close(again(pixel_values=pictures()).logits, logits, rtol=1e-5, atol=1e-6)
        merged = adapted.merge_and_unload()(pictures()).logits
    torch.testing.assert_close(merged, logits, rtol=1e-3, atol=1e-4)
