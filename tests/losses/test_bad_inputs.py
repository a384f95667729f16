"""Bad arguments are refused with a sentence that says what was found."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from mlic_hf import losses

Z, Y = torch.zeros(2, 3), torch.zeros(2, 3)
E = torch.zeros(2, 3, 4)
LABELS = torch.zeros(2, dtype=torch.long)


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda: losses.asymmetric_loss(Z, Y, reduction="avg"), 'reduction is "avg"'),
        (lambda: losses.asymmetric_loss(Z, Y, clip=-0.1), "clip -0.1"),
        (lambda: losses.binary_cross_entropy(Z, Y[:, :2]), r"\(2, 2\) but the scores have \(2, 3\)"),
        (lambda: losses.soft_margin(Z, Y, "batch"), 'expected "sum" or "mean"'),
        (lambda: losses.multi_label_logit_distillation(Z, Z, temperature=0), "temperature is 0"),
        (lambda: losses.hill(Z, Y, unlisted=1), "unlisted is 1; expected 0"),
        (lambda: losses.zlpr(Z, Y, "batchmean"), 'expected "sum" or "mean"'),
        (lambda: losses.two_way(Z, Y, temperature=0), "temperature is 0"),
        (lambda: losses.two_way(Z, Y, reduction="batchmean"), 'expected "sum" or "mean"'),
        (lambda: losses.expected_positives(Z, Y, 1, reduction="batchmean"), 'expected "sum" or "mean"'),
        (lambda: losses.expected_positives(Z, Y, 4), "expected is 4; an image has 0 to 3"),
        (lambda: losses.large_loss_rejection(Z, Y, 1.5), "share is 1.5"),
        (
            lambda: losses.distribution_balanced(Z, Y, torch.ones(2), 9),
            r"counts have shape \(2,\); expected one",
        ),
        (lambda: losses.class_map_distillation(E, E, Y), r"must be \(images, labels, height, width\)"),
        (lambda: losses.class_map_distillation(E[..., None], E[..., None], Y, "batchmean"), '"sum" or "mean"'),
        (lambda: losses.multi_label_logit_distillation(Z, Z[:1]), r"\(1, 3\) differ"),
        (lambda: losses.partial_softmax_distillation(Z, Z, Y, "mean"), '"sum" or "batchmean"'),
        (lambda: losses.partition_distillation_kl(Z, Z, temperature=0), "temperature is 0"),
        (lambda: losses.scatter_parts([Z], [[0, 1, 1]], 3), "each of the 3 labels"),
        (lambda: losses.scatter_parts([Z], [[0, 2, 1, 3]], 4), r"\[3\] logits but their parts hold \[4\]"),
        (lambda: losses.class_aware_distillation(E[:, :2], E, Y), r"begin with the shape of the targets \(2, 3\)"),
        (lambda: losses.class_aware_distillation(Z, Z, Y), "embedding"),
        (lambda: losses.review_distillation([E[..., None]], []), "1 student stages against 0"),
        (lambda: losses.review_distillation([E[..., None]], [E[:, :1, :, None]]), "a student stage is"),
        (lambda: losses.ReviewFusion([3, 4], [3]), "2 student stages against 1"),
        (lambda: losses.ReviewFusion([3], [3], 4)([E[..., None], E]), "2 maps and"),
        (lambda: losses.supervised_contrastive(Z, LABELS, temperature=0), "temperature is 0"),
        (lambda: losses.supervised_contrastive(Z, LABELS, reduction="none"), 'reduction is "none"'),
        (lambda: losses.label_contrastive(Z, Y), "expected \\(images, labels, width\\)"),
        (lambda: losses.label_contrastive(E, Y, denominator_size=5), "needs the logits"),
        (lambda: losses.co_occurrence_contrast(E, E, E, Y, temperature=-1), "temperature is -1"),
        (lambda: losses.co_occurrence_contrast(E, E, E, Y[:, :1]), "must begin with the targets"),
        (
            lambda: losses.reconstruction_loss(E[..., None], E[..., None], LABELS, LABELS, "batchmean"),
            'reduction is "batchmean"',
        ),
    ],
)
def test_refused(call: Callable[[], object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        call()


@pytest.mark.parametrize(
    "loss",
    [
        lambda soft: losses.partial_softmax_distillation(Z, Z, soft),
        lambda soft: losses.class_aware_distillation(E, E, soft),
        lambda soft: losses.label_embedding_distillation(E, E, soft),
        lambda soft: losses.label_contrastive(E, soft),
        lambda soft: losses.co_occurrence_contrast(E, E, E, soft),
        lambda soft: losses.entropy_maximization(Z, soft),
        lambda soft: losses.zlpr(Z, soft),
        lambda soft: losses.two_way(Z, soft),
        lambda soft: losses.distribution_balanced(Z, soft, torch.ones(3), 9),
        lambda soft: losses.class_map_distillation(E[..., None], E[..., None], soft),
    ],
)
def test_soft_labels_are_refused_where_there_is_nothing_between(loss: Callable[[torch.Tensor], object]) -> None:
    soft = torch.tensor([[0.0, 1, -1], [0.25, 1, 0]])
    with pytest.raises(ValueError, match=r"target of image 1, label 0 is 0\.25; this loss tells positives from"):
        loss(soft)
