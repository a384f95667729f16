from __future__ import annotations

import json
from argparse import Namespace
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from torch import Tensor

from mlic_hf.cli import convert_checkpoint as script
from mlic_hf.cli.errors import explained
from mlic_hf.hub.backbone_keys import SEQUENTIAL_RESNET, convert_backbone
from mlic_hf.hub.convert import build_converted, convert_checkpoint, convert_state
from mlic_hf.hub.label_orders import COCO_ALPHABETICAL, COCO_BY_ID, NUS_WIDE, ORDERS, VOC, read_labels
from mlic_hf.hub.read_original import read_original
from mlic_hf.modeling import LinearForImageClassification, MultiLabelImageProcessor, MultiLabelModel
from mlic_hf.modeling.sine_position_mlic import sine_position
from tests.hub.tiny_models import LABELS
from tests.realdata import REALDATA, needs_realdata

State = dict[str, Tensor]
BACKWARDS = {ours: position for position, ours in SEQUENTIAL_RESNET.items()}


@pytest.fixture(scope="module")
def net() -> torch.nn.Module:
    torch.manual_seed(0)
    model = timm.create_model("resnet18", num_classes=0)
    for buffer in model.buffers():
        if buffer.dtype.is_floating_point:
            buffer.uniform_(0.5, 1.5)
    return model.eval()


def numbered(net: torch.nn.Module, prefix: str) -> State:
    """A ResNet's weights as a Sequential of its children saves them."""
    renamed = {}
    for key, tensor in net.state_dict().items():
        name, _, rest = key.partition(".")
        renamed[f"{prefix}{BACKWARDS[name]}.{rest}"] = tensor
    return renamed


@pytest.fixture
def psd(net: torch.nn.Module) -> State:
    """PSD's pool and linear on ResNet-18, 20 labels."""
    head = {"classify.weight": torch.randn(20, 512) / 20, "classify.bias": torch.randn(20)}
    return {**numbered(net, "features."), **head}


def mulcon_parts(net: torch.nn.Module, labels: int = 3, width: int = 8) -> dict[str, State]:
    """MulCon's files by part, on ResNet-18."""

    def block(prefix: str, query: int, key: int, out: int) -> State:
        sizes = {"fc_q": (out, query), "fc_k": (out, key), "fc_v": (out, key), "fc_o": (out, out)}
        state = {f"{prefix}mab.{n}.weight": torch.randn(size) / 20 for n, size in sizes.items()}
        state |= {f"{prefix}mab.{n}.bias": torch.randn(out) for n in (*sizes, "ln0", "ln1")}
        return state | {f"{prefix}mab.{n}.weight": torch.ones(out) for n in ("ln0", "ln1")}

    attention = {"I": torch.randn(1, labels, width), **block("", width, 512, width)}
    attention |= {**block("sab1.", 512, 512, 512), **block("sab2.", 512, 512, 512)}
    attention |= block("sab3.", width, width, width)
    parts = {"E": numbered(net, ""), "A": attention}
    for label in range(labels):
        parts[f"C_{label}"] = {"weight": torch.randn(1, width), "bias": torch.randn(1)}
    return parts


def save_parts(folder: Path, parts: dict[str, State], name: str = "epoch_{epoch}_net_{part}", epoch: int = 15) -> None:
    folder.mkdir(exist_ok=True)
    for part, state in parts.items():
        torch.save(state, folder / f"{name.format(epoch=epoch, part=part)}.pth")


@torch.no_grad()
def test_logits_are_those_of_the_parts(psd: State, net: torch.nn.Module) -> None:
    model = build_converted(convert_state(psd))
    assert isinstance(model, LinearForImageClassification)
    pixels = torch.rand(2, 3, 64, 64)
    expected = net(pixels) @ psd["classify.weight"].T + psd["classify.bias"]
    assert torch.allclose(model(pixels).logits, expected, atol=1e-4)
    assert not model.training


def test_config_says_labels_size_and_pixels_of_the_origin(psd: State) -> None:
    model = build_converted(convert_state(psd))
    assert tuple(model.config.id2label.values()) == VOC
    processor = MultiLabelImageProcessor.for_model(model)
    assert processor.image_size == 448
    assert processor.image_mean == [0.0, 0.0, 0.0]
    assert processor.image_std == [1.0, 1.0, 1.0]
    assert processor.interpolation == "bilinear"


