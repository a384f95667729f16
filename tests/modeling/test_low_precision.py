"""Heads in lower precision, with adapters, offloaded: close to float32, or refused in a sentence."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from mlic_hf.modeling import ARCHITECTURES, MultiLabelModel
from mlic_hf.modeling.converted_layers_mlic import check_converted_layers
from tests.modeling.tiny_models import FIELDS, pictures, targets, tiny_model

FAST = ("mlic_linear", "mlic_query2label")
every_head = pytest.mark.parametrize(
    "model_type", [name if name in FAST else pytest.param(name, marks=pytest.mark.slow) for name in ARCHITECTURES]
)
# classifiers that are linear layers; ML-Decoder's are one tensor of all groups
CLASSIFIERS = {
    "mlic_linear": ["classifier"],
    "mlic_ml_decoder": [],
    "mlic_query2label": ["classifier.linear"],
    "mlic_label_transformer": ["classifier"],
    "mlic_mulcon": ["classifier.linear"],
    "mlic_co_occurrence": ["classifier.linear", "edge_classifier"],
    "mlic_text_decoder": ["classifier"],
}


def scores(model: nn.Module, device: str = "cpu") -> torch.Tensor:
    with torch.no_grad():
        return model(pictures().to(device)).logits.float().sigmoid().cpu()


@pytest.fixture
def saved(tmp_path: Path) -> Callable[..., tuple[MultiLabelModel, Path]]:
    def save(model_type: str, **fields: Any) -> tuple[MultiLabelModel, Path]:
        model = tiny_model(model_type, **fields)
        model.save_pretrained(tmp_path / "model")
        return model, tmp_path / "model"

    return save


def test_a_label_classifier_is_a_row_a_label() -> None:
    model = tiny_model("mlic_query2label")
    classifier = model.head.classifier
    vectors = torch.randn(3, 5, 32)
    rows = zip(vectors.unbind(1), classifier.linear.weight, classifier.linear.bias)
    expected = torch.stack([vector @ weight + bias for vector, weight, bias in rows], dim=1)
    torch.testing.assert_close(classifier(vectors), expected)


@every_head
def test_dynamic_int8(model_type: str) -> None:
    model = tiny_model(model_type)
    converted = torch.ao.quantization.quantize_dynamic(copy.deepcopy(model), {nn.Linear}, dtype=torch.qint8)
    kinds = [type(module) for module in converted.modules()]
    assert torch.ao.nn.quantized.dynamic.Linear in kinds
    assert nn.Linear not in kinds
    assert (scores(converted) - scores(model)).abs().max() < 0.03


@every_head
def test_torchao_int8_weights(model_type: str, saved: Any) -> None:
    quantization = pytest.importorskip("torchao.quantization", reason="needs torchao")
    from transformers import TorchAoConfig

    model, folder = saved(model_type)
    config = TorchAoConfig(quantization.Int8WeightOnlyConfig())
    converted = type(model).from_pretrained(folder, quantization_config=config)
    linears = [module for module in converted.modules() if isinstance(module, nn.Linear)]
    assert linears
    assert all(type(module.weight.data) is not torch.Tensor for module in linears)
    assert (scores(converted) - scores(model)).abs().max() < 0.01


def test_quantised_weights_come_back_and_are_written_once(saved: Any, tmp_path: Path) -> None:
    quantization = pytest.importorskip("torchao.quantization", reason="needs torchao")
    from transformers import TorchAoConfig

    model, folder = saved("mlic_linear")
    config = TorchAoConfig(quantization.Int8WeightOnlyConfig())
    converted = type(model).from_pretrained(folder, quantization_config=config)
    converted.save_pretrained(tmp_path / "small")
    again = type(model).from_pretrained(tmp_path / "small")
    assert torch.equal(scores(again), scores(converted))
    with pytest.raises(NotImplementedError, match="copy the folder or repository that it came from"):
        again.save_pretrained(tmp_path / "again")  # transformers 5.23 has no way back


@every_head
def test_bitsandbytes(model_type: str, saved: Any) -> None:
    bitsandbytes = pytest.importorskip("bitsandbytes", reason="needs bitsandbytes")
    from transformers import BitsAndBytesConfig

    even = {"width": 64, "feed_forward_size": 64, "label_vector_size": 64, "projection_size": 64}
    model, folder = saved(model_type, **{name: size for name, size in even.items() if name in FIELDS[model_type]})
    device = "cuda" if torch.cuda.is_available() else "cpu"
    converted = type(model).from_pretrained(
        folder, quantization_config=BitsAndBytesConfig(load_in_8bit=True), device_map=device
    )
    kinds = {type(module) for module in converted.head.modules()}
    assert bitsandbytes.nn.Linear8bitLt in kinds
    assert nn.Linear not in kinds
    assert (scores(converted, device) - scores(model)).abs().max() < 0.02
    config = BitsAndBytesConfig(load_in_4bit=True, llm_int8_skip_modules=["classifier", "linear"])
    converted = type(model).from_pretrained(folder, quantization_config=config, device_map=device)
    assert (scores(converted, device) - scores(model)).abs().max() < 0.1


def test_four_bits_on_a_cpu_need_even_layers(saved: Any) -> None:
    pytest.importorskip("bitsandbytes", reason="needs bitsandbytes")
    from bitsandbytes.functional import has_avx512bf16
    from transformers import BitsAndBytesConfig

    model, folder = saved("mlic_linear")

    def load() -> Any:
        config = BitsAndBytesConfig(load_in_4bit=True)
        return type(model).from_pretrained(folder, quantization_config=config, device_map="cpu")

    if has_avx512bf16():
        with pytest.raises(ValueError, match=r"first head.classifier. Leave them out: .*\['classifier'\]"):
            load()
    else:
        assert (scores(load()) - scores(model)).abs().max() < 0.1


class ReadsItsWeight(nn.Module):
    """As timm's BEiT, EVA and Swin V2 do."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.q_bias = nn.Parameter(torch.zeros(2))
        self.qkv = layer


