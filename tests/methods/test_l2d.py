"""L2D's total and its parts, in any mix, with teachers of another width."""

from __future__ import annotations

import pytest
import torch

from mlic_hf import losses
from mlic_hf.methods.base import MethodBatch
from mlic_hf.methods.l2d import METHOD
from mlic_hf.methods.l2d.config import L2DConfig
from mlic_hf.methods.once_per_batch import OncePerBatch
from mlic_hf.methods.soft_labels import refuse_soft_labels
from mlic_hf.methods.teachers import ModelTeacher
from tests.methods.tiny import NAMES, tiny_batch, tiny_decoder, tiny_linear
from tests.methods.together import Together

EVERYTHING = L2DConfig(weight_partial_softmax=1.0, weight_pkt=2.0, weight_rkd=3.0, weight_review=4.0)


def l2d(config: L2DConfig, teacher_width: int = 24) -> Together:
    student, teacher = tiny_decoder(0).eval(), ModelTeacher(tiny_decoder(1, width=teacher_width), NAMES)
    return Together(student, METHOD.objectives(config, student, teacher), teacher)


def test_the_total_is_the_papers_total_divided_by_the_images() -> None:
    method = l2d(L2DConfig())
    pixels, labels = tiny_batch()
    labels = labels.clamp_min(0)
    outputs = method(pixels, labels)
    student = method.student(pixels, output_label_embeddings=True)
    teacher = method.teacher.model(pixels, output_label_embeddings=True)
    s, t = student.label_embeddings, teacher.label_embeddings
    paper = (
        losses.binary_cross_entropy(student.logits, labels, reduction="sum")
        + 100 * losses.class_aware_distillation(s, t, labels)
        + 1000 * losses.instance_aware_distillation(s, t, labels)
        + 10 * losses.multi_label_logit_distillation(student.logits, teacher.logits, labels, reduction="batchmean")
    )
    torch.testing.assert_close(outputs["loss"], paper / len(pixels), rtol=1e-5, atol=1e-6)


def test_every_part_is_there_and_finite_and_reaches_the_student() -> None:
    method = l2d(EVERYTHING)
    outputs = method(*tiny_batch())
    parts = {"bce", "class_aware", "instance_aware", "mld", "partial_softmax", "pkt", "rkd", "review"}
    assert set(outputs) == parts | {"loss", "logits"}
    assert all(torch.isfinite(outputs[name]) and outputs[name] > 0 for name in parts)
    outputs["loss"].backward()
    assert all(p.grad is not None for p in method.parameters() if p.requires_grad)
    assert any(name.startswith("objectives.review.fusion") for name, _ in method.named_parameters())


@pytest.mark.parametrize("part", ["class_aware", "instance_aware", "mld", "partial_softmax"])
def test_a_weight_of_zero_switches_a_part_off(part: str) -> None:
    config = L2DConfig(weight_partial_softmax=1.0)
    assert part in l2d(config).objectives
    setattr(config, f"weight_{part}", 0.0)
    assert part not in l2d(config).objectives


def test_a_student_equal_to_its_teacher_has_nothing_to_learn_from_it() -> None:
    student = tiny_decoder(3).eval()
    teacher = ModelTeacher(tiny_decoder(3), NAMES)
    config = L2DConfig(weight_partial_softmax=1.0, weight_pkt=1.0, weight_rkd=1.0)
    outputs = Together(student, METHOD.objectives(config, student, teacher), teacher)(*tiny_batch())
    for name in ("class_aware", "instance_aware", "mld", "partial_softmax", "pkt", "rkd"):
        torch.testing.assert_close(outputs[name], torch.tensor(0.0), atol=1e-6, rtol=0)
    assert outputs["bce"] > 0


def test_models_without_label_embeddings_are_refused() -> None:
    teacher = ModelTeacher(tiny_decoder(1), NAMES)
    with pytest.raises(ValueError, match=r"the student \(LinearForImageClassification\) has none"):
        METHOD.objectives(L2DConfig(), tiny_linear(), teacher)
    grouped = tiny_decoder(0, num_groups=2)
    with pytest.raises(ValueError, match="one group a label"):
        METHOD.objectives(L2DConfig(), grouped, teacher)
    without = L2DConfig(weight_class_aware=0, weight_instance_aware=0)
    assert len(METHOD.objectives(without, tiny_linear(), teacher)) == 2


