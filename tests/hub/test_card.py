from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import save_file

from mlic_hf.hub.card import render_card, write_card
from mlic_hf.hub.card_facts import CardFacts, read_facts, scores_of
from mlic_hf.hub.citations import METHOD_NAMES, METHOD_PAPERS, papers_of


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    config: dict[str, Any] = {
        "model_type": "mlic_ml_decoder",
        "architectures": ["MLDecoderForImageClassification"],
        "backbone": "resnet18",
        "image_size": 224,
        "id2label": {"1": "dog | wolf", "0": "cat", "10": "zebra"},
        "thresholds": [0.25, 0.5, 0.75],
    }
    run = {
        "method": "l2d",
        "data": {"name": "digit_scenes", "splits": {"train": 100, "test": 50}, "hash": "abc123"},
        "metrics": {"mAP": 0.8125, "mAP_low": 0.75, "mAP_high": 0.875, "CF1": float("nan")},
        "command": ["python", "train.py", "--name", "two words"],
        "versions": {"torch": "2.9"},
        "seed": 3,
    }
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "run.json").write_text(json.dumps(run))
    (tmp_path / "weights.json").write_text(json.dumps({"root": "ema", "scores": {"plain": 0.8, "ema": 0.8125}}))
    save_file({"a": torch.zeros(3, 4), "b": torch.zeros(5)}, tmp_path / "model.safetensors")
    return tmp_path


def front_matter(text: str) -> dict[str, Any]:
    _, block, _ = text.split("---\n", 2)
    return yaml.safe_load(block)


def test_card_of_a_run_says_everything(folder: Path) -> None:
    text = write_card(folder, {"repo_id": "user/tagger", "license": "apache-2.0"}).read_text()
    for said in ("resnet18", "ML-Decoder", "224 px", "L2D", "moving average (plain 0.8000, ema 0.8125)",
                 "yang2023multilabel", "ridnik2023mldecoder", "digit_scenes",
                 "train (100), test (50)", "abc123",
                 "| mAP | 0.8125 | 0.7500 to 0.8750 |", "| zebra | 0.7500 |", "| dog \\| wolf | 0.5000 |",
                 "--name 'two words'", "torch 2.9", "**seed**: 3", 'model="user/tagger"'):  # fmt: skip
        assert said in text
    assert "CF1" not in text  # a metric that is not a number is no result
    assert text.index("`cat`") < text.index("`dog | wolf`") < text.index("`zebra`")


def test_front_matter_is_yaml_with_a_model_index(folder: Path) -> None:
    data = front_matter(write_card(folder, {"repo_id": "user/tagger"}).read_text())
    assert data["library_name"] == "transformers"
    assert data["pipeline_tag"] == "image-classification"
    assert "license" not in data
    [model] = data["model-index"]
    [result] = model["results"]
    assert model["name"] == "tagger"
    assert result["metrics"] == [{"type": "mean_average_precision", "value": 0.8125, "name": "mAP"}]
    assert result["dataset"]["name"] == "digit_scenes"


def test_minimal_card_still_loads_and_renders(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "mlic_linear", "id2label": {"0": "a"}}')
    text = write_card(tmp_path).read_text()
    assert "model-index" not in front_matter(text)
    assert "score of 0.5" in text


def test_parameters_are_counted_from_the_header(folder: Path) -> None:
    assert read_facts(folder).parameters == 17


def test_long_label_lists_are_folded() -> None:
    text = render_card(CardFacts(labels=tuple(f"label {i}" for i in range(80))))
    assert "<details>" in text
    assert "`label 79`" in text


def test_scores_by_split_and_with_inner_intervals() -> None:
    scores = scores_of({"test": {"mAP": {"value": 0.5, "low": 0.4, "high": 0.6}}, "OF1": 0.25, "done": True})
    assert [(s.split, s.name, s.value, s.low, s.high) for s in scores] == [
        ("test", "mAP", 0.5, 0.4, 0.6),
        (None, "OF1", 0.25, None, None),
    ]


def test_given_facts_win_and_unknown_ones_are_refused(folder: Path) -> None:
    assert read_facts(folder, {"method": "psd"}).method == "psd"
    assert read_facts(folder, CardFacts(method="psd")).backbone == "resnet18"
    with pytest.raises(ValueError, match=r"no field metod"):
        read_facts(folder, {"metod": "psd"})


def test_folder_without_a_config_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no config"):
        write_card(tmp_path)
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(ValueError, match="is not JSON"):
        write_card(tmp_path)


def test_every_method_has_a_name_and_all_but_supervised_a_paper() -> None:
    assert set(METHOD_NAMES) == set(METHOD_PAPERS) | {"supervised"}
    assert papers_of("psd", "mlic_label_transformer") == [METHOD_PAPERS["psd"]]
    assert papers_of("supervised", "mlic_linear") == []