def test_layers_whose_weights_are_read_are_not_converted() -> None:
    class Packed(nn.Linear):
        pass

    check_converted_layers(nn.Sequential(ReadsItsWeight(nn.Linear(2, 2)), Packed(2, 2)))
    with pytest.raises(ValueError, match=r"1 layers were quantised whose weights timm reads itself, the first 0.qkv"):
        check_converted_layers(nn.Sequential(ReadsItsWeight(Packed(2, 2))))


@pytest.mark.slow
def test_a_backbone_that_reads_its_weights(saved: Any) -> None:
    pytest.importorskip("bitsandbytes", reason="needs bitsandbytes")
    from transformers import BitsAndBytesConfig

    model, folder = saved("mlic_linear", backbone="swinv2_tiny_window8_256")

    def load(**more: Any) -> Any:
        config = BitsAndBytesConfig(load_in_8bit=True, **more)
        return type(model).from_pretrained(folder, quantization_config=config, device_map="cpu")

    with pytest.raises(ValueError, match="timm reads itself"):
        load()
    assert (scores(load(llm_int8_skip_modules=["backbone"])) - scores(model)).abs().max() < 0.02


@every_head
def test_half_precision_needs_nothing_kept(model_type: str, saved: Any) -> None:
    model, folder = saved(model_type)
    half = type(model).from_pretrained(folder, dtype=torch.float16)
    assert {parameter.dtype for parameter in half.parameters()} == {torch.float16}
    with torch.no_grad():
        found = half(pictures().half()).logits.float().sigmoid()
    assert (found - scores(model)).abs().max() < 0.01


