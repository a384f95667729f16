"""MulCon's objectives: counts, stages, images without labels, borrowed by other models and methods."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch.nn import functional as F

from mlic_hf.methods.base import MethodBatch
from mlic_hf.methods.mulcon import METHOD, MulConLossConfig, mulcon_objectives
from mlic_hf.methods.mulcon.method import LabelContrast, MeanBinaryCrossEntropy
from mlic_hf.methods.registry import extra_objectives
from tests.methods.mulcon.models import NAMES, random_batch, tiny
from tests.methods.together import Together

SMALL = {"width": 32}


def outputs_of(targets: torch.Tensor, seed: int = 0) -> MethodBatch:
    generator = torch.Generator().manual_seed(seed)
    projections = F.normalize(torch.randn(*targets.shape, 8, generator=generator), dim=-1).requires_grad_()
    student = SimpleNamespace(logits=torch.randn(targets.shape, generator=generator), projections=projections)
    return MethodBatch(torch.zeros(len(targets), 3, 2, 2), targets, student, torch.nn.Identity())


def contrast_by_loops(batch: MethodBatch, temperature: float) -> float:
    """The paper's sum, one pair at a time."""
    pairs = [(int(i), int(c)) for i, c in (batch.labels > 0).nonzero()]
    features = {pair: batch.student.projections[pair].detach() for pair in pairs}
    total = 0.0
    for anchor in pairs:
        others = [pair for pair in pairs if pair != anchor]
        positives = [pair for pair in others if pair[1] == anchor[1]]
        if positives:
            scores = {pair: float(features[anchor] @ features[pair]) / temperature for pair in others}
            log_sum = float(torch.logsumexp(torch.tensor(list(scores.values())), 0))
            total += sum(log_sum - scores[pair] for pair in positives) / len(positives)
    return total


def test_contrast_is_the_papers_sum_and_counts_positive_pairs() -> None:
    targets = torch.tensor([[1.0, 0, 1, -1], [1, 1, 0, 0], [1, -1, 1, 0], [0, 0, 0, 0]])
    batch = outputs_of(targets)
    objective = LabelContrast(temperature=0.2)
    assert objective.count(targets) == 6
    assert objective(batch).item() == pytest.approx(contrast_by_loops(batch, 0.2), rel=1e-5)


@pytest.mark.parametrize("targets", [[[0.0, 0, 0], [0, 0, 0]], [[0.0, 1, 0], [0, 0, 0]], [[-1.0, -1, -1], [1, 0, 0]]])
def test_images_with_no_or_one_positive_label_cost_nothing_and_stay_finite(targets: Any) -> None:
    batch = outputs_of(torch.tensor(targets))
    loss = LabelContrast()(batch)
    assert loss.item() == 0.0
    loss.backward()
    assert torch.isfinite(batch.student.projections.grad).all()


def test_denominator_size_adds_the_hardest_negatives() -> None:
    targets = torch.tensor([[1.0, 0, 0], [1, 0, -1]])
    batch = outputs_of(targets)
    few, more, most = (LabelContrast(denominator_size=size)(batch).item() for size in (2, 3, 50))
    assert few == LabelContrast()(batch).item()
    hardest = batch.student.logits.masked_fill(targets != 0, -torch.inf).flatten().argmax()
    rows = batch.student.projections.detach().flatten(0, 1)
    a, b, negative = rows[0], rows[3], rows[hardest]
    scores = [torch.stack([x @ b if x is a else x @ a, x @ negative]) / 0.2 for x in (a, b)]
    assert more == pytest.approx(sum(float(s.logsumexp(0) - s[0]) for s in scores), rel=1e-5)
    assert most > more > few


def test_gather_off_makes_an_objective_that_couples_no_images() -> None:
    assert LabelContrast(gather=True).couples_images
    assert not LabelContrast(gather=False).couples_images
    assert not MeanBinaryCrossEntropy().couples_images


def test_stages_say_what_they_need() -> None:
    student = tiny("MulCon", **SMALL)
    one = mulcon_objectives(MulConLossConfig(stage=1), student)
    assert [(w.objective.name, w.objective.views, w.weight, w.per_image) for w in one] == [("bce", 1, 1.0, False)]
    assert not any(p.requires_grad for p in student.head.projector.parameters())
    two = mulcon_objectives(MulConLossConfig(), student)
    assert [(w.objective.name, w.objective.views, w.weight) for w in two] == [
        ("bce", 2, 1.0),
        ("contrast", 2, 0.5),
    ]
    assert all(p.requires_grad for p in student.head.projector.parameters())
    baseline = mulcon_objectives(MulConLossConfig(weight_contrast=0.0), student)
    assert [(w.objective.name, w.objective.views) for w in baseline] == [("bce", 2)]
    assert not any(p.requires_grad for p in student.head.projector.parameters())


