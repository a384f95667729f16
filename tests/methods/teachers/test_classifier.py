"""What a classifier of anybody says of a student's labels: by name, by map, merged, left out."""

from __future__ import annotations

import logging
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from mlic_hf.losses import multi_label_logit_distillation
from mlic_hf.methods.l2d import L2DConfig, l2d_objectives
from mlic_hf.methods.teachers import Classifier, ClassifierTeacher, TeacherOptions, as_teacher
from mlic_hf.methods.teachers.label_match import places_by_label
from mlic_hf.methods.views import PixelSpec
from tests.methods.tiny import NAMES, tiny_batch, tiny_linear
from tests.methods.together import Together

PLAIN = PixelSpec(32, (0.0,) * 3, (1.0,) * 3)
ANIMALS = ["tabby, tabby cat", "dog", "lynx, wild cat", "eel", "ant", "bee"]
CATS = {"tabby": "cat", "lynx": "cat"}
SCORES = torch.randn(4, 6, generator=torch.Generator().manual_seed(0)) * 3


def answers(wanted: list[str] = NAMES, trained: str = "sigmoid", **options: Any) -> Tensor:
    found = Classifier(lambda pixels: SCORES, ANIMALS, PLAIN, trained)
    teacher = ClassifierTeacher(found, wanted, TeacherOptions(**options))
    return teacher(torch.rand(4, 3, 32, 32), PLAIN).logits


class TestMatching:
    def test_by_name_by_synonym_and_by_map(self) -> None:
        assert places_by_label(ANIMALS, ["eel", "tabby", "fox"], {}) == [[3], [0], []]
        assert places_by_label(ANIMALS, NAMES, CATS) == [[4], [5], [0, 2], [1], [3]]
        assert places_by_label(ANIMALS, ["tabby", "cat"], {"tabby, tabby cat": "cat"}) == [[], [0]]

    def test_a_map_adds_to_the_label_of_that_name(self) -> None:
        assert places_by_label(["cat", "tabby", "dog"], ["cat"], {"tabby": "cat"}) == [[1, 0]]

    def test_an_exact_name_wins_over_a_synonym_and_two_synonyms_are_nobody(self) -> None:
        assert places_by_label(["crane, bird", "crane", "digger, crane"], ["crane"], {}) == [[1]]
        assert places_by_label(["crane, bird", "digger, crane"], ["crane"], {}) == [[]]
        with pytest.raises(ValueError, match=r"'crane', which is one of several labels of the teacher: \['crane,"):
            places_by_label(["crane, bird", "digger, crane"], ["kran"], {"crane": "kran"})

    @pytest.mark.parametrize(
        ("given", "message"),
        [
            ({"fox": "cat"}, "'fox', which is no label of the teacher; .* the first is 'tabby, tabby cat'"),
            ({"tabby": "kitten"}, "leads to 'kitten', which is no label of the student"),
            ({"tabby": "cat", "tabby cat": "cat"}, "the teacher's label 'tabby, tabby cat' twice"),
        ],
    )
    def test_refusals(self, given: dict[str, str], message: str) -> None:
        with pytest.raises(ValueError, match=message):
            places_by_label(ANIMALS, NAMES, given)


