"""From logits to labels: thresholds, calibration, the pipeline, also where mlic_hf is absent."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import pipeline

from mlic_hf.modeling import MultiLabelImageProcessor, MultiLabelPipeline, calibrated_scores, predicted_labels
from tests.modeling.tiny_models import LABELS, tiny_model

TASK = "multi-label-image-classification"
NAMES = {0: "cat", 1: "dog", 2: "car"}


def config(**fields: object) -> SimpleNamespace:
    return SimpleNamespace(**{"id2label": NAMES, "num_labels": 3, "thresholds": None, "calibration": None, **fields})


def photo() -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (80, 60, 3), dtype=np.uint8))


LOGITS = torch.tensor([[2.0, -0.1, 0.3], [-3.0, -3.0, -3.0]])


def names(found: list[list[dict]]) -> list[list[str]]:
    return [[entry["label"] for entry in one_image] for one_image in found]


class TestPredictedLabels:
    def test_half_without_thresholds(self) -> None:
        found = predicted_labels(config(), LOGITS)
        assert names(found) == [["cat", "car"], []]
        assert found[0][0]["score"] == pytest.approx(1 / (1 + math.exp(-2)))

    def test_the_configs_own_thresholds(self) -> None:
        tuned = config(thresholds=[0.9, 0.4, 0.5])
        assert names(predicted_labels(tuned, LOGITS)) == [["car", "dog"], []]
        assert names(predicted_labels(tuned, LOGITS, "tuned")) == [["car", "dog"], []]
        assert names(predicted_labels(tuned, LOGITS, 0.8)) == [["cat"], []]
        assert names(predicted_labels(tuned, LOGITS, [0.0, 1.0, 1.0])) == [["cat"], ["cat"]]

    def test_a_score_that_equals_its_threshold_counts(self) -> None:
        assert names(predicted_labels(config(), torch.zeros(1, 3))) == [["cat", "dog", "car"]]

    def test_calibration_changes_scores_not_labels(self) -> None:
        calibrated = config(thresholds=[0.9, 0.4, 0.5], calibration=[[1.0, 0.0], [0.5, 1.0], [2.0, -3.0]])
        found = predicted_labels(calibrated, LOGITS, calibrated=True)
        scores = {entry["label"]: entry["score"] for entry in found[0]}
        assert scores == pytest.approx({"dog": 1 / (1 + math.exp(-0.95)), "car": 1 / (1 + math.exp(2.4))})
        assert names(predicted_labels(calibrated, LOGITS, 0.6, calibrated=True)) == [["cat", "dog"], []]

    def test_calibrated_scores_in_half_precision(self) -> None:
        scores = calibrated_scores(config(calibration=[[2.0, 1.0]] * 3), LOGITS.bfloat16())
        assert scores.dtype == torch.float32
        torch.testing.assert_close(scores, torch.sigmoid(2 * LOGITS.bfloat16().float() + 1))

    def test_refusals(self) -> None:
        with pytest.raises(ValueError, match="has no calibration"):
            predicted_labels(config(), LOGITS, calibrated=True)
        with pytest.raises(ValueError, match="thresholds has 2 numbers for 3 labels"):
            predicted_labels(config(), LOGITS, [0.5, 0.5])
        with pytest.raises(ValueError, match="thresholds is 'best'; expected a number"):
            predicted_labels(config(), LOGITS, "best")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    torch.manual_seed(2)
    model = tiny_model("mlic_ml_decoder", calibration=[[2.0, 0.0]] * 5)
    pixels = MultiLabelImageProcessor.for_model(model)(photo(), return_tensors="pt")["pixel_values"]
    with torch.no_grad():
        scores = model(pixels).logits.sigmoid()[0].tolist()
    # the middle label just reaches its threshold, so do those below it; those above do not
    model.config.thresholds = [
        round(score - 0.01, 4) if n % 2 == 0 else round(score + 0.01, 4) for n, score in enumerate(scores)
    ]
    model.save_pretrained(tmp_path / "model")
    MultiLabelImageProcessor.for_model(model).save_pretrained(tmp_path / "model")
    return tmp_path / "model"


class TestPipeline:
    def test_it_answers_by_the_tuned_thresholds(self, folder: Path) -> None:
        tagger = pipeline(TASK, model=str(folder), trust_remote_code=True)
        assert type(tagger).__name__ == "MultiLabelPipeline"
        found = tagger(photo())
        assert {entry["label"] for entry in found} == {"cat", "car", "sky"}
        pixels = tagger.image_processor(photo(), return_tensors="pt")["pixel_values"]
        expected = tagger.model.predict_labels(pixels)[0]
        assert found == [{**entry, "score": pytest.approx(entry["score"], rel=1e-4)} for entry in expected]
        assert len(tagger(photo(), threshold=0.0)) == len(LABELS)
        assert tagger(photo(), threshold=1.0) == []
        assert tagger(photo(), threshold=0.0, top_k=2) == tagger(photo(), threshold=0.0)[:2]
        calibrated = {entry["label"]: entry["score"] for entry in tagger(photo(), calibrated=True)}
        for entry in found:
            logit = math.log(entry["score"] / (1 - entry["score"]))
            assert calibrated[entry["label"]] == pytest.approx(1 / (1 + math.exp(-2 * logit)), rel=1e-4)

    def test_several_pictures_and_a_threshold_of_the_pipeline(self, folder: Path) -> None:
        tagger = pipeline(TASK, model=str(folder), pipeline_class=MultiLabelPipeline, threshold=0.0)
        assert [len(found) for found in tagger([photo(), photo()], batch_size=2)] == [5, 5]

    def test_the_ordinary_pipeline_is_as_before(self, folder: Path) -> None:
        assert len(pipeline("image-classification", model=str(folder))(photo(), top_k=5)) == 5


WITHOUT_PACKAGE = """
import json, sys

