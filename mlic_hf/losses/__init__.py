"""Losses on tensors: pure functions, torch only."""

from __future__ import annotations

from .asymmetric import asymmetric_loss
from .binary_cross_entropy import binary_cross_entropy
from .class_map_distillation import class_map_distillation
from .co_occurrence_contrast import co_occurrence_contrast, true_label_edges
from .distribution_balanced import distribution_balanced
from .entropy_maximization import entropy_maximization
from .expected_positives import expected_positives
from .focal import focal
from .gather import gather_rows, gather_with_gradient
from .hill import hill, self_paced_correction
from .label_embedding_distillation import (
    class_aware_distillation,
    instance_aware_distillation,
    label_embedding_distillation,
)
from .large_loss import large_loss_correction, large_loss_rejection
from .logit_distillation import multi_label_logit_distillation, symmetric_logit_distillation
from .object_aware import partial_class_loss, reconstruction_loss
from .pairwise_distance import pairwise_distances
from .partial_softmax_distillation import partial_softmax_distillation
from .partition_distillation import partition_distillation_kl, partition_distillation_mse, scatter_parts
from .probabilistic_knowledge_transfer import probabilistic_knowledge_transfer
from .relational_distillation import relational_distillation
from .review_distillation import review_distillation
from .review_fusion import ReviewFusion
from .soft_margin import soft_margin
from .supervised_contrastive import label_contrastive, supervised_contrastive
from .two_way import two_way
from .weak_negatives import weak_negatives
from .zlpr import zlpr

__all__ = [
    "ReviewFusion",
    "asymmetric_loss",
    "binary_cross_entropy",
    "class_aware_distillation",
    "class_map_distillation",
    "co_occurrence_contrast",
    "distribution_balanced",
    "entropy_maximization",
    "expected_positives",
    "focal",
    "gather_rows",
    "gather_with_gradient",
    "hill",
    "instance_aware_distillation",
    "label_contrastive",
    "label_embedding_distillation",
    "large_loss_correction",
    "large_loss_rejection",
    "multi_label_logit_distillation",
    "pairwise_distances",
    "partial_class_loss",
    "partial_softmax_distillation",
    "partition_distillation_kl",
    "partition_distillation_mse",
    "probabilistic_knowledge_transfer",
    "reconstruction_loss",
    "relational_distillation",
    "review_distillation",
    "scatter_parts",
    "self_paced_correction",
    "soft_margin",
    "supervised_contrastive",
    "symmetric_logit_distillation",
    "true_label_edges",
    "two_way",
    "weak_negatives",
    "zlpr",
]