@every_head
def test_lora_on_all_linear_layers(model_type: str, tmp_path: Path) -> None:
    peft = pytest.importorskip("peft", reason="needs peft")
    # an adapter's folder holds no running statistics, so they must not move
    model = tiny_model(model_type, freeze_batch_norm=True)
    config = peft.LoraConfig(target_modules="all-linear", r=2, init_lora_weights=False)
    adapted = peft.get_peft_model(copy.deepcopy(model), config).eval()
    asked = {"output_class_maps": True} if "class_maps" in model.provides else {}
    with torch.no_grad():
        found = adapted(pictures(), **asked)
    assert (found.logits - model(pictures()).logits).abs().max() > 0.01
    if asked:
        torch.testing.assert_close(found.class_maps.mean(dim=(2, 3)), found.logits, rtol=1e-4, atol=1e-5)

    adapted.train()
    adapted(pictures(), labels=targets()).loss.backward()
    gradients = {name: parameter.grad for name, parameter in adapted.named_parameters() if "lora_" in name}
    without = [name for name, grad in gradients.items() if grad is None and ".projector." not in name]
    assert without == []
    for classifier in CLASSIFIERS[model_type]:
        for side in ("A", "B"):
            gradient = gradients[f"base_model.model.head.{classifier}.lora_{side}.default.weight"]
            assert gradient is not None
            assert gradient.abs().max() > 0

    adapted.eval().save_pretrained(tmp_path)
    again = peft.PeftModel.from_pretrained(copy.deepcopy(model), tmp_path).eval()
    with torch.no_grad():
        torch.testing.assert_close(again(pictures()).logits, adapted(pictures()).logits, rtol=1e-5, atol=1e-6)
        merged = again.merge_and_unload()
        torch.testing.assert_close(merged(pictures(), **asked).logits, found.logits, rtol=1e-3, atol=1e-4)
        if asked:
            maps = merged(pictures(), **asked).class_maps
            torch.testing.assert_close(maps, found.class_maps, rtol=1e-3, atol=1e-4)
    assert merged.state_dict().keys() == model.state_dict().keys()


def test_an_adapter_on_ml_decoders_classifier() -> None:
    peft = pytest.importorskip("peft", reason="needs peft")
    model = tiny_model("mlic_ml_decoder")
    config = peft.LoraConfig(target_modules=["query"], modules_to_save=["head.classifier"])
    adapted = peft.get_peft_model(model, config)
    adapted(pictures(), labels=targets()).loss.backward()
    copied = adapted.base_model.model.head.classifier.modules_to_save["default"]
    assert copied.weight.grad.abs().max() > 0


def test_gradients_reach_adapters_behind_checkpoints() -> None:
    peft = pytest.importorskip("peft", reason="needs peft")
    model = tiny_model("mlic_linear", "test_vit")
    adapted = peft.get_peft_model(model, peft.LoraConfig(target_modules=["qkv"], init_lora_weights=False)).train()
    adapted.base_model.model.gradient_checkpointing_enable({"use_reentrant": True})
    adapted.base_model.model.enable_input_require_grads()
    adapted(pictures(), labels=targets()).loss.backward()
    gradients = [parameter.grad for name, parameter in adapted.named_parameters() if "lora_" in name]
    assert gradients
    assert all(gradient is not None for gradient in gradients)


@every_head
def test_offloaded_weights_give_the_same(model_type: str, saved: Any, tmp_path: Path) -> None:
    from accelerate import cpu_offload

    model, folder = saved(model_type)
    away = type(model).from_pretrained(
        folder, device_map={"backbone": "cpu", "head": "disk"}, offload_folder=tmp_path / "offload"
    )
    assert {parameter.device.type for parameter in away.head.parameters()} == {"meta"}
    assert torch.equal(scores(away), scores(model))
    assert torch.equal(scores(type(model).from_pretrained(folder, device_map="auto")), scores(model))
    expected = scores(model)
    away = cpu_offload(model, torch.device("cpu"))
    assert {parameter.device.type for parameter in away.parameters()} == {"meta"}
    assert torch.equal(scores(away), expected)


@every_head
def test_backbone_and_head_each_lie_on_one_device(model_type: str) -> None:
    from accelerate import infer_auto_device_map

    model = tiny_model(model_type)
    size = sum(parameter.numel() * 4 for parameter in model.backbone.parameters())
    whole = sum(tensor.numel() * 4 for tensor in model.state_dict().values())
    device_map = infer_auto_device_map(
        model,
        max_memory={0: max(int(1.3 * size), whole - 1000), 1: 10 * size},
        no_split_module_classes=list(model._no_split_modules),
    )
    assert set(device_map) <= {"backbone", "head", ""}


@pytest.mark.parametrize(("backbone", "first"), [("resnet10t", "net.conv1.0"), ("test_vit", "net.patch_embed.proj")])
def test_input_embeddings_are_the_first_layer(backbone: str, first: str) -> None:
    model = tiny_model("mlic_linear", backbone)
    layer = model.backbone.get_submodule(first)
    assert model.get_input_embeddings() is layer
    other = copy.deepcopy(layer)
    model.set_input_embeddings(other)
    assert model.get_input_embeddings() is other
    assert model.backbone.get_submodule(first) is other
    assert model.get_output_embeddings() is None