sys.modules["mlic_hf"] = None  # it cannot be imported
from PIL import Image
from transformers import AutoImageProcessor, AutoModelForImageClassification, pipeline

folder, photo = sys.argv[1], Image.open(sys.argv[2])
tagger = pipeline("multi-label-image-classification", model=folder, trust_remote_code=True)
model = AutoModelForImageClassification.from_pretrained(folder, trust_remote_code=True)
processor = AutoImageProcessor.from_pretrained(folder, trust_remote_code=True)
other = AutoModelForImageClassification.from_pretrained(folder, trust_remote_code=True, labels=["sky", "sea", "cat"])
other.save_pretrained(sys.argv[3])
processor.save_pretrained(sys.argv[3])
again = pipeline(model=sys.argv[3], trust_remote_code=True)
print(json.dumps({
    "pipeline": tagger(photo),
    "model": model.predict_labels(**processor(photo, return_tensors="pt"))[0],
    "labels": other.config.id2label, "thresholds": other.config.thresholds, "again": type(again).__name__,
}))
"""


@pytest.mark.slow
def test_where_mlic_hf_is_absent(folder: Path, tmp_path: Path) -> None:
    photo().save(tmp_path / "photo.png")
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    environment |= {"HF_HOME": str(tmp_path / "home"), "HF_HUB_OFFLINE": "1"}
    (tmp_path / "script.py").write_text(WITHOUT_PACKAGE)
    saved = tmp_path / "saved"
    run = subprocess.run(
        [sys.executable, tmp_path / "script.py", folder, tmp_path / "photo.png", saved],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=environment,
        timeout=300,
    )
    assert run.returncode == 0, run.stderr[-2000:]
    told = json.loads(run.stdout.splitlines()[-1])
    own = pipeline(TASK, model=str(folder), pipeline_class=MultiLabelPipeline)(photo())
    assert told["pipeline"] == [{**entry, "score": pytest.approx(entry["score"], rel=1e-4)} for entry in own]
    assert names([told["model"]]) == names([own])
    assert told["labels"] == {"0": "sky", "1": "sea", "2": "cat"}
    assert told["thresholds"][1] == 0.5
    assert told["again"] == "MultiLabelPipeline"
