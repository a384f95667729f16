"""Stage maps, layouts, odd sizes, strides, freezing, fused branches, pretrained files."""

from __future__ import annotations

from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import nn

from mlic_hf.modeling import LinearConfig, LinearForImageClassification, TimmBackbone
from mlic_hf.modeling.backbone_mlic import choose_stages
from tests.modeling.tiny_models import LABELS, pictures, tiny_model


def backbone(name: str, image_size: int = 64, **fields: object) -> TimmBackbone:
    return TimmBackbone(LinearConfig(backbone=name, image_size=image_size, **fields)).eval()


def info(*reductions: int) -> list[dict]:
    return [{"num_chs": 8, "reduction": reduction, "module": f"m{i}"} for i, reduction in enumerate(reductions)]


@pytest.mark.parametrize(
    ("reductions", "expected"),
    [
        ((2, 4, 8, 16, 32), [1, 2, 3, 4]),
        ((4, 8, 16, 32), [0, 1, 2, 3]),
        ((2, 4, 8, 16, 16), [1, 2, 3, 4]),
        ((16,) * 12, [2, 5, 8, 11]),
        ((16,) * 6, [0, 2, 3, 5]),
        ((2, 8, 16), [1, 2]),
    ],
)
def test_choice_of_stages(reductions: tuple[int, ...], expected: list[int]) -> None:
    assert choose_stages(info(*reductions)) == expected


@pytest.mark.parametrize(
    "name",
    [
        "resnet10t",
        "test_vit",
        "test_byobnet",
        "test_convnext",
        "test_efficientnet",
        "mobilenetv2_035",
        "swin_tiny_patch4_window7_224",
        pytest.param("tresnet_m", marks=pytest.mark.slow),
        pytest.param("vit_tiny_patch16_224", marks=pytest.mark.slow),
    ],
)
@pytest.mark.parametrize("size", [64, 71])
def test_maps_are_channels_first_at_any_size(name: str, size: int) -> None:
    net = backbone(name, size)
    with torch.no_grad():
        final, stages = net(torch.randn(2, 3, size, size), with_stages=True)
        alone = net.feature_map(torch.randn(2, 3, size, size))
    assert final.shape == alone.shape
    assert final.shape[:2] == (2, net.num_features)
    assert [stage.shape[1] for stage in stages] == net.stage_channels
    heights = [stage.shape[2] for stage in stages]
    assert heights == sorted(heights, reverse=True)
    assert len(stages) == 4


def test_a_map_of_another_size_than_the_configured_one() -> None:
    for name in ("resnet10t", "test_vit", "swin_tiny_patch4_window7_224"):
        net = backbone(name, 64)
        with torch.no_grad():
            small, large = net.feature_map(pictures(1, 64)), net.feature_map(pictures(1, 96))
        assert large.shape[2] > small.shape[2]


def test_a_vision_transformers_map_is_its_normalised_patch_tokens() -> None:
    net = backbone("test_vit")
    with torch.no_grad():
        tokens = net.net.forward_features(pictures())[:, net.net.num_prefix_tokens :]
        expected = net.net.fc_norm(tokens)
        feature_map = net.feature_map(pictures())
    assert torch.equal(feature_map[0, :, 1, 2], expected[0, 1 * 4 + 2])


def test_output_stride_16_without_dilation_keeps_the_kernels_dense() -> None:
    plain, fine, dilated = (
        backbone("resnet10t"),
        backbone("resnet10t", output_stride=16),
        backbone("resnet10t", output_stride=16, dilation=True),
    )
    for module in plain.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.ones_(module.weight)
    for net in (fine, dilated):
        net.load_state_dict(plain.state_dict())
    with torch.no_grad():
        maps = [net.feature_map(pictures()) for net in (plain, fine, dilated)]
    assert [feature_map.shape[-1] for feature_map in maps] == [2, 4, 4]
    assert not torch.allclose(maps[1], maps[2])
    assert all(max(m.dilation) == 1 for m in fine.modules() if isinstance(m, nn.Conv2d))


def test_an_option_the_network_lacks_is_one_clear_error() -> None:
    with pytest.raises(ValueError, match=r"test_vit does not take one of the options.*output_stride"):
        backbone("test_vit", output_stride=16)
    with pytest.raises(ValueError, match="timm has no model named 'resnet5000'"):
        backbone("resnet5000")
    with pytest.raises(ValueError, match="resnet10t has no branches to fuse"):
        tiny_model("mlic_linear").reparameterize()


def test_frozen_batch_norm_survives_train() -> None:
    model = tiny_model("mlic_linear", freeze_batch_norm=True)
    norms = [m for m in model.modules() if isinstance(m, nn.BatchNorm2d)]
    before = [norm.running_mean.clone() for norm in norms]
    for _ in range(2):
        model.train()
        assert model.training
        assert not any(norm.training for norm in norms)
        model(pictures(4))
    assert all(torch.equal(norm.running_mean, old) for norm, old in zip(norms, before))
    assert all(norm.weight.requires_grad for norm in norms)
    model.backbone.net.train()
    model.train()
    assert not any(norm.training for norm in norms)


