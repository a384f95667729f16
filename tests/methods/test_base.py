"""The reduction rule, the wiring of objectives, and what stays outside a method's state."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from mlic_hf.methods.base import MethodBatch, Objective, Weighted
from mlic_hf.methods.registry import FOLDERS, extra_objectives, get_method
from mlic_hf.methods.supervised import AsymmetricLoss, BinaryCrossEntropy, SoftMargin, SupervisedConfig
from mlic_hf.methods.teachers import ModelTeacher, list_labels, match_labels
from mlic_hf.methods.views import PixelSpec, convert_pixels
from tests.methods.tiny import NAMES, tiny_batch, tiny_decoder, tiny_linear
from tests.methods.together import Together


def all_per_image_method() -> Together:
    student = tiny_linear().eval()
    return Together(
        student,
        [
            Weighted(BinaryCrossEntropy(), 1.0),
            Weighted(SoftMargin(), 0.5, per_image=False),
            Weighted(AsymmetricLoss(), 2.0),
        ],
    ).eval()


def test_the_loss_is_the_papers_sum_divided_by_the_known_images() -> None:
    method = Together(tiny_linear().eval(), [Weighted(BinaryCrossEntropy(), 1.0)]).eval()
    pixels, labels = tiny_batch()
    labels[3] = -1  # an image nobody knows anything about
    outputs = method(pixels, labels)
    known = labels >= 0
    expected = F.binary_cross_entropy_with_logits(outputs["logits"][known], labels[known], reduction="sum") / 7
    torch.testing.assert_close(outputs["loss"], expected)


def test_parts_times_weights_are_the_loss() -> None:
    outputs = all_per_image_method()(*tiny_batch())
    expected = outputs["bce"] + 0.5 * outputs["soft_margin"] + 2.0 * outputs["asl"]
    torch.testing.assert_close(outputs["loss"], expected)


@pytest.mark.parametrize("cuts", [(8,), (4, 4), (1, 7), (3, 3, 2)])
def test_micro_batches_with_global_totals_add_up_to_the_whole(cuts: tuple[int, ...]) -> None:
    method = all_per_image_method()
    pixels, labels = tiny_batch()
    method(pixels, labels)["loss"].backward()
    whole = [p.grad.clone() for p in method.parameters() if p.grad is not None]
    method.zero_grad()
    pieces = list(zip(pixels.split(cuts), labels.split(cuts)))
    totals = sum(method.counts(piece) for _, piece in pieces)
    for part_pixels, part_labels in pieces:
        method(part_pixels, part_labels, totals=totals)["loss"].backward()
    cut = [p.grad for p in method.parameters() if p.grad is not None]
    for a, b in zip(whole, cut):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6)


def test_an_unknown_image_changes_nothing() -> None:
    method = all_per_image_method()
    pixels, labels = tiny_batch()
    labels[0] = -1
    with_it, without = method(pixels, labels)["loss"], method(pixels[1:], labels[1:])["loss"]
    torch.testing.assert_close(with_it, without)


def test_two_views_count_twice() -> None:
    class TwoViews(BinaryCrossEntropy):
        views = 2

    method = Together(tiny_linear().eval(), [Weighted(TwoViews(), 1.0)]).eval()
    pixels, labels = tiny_batch()
    assert method.counts(labels)[0] == 2 * 8
    one = Together(method.student, [Weighted(BinaryCrossEntropy(), 1.0)]).eval()
    torch.testing.assert_close(method(pixels, labels, second_view=pixels)["loss"], one(pixels, labels)["loss"])
    with pytest.raises(ValueError, match="second_view"):
        method(pixels, labels)


def test_names_are_unique_and_a_needed_teacher_is_asked_for() -> None:
    student = tiny_linear()
    with pytest.raises(ValueError, match="unique names"):
        Together(student, [Weighted(BinaryCrossEntropy(), 1.0), Weighted(BinaryCrossEntropy(), 1.0)])

    class Taught(Objective):
        name = "taught"
        needs_teacher = True

        def forward(self, batch: MethodBatch) -> torch.Tensor:
            return batch.student.logits.sum()

    with pytest.raises(ValueError, match=r"\['taught'\] need a teacher"):
        Together(student, [Weighted(Taught(), 1.0)])


def test_the_teacher_is_no_parameter_and_no_state() -> None:
    student, teacher = tiny_decoder(0), ModelTeacher(tiny_decoder(1), NAMES)
    spec = get_method("l2d")
    method = Together(student, spec.objectives(spec.config(), student, teacher), teacher)
    assert all(name.startswith("student.") for name in method.state_dict())
    assert sum(p.numel() for p in method.parameters()) == sum(p.numel() for p in student.parameters())
    before = {name: value.clone() for name, value in teacher.model.state_dict().items()}
    method.train()
    method(*tiny_batch())["loss"].backward()
    assert not teacher.model.training
    assert all(p.grad is None for p in teacher.model.parameters())
    assert all(torch.equal(before[name], value) for name, value in teacher.model.state_dict().items())


def test_a_teachers_labels_are_matched_by_name() -> None:
    shuffled = ["dog", "ant", "eel", "bee", "cat"]
    model = tiny_decoder(1, shuffled).eval()
    teacher = ModelTeacher(model, labels=NAMES)
    pixels, _ = tiny_batch()
    spec = PixelSpec.of_model(model)
    outputs = teacher(pixels, spec, output_label_embeddings=True)
    own = model(pixels, output_label_embeddings=True)
    for position, name in enumerate(NAMES):
        torch.testing.assert_close(outputs.logits[:, position], own.logits[:, shuffled.index(name)])
        torch.testing.assert_close(
            outputs.label_embeddings[:, position], own.label_embeddings[:, shuffled.index(name)]
        )
    assert list_labels(model) == shuffled


def test_other_labels_are_refused_by_name() -> None:
    with pytest.raises(ValueError, match=r"lacks \['eel'\] and has \['fox'\]"):
        match_labels(["ant", "bee", "cat", "dog", "fox"], NAMES, "teacher")


def test_pixels_change_their_normalisation_and_size() -> None:
    plain = torch.rand(2, 3, 8, 8)
    source = PixelSpec(8, (0.5, 0.4, 0.3), (0.2, 0.3, 0.4))
    target = PixelSpec(8, (0.1, 0.2, 0.3), (1.0, 0.5, 0.25))

    def normalised(spec: PixelSpec) -> torch.Tensor:
        return (plain - torch.tensor(spec.mean).view(1, 3, 1, 1)) / torch.tensor(spec.std).view(1, 3, 1, 1)

    torch.testing.assert_close(convert_pixels(normalised(source), source, target), normalised(target))
    smaller = convert_pixels(plain, PixelSpec(8, (0,) * 3, (1,) * 3), PixelSpec(4, (0,) * 3, (1,) * 3))
    assert smaller.shape == (2, 3, 4, 4)
    torch.testing.assert_close(smaller.mean(), plain.mean(), rtol=0.05, atol=0.02)
    assert convert_pixels(plain, source, source) is plain


def test_a_batch_made_for_a_larger_teacher_is_reduced_for_the_student() -> None:
    student, teacher = tiny_decoder(0), ModelTeacher(tiny_decoder(1, image_size=48), NAMES)
    seen = {}
    for who, model in (("student", student), ("teacher", teacher.model)):
        model.register_forward_pre_hook(lambda module, args, who=who: seen.update({who: args[0].shape}))
    spec = get_method("l2d")
    own = PixelSpec.of_model(student)
    method = Together(
        student,
        spec.objectives(spec.config(), student, teacher),
        teacher,
    )
    assert method.method.batch_pixels == PixelSpec(48, own.mean, own.std, own.interpolation)
    method(torch.randn(4, 3, 48, 48), tiny_batch(4)[1])
    assert seen["student"][-2:] == (32, 32)
    assert seen["teacher"][-2:] == (48, 48)


def test_every_key_has_a_method_and_others_are_refused() -> None:
    for key in FOLDERS:
        spec = get_method(key)
        assert spec.key == key
        assert spec.config() is not None
    with pytest.raises(ValueError, match="There is no method 'kd'; the methods are supervised"):
        get_method("kd")


def test_losses_of_another_method_can_be_added_by_name() -> None:
    student = tiny_decoder()
    (borrowed,) = extra_objectives({"supervised.bce": 0.25}, student, None)
    assert borrowed.weight == 0.25
    assert isinstance(borrowed.objective, BinaryCrossEntropy)
    with pytest.raises(ValueError, match=r"'supervised\.nothing' names no loss of supervised: it has bce"):
        extra_objectives({"supervised.nothing": 1.0}, student, None)


@pytest.mark.parametrize("loss", ["bce", "asl", "focal", "soft_margin"])
def test_each_classification_loss_trains(loss: str) -> None:
    student = tiny_linear()
    method = Together(student, get_method("supervised").objectives(SupervisedConfig(loss=loss), student, None))
    outputs = method(*tiny_batch())
    outputs["loss"].backward()
    assert torch.isfinite(outputs["loss"])
    assert all(p.grad.abs().sum() > 0 for p in student.head.parameters())
    with pytest.raises(ValueError, match="it is one of bce"):
        get_method("supervised").objectives(SupervisedConfig(loss="hinge"), student, None)