def test_negative_weights_are_refused() -> None:
    with pytest.raises(ValueError, match="weight_mld"):
        L2DConfig(weight_mld=-1)


def test_both_embedding_losses_together_are_each_alone() -> None:
    pixels, labels = tiny_batch()
    both = l2d(L2DConfig())
    together = both(pixels, labels)
    for part in ("class_aware", "instance_aware"):
        other = {"class_aware": "instance_aware", "instance_aware": "class_aware"}[part]
        alone = l2d(L2DConfig(**{f"weight_{other}": 0.0}))(pixels, labels)
        assert torch.equal(alone[part], together[part])
    assert both.objectives["class_aware"].both is both.objectives["instance_aware"].both


def test_what_is_shared_is_computed_once_a_batch_and_forgotten_with_it() -> None:
    calls = []
    shared = OncePerBatch(lambda batch: calls.append(batch.labels) or len(calls))
    first, second = (MethodBatch(*tiny_batch(2), None, None) for _ in "ab")
    assert [shared(first), shared(first), shared(second), shared(second)] == [1, 1, 2, 2]
    del second
    assert shared._found is None


def test_a_share_a_cell_does_not_depend_on_the_batch() -> None:
    pixels, labels = tiny_batch()
    published, shared = (l2d(L2DConfig(logit_reduction=how))(pixels, labels) for how in ("batchmean", "sum"))
    torch.testing.assert_close(shared["mld"], published["mld"] * len(pixels))
    halves = [l2d(L2DConfig(logit_reduction="sum"))(pixels[half], labels[half]) for half in (slice(4), slice(4, 8))]
    torch.testing.assert_close(shared["mld"], (halves[0]["mld"] + halves[1]["mld"]) / 2)


def test_temperature_and_symmetric_distillation() -> None:
    config = L2DConfig(temperature=3.0, weight_symmetric=1.0, logit_reduction="sum")
    method = l2d(config)
    pixels, labels = tiny_batch()
    outputs = method(pixels, labels)
    s, t = method.student(pixels).logits, method.teacher.model(pixels).logits
    for name, loss in (
        ("mld", losses.multi_label_logit_distillation),
        ("symmetric", losses.symmetric_logit_distillation),
    ):
        torch.testing.assert_close(outputs[name], loss(s, t, labels, temperature=3.0) / len(pixels))


def test_class_maps_of_another_size_teach() -> None:
    config = L2DConfig(weight_class_aware=0, weight_instance_aware=0, weight_class_maps=1.0)
    student, teacher = tiny_linear(0).eval(), ModelTeacher(tiny_linear(1, output_stride=16), NAMES)
    method = Together(student, METHOD.objectives(config, student, teacher), teacher)
    pixels, labels = tiny_batch()
    outputs = method(pixels, labels)
    s, t = (model(pixels, output_class_maps=True).class_maps for model in (student, teacher.model))
    assert s.shape != t.shape
    torch.testing.assert_close(outputs["class_maps"], losses.class_map_distillation(s, t, labels) / len(pixels))
    with pytest.raises(ValueError, match=r"the teacher \(MLDecoderForImageClassification\) has none. Use the linear"):
        METHOD.objectives(config, student, ModelTeacher(tiny_decoder(1), NAMES))


@pytest.mark.parametrize("wrong", [{"logit_reduction": "mean"}, {"temperature": 0.0}, {"weight_class_maps": -1.0}])
def test_bad_settings_are_refused(wrong: dict) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        L2DConfig(**wrong)


def test_mixed_images_are_refused_by_what_compares_positives() -> None:
    refuse_soft_labels(
        l2d(L2DConfig(weight_class_aware=0, weight_instance_aware=0, weight_rkd=1.0)).objectives.values()
    )
    with pytest.raises(ValueError, match="but class_aware, instance_aware, partial_softmax only tell positives"):
        refuse_soft_labels(l2d(EVERYTHING).objectives.values())
