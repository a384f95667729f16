"""CoCo's objectives: the paper's sums, images with no or one label, borrowed by other models and methods."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from mlic_hf.methods.base import MethodBatch
from mlic_hf.methods.co_occurrence import CoOccurrenceLossConfig, co_occurrence_objectives
from mlic_hf.methods.co_occurrence.method import GraphContrast, ScaledAsymmetricLoss
from mlic_hf.methods.mulcon import MulConLossConfig, mulcon_objectives
from mlic_hf.methods.registry import extra_objectives
from tests.methods.mulcon.models import random_batch, tiny
from tests.methods.together import Together

SMALL = {"num_heads": 4, "feed_forward_size": 32, "dropout": 0.0, "graph_steps": 2}


def seen(labels: Tensor, seed: int = 0) -> tuple[Any, MethodBatch]:
    student = tiny("CoOccurrence", **SMALL).eval()
    pixels = random_batch(len(labels), seed)["pixel_values"]
    return student, MethodBatch(pixels, labels, student(pixels, output_label_embeddings=True), student)


def contrast_by_loops(student: Any, batch: MethodBatch, tau: float) -> float:
    """The paper's sum over images, one image and label at a time."""
    total = 0.0
    for i, labels in enumerate(batch.labels):
        true = [c for c, value in enumerate(labels) if value > 0]
        known = [c for c, value in enumerate(labels) if value >= 0]
        edges = batch.student.co_occurrence[i].detach()
        inside, outside = torch.zeros_like(edges), torch.zeros_like(edges)
        for a in known:
            for b in known:
                (inside if a in true and b in true else outside)[a, b] = edges[a, b]
        embeddings = batch.student.label_embeddings[i : i + 1].detach()
        views = [student.head.graph(embeddings, edges[None])[0].detach() for edges in (inside, outside)]
        anchors = batch.student.graph_embeddings[i].detach()
        rows = []
        for a in true:
            others = [float(anchors[a] @ anchors[b]) for b in true if b != a]
            row = torch.tensor([float(anchors[a] @ view[a]) for view in views] + others) / tau
            rows.append(float(row.logsumexp(0) - row[0]))
        total += sum(rows) / len(rows) if rows else 0.0
    return total


def test_contrast_is_the_papers_sum_and_counts_known_images() -> None:
    labels = torch.tensor([[1.0, 1, 0, 1, 0, -1], [0, 1, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0], [-1] * 6])
    student, batch = seen(labels)
    objective = GraphContrast(tau=0.5)
    assert objective.count(labels) == 3
    assert not objective.couples_images
    assert objective(batch).item() == pytest.approx(contrast_by_loops(student, batch, 0.5), rel=1e-4)


def test_normalised_embeddings_are_contrasted_by_their_cosines() -> None:
    _, batch = seen(torch.tensor([[1.0, 1, 0, 1, 0, -1], [0, 1, 1, 0, 0, 0]]))
    value = GraphContrast(tau=0.5, normalize=True)(batch)
    batch.student.graph_embeddings = 7 * batch.student.graph_embeddings
    torch.testing.assert_close(GraphContrast(tau=0.5, normalize=True)(batch), value)
    assert GraphContrast(tau=0.5)(batch) != value
    # cosines lie in [-1, 1]: no row of at most four entries costs more than this
    assert 0 < value <= 2 * (2 / 0.5 + torch.tensor(4.0).log())


def test_views_carry_no_gradient() -> None:
    student, batch = seen(torch.tensor([[1.0, 0, 0, 0, 0, 0]]))
    loss = GraphContrast()(batch)
    anchors, edges = batch.student.graph_embeddings, batch.student.co_occurrence
    gradient = torch.autograd.grad(loss, anchors, retain_graph=True)[0]
    label = 0
    embeddings = batch.student.label_embeddings.detach()
    inside = torch.zeros_like(edges)
    inside[0, label, label] = edges[0, label, label].detach()
    outside = edges.detach() - inside
    positive, negative = (student.head.graph(embeddings, view)[0, label].detach() for view in (inside, outside))
    anchor = anchors[0, label].detach()
    share = torch.softmax(torch.stack([anchor @ positive, anchor @ negative]), 0)
    torch.testing.assert_close(gradient[0, label], share[1] * (negative - positive), rtol=1e-4, atol=1e-5)
    assert gradient[0, 1:].abs().max() == 0


