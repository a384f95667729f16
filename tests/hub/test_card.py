from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import save_file

from mlic_hf.hub.card import render_card, write_card
from mlic_hf.hub.card_facts import CardFacts, base_model, lowest_first, read_facts, requirements, scores_of
from mlic_hf.hub.citations import METHOD_NAMES, METHOD_PAPERS, papers_of
from tests.hub.card_rules import errors_of


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    config: dict[str, Any] = {
        "model_type": "mlic_ml_decoder",
        "architectures": ["MLDecoderForImageClassification"],
        "backbone": "resnet18",
        "image_size": 224,
        "id2label": {"1": "dog | wolf", "0": "cat", "10": "zebra"},
        "thresholds": [0.25, 0.5, 0.75],
        "custom_pipelines": {"multi-label-image-classification": {"impl": "pipeline_mlic.MultiLabelPipeline"}},
    }
    run = {
        "method": "l2d",
        "data": {
            "name": "digit_scenes",
            "splits": {"train": {"images": 1000, "hash": "abc123"}, "test": 50},
            "train": "train",
            "eval": "validation",
            "test": "test",
        },
        "metrics": {
            "eval_mAP": 0.591649,
            "eval_plain_mAP": 0.5,
            "test_mAP": 0.8125,
            "test_mAP_low": 0.75,
            "test_mAP_high": 0.875,
            "test_CF1": float("nan"),
            "test_OF1": 0.7,
            "test_AUC": 0.9,
            "test_images": 500.0,
            "test_labels_without_negatives": 2.0,
            "test_loss": 0.3,
            "test_runtime": 12.5,
        },
        "resolved": {
            "pretrained": "true",
            "num_train_epochs": 3.0,
            "learning_rate": 1e-4,
            "per_device_train_batch_size": 64,
            "gradient_accumulation_steps": 2,
        },
        "processes": 2,
        "command": ["python", "train.py", "--name", "two words"],
        "versions": {"torch": "2.9"},
        "seed": 3,
    }
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "run.json").write_text(json.dumps(run))
    (tmp_path / "curves.png").write_bytes(b"a picture")
    (tmp_path / "weights.json").write_text(json.dumps({"root": "ema", "scores": {"plain": 0.8, "ema": 0.8125}}))
    save_file({"a": torch.zeros(3, 4), "b": torch.zeros(5)}, tmp_path / "model.safetensors")
    return tmp_path


def front_matter(text: str) -> dict[str, Any]:
    _, block, _ = text.split("---\n", 2)
    return yaml.safe_load(block)


def test_card_of_a_run_says_everything(folder: Path) -> None:
    text = write_card(folder, {"repo_id": "user/tagger", "license": "apache-2.0"}).read_text()
    for said in ("resnet18", "ML-Decoder", "224 × 224 pixels", "L2D",
                 "moving average over the steps (mAP on validation: plain 80.0, averaged 81.2)",
                 "yang2023multilabel", "ridnik2023mldecoder", "**digit_scenes**",
                 "| train | 1,000 | trained on | `abc123` |", "| test | 50 |",
                 "| split | mAP | OF1 |", "| validation | 59.2 |  |", "| test | 81.2 (75.0 to 87.5) | 70.0 |",
                 "| AUC |  | 0.9000 |", "| zebra | 0.750 |", "| dog \\| wolf | 0.500 |",
                 "- **Epochs:** 3\n", "- **Learning rate:** 0.0001\n", "- **Images a step:** 256\n",
                 "--name 'two words'", "torch 2.9", "- **Seed:** 3", 'model="user/tagger"',
                 "![Loss and mAP in training](curves.png)", "started from (`timm/resnet18.a1_in1k`)"):  # fmt: skip
        assert said in text
    assert "CF1" not in text  # a metric that is not a number is no result
    assert "images 500" not in text
    assert "labels_without" not in text
    assert text.index("| cat |") < text.index("| dog") < text.index("| zebra |")


def test_what_the_training_took_and_where_to_try_it(folder: Path) -> None:
    """codecarbon writes kilograms, a row a run; cards tell grams."""
    plain = write_card(folder).read_text()
    assert "Hardware" not in plain
    assert "co2_eq_emissions" not in front_matter(plain)
    run = json.loads((folder / "run.json").read_text()) | {"hardware": "NVIDIA H100", "hours": 1.234}
    (folder / "run.json").write_text(json.dumps(run))
    (folder / "emissions.csv").write_text("timestamp,duration,emissions\nt,10,0.125\nt,10,0.002\n")
    text = write_card(folder, {"space": "user/tagger"}).read_text()
    for said in ("- **Hardware:** NVIDIA H100\n", "- **Hours:** 1.2\n", "- **CO2 equivalent:** 127 g (codecarbon)\n",
                 "https://huggingface.co/spaces/user/tagger"):  # fmt: skip
        assert said in text
    emitted = {"emissions": 127.0, "source": "codecarbon", "hardware_used": "NVIDIA H100"}
    assert front_matter(text)["co2_eq_emissions"] == pytest.approx(emitted)
    assert errors_of(text) == []
    (folder / "emissions.csv").write_text("duration\n10\n")
    with pytest.raises(ValueError, match=r"emissions\.csv has no column of numbers named emissions"):
        write_card(folder)