@pytest.mark.parametrize("changes", [{}, {"stage": 1}, {"weight_contrast": 0.0}, {"views": 1}, {"gather": False}])
def test_every_trainable_parameter_gets_a_gradient(changes: dict[str, Any]) -> None:
    """Data-parallel training without a search for unused parameters rests on this."""
    student = tiny("MulCon", **SMALL)
    method = Together(student, mulcon_objectives(MulConLossConfig(**changes), student))
    batch = random_batch(4, two_views=method.views == 2)
    outputs = method(**batch)
    outputs["loss"].backward()
    assert [name for name, p in method.named_parameters() if p.requires_grad and p.grad is None] == []
    assert torch.isfinite(outputs["loss"])


def test_total_is_mean_over_cells_plus_half_the_mean_over_pairs() -> None:
    student = tiny("MulCon", **SMALL).eval()
    method = Together(student, mulcon_objectives(MulConLossConfig(), student))
    batch = random_batch(3)
    outputs = method(**batch)
    labels = torch.cat([batch["labels"], batch["labels"]])
    seen = student(torch.cat([batch["pixel_values"], batch["second_view"]]), labels, output_label_embeddings=True)
    bare = MethodBatch(batch["pixel_values"], labels, seen, student)
    contrast = contrast_by_loops(bare, 0.2) / (labels > 0).sum().item()
    assert outputs["bce"].item() == pytest.approx(seen.loss.item(), rel=1e-5)
    assert outputs["contrast"].item() == pytest.approx(contrast, rel=1e-4)
    assert outputs["loss"].item() == pytest.approx(seen.loss.item() + 0.5 * contrast, rel=1e-4)


def test_batches_without_any_positive_label_train() -> None:
    student = tiny("MulCon", **SMALL)
    method = Together(student, mulcon_objectives(MulConLossConfig(), student))
    batch = random_batch(2)
    batch["labels"] = torch.zeros_like(batch["labels"])
    method(**batch)["loss"].backward()
    gradients = [p.grad for p in method.parameters()]
    assert all(g is not None and torch.isfinite(g).all() for g in gradients)


def test_other_models_borrow_the_contrast_with_a_projector_of_its_own() -> None:
    student = tiny("MLDecoder", width=16, num_heads=2, feed_forward_size=16)
    borrowed = extra_objectives({"mulcon.contrast": 0.25}, student, None)
    projector = borrowed[0].objective.projector
    assert projector.output.out_features == 128
    assert projector.hidden.in_features == 16
    method = Together(student, [*METHOD.objectives(MulConLossConfig(stage=1), student, None), *borrowed])
    outputs = method(**random_batch(4))
    outputs["loss"].backward()
    assert outputs["contrast"] > 0
    assert projector.hidden.weight.grad.abs().sum() > 0


def test_models_without_label_embeddings_are_refused() -> None:
    with pytest.raises(ValueError, match="one embedding a label"):
        extra_objectives({"mulcon.contrast": 0.5}, tiny("Linear"), None)
    grouped = tiny("MLDecoder", width=16, num_heads=2, feed_forward_size=16, num_groups=3)
    with pytest.raises(ValueError, match="one embedding a label"):
        extra_objectives({"mulcon.contrast": 0.5}, grouped, None)
    with pytest.raises(ValueError, match=r"mulcon: it has bce, contrast"):
        extra_objectives({"mulcon.supcon": 0.5}, tiny("MulCon", **SMALL), None)


@pytest.mark.parametrize(
    "wrong, message",
    [
        ({"stage": 3}, "stage"),
        ({"views": 0}, "views"),
        ({"temperature": 0.0}, "temperature"),
        ({"weight_contrast": -1.0}, "weight_contrast"),
        ({"denominator_size": -1}, "denominator_size"),
    ],
)
def test_wrong_settings_are_named(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"mulcon.{message}"):
        MulConLossConfig(**wrong)


def test_distillation_and_contrast_combine() -> None:
    from mlic_hf.methods.l2d import METHOD as L2D
    from mlic_hf.methods.l2d import L2DConfig
    from mlic_hf.methods.teachers import ModelTeacher

    student = tiny("MulCon", **SMALL)
    teacher = ModelTeacher(tiny("MLDecoder", width=16, num_heads=2, feed_forward_size=16), labels=NAMES)
    objectives = [*L2D.objectives(L2DConfig(), student, teacher)]
    objectives += extra_objectives({"mulcon.contrast": 0.5}, student, teacher)
    method = Together(student, objectives, teacher)
    assert method.views == 2
    outputs = method(**random_batch(4))
    outputs["loss"].backward()
    assert {"bce", "class_aware", "instance_aware", "mld", "contrast"} <= set(outputs)
    expected = sum(method.weights[name] * float(outputs[name]) for name in method.objectives)
    assert outputs["loss"].item() == pytest.approx(expected, rel=1e-5)
    assert student.head.projector.hidden.weight.grad.abs().sum() > 0