class TestWhatItSays:
    def test_sigmoid_logits_stay_what_they_are(self) -> None:
        found = answers(labels=CATS)
        torch.testing.assert_close(found[:, [0, 1, 3, 4]], SCORES[:, [4, 5, 1, 3]])
        assert found.dtype == torch.float32

    @pytest.mark.parametrize("merge", ["logsumexp", "max"])
    def test_several_become_one(self, merge: str) -> None:
        both = SCORES[:, [0, 2]]
        expected = both.max(dim=1).values if merge == "max" else both.exp().sum(dim=1).log()
        torch.testing.assert_close(answers(labels=CATS, merge=merge)[:, 2], expected)

    def test_a_softmax_says_the_odds_of_a_share(self) -> None:
        share = SCORES.softmax(dim=1)
        found = answers(trained="softmax", labels=CATS).sigmoid()
        torch.testing.assert_close(found[:, 1], share[:, 5])
        torch.testing.assert_close(found[:, 2], share[:, 0] + share[:, 2])
        highest = answers(trained="softmax", labels=CATS, merge="max").sigmoid()
        torch.testing.assert_close(highest[:, 2], share[:, [0, 2]].amax(dim=1))

    def test_a_sure_softmax_stays_finite(self) -> None:
        sure = torch.tensor([[1000.0, 0.0, -1000.0]])
        teacher = ClassifierTeacher(Classifier(lambda _: sure, ["a", "b", "c"], PLAIN, "softmax"), ["a", "b", "c"])
        odds = teacher(torch.rand(1, 3, 32, 32), PLAIN).logits
        assert torch.isfinite(odds[:, 0]).all()
        assert odds[0, 0] > 20
        assert (odds[0, 1:] < -900).all()

    def test_what_it_lacks_is_an_error_or_left_out_and_said(self, caplog: pytest.LogCaptureFixture) -> None:
        labels = ["fox", "eel", "hen", "dog"]
        with pytest.raises(ValueError, match=r"lacks 2 of the student's 4: fox, hen\. Name those"):
            answers(labels)
        with pytest.raises(ValueError, match=r"lacks 1 of the student's 1: fox"):
            answers(["fox"], partial=True)
        with caplog.at_level(logging.INFO, "mlic_hf"):
            found = answers(labels, partial=True)
        torch.testing.assert_close(found[:, [1, 3]], SCORES[:, [3, 1]])
        assert not found[:, [0, 2]].any()
        assert "answers for 2 of 4 labels by 2 of its 6" in caplog.text
        assert "leaves out 2 labels that it lacks: fox, hen" in caplog.text

    def test_one_label_an_image_is_said(self, caplog: pytest.LogCaptureFixture) -> None:
        answers(trained="softmax", labels=CATS)
        assert "trained to name one label an image (softmax)" in caplog.text


def test_it_sees_its_own_pixels_at_its_own_size() -> None:
    seen = []
    wants = PixelSpec(16, (0.5, 0.5, 0.5), (0.25, 0.25, 0.25))
    teacher = ClassifierTeacher(Classifier(lambda p: seen.append(p) or SCORES, ANIMALS, wants), NAMES[:2])
    teacher(torch.full((4, 3, 32, 32), 1.0), PixelSpec(32, (0.2,) * 3, (0.1,) * 3))  # 0.3 of full brightness
    torch.testing.assert_close(seen[0], torch.full((4, 3, 16, 16), -0.8))


