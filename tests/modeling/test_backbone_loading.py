"""Folders whose backbone is incomplete or of another shape: never memory that nobody has written."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from mlic_hf.modeling import LinearForImageClassification
from tests.modeling.tiny_models import pictures, tiny_model


def saved(folder: Path, backbone: str = "resnet10t", without: tuple[str, ...] = ()) -> LinearForImageClassification:
    """A model in a folder, less the tensors that end with `without`."""
    model = tiny_model("mlic_linear", backbone)
    model.save_pretrained(folder)
    file = folder / "model.safetensors"
    tensors = {key: tensor for key, tensor in load_file(file).items() if not key.endswith(without or ("?",))}
    save_file(tensors, file, metadata={"format": "pt"})
    return model


def test_missing_tensors_of_the_backbone_start_as_timm_starts_them(tmp_path: Path) -> None:
    lost = ("layer1.0.conv1.weight", "layer2.0.bn1.weight", "layer2.0.bn1.running_var", "bn1.bias")
    model = saved(tmp_path, without=lost)
    for _ in range(3):
        loaded = LinearForImageClassification.from_pretrained(tmp_path)
        net = loaded.backbone.net
        convolution = net.layer1[0].conv1.weight
        # He's initialisation for ReLU, by the number of outputs
        expected = (2 / (convolution.shape[0] * 9)) ** 0.5
        assert convolution.std().item() == pytest.approx(expected, rel=0.1)
        assert torch.equal(net.layer2[0].bn1.weight, torch.ones_like(net.layer2[0].bn1.weight))
        assert torch.equal(net.layer2[0].bn1.running_var, torch.ones_like(net.layer2[0].bn1.running_var))
        assert not net.bn1.bias.any()
        assert torch.equal(net.layer3[0].conv1.weight, model.backbone.net.layer3[0].conv1.weight)
        assert all(torch.isfinite(tensor).all() for tensor in loaded.state_dict().values())


def test_missing_tokens_of_a_vision_transformer_start_as_timm_starts_them(tmp_path: Path) -> None:
    saved(tmp_path, "test_vit", without=("pos_embed", "cls_token", "blocks.0.mlp.fc1.weight"))
    net = LinearForImageClassification.from_pretrained(tmp_path).backbone.net
    assert net.pos_embed.std().item() == pytest.approx(0.02, rel=0.2)
    assert net.cls_token.abs().max() < 1e-3
    assert net.blocks[0].mlp.fc1.weight.std().item() == pytest.approx(0.02, rel=0.2)


@pytest.mark.parametrize("ignore", [True, False])
def test_a_backbone_of_other_shapes_is_refused(ignore: bool, tmp_path: Path) -> None:
    saved(tmp_path, "test_vit")
    config = LinearForImageClassification.config_class.from_pretrained(tmp_path)
    config.image_size = 96
    with pytest.raises(ValueError if ignore else RuntimeError, match=r"pos_embed|mismatch"):
        LinearForImageClassification.from_pretrained(tmp_path, config=config, ignore_mismatched_sizes=ignore)


@pytest.mark.parametrize("backbone", ["resnet10t", "test_vit", "swin_tiny_patch4_window7_224"])
@torch.no_grad()
def test_another_image_size_resamples_the_position_codes(backbone: str, tmp_path: Path) -> None:
    model = saved(tmp_path / "small", backbone)
    small, large = pictures(2, 64), pictures(2, 96)
    loaded = LinearForImageClassification.from_pretrained(tmp_path / "small", image_size=96)
    assert loaded.config.image_size == 96
    assert not loaded.training
    if backbone == "test_vit":
        assert loaded.backbone.net.pos_embed.shape[1] == model.backbone.net.pos_embed.shape[1] - 16 + 36
    if backbone.startswith("swin"):  # whose windows grow with the size
        _check_bias_tables(model, loaded)
    else:  # the same codes that the network would resample for a single picture of that size
        torch.testing.assert_close(loaded(large).logits, model(large).logits, rtol=1e-3, atol=1e-4)
    loaded.save_pretrained(tmp_path / "large")
    again = LinearForImageClassification.from_pretrained(tmp_path / "large")
    assert torch.equal(again(large).logits, loaded(large).logits)
    assert torch.equal(again(small).logits, loaded(small).logits)


def _check_bias_tables(small: nn.Module, large: nn.Module) -> None:
    sizes, limits = [], []
    for model in (small, large):
        table = model.backbone.net.layers[3].blocks[0].attn.relative_position_bias_table
        sizes.append(len(table))
        limits.append((table.min().item(), table.max().item()))
    assert sizes == [3 * 3, 5 * 5]  # windows of 2x2 and 3x3
    # resampled: within the stored values, a little overshoot aside; a new table would be 0.02 wide, too
    assert limits[1] == pytest.approx(limits[0], rel=0.25)


def test_another_image_size_keeps_mode_freezing_and_checkpointing() -> None:
    model = tiny_model("mlic_linear", "test_vit", freeze_stages=1).train()
    model.gradient_checkpointing_enable()
    model.set_image_size(96)
    assert model.backbone.net.training
    assert model.backbone.net.grad_checkpointing
    assert not model.backbone.net.pos_embed.requires_grad
    assert isinstance(model.backbone.net.patch_embed.proj, nn.Conv2d)
    assert not model.backbone.net.patch_embed.proj.weight.requires_grad


def test_the_loading_report_is_given_on_request(tmp_path: Path) -> None:
    saved(tmp_path, without=("bn1.bias",))
    model, info = LinearForImageClassification.from_pretrained(tmp_path, output_loading_info=True)
    assert isinstance(model, LinearForImageClassification)
    assert "backbone.net.bn1.bias" in info["missing_keys"]