@pytest.mark.parametrize("prefix", ["", "module.", "module._orig_mod."])
@pytest.mark.parametrize("wrapper", [None, "state_dict", "model"])
def test_wrapped_and_prefixed_files_read_alike(prefix: str, wrapper: str | None, psd: State, tmp_path: Path) -> None:
    state = {prefix + key: tensor for key, tensor in psd.items()}
    content = state if wrapper is None else {wrapper: state, "epoch": 3, "best": np.float64(0.5)}
    torch.save(content, tmp_path / "best.ckpt")
    found = read_original(tmp_path / "best.ckpt")
    assert set(found) == set(psd)
    assert all(torch.equal(found[key], psd[key]) for key in psd)


def moved(state: State, by: float) -> State:
    return {key: tensor + by for key, tensor in state.items()}


@pytest.mark.parametrize(
    "wrap",
    [
        lambda plain, ema: {"model": plain, "model_ema": ema, "epoch": 3},
        lambda plain, ema: {"state_dict": plain, "ema_state_dict": ema, "optimizer": {"state": {0: torch.zeros(1)}}},
        lambda plain, ema: {"state_dict": {"model": plain, "ema": {"module": ema}}},
        lambda plain, ema: {"model": {"state_dict": plain}, "ema": {f"module.{k}": t for k, t in ema.items()}},
        lambda plain, ema: {"student": plain, "student_ema": ema, "teacher": moved(plain, 9.0)},
        lambda plain, ema: {
            "state_dict": {
                **{f"model.{k}": t for k, t in plain.items()},
                **{f"ema_model.module.{k}": t for k, t in ema.items()},
                "criterion.weight": torch.ones(3),
            }
        },
    ],
    ids=["model_ema", "ema_state_dict", "nested", "wrapped twice", "student", "Lightning"],
)
def test_averaged_weights_are_chosen_or_asked_for(wrap, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    plain = {"classify.weight": torch.zeros(2, 2), "classify.bias": torch.zeros(2)}
    torch.save(wrap(plain, moved(plain, 1.0)), tmp_path / "a.pth")
    for ema, expected in ((None, 1.0), (True, 1.0), (False, 0.0)):
        found = read_original(tmp_path / "a.pth", ema=ema)
        assert {key: tensor.unique().tolist() for key, tensor in found.items()} == {key: [expected] for key in plain}
    assert "holds plain and averaged weights" in caplog.text


@pytest.mark.parametrize(
    "wrap",
    [
        lambda state: {"student": state},
        lambda state: {"state_dict": {"model": {"net": state}}},
        lambda state: {"state_dict": {f"model.{key}": tensor for key, tensor in state.items()}},
        lambda state: {"state_dict": {f"model.net.{key}": tensor for key, tensor in state.items()}},
        lambda state: {f"module.model.{key}": tensor for key, tensor in state.items()},
        lambda state: {"n_averaged": torch.tensor(7), **{f"module.{key}": tensor for key, tensor in state.items()}},
    ],
)
def test_nested_and_prefixed_files_read_alike(wrap, psd: State, tmp_path: Path) -> None:
    torch.save(wrap(psd), tmp_path / "a.pth")
    found = read_original(tmp_path / "a.pth")
    assert set(found) == set(psd)
    assert all(torch.equal(found[key], psd[key]) for key in psd)
    assert set(convert_state(found).state) == set(convert_state(psd).state)


def test_weights_that_are_not_there_or_there_twice_are_refused(tmp_path: Path) -> None:
    state = {"classify.weight": torch.zeros(2)}
    torch.save({"model": state}, tmp_path / "plain.pth")
    with pytest.raises(ValueError, match="holds no averaged weights; it holds model"):
        read_original(tmp_path / "plain.pth", ema=True)
    torch.save({"ema": state}, tmp_path / "averaged.pth")
    with pytest.raises(ValueError, match="holds no plain weights; it holds ema"):
        read_original(tmp_path / "averaged.pth", ema=False)
    torch.save({"model": state, "net": moved(state, 1.0)}, tmp_path / "two.pth")
    with pytest.raises(ValueError, match=r"several state dicts of a kind \(model, net\)"):
        read_original(tmp_path / "two.pth")
    with pytest.raises(ValueError, match="epoch chooses among the files of a folder"):
        read_original(tmp_path / "two.pth", epoch=3)


@pytest.mark.parametrize("number", [torch.nan, torch.inf])
def test_weights_that_are_no_numbers_are_refused(number: float, psd: State) -> None:
    psd["classify.bias"][3] = number
    with pytest.raises(ValueError, match=r"not finite \(NaN or infinity\) in classify\.bias"):
        convert_state(psd)


def test_given_labels_win_and_must_fit(psd: State, tmp_path: Path) -> None:
    names = [f"name {i}" for i in range(20)]
    (tmp_path / "labels.txt").write_text("\n".join(names) + "\n")
    torch.save(psd, tmp_path / "a.pth")
    model = convert_checkpoint(tmp_path / "a.pth", tmp_path / "labels.txt", image_size=64)
    assert list(model.config.id2label.values()) == names
    assert model.config.image_size == 64
    with pytest.raises(ValueError, match="labels has 3 names, but PSD, pool and linear has 20"):
        build_converted(convert_state(psd), LABELS)
    with pytest.raises(ValueError, match="has no word vectors"):
        build_converted(convert_state(psd), word_vectors=torch.zeros(20, 300))


def test_unknown_number_of_labels_needs_names(psd: State) -> None:
    psd["classify.weight"], psd["classify.bias"] = torch.zeros(7, 512), torch.zeros(7)
    with pytest.raises(ValueError, match=r"has 7 labels and no known order.*80 \(coco_alphabetical\)"):
        build_converted(convert_state(psd))


def test_missing_and_unexpected_keys_are_listed(psd: State) -> None:
    psd["features.7.1.conv9.weight"] = psd.pop("features.7.1.conv2.weight")
    with pytest.raises(
        ValueError, match=r"Missing: .*layer4\.1\.conv2\.weight.*Unexpected: .*layer4\.1\.conv9\.weight"
    ):
        build_converted(convert_state(psd))


def test_misshapen_keys_are_listed(psd: State) -> None:
    psd["classify.bias"] = torch.zeros(4)
    with pytest.raises(ValueError, match=r"Other shapes: head\.classifier\.bias \(4,\) for \(20,\)"):
        build_converted(convert_state(psd))


def test_files_of_nobody_and_of_two_are_refused(psd: State) -> None:
    with pytest.raises(ValueError, match=r"no known original. Missing: .*Unexpected: its 1 keys, some\.weight"):
        convert_state({"some.weight": torch.zeros(1)})
    psd["label_emb.0.weight"] = torch.zeros(1024, 300)
    with pytest.raises(ValueError, match="mixes keys of 2 kinds"):
        convert_state(psd)
    del psd["label_emb.0.weight"]
    psd["fc.0.weight"] = torch.zeros(1)
    with pytest.raises(ValueError, match=r"PSD, pool and linear.*fc\.0\.weight|Unexpected"):
        build_converted(convert_state(psd))


def test_no_backbone_is_refused(psd: State) -> None:
    with pytest.raises(ValueError, match="The backbone is none of"):
        convert_state({key: t for key, t in psd.items() if key.startswith("classify")})


def test_files_that_hold_other_objects_or_nothing_are_refused(tmp_path: Path) -> None:
    for legacy in (False, True):
        content = {
            "model": {"a": torch.zeros(1)},
            "folder": Path("x"),
            "price": Decimal(1),
            "args": Namespace(a=np.float64(1)),
        }
        torch.save(content, tmp_path / "object.pth", _use_new_zipfile_serialization=not legacy)
        with pytest.raises(
            ValueError, match=r"holds more than weights: objects of (decimal\.Decimal, )?pathlib"
        ) as told:
            read_original(tmp_path / "object.pth")
        assert "weights_only" not in str(told.value)  # nobody is sent the unsafe way
        assert "save_file(model.state_dict()" in str(told.value)
    (tmp_path / "text.pth").write_text("no checkpoint")
    with pytest.raises(ValueError, match="could not be read as weights alone"):
        read_original(tmp_path / "text.pth")
    torch.save({"epoch": 3}, tmp_path / "empty.pth")
    with pytest.raises(ValueError, match="holds no state dict: found the keys epoch"):
        read_original(tmp_path / "empty.pth")
    with pytest.raises(FileNotFoundError, match="does not exist"):
        read_original(tmp_path / "absent.pth")
    torch.save({"a": torch.zeros(1), "module.a": torch.zeros(1)}, tmp_path / "twice.pth")
    with pytest.raises(ValueError, match="holds a twice"):
        read_original(tmp_path / "twice.pth")


def test_mulcon_folder_prefers_averaged_weights_of_the_last_epoch(net: torch.nn.Module, tmp_path: Path) -> None:
    parts = mulcon_parts(net)
    changed = {**parts, "C_0": {"weight": torch.zeros(1, 8), "bias": torch.tensor([5.0])}}
    save_parts(tmp_path / "m", parts, epoch=5)
    save_parts(tmp_path / "m", parts, epoch=15)
    save_parts(tmp_path / "m", changed, "ema_epoch_{epoch}_net_{part}")
    averaged = convert_checkpoint(tmp_path / "m", LABELS)
    plain = convert_checkpoint(tmp_path / "m", LABELS, ema=False)
    bias = "head.classifier.linear.bias"
    assert averaged.state_dict()[bias][0] == 5.0
    assert plain.state_dict()[bias][0] == parts["C_0"]["bias"][0]
    assert averaged.config.image_mean == [0.485, 0.456, 0.406]
    with pytest.raises(FileNotFoundError, match="no averaged weights of epoch 5"):
        convert_checkpoint(tmp_path / "m", LABELS, epoch=5, ema=True)
    with pytest.raises(FileNotFoundError, match="holds no epoch_N"):
        read_original(tmp_path)


def test_mulcon_with_a_lost_label_is_refused(net: torch.nn.Module, tmp_path: Path) -> None:
    parts = mulcon_parts(net)
    del parts["C_1"]
    save_parts(tmp_path / "m", parts)
    with pytest.raises(ValueError, match=r"numbered \[0, 2\]"):
        convert_checkpoint(tmp_path / "m", LABELS)


def test_oass_reads_the_stages_and_keeps_stride_16(net: torch.nn.Module) -> None:
    state = {f"model.{key}": tensor for key, tensor in net.state_dict().items()}
    state |= {f"stage5.0.{k.removeprefix('layer4.')}": t + 1 for k, t in net.state_dict().items() if "layer4" in k}
    state["classifier.weight"] = torch.randn(20, 512, 1, 1)
    model = build_converted(convert_state(state), image_size=64)
    own = model.state_dict()["backbone.net.layer4.0.conv1.weight"]
    assert torch.equal(own, state["model.layer4.0.conv1.weight"] + 1)
    maps = model(torch.rand(1, 3, 64, 64), output_class_maps=True).class_maps
    assert maps.shape == (1, 20, 4, 4)
    assert model.config.classifier_bias is False
    assert model.backbone.net.layer4[0].conv2.dilation == (1, 1)


def query2label_state(net: torch.nn.Module, width: int = 8, labels: int = 20) -> State:
    """PSD's Query2Label keys, small: one encoder and one decoder layer."""

    def attention(name: str) -> State:
        shapes = {"in_proj_weight": (3 * width, width), "out_proj.weight": (width, width)}
        state = {f"{name}.{leaf}": torch.randn(shape) / 8 for leaf, shape in shapes.items()}
        return state | {f"{name}.in_proj_bias": torch.zeros(3 * width), f"{name}.out_proj.bias": torch.zeros(width)}

    def layer(name: str, attentions: list[str], norms: list[str]) -> State:
        state: State = {}
        for part in attentions:
            state |= attention(f"{name}.{part}")
        for leaf, shape in {"linear1": (16, width), "linear2": (width, 16)}.items():
            state |= {f"{name}.{leaf}.weight": torch.randn(shape), f"{name}.{leaf}.bias": torch.zeros(shape[0])}
        for leaf in norms:
            state |= {f"{name}.{leaf}.weight": torch.ones(width), f"{name}.{leaf}.bias": torch.zeros(width)}
        return state

    backbone = {f"backbone.0.body.{k}": t for k, t in net.state_dict().items() if "num_batches" not in k}
    return {
        **backbone,
        "backbone.1.pe": sine_position(14, 14, width)[None],
        **layer("transformer.encoder.layers.0", ["self_attn"], ["norm1", "norm2"]),
        **layer("transformer.decoder.layers.0", ["multihead_attn"], ["norm2", "norm3"]),
        "transformer.decoder.norm.weight": torch.ones(width),
        "transformer.decoder.norm.bias": torch.zeros(width),
        "input_proj.weight": torch.randn(width, 512, 1, 1),
        "input_proj.bias": torch.zeros(width),
        "query_embed.weight": torch.randn(labels, width),
        "fc.W": torch.randn(1, labels, width),
        "fc.b": torch.zeros(1, labels),
    }


def test_query2label_reads_its_sizes_and_checks_the_position_code(net: torch.nn.Module) -> None:
    state = query2label_state(net)
    converted = convert_state(state)
    assert converted.config["decoder_self_attention"] == "none"
    assert (converted.config["width"], converted.config["feed_forward_size"]) == (8, 16)
    model = build_converted(converted)
    assert model(torch.rand(1, 3, 64, 64)).logits.shape == (1, 20)
    state["backbone.1.pe"] = state["backbone.1.pe"] + 0.1
    with pytest.raises(ValueError, match="not the sine code of a 14x14 map"):
        convert_state(state)


@pytest.mark.parametrize(
    "name", ["resnet34", "resnet50", "wide_resnet50_2", "resnext50_32x4d", "wide_resnet101_2", "resnet152"]
)
def test_resnets_are_told_apart_by_shape(name: str) -> None:
    with torch.device("meta"):
        state = timm.create_model(name, num_classes=0).state_dict()
    assert convert_backbone(state)[0] == name


@pytest.mark.parametrize("name", ["repvgg_a0", "repvgg_a2", "repvgg_b0"])
def test_repvggs_are_told_apart_and_renamed(name: str) -> None:
    with torch.device("meta"):
        wanted = timm.create_model(name, num_classes=0).state_dict()
    original = {}
    for key, tensor in wanted.items():
        old = key.replace("conv_kxk", "rbr_dense").replace("conv_1x1", "rbr_1x1").replace("identity", "rbr_identity")
        for stage in range(4, 0, -1):
            old = old.replace(f"stages.{stage - 1}.", f"stage{stage}.")
        original[old.replace("stem.", "stage0.")] = tensor
    found, renamed = convert_backbone(original)
    assert found == name
    assert set(renamed) == set(wanted)
    with pytest.raises(ValueError, match="re-parameterised RepVGG"):
        convert_backbone({"stage0.rbr_reparam.weight": torch.zeros(1)})


def test_inplace_batch_norm_becomes_its_absolute_weight() -> None:
    with torch.device("meta"):
        wanted = timm.create_model("tresnet_l", num_classes=0).state_dict()
    original = {k.replace(".conv.", ".0.").replace(".bn.", ".1."): t for k, t in wanted.items()}
    original = {k: torch.full(t.shape, -0.5) if t.ndim == 1 else t for k, t in original.items()}
    name, renamed = convert_backbone(original)
    assert name == "tresnet_l"
    assert set(renamed) == set(wanted)
    assert torch.allclose(renamed["body.conv1.bn.weight"], torch.tensor(0.5 + 1e-5), atol=1e-8)
    assert renamed["body.conv1.bn.bias"][0] == -0.5


def test_label_orders() -> None:
    assert [len(ORDERS[name]) for name in ORDERS] == [80, 80, 20, 81]
    assert all(len(set(names)) == len(names) for names in ORDERS.values())
    assert COCO_BY_ID[:3] == ("person", "bicycle", "car")
    assert COCO_BY_ID[-1] == "toothbrush"
    assert COCO_ALPHABETICAL[0] == "airplane"
    assert (NUS_WIDE[0], NUS_WIDE[-1]) == ("airport", "zebra")
    assert read_labels("voc") == list(VOC)
    with pytest.raises(ValueError, match="neither a file"):
        read_labels("nowhere.txt")
    with pytest.raises(ValueError, match="repeated: a"):
        read_labels(["a", "a"])


@needs_realdata
def test_label_orders_are_those_of_the_official_files() -> None:
    lists = REALDATA / "lists"
    positions = json.loads((lists / "coco_mlgcn" / "category.json").read_text())
    assert tuple(sorted(positions, key=positions.get)) == COCO_ALPHABETICAL
    annotations = json.loads((REALDATA / "coco_mini" / "annotations" / "instances_val2017.json").read_text())
    by_id = sorted(annotations["categories"], key=lambda category: category["id"])
    assert tuple(category["name"] for category in by_id) == COCO_BY_ID
    concepts = (lists / "NUS-WIDE" / "ConceptsList" / "Concepts81.txt").read_text()
    assert tuple(concepts.split()) == NUS_WIDE


def test_script_saves_a_folder_that_loads(psd: State, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.save({"state_dict": psd}, tmp_path / "psd.ckpt")
    arguments = ["--checkpoint", str(tmp_path / "psd.ckpt"), "--output_dir", str(tmp_path / "out")]
    explained(lambda: script.main([*arguments, "--image_size", "64"]))
    assert "PSD, pool and linear as LinearForImageClassification on resnet18" in capsys.readouterr().out
    model: MultiLabelModel = LinearForImageClassification.from_pretrained(tmp_path / "out")
    pixels = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        assert torch.equal(model(pixels).logits, build_converted(convert_state(psd))(pixels).logits)
    card = (tmp_path / "out" / "README.md").read_text()
    assert "xu2022boosting" in card
    assert "`psd.ckpt`" in card
    with pytest.raises(SystemExit):
        explained(lambda: script.main(arguments))
    assert "already holds a model" in capsys.readouterr().err
