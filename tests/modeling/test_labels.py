"""Other labels on an old model: what a label has follows its name, what is new starts anew."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import AutoConfig, AutoModelForImageClassification

from mlic_hf.modeling import (
    ARCHITECTURES,
    LabelTransformerForImageClassification,
    LinearConfig,
    LinearForImageClassification,
    MultiLabelModel,
)
from tests.modeling.tiny_models import LABELS, pictures, tiny_model

every_architecture = pytest.mark.parametrize("model_type", list(ARCHITECTURES))
THRESHOLDS = [0.1, 0.2, 0.3, 0.4, 0.5]
CALIBRATION = [[1.0, 0.1], [2.0, 0.2], [3.0, 0.3], [4.0, 0.4], [5.0, 0.5]]
# heads whose labels do not see each other
SEPARATE = ("mlic_linear", "mlic_ml_decoder", "mlic_query2label", "mlic_text_decoder")


def logits(model: MultiLabelModel) -> Tensor:
    with torch.no_grad():
        return model.eval()(pictures()).logits


@pytest.fixture
def saved(tmp_path: Path) -> Callable[..., tuple[MultiLabelModel, Path]]:
    def save(model_type: str, **fields: Any) -> tuple[MultiLabelModel, Path]:
        torch.manual_seed(0)
        model = tiny_model(model_type, **{"thresholds": THRESHOLDS, "calibration": CALIBRATION, **fields})
        model.save_pretrained(tmp_path / "model")
        return model, tmp_path / "model"

    return save


@pytest.mark.parametrize("loader", ["own", "auto"])
@pytest.mark.parametrize("more", [{}, {"thresholds": None}], ids=["stored thresholds", "no thresholds"])
@every_architecture
def test_another_number_of_labels_in_one_call(model_type: str, more: dict, loader: str, saved: Any) -> None:
    model, folder = saved(model_type)
    load = (type(model) if loader == "own" else AutoModelForImageClassification).from_pretrained
    other = load(folder, num_labels=7, ignore_mismatched_sizes=True, **more)
    assert other.config.num_labels == 7
    assert other.config.thresholds is None
    assert other.config.calibration is None
    assert other.config.id2label == {position: f"LABEL_{position}" for position in range(7)}
    found = logits(other)
    assert found.shape == (2, 7)
    assert torch.isfinite(found).all()
    assert all(torch.isfinite(tensor).all() for tensor in other.state_dict().values())
    assert max(parameter.abs().max() for parameter in other.head.parameters()) < 10
    other.train()(pictures(), labels=torch.ones(2, 7)).loss.backward()
    state, old = other.state_dict(), model.state_dict()
    assert all(torch.equal(state[name], old[name]) for name in old if name.startswith("backbone.net.conv1.0.w"))


@every_architecture
def test_labels_are_kept_by_name(model_type: str, saved: Any, tmp_path: Path) -> None:
    model, folder = saved(model_type)
    names = ["lamp", "tree", "cat", "bus", "car", "dog", "hat"]
    other = type(model).from_pretrained(folder, labels=names)
    assert other.label_names == names
    assert other.config.label2id == {name: place for place, name in enumerate(names)}
    places = {names.index(name): LABELS.index(name) for name in ("tree", "cat", "car", "dog")}
    for name in other.head.label_rows:
        new, old = other.head.state_dict()[name], model.head.state_dict()[name]
        assert new.shape == (7, *old.shape[1:])
        assert all(torch.equal(new[own], old[place]) for own, place in places.items())
    shared = {name for name in model.state_dict() if name.removeprefix("head.") not in other.head.label_rows}
    assert all(torch.equal(other.state_dict()[name], model.state_dict()[name]) for name in shared)
    if model_type in SEPARATE:
        own, theirs = list(places), list(places.values())
        torch.testing.assert_close(logits(other)[:, own], logits(model)[:, theirs], rtol=1e-4, atol=1e-5)
    assert other.config.thresholds == [0.5, 0.4, 0.1, 0.5, 0.3, 0.2, 0.5]
    assert other.config.calibration[:3] == [[1.0, 0.0], [4.0, 0.4], [1.0, 0.1]]

    other.save_pretrained(tmp_path / "other")
    again = AutoModelForImageClassification.from_pretrained(tmp_path / "other")
    assert again.label_names == names
    assert torch.equal(logits(again), logits(other))


@every_architecture
def test_fewer_labels_and_another_order(model_type: str, saved: Any) -> None:
    model, folder = saved(model_type)
    reordered = type(model).from_pretrained(folder, id2label=dict(enumerate(reversed(LABELS))))
    torch.testing.assert_close(logits(reordered), logits(model).flip(1), rtol=1e-3, atol=1e-4)
    assert reordered.config.thresholds == THRESHOLDS[::-1]
    assert reordered.config.calibration == CALIBRATION[::-1]
    few = type(model).from_pretrained(folder, labels=["sky", "dog"])
    assert few.label_names == ["sky", "dog"]
    assert few.config.thresholds == [0.5, 0.2]
    if model_type in SEPARATE:
        torch.testing.assert_close(logits(few), logits(model)[:, [4, 1]], rtol=1e-4, atol=1e-5)


def test_the_auto_class_takes_labels_too(saved: Any) -> None:
    model, folder = saved("mlic_linear")
    other = AutoModelForImageClassification.from_pretrained(folder, labels=["sky", "sea"], drop_path_rate=0.1)
    assert other.label_names == ["sky", "sea"]
    assert other.config.drop_path_rate == 0.1
    torch.testing.assert_close(logits(other)[:, 0], logits(model)[:, 4])
    config = AutoConfig.from_pretrained(folder, labels=["sky", "sea"])
    assert config.thresholds == [0.5, 0.5]
    assert config.num_labels == 2
    unchanged = AutoModelForImageClassification.from_pretrained(folder, labels=LABELS)
    assert torch.equal(logits(unchanged), logits(model))


class TestThresholds:
    """And calibration, which goes the same way."""

    def test_as_many_other_names_drop_them(self, saved: Any) -> None:
        _, folder = saved("mlic_linear")
        names = dict(enumerate("abcde"))
        config = LinearConfig.from_pretrained(folder, id2label=names)
        assert config.thresholds is None
        assert config.calibration is None
        model = LinearForImageClassification.from_pretrained(folder, id2label=names, ignore_mismatched_sizes=True)
        assert model.config.thresholds is None

    def test_given_ones_win(self, saved: Any) -> None:
        _, folder = saved("mlic_linear")
        model = LinearForImageClassification.from_pretrained(folder, labels=["dog", "ox"], thresholds=[0.7, 0.8])
        assert model.config.thresholds == [0.7, 0.8]
        assert model.config.calibration == [[2.0, 0.2], [1.0, 0.0]]
        model = LinearForImageClassification.from_pretrained(folder, thresholds=None)
        assert model.config.thresholds is None
        assert model.config.calibration == CALIBRATION

    def test_they_must_fit(self, saved: Any) -> None:
        model, folder = saved("mlic_linear")
        with pytest.raises(ValueError, match="thresholds has 1 numbers for 5 labels"):
            LinearForImageClassification.from_pretrained(folder, thresholds=[0.5])
        with pytest.raises(ValueError, match="thresholds has 3 numbers for 2 labels"):
            LinearForImageClassification.from_pretrained(folder, labels=["dog", "ox"], thresholds=[0.7, 0.8, 0.9])
        model.config.num_labels = 7
        with pytest.raises(ValueError, match="thresholds has 5 numbers for 7 labels"):
            model.config.save_pretrained(folder)
        with pytest.raises(ValueError, match="thresholds has 5 numbers for 7 labels"):
            LinearForImageClassification(model.config)

    def test_a_vocabulary_without_names_gets_some(self, tmp_path: Path) -> None:
        config = LinearConfig(backbone="resnet10t", image_size=64, num_labels=5, thresholds=THRESHOLDS)
        LinearForImageClassification(config).save_pretrained(tmp_path)
        model = LinearForImageClassification.from_pretrained(tmp_path, id2label=dict(enumerate(LABELS)))
        assert model.label_names == LABELS
        assert model.config.thresholds == THRESHOLDS
        other = LinearForImageClassification.from_pretrained(tmp_path, num_labels=6, ignore_mismatched_sizes=True)
        assert other.config.thresholds is None


class TestRefusals:
    def test_nobody_said_that_labels_may_start_untrained(self, saved: Any) -> None:
        model, folder = saved("mlic_linear")
        before = logits(model)
        with pytest.raises(ValueError, match=r"1 of 5 labels are not among the 5 of .*, the first 'kitten'"):
            type(model).from_pretrained(folder, id2label=dict(enumerate(["kitten", *LABELS[1:]])))
        with pytest.raises(ValueError, match="7 of 7 labels are not among"):
            AutoModelForImageClassification.from_pretrained(folder, num_labels=7)
        assert torch.equal(logits(type(model).from_pretrained(folder, num_labels=5)), before)

    @pytest.mark.parametrize(
        ("asked", "message"),
        [
            ({"labels": ["a", "b"], "num_labels": 3}, "contradict each other"),
            ({"labels": ["a", "b"], "id2label": {0: "b", 1: "a"}}, "contradict each other"),
            ({"labels": ["a", "a"]}, "repeated"),
            ({"labels": "cat"}, "is the text 'cat'"),
            ({"labels": ["a"], "device_map": "auto"}, "together with device_map"),
            ({"num_labels": 0}, "num_labels is 0"),
        ],
    )
    def test_what_makes_no_sense(self, asked: dict, message: str, saved: Any) -> None:
        _, folder = saved("mlic_linear")
        with pytest.raises(ValueError, match=message):
            LinearForImageClassification.from_pretrained(folder, **asked)

    def test_rows_that_cannot_be_moved(self) -> None:
        model = tiny_model("mlic_linear")
        quantised = torch.ao.quantization.quantize_dynamic(copy.deepcopy(model), {torch.nn.Linear})
        with pytest.raises(ValueError, match=r"head.classifier.* is quantised, offloaded or adapted"):
            quantised.set_labels(["dog"])
        model.head.to("meta")
        with pytest.raises(ValueError, match=r"head.classifier.weight is quantised, offloaded or adapted"):
            model.set_labels(["dog"])


class TestSetLabels:
    def test_what_starts_anew_is_told(self) -> None:
        model = tiny_model("mlic_query2label")
        assert model.set_labels(LABELS) == []
        assert model.set_labels(["dog", "ox", "elk"]) == ["ox", "elk"]
        assert model.set_labels(["ox"]) == []

    def test_the_head_stays_what_it_was(self) -> None:
        model = tiny_model("mlic_co_occurrence").double()
        model.gradient_checkpointing_enable()
        model.head.encoder.requires_grad_(False)
        model.train()
        model.set_labels(["dog", "ox"])
        assert model.head.training
        assert model.head.classifier.linear.weight.dtype == torch.float64
        assert not any(parameter.requires_grad for parameter in model.head.encoder.parameters())
        assert all(parameter.requires_grad for parameter in model.head.decoder.parameters())
        assert model.head.decoder[0].gradient_checkpointing
        model(pictures().double(), labels=torch.ones(2, 2)).loss.backward()

    def test_growing_and_shrinking_again_changes_nothing(self) -> None:
        model = tiny_model("mlic_mulcon", thresholds=THRESHOLDS)
        before = logits(model)
        model.set_labels([*LABELS, "ox"])
        model.set_labels(LABELS)
        assert torch.equal(logits(model), before)
        assert model.config.thresholds == THRESHOLDS

    def test_groups_keep_the_labels_that_stay_in_them(self) -> None:
        model = tiny_model("mlic_ml_decoder", num_groups=2)  # cat, dog, car | tree, sky
        before = logits(model)
        assert model.set_labels(["dog", "cat", "ox", "tree"]) == ["ox"]  # dog, cat | ox, tree
        after = logits(model)
        torch.testing.assert_close(after[:, [0, 1, 3]], before[:, [1, 0, 3]], rtol=1e-4, atol=1e-5)
        assert model.set_labels(["tree", "dog"]) == ["tree", "dog"]
        assert model.provides == {"label_embeddings", "attentions"}


class TestWordVectors:
    vectors = torch.randn(len(LABELS), 7, generator=torch.Generator().manual_seed(3))

    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        model = LabelTransformerForImageClassification.from_timm(
            "resnet10t", LABELS, pretrained=False, word_vectors=self.vectors, width=32, image_size=64
        )
        model.save_pretrained(tmp_path)
        return tmp_path

    def test_new_labels_need_theirs(self, folder: Path) -> None:
        load = LabelTransformerForImageClassification.from_pretrained
        with pytest.raises(ValueError, match="2 labels have no word vector, the first 'elk'"):
            load(folder, labels=["dog", "ox", "elk"])
        with pytest.raises(ValueError, match="7 labels have no word vector"):
            load(folder, num_labels=7, ignore_mismatched_sizes=True)
        given = torch.ones(3, 7)
        model = load(folder, labels=["dog", "ox", "elk"], word_vectors=given)
        assert torch.equal(model.head.word_vectors, given)
        assert torch.isfinite(logits(model)).all()

    def test_known_labels_bring_theirs(self, folder: Path) -> None:
        model = LabelTransformerForImageClassification.from_pretrained(folder, labels=["sky", "dog"])
        assert torch.equal(model.head.word_vectors, self.vectors[[4, 1]])

    def test_they_may_be_learned_from_here(self, folder: Path) -> None:
        model = LabelTransformerForImageClassification.from_pretrained(
            folder, num_labels=7, ignore_mismatched_sizes=True, label_vectors="learned"
        )
        assert "head.word_vectors" in dict(model.named_parameters())
        assert torch.isfinite(logits(model)).all()
        with pytest.raises(ValueError, match="label vectors are learned"):
            model.set_labels(["ox"], word_vectors=torch.ones(1, 7))
