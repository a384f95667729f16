"""Runs that start from a model of other labels: rows kept by name, and a vocabulary that grows without forgetting."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest
import torch

from mlic_hf.modeling import LabelTransformerForImageClassification, TextDecoderForImageClassification
from mlic_hf.runs.models import build_model
from mlic_hf.runs.options import RunOptions
from tests.methods.tiny import NAMES, tiny_linear
from tests.scripts.folder import start
from tests.training.tiny import rows

OLD, NEW = NAMES[:3], NAMES[3:]
OPTIONS = {"architecture": "linear", "backbone": "test_resnet", "image_size": 32}


class TestInitFrom:
    def test_rows_are_kept_by_name_and_that_is_said(self, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        old = tiny_linear(3)
        old.save_pretrained(tmp_path / "old")
        torch.manual_seed(5)
        model = build_model(RunOptions(**OPTIONS, init_from=str(tmp_path / "old")), ["fox", "eel", "ant"])
        own, theirs = model.head.classifier, old.head.classifier
        assert torch.equal(own.weight[[1, 2]], theirs.weight[[4, 0]])
        assert torch.equal(own.bias[[1, 2]], theirs.bias[[4, 0]])
        assert not torch.isin(own.weight[0], theirs.weight).any()
        kept = old.backbone.state_dict()
        assert all(torch.equal(tensor, kept[name]) for name, tensor in model.backbone.state_dict().items())
        assert "Of 3 labels 2 keep what old has of them." in caplog.text
        assert "1 of 3 labels start anew and need training: ['fox']" in caplog.text

    def test_another_order_is_no_reason_to_start_anew(self, tmp_path: Path) -> None:
        old = tiny_linear(3).eval()
        old.save_pretrained(tmp_path)
        model = build_model(RunOptions(**OPTIONS, init_from=str(tmp_path)), NAMES[::-1]).eval()
        pixels = torch.randn(2, 3, 32, 32)
        with torch.no_grad():
            torch.testing.assert_close(model(pixels).logits.flip(1), old(pixels).logits)

    def test_given_word_vectors_are_the_new_models(self, tmp_path: Path) -> None:
        old_vectors, vectors = torch.randn(2, 6), torch.randn(3, 6)
        sizes: dict[str, Any] = {"width": 16, "num_heads": 2, "head_width": 8, "image_size": 32}
        old = LabelTransformerForImageClassification.from_timm(
            "test_resnet", ["ant", "bee"], pretrained=False, word_vectors=old_vectors, **sizes
        )
        old.save_pretrained(tmp_path)
        text = tmp_path / "vectors.txt"
        lines = [f"{name} {' '.join(map(str, row.tolist()))}" for name, row in zip(["bee", "cat", "dog"], vectors)]
        text.write_text("\n".join(lines) + "\n")
        del sizes["image_size"]
        options = {**OPTIONS, "architecture": "label_transformer", "init_from": str(tmp_path)}
        run = RunOptions(**options, model_options={**sizes, "word_vectors": str(text)})
        model = build_model(run, ["bee", "cat", "dog"])
        torch.testing.assert_close(model.head.word_vectors, vectors)
        assert torch.equal(model.head.word_projection.weight, old.head.word_projection.weight)

    def test_another_architecture_is_refused(self, tmp_path: Path) -> None:
        tiny_linear().save_pretrained(tmp_path)
        options = {**OPTIONS, "architecture": "ml_decoder", "init_from": str(tmp_path)}
        with pytest.raises(ValueError, match="a LinearForImageClassification; expected a MLDecoderForImageClass"):
            build_model(RunOptions(**options), NAMES)
        with pytest.raises(ValueError, match=r"whose parameters do not fit Linear.* on test_vit"):
            build_model(RunOptions(**{**OPTIONS, "backbone": "test_vit"}, init_from=str(tmp_path)), NAMES)


def test_text_queries_from_the_shell(folder: Path, tmp_path: Path) -> None:
    text = tmp_path / "vectors.txt"
    lines = [f"{name} {' '.join(map(str, row.tolist()))}" for name, row in zip(NAMES, torch.randn(len(NAMES), 6))]
    text.write_text("\n".join(lines) + "\n")
    sizes = {"width": 16, "num_heads": 2, "feed_forward_size": 32, "labels_per_step": 2, "word_vectors": str(text)}
    flags = ["--architecture", "text_decoder", "--model_options", json.dumps(sizes)]
    told = start("supervised", folder, tmp_path / "run", *flags)["student"]
    assert 0 < told["metrics"]["eval_mAP"] <= 1
    model = TextDecoderForImageClassification.from_pretrained(tmp_path / "run")
    assert model.config.labels_per_step == 2
    assert model.set_labels(["fox"], torch.randn(1, 6)) == []
    assert model(torch.randn(1, 3, 32, 32)).logits.shape == (1, 1)


def pictures(folder: Path, listed: list[str], ignored: list[str], seed: int) -> Path:
    """A folder whose training pictures tell some labels only; validation tells all of them."""
    for split, count, start_at in (("train", 64, seed), ("validation", 40, seed + 1)):
        place, lines = folder / split, []
        place.mkdir(parents=True)
        for row in rows(count, start_at):
            name = f"{row['image_id']}.png"
            row["image"].save(place / name)
            names = [NAMES[label] for label in row["labels"]]
            told = listed if split == "train" else [*listed, *ignored]
            hidden = {} if split == "validation" or not ignored else {"ignored": ignored}
            kept = [name for name in names if name in told]
            lines.append(json.dumps({"file_name": name, "labels": kept, **hidden}))
        (place / "metadata.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


def test_a_vocabulary_grows_without_forgetting(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    first = pictures(tmp_path / "first", OLD, [], seed=10)
    second = pictures(tmp_path / "second", NEW, OLD, seed=20)
    long = ["--num_train_epochs", "6", "--learning_rate", "0.01", "--ema_decay", "0.5"]
    start("supervised", first, tmp_path / "old", *long)
    begun = ["--init_from", str(tmp_path / "old"), *long]
    start("supervised", second, tmp_path / "alone", *begun)
    taught_by = ["--config", "grow", "--teacher", str(tmp_path / "old")]
    with caplog.at_level(logging.WARNING):
        start("l2d", second, tmp_path / "grown", *taught_by, *begun)
    assert "Of 5 labels 3 keep what old has of them." in caplog.text
    assert "leaves out 2 labels that it lacks: dog, eel" in caplog.text
    assert last_map(tmp_path / "alone") < 0.8  # of all five labels: the old ones are forgotten
    assert last_map(tmp_path / "grown" / "student") > 0.9


def last_map(run: Path) -> float:
    """mAP of the weights at the end, not of the best that a run keeps."""
    log = json.loads((run / "run.json").read_text())["log"]
    return [row["eval_plain_mAP"] for row in log if "eval_plain_mAP" in row][-1]