def test_query2label_freezes_stem_and_first_stage_and_all_batch_norm(tmp_path: Path) -> None:
    built = tiny_model("mlic_query2label")
    built.save_pretrained(tmp_path)
    for model in (built, type(built).from_pretrained(tmp_path)):
        model.train()
        net = model.backbone.net
        frozen = {name for name, p in net.named_parameters() if not p.requires_grad}
        upstream = {n for n, _ in net.named_parameters() if n.startswith(("conv1", "bn1", "layer1"))}
        affine = {n for n, _ in net.named_parameters() if ".bn" in n or n.startswith("bn") or ".downsample.2" in n}
        assert frozen == upstream | affine
        assert all(p.requires_grad for p in model.head.parameters())


def test_a_loaded_model_trains_all_its_weights(tmp_path: Path) -> None:
    model = tiny_model("mlic_linear")
    model.save_pretrained(tmp_path)
    loaded = LinearForImageClassification.from_pretrained(tmp_path)
    assert all(p.requires_grad for p in loaded.parameters())


@pytest.mark.parametrize("name", ["repvgg_a0", "test_byobnet"])
def test_fused_branches_give_equal_logits_and_a_loadable_model(name: str, tmp_path: Path) -> None:
    model = tiny_model("mlic_linear", name)
    if name == "test_byobnet":
        with pytest.raises(ValueError, match="no branches to fuse"):
            model.reparameterize()
        return
    with torch.no_grad():
        before = model(pictures()).logits
        count = sum(p.numel() for p in model.parameters())
        fused = model.reparameterize()
        after = fused(pictures()).logits
    assert fused is model
    assert sum(p.numel() for p in model.parameters()) < count
    torch.testing.assert_close(after, before, rtol=1e-3, atol=1e-4)
    model.save_pretrained(tmp_path)
    with torch.no_grad():
        assert torch.equal(LinearForImageClassification.from_pretrained(tmp_path)(pictures()).logits, after)
    with pytest.raises(ValueError, match="already re-parameterised"):
        model.reparameterize()


class TestPretrainedFile:
    def test_a_whole_timm_checkpoint_fills_the_backbone(self, tmp_path: Path) -> None:
        source = timm.create_model("resnet10t", pretrained=False)
        save_file(source.state_dict(), tmp_path / "weights.safetensors")
        model = LinearForImageClassification.from_timm(
            "resnet10t", LABELS, pretrained=str(tmp_path / "weights.safetensors"), image_size=64
        )
        for key, tensor in model.backbone.net.state_dict().items():
            assert torch.equal(tensor, source.state_dict()[key])

    def test_position_embeddings_follow_the_image_size(self, tmp_path: Path) -> None:
        source = timm.create_model("test_vit", pretrained=False)
        save_file(source.state_dict(), tmp_path / "weights.safetensors")
        model = LinearForImageClassification.from_timm(
            "test_vit", LABELS, pretrained=str(tmp_path / "weights.safetensors"), image_size=64
        )
        ours = model.backbone.net
        assert ours.pos_embed.shape != source.pos_embed.shape
        assert torch.equal(ours.blocks[0].mlp.fc1.weight, source.blocks[0].mlp.fc1.weight)

    def test_another_networks_file_is_refused(self, tmp_path: Path) -> None:
        save_file(timm.create_model("test_vit").state_dict(), tmp_path / "weights.safetensors")
        with pytest.raises(ValueError, match=r"does not hold a timm resnet10t: .* keys are missing"):
            LinearForImageClassification.from_timm(
                "resnet10t", LABELS, pretrained=str(tmp_path / "weights.safetensors")
            )

    def test_weights_that_cannot_be_fetched(self, monkeypatch: pytest.MonkeyPatch) -> None:
        create = timm.create_model

        def offline(*names: object, pretrained: bool = False, **options: object) -> nn.Module:
            if pretrained:
                raise FileNotFoundError("not in the cache")
            return create(*names, **options)

        monkeypatch.setattr(timm, "create_model", offline)
        with pytest.raises(
            OSError, match=r"weights of resnet10t could not be fetched \(not in the cache\).*`pretrained`"
        ):
            LinearForImageClassification.from_timm("resnet10t", LABELS, pretrained=True)

    def test_a_missing_file(self) -> None:
        with pytest.raises(FileNotFoundError, match=r"No weights at nowhere.safetensors"):
            LinearForImageClassification.from_timm("resnet10t", LABELS, pretrained="nowhere.safetensors")


def test_pixel_statistics_are_the_backbones_own_unless_given() -> None:
    own = tiny_model("mlic_linear", "test_vit")
    assert own.backbone.mean == own.config.image_mean == [0.5, 0.5, 0.5]
    given = tiny_model("mlic_linear", image_mean=[0, 0, 0], image_std=[1, 1, 1], interpolation="nearest")
    assert (given.backbone.mean, given.backbone.std) == ([0.0] * 3, [1.0] * 3)
    assert given.config.interpolation == "nearest"