def test_front_matter_is_yaml_with_a_model_index(folder: Path) -> None:
    data = front_matter(write_card(folder, {"repo_id": "user/tagger"}).read_text())
    assert data["library_name"] == "transformers"
    assert data["pipeline_tag"] == "image-classification"
    assert "license" not in data
    assert data["base_model"] == "timm/resnet18.a1_in1k"
    [model] = data["model-index"]
    validation, test = model["results"]
    assert model["name"] == "tagger"
    assert validation["metrics"] == [{"type": "mean_average_precision", "value": 0.591649, "name": "mAP"}]
    assert test["metrics"] == [
        {"type": "mean_average_precision", "value": 0.8125, "name": "mAP"},
        {"type": "f1", "value": 0.7, "name": "OF1"},
    ]
    assert test["dataset"] == {"name": "digit_scenes", "type": "digit_scenes", "split": "test"}


def test_the_card_shows_the_pipeline_that_travels_with_the_model(folder: Path) -> None:
    told = 'pipeline("multi-label-image-classification", model="user/tagger", trust_remote_code=True)\ntags = '
    text = write_card(folder, {"repo_id": "user/tagger"}).read_text()
    assert told in text
    assert "each label that reaches the threshold tuned for it" in text
    older = render_card(CardFacts(labels=("a", "b"), thresholds=(0.5, 0.5)))
    assert 'pipeline("image-classification", ' in older
    assert "top_k=2)" in older


def test_minimal_card_still_loads_and_renders(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "mlic_linear", "id2label": {"0": "a"}}')
    text = write_card(tmp_path).read_text()
    assert "model-index" not in front_matter(text)
    assert "base_model" not in front_matter(text)
    assert "No thresholds were tuned; 0.5 is the usual one." in text
    assert "None" not in text


def test_parameters_are_counted_from_the_header(folder: Path) -> None:
    assert read_facts(folder).parameters == 17


def test_long_label_lists_are_folded() -> None:
    text = render_card(CardFacts(labels=tuple(f"label {i}" for i in range(80))))
    assert "<details><summary>All 80 labels</summary>" in text
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


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"pretrained": "true"}, "timm/resnet18.a1_in1k"),
        ({"pretrained": True}, "timm/resnet18.a1_in1k"),
        ({"pretrained": "false"}, None),
        ({"pretrained": "backbone.safetensors"}, None),
        ({"pretrained": "true", "init_from": "../stage_one"}, None),
        ({}, None),
    ],
)
def test_the_base_model_is_told_only_where_its_weights_were_used(settings: dict, expected: str | None) -> None:
    assert base_model("resnet18", settings) == expected
    assert base_model("no_such_network", settings) is None
    assert base_model("facebook/dinov2-small", settings) == (expected and "facebook/dinov2-small")


def test_the_card_tells_the_versions_this_package_declares() -> None:
    declared = declared_names()
    assert [name for name in requirements() if not any(name.startswith(known) for known in declared)] == []
    assert lowest_first("transformers<6,>=5.2") == "transformers>=5.2,<6"
    assert all(f'"{name}"' in render_card(CardFacts(requirements=requirements())) for name in requirements())


def declared_names() -> set[str]:
    text = (Path(__file__).resolve().parents[2] / "pyproject.toml").read_text()
    return set(re.findall(r'^  "([a-z_]+)>=', text, re.MULTILINE))


def test_a_data_set_read_from_a_folder_goes_by_its_last_name() -> None:
    assert CardFacts(data={"name": "../../../pictures"}).data_name == "pictures"
    assert CardFacts(data={"name": "user/pictures"}).data_name == "user/pictures"
    facts = CardFacts(data={"name": "../../my pictures"}, metrics={"mAP": 0.5}, labels=("a",))
    [model] = front_matter(render_card(facts))["model-index"]
    assert model["results"][0]["dataset"] == {"name": "my pictures", "type": "my_pictures"}
    assert "datasets" not in front_matter(render_card(facts))