def test_asymmetric_loss_is_a_thousand_times_the_mean_over_known_cells() -> None:
    labels = torch.tensor([[1.0, 0, -1, 0, 0, 0], [0, 1, 0, 0, 0, 0]])
    _, batch = seen(labels)
    objective = ScaledAsymmetricLoss(gamma_neg=2.0, gamma_pos=0.0, clip=0.0, eps=1e-5, scale=1000.0)
    p = torch.sigmoid(batch.student.logits.detach().double())
    cells = torch.where(labels > 0, -p.log(), -(p**2) * (1 - p).log())
    expected = 1000 * cells[labels >= 0].mean().item()
    assert objective.count(labels) == 11
    assert (objective(batch) / objective.count(labels)).item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("rows", [[[0] * 6, [0] * 6], [[0] * 6, [0, 1, 0, 0, 0, 0]], [[-1] * 6, [1] * 6]])
def test_images_with_no_one_or_all_labels_train(rows: list[list[int]]) -> None:
    student = tiny("CoOccurrence", **SMALL)
    method = Together(student, co_occurrence_objectives(CoOccurrenceLossConfig(), student))
    batch = random_batch(2, two_views=False)
    batch["labels"] = torch.tensor(rows).float()
    outputs = method(**batch)
    outputs["loss"].backward()
    assert torch.isfinite(outputs["loss"])
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in method.parameters())


@pytest.mark.parametrize("changes", [{}, {"weight_contrast": 0.0}])
def test_every_trainable_parameter_gets_a_gradient(changes: dict[str, Any]) -> None:
    """Data-parallel training without a search for unused parameters rests on this."""
    student = tiny("CoOccurrence", **SMALL)
    method = Together(student, co_occurrence_objectives(CoOccurrenceLossConfig(**changes), student))
    assert method.views == 1
    assert not method.couples_images
    method(**random_batch(3, two_views=False))["loss"].backward()
    assert [name for name, p in method.named_parameters() if p.grad is None] == []


def test_micro_batches_add_up_to_the_batch() -> None:
    student = tiny("CoOccurrence", **SMALL).eval()
    method = Together(student, co_occurrence_objectives(CoOccurrenceLossConfig(weight_contrast=0.7), student))
    batch = random_batch(5, two_views=False)
    whole = method(**batch)["loss"]
    totals = method.counts(batch["labels"])
    parts = [method(**{k: v[cut] for k, v in batch.items()}, totals=totals)["loss"] for cut in (slice(2), slice(2, 5))]
    torch.testing.assert_close(sum(parts), whole, rtol=1e-5, atol=1e-5)


def test_other_models_borrow_the_contrast_with_a_graph_of_its_own() -> None:
    student = tiny("MLDecoder", width=16, num_heads=2, feed_forward_size=16)
    borrowed = extra_objectives({"co_occurrence.graph_contrast": 0.1}, student, None)
    graph = borrowed[0].objective.graph
    method = Together(student, [*mulcon_objectives(MulConLossConfig(stage=1), student), *borrowed])
    outputs = method(**random_batch(4, two_views=False))
    outputs["loss"].backward()
    assert outputs["graph_contrast"] > 0
    assert all(p.grad is not None for p in graph.parameters())


def test_both_contrasts_combine_on_one_model() -> None:
    student = tiny("MulCon", width=32)
    terms = {"co_occurrence.graph_contrast": 0.1}
    objectives = [*mulcon_objectives(MulConLossConfig(), student), *extra_objectives(terms, student, None)]
    method = Together(student, objectives)
    outputs = method(**random_batch(3))
    outputs["loss"].backward()
    assert {"bce", "contrast", "graph_contrast"} <= set(outputs)
    assert [name for name, p in method.named_parameters() if p.grad is None] == []


def test_models_without_label_embeddings_are_refused() -> None:
    with pytest.raises(ValueError, match="one embedding a label"):
        co_occurrence_objectives(CoOccurrenceLossConfig(), tiny("Linear"))


@pytest.mark.parametrize("wrong", [{"tau": 0.0}, {"weight_contrast": -1.0}, {"graph_steps": 0}])
def test_wrong_settings_are_named(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=f"co_occurrence.{next(iter(wrong))}"):
        CoOccurrenceLossConfig(**wrong)