def test_a_module_is_frozen_and_follows_the_student_nowhere_else() -> None:
    network = nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.Linear(3 * 32 * 32, 6)).train()
    teacher = ClassifierTeacher(Classifier(network, ANIMALS, PLAIN, module=network), NAMES[:2], half=True)
    assert not network.training
    assert not any(parameter.requires_grad for parameter in network.parameters())
    assert teacher(torch.rand(2, 3, 32, 32), PLAIN).logits.dtype == torch.float32


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Classifier(abs, ANIMALS, PLAIN, "tanh"), "activation is 'tanh'"),
        (lambda: Classifier(abs, ["a", "a"], PLAIN), "one name a logit, each once"),
        (lambda: Classifier(abs, [], PLAIN), "one name a logit"),
        (lambda: TeacherOptions(merge="mean"), "merge is 'mean'"),
        (lambda: TeacherOptions(activation="relu"), "activation is 'relu'"),
    ],
)
def test_settings_that_mean_nothing(build: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build()


def test_logits_of_another_shape_and_fields_it_has_not() -> None:
    teacher = ClassifierTeacher(Classifier(lambda pixels: SCORES[:, :5], ANIMALS, PLAIN), NAMES[:2])
    with pytest.raises(ValueError, match=r"logits have the shape \(4, 5\); expected \(4, 6\)"):
        teacher(torch.rand(4, 3, 32, 32), PLAIN)
    with pytest.raises(ValueError, match="gives logits alone, but output_feature_map is asked"):
        teacher(torch.rand(4, 3, 32, 32), PLAIN, output_feature_map=True)


class TestInAMethod:
    ONLY_LOGITS = {"weight_class_aware": 0.0, "weight_instance_aware": 0.0}

    def test_labels_that_it_lacks_take_no_part(self) -> None:
        student, (pixels, labels) = tiny_linear().eval(), tiny_batch()
        known = torch.randn(8, 3, generator=torch.Generator().manual_seed(3))
        found = Classifier(lambda _: known, ["eel", "ant", "cat"], PixelSpec.of_model(student))
        teacher = ClassifierTeacher(found, NAMES, TeacherOptions(partial=True))
        config = L2DConfig(weight_mld=2.0, logit_reduction="sum", **self.ONLY_LOGITS)
        both = Together(student, l2d_objectives(config, student, teacher), teacher)
        parts = both(pixels, labels)
        chosen = [0, 2, 4]
        expected = multi_label_logit_distillation(
            student(pixels).logits[:, chosen], known[:, [1, 2, 0]], labels[:, chosen], reduction="sum"
        )
        images = (labels >= 0).any(dim=1).sum()
        torch.testing.assert_close(parts["mld"], (expected / images).detach())
        parts["loss"].backward()
        assert student.head.classifier.weight.grad.abs().sum(dim=1).all()  # the labels themselves still teach

    def test_unknown_cells_are_taught_when_that_is_asked(self) -> None:
        student, (pixels, labels) = tiny_linear().eval(), tiny_batch()
        labels[0], labels[1] = -1.0, torch.tensor([1.0, -1, -1, 0, -1])  # the first image is nobody's
        taught = torch.randn(8, 2, generator=torch.Generator().manual_seed(3))
        found = Classifier(lambda _: taught, ["eel", "cat"], PixelSpec.of_model(student))
        teacher = ClassifierTeacher(found, NAMES, TeacherOptions(partial=True))
        config = L2DConfig(logit_reduction="sum", logit_cells="all", **self.ONLY_LOGITS)
        mld = Together(student, l2d_objectives(config, student, teacher), teacher)(pixels, labels)["mld"]
        logits = student(pixels).logits[1:, [4, 2]]
        expected = multi_label_logit_distillation(logits, taught[1:], None, reduction="sum") / 7
        torch.testing.assert_close(mld, expected.detach())
        with pytest.raises(ValueError, match="logit_cells is 'some'"):
            L2DConfig(logit_cells="some")

    def test_what_only_a_model_can_give_is_refused_at_once(self) -> None:
        student = tiny_linear()
        teacher = as_teacher(Classifier(lambda _: SCORES, ANIMALS, PLAIN), NAMES[:2])
        for weight in ("weight_pkt", "weight_rkd", "weight_review"):
            with pytest.raises(ValueError, match="but this one gives none of them"):
                l2d_objectives(L2DConfig(**self.ONLY_LOGITS, **{weight: 1.0}), student, teacher)


def test_a_model_of_this_library_may_lack_labels_when_that_is_said() -> None:
    old = tiny_linear(1, ["eel", "fox", "bee"]).eval()
    with pytest.raises(ValueError, match=r"lacks \['ant', 'cat', 'dog'\]"):
        as_teacher(old, NAMES)
    teacher = as_teacher(old, NAMES, options=TeacherOptions(partial=True))
    assert teacher.answered.tolist() == [False, True, False, False, True]
    pixels = tiny_batch()[0]
    logits = teacher(pixels, PixelSpec.of_model(old)).logits
    torch.testing.assert_close(logits[:, [1, 4]], old(pixels).logits[:, [2, 0]])
    mapped = as_teacher(old, ["eel", "vixen", "bee"], options=TeacherOptions(labels={"fox": "vixen"}))
    torch.testing.assert_close(mapped(pixels, PixelSpec.of_model(old)).logits, old(pixels).logits)
