"""Classifiers and dual encoders of transformers, timm's networks behind it and ONNX files answer as they do alone."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from tokenizers import Tokenizer, models, pre_tokenizers
from torch import Tensor, nn
from transformers import (
    AutoModel,
    AutoModelForImageClassification,
    BertConfig,
    BertModel,
    CLIPConfig,
    CLIPModel,
    PreTrainedTokenizerFast,
    SiglipConfig,
    SiglipModel,
    TimmWrapperConfig,
    TimmWrapperForImageClassification,
    ViTImageProcessor,
)

from mlic_hf.methods.teachers import Teacher, TeacherOptions, as_teacher
from mlic_hf.methods.teachers.transformers_classifier import of_dual_encoder
from mlic_hf.methods.views import PixelSpec
from tests.methods.tiny import tiny_linear
from tests.modeling.families import tiny_config

ANIMALS = ["tabby, tabby cat", "dog", "eel"]
STATISTICS = {"image_mean": [0.5, 0.4, 0.3], "image_std": [0.2, 0.3, 0.4]}
BYTES = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3), dtype=np.uint8)
SOURCE = PixelSpec(64, (0.1, 0.2, 0.3), (0.5, 0.6, 0.7))
SEEN = (torch.from_numpy(BYTES).permute(0, 3, 1, 2) / 255 - torch.tensor(SOURCE.mean).view(3, 1, 1)) / torch.tensor(
    SOURCE.std
).view(3, 1, 1)


def classifier(folder: Path, family: str = "vit", problem: str | None = "multi_label_classification") -> nn.Module:
    config = tiny_config(family)
    config.id2label, config.label2id = dict(enumerate(ANIMALS)), {name: i for i, name in enumerate(ANIMALS)}
    config.problem_type = problem
    torch.manual_seed(0)
    model = AutoModelForImageClassification.from_config(config).eval()
    model.save_pretrained(folder)
    ViTImageProcessor(size={"height": 64, "width": 64}, **STATISTICS).save_pretrained(folder)
    return model


def theirs(processor: Any) -> Tensor:
    return processor([Image.fromarray(one) for one in BYTES], return_tensors="pt")["pixel_values"]


@torch.no_grad()
@pytest.mark.parametrize("family", ["vit", "resnet"])
def test_a_folder_answers_as_the_model_does_alone(family: str, tmp_path: Path) -> None:
    model = classifier(tmp_path, family)
    expected = model(theirs(ViTImageProcessor.from_pretrained(tmp_path))).logits
    in_memory = AutoModelForImageClassification.from_pretrained(tmp_path)
    for source in (str(tmp_path), tmp_path, in_memory):
        teacher = as_teacher(source, ["eel", "cat", "dog"], options=TeacherOptions(labels={"tabby": "cat"}))
        assert isinstance(teacher, Teacher)
        torch.testing.assert_close(teacher(SEEN, SOURCE).logits, expected[:, [2, 0, 1]], rtol=1e-4, atol=1e-5)
        assert teacher.pixels == PixelSpec(64, (0.5, 0.4, 0.3), (0.2, 0.3, 0.4))


@torch.no_grad()
@pytest.mark.parametrize("problem", [None, "single_label_classification"])
def test_one_label_an_image_is_no_sigmoid(
    problem: str | None, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    share = classifier(tmp_path, problem=problem)(theirs(ViTImageProcessor.from_pretrained(tmp_path))).logits.softmax(
        1
    )
    teacher = as_teacher(tmp_path, ["dog", "eel", "tabby"])
    torch.testing.assert_close(teacher(SEEN, SOURCE).logits.sigmoid(), share[:, [1, 2, 0]], rtol=1e-4, atol=1e-5)
    assert "one label an image (softmax)" in caplog.text
    told = as_teacher(tmp_path, ["dog", "eel", "tabby"], options=TeacherOptions(activation="sigmoid"))
    assert not torch.allclose(told(SEEN, SOURCE).logits.sigmoid(), share[:, [1, 2, 0]], atol=1e-3)


@torch.no_grad()
def test_a_timm_network_behind_transformers(tmp_path: Path) -> None:
    config = TimmWrapperConfig(architecture="test_resnet.r160_in1k", id2label=dict(enumerate(ANIMALS)))
    torch.manual_seed(0)
    model = TimmWrapperForImageClassification(config).eval()
    model.save_pretrained(tmp_path)
    told = json.loads((tmp_path / "config.json").read_text())
    cfg = {"input_size": [3, 64, 64], "mean": [0.5, 0.4, 0.3], "std": [0.2, 0.3, 0.4], "interpolation": "bicubic"}
    (tmp_path / "config.json").write_text(json.dumps({**told, "pretrained_cfg": cfg}))
    teacher = as_teacher(str(tmp_path), ["eel", "dog"])
    assert teacher.pixels == PixelSpec(64, (0.5, 0.4, 0.3), (0.2, 0.3, 0.4), "bicubic")
    processor = ViTImageProcessor(size={"height": 64, "width": 64}, **STATISTICS)
    share = model(theirs(processor)).logits.softmax(1)
    torch.testing.assert_close(teacher(SEEN, SOURCE).logits.sigmoid(), share[:, [2, 1]], rtol=1e-4, atol=1e-5)


class TestDualEncoders:
    TEXT = {"vocab_size": 12, "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    TEXT |= {"intermediate_size": 16, "max_position_embeddings": 10, "eos_token_id": 9}
    VISION = {"image_size": 64, "patch_size": 16, "hidden_size": 16, "intermediate_size": 16}
    VISION |= {"num_hidden_layers": 1, "num_attention_heads": 2}

    def made(self, kind: str, folder: Path) -> nn.Module:
        torch.manual_seed(0)
        if kind == "clip":
            config = CLIPConfig(text_config=self.TEXT, vision_config=self.VISION, projection_dim=6)
            model: Any = CLIPModel(config)
        else:
            text = {**self.TEXT, "projection_size": 16}
            model = SiglipModel(SiglipConfig(text_config=text, vision_config=self.VISION))
            nn.init.constant_(model.logit_bias, -1.5)
        model.eval().save_pretrained(folder)
        ViTImageProcessor(size={"height": 64, "width": 64}, **STATISTICS).save_pretrained(folder)
        words = ["<pad>", "<unk>", "a", "photo", "of", "cat", "dining", "table", "car", ".", "man", "woman"]
        plain = Tokenizer(models.WordLevel({word: place for place, word in enumerate(words)}, unk_token="<unk>"))
        plain.pre_tokenizer = pre_tokenizers.Whitespace()
        tokenizer = PreTrainedTokenizerFast(
            tokenizer_object=plain, pad_token="<pad>", unk_token="<unk>", eos_token=".", model_max_length=10
        )
        tokenizer.save_pretrained(folder)
        self.tokenizer = tokenizer
        return model

    @torch.no_grad()
    @pytest.mark.parametrize("kind", ["clip", "siglip"])
    def test_a_folder_answers_about_any_words(self, kind: str, tmp_path: Path) -> None:
        model = self.made(kind, tmp_path)
        options = TeacherOptions(labels={"man": "person", "woman": "person"})
        teacher = as_teacher(str(tmp_path), ["dining_table", "person", "car"], options=options)
        prompts = [f"a photo of a {name}." for name in ("man", "woman", "dining table", "car")]
        padding = {"padding": "max_length", "max_length": 10}
        inputs = self.tokenizer(prompts, return_tensors="pt", **padding)
        inputs = {name: value for name, value in inputs.items() if name in ("input_ids", "attention_mask")}
        pixels = theirs(ViTImageProcessor.from_pretrained(tmp_path))
        alike = model(**inputs, pixel_values=pixels).logits_per_image
        found = teacher(SEEN, SOURCE).logits
        if kind == "siglip":
            merged = torch.stack([alike[:, 2], alike[:, :2].logsumexp(1), alike[:, 3]], 1)
            torch.testing.assert_close(found, merged, rtol=1e-4, atol=1e-5)
        else:
            share = alike.softmax(1)
            merged = torch.stack([share[:, 2], share[:, 0] + share[:, 1], share[:, 3]], 1)
            torch.testing.assert_close(found.sigmoid(), merged, rtol=1e-4, atol=1e-5)

    def test_refusals(self, tmp_path: Path) -> None:
        model = self.made("clip", tmp_path)
        with pytest.raises(ValueError, match=r"expected a text with \{\}"):
            as_teacher(str(tmp_path), ["car"], options=TeacherOptions(template="a photo"))
        with pytest.raises(ValueError, match="A CLIPVisionModel has no image features"):
            of_dual_encoder(model.vision_model, None, None, ["car"])


class TestOnnx:
    def export(self, folder: Path, dynamic: bool = True) -> tuple[nn.Module, Path]:
        pytest.importorskip("onnxruntime")
        model = classifier(folder, "resnet")

        class Logits(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.model = model

            def forward(self, pixel_values: Tensor) -> Tensor:
                return self.model(pixel_values=pixel_values).logits

        file = folder / "model.onnx"
        shapes = {"pixel_values": {0: torch.export.Dim("batch", min=1, max=64)}} if dynamic else None
        logging.getLogger("onnxscript").setLevel(logging.ERROR)
        torch.onnx.export(
            Logits().eval(),
            (torch.randn(2, 3, 64, 64),),
            file,
            input_names=["pixel_values"],
            output_names=["logits"],
            dynamic_shapes=shapes,
            dynamo=True,
            verbose=False,
        )
        (folder / "model.safetensors").unlink()
        return model, file

    @torch.no_grad()
    def test_a_file_answers_as_the_model_it_was_made_of(self, tmp_path: Path) -> None:
        model, file = self.export(tmp_path)
        expected = model(theirs(ViTImageProcessor.from_pretrained(tmp_path))).logits
        teacher = as_teacher(file, ["eel", "dog"])
        torch.testing.assert_close(teacher(SEEN, SOURCE).logits, expected[:, [2, 1]], rtol=1e-3, atol=1e-4)
        alone = tmp_path / "alone" / "some.onnx"
        alone.parent.mkdir()
        file.rename(alone)
        for part in tmp_path.glob("model.onnx.data"):
            part.rename(alone.parent / part.name)
        with pytest.raises(ValueError, match=r"no config.json beside it that tells names and activation"):
            as_teacher(str(alone), ["eel"])
        told: dict[str, Any] = {"names": ["x", "dog", "eel"], "activation": "sigmoid"}
        with pytest.raises(ValueError, match=r"no preprocessor_config.json beside it"):
            as_teacher(str(alone), ["eel"], options=TeacherOptions(**told))
        with pytest.raises(ValueError, match="takes pictures of 64 pixels, but image_size is 32"):
            as_teacher(str(alone), ["eel"], options=TeacherOptions(**told, **STATISTICS, image_size=32))
        teacher = as_teacher(str(alone), ["eel", "dog"], options=TeacherOptions(**told, **STATISTICS))
        torch.testing.assert_close(teacher(SEEN, SOURCE).logits, expected[:, [2, 1]], rtol=1e-3, atol=1e-4)

    @torch.no_grad()
    def test_a_file_that_this_library_exported_tells_all_itself(self, tmp_path: Path) -> None:
        pytest.importorskip("onnxruntime")
        from mlic_hf.export import logits_graph, put_pictures_inside, write_onnx

        model = tiny_linear(0, ANIMALS).eval()
        graph = logits_graph(model)
        write_onnx(graph, model, tmp_path / "own.onnx")
        teacher = as_teacher(tmp_path / "own.onnx", ["eel", "dog"])
        assert teacher.pixels == PixelSpec.of_model(model)
        pixels = torch.randn(3, 3, 32, 32)
        torch.testing.assert_close(
            teacher(pixels, teacher.pixels).logits, model(pixels).logits[:, [2, 1]], rtol=1e-3, atol=1e-4
        )
        put_pictures_inside(graph, PixelSpec.of_model(model))
        write_onnx(graph, model, tmp_path / "inside.onnx")
        with pytest.raises(ValueError, match="the preparation of the pictures left out"):
            as_teacher(tmp_path / "inside.onnx", ["eel", "dog"])

    def test_a_fixed_batch_is_refused(self, tmp_path: Path) -> None:
        _, file = self.export(tmp_path, dynamic=False)
        with pytest.raises(ValueError, match="export it with a dynamic batch"):
            as_teacher(str(file), ["eel"])


class TestRefusals:
    def test_an_encoder_without_a_classifier_cannot_teach(self, tmp_path: Path) -> None:
        AutoModel.from_config(tiny_config("vit")).save_pretrained(tmp_path)
        ViTImageProcessor().save_pretrained(tmp_path)
        # 2 of them; older transformers miss the encoder's, too
        with pytest.raises(ValueError, match=r"is not whole: \d+ tensors are missing \(classifier.bias, classif"):
            as_teacher(str(tmp_path), ["LABEL_0"])

    def test_a_model_of_words(self, tmp_path: Path) -> None:
        sizes = {"vocab_size": 10, "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
        BertModel(BertConfig(**sizes, intermediate_size=16)).save_pretrained(tmp_path)
        with pytest.raises(ValueError, match="is a bert model; expected an image classifier or a dual encoder"):
            as_teacher(str(tmp_path), ["a"])

    def test_nothing_there(self, tmp_path: Path) -> None:
        with pytest.raises(ValueError, match=r"has no config.json: it holds no saved model"):
            as_teacher(str(tmp_path), ["a"])
        with pytest.raises(ValueError, match="neither a folder nor a Hub repository"):
            as_teacher(str(tmp_path / "none"), ["a"])
        with pytest.raises(ValueError, match="teacher is a int; expected a folder or Hub name"):
            as_teacher(3, ["a"])


def test_a_model_of_this_library_is_still_one(tmp_path: Path) -> None:
    model = tiny_linear(0, ANIMALS)
    model.save_pretrained(tmp_path)
    teacher = as_teacher(str(tmp_path), ANIMALS)
    assert teacher.provides == model.provides
    assert teacher.stage_channels
