"""Metrics one can publish: numpy functions, one definition each, stated in docs/metrics.md."""

from mlic_hf.metrics.average_precision import AveragePrecisionKind, average_precision, mean_average_precision
from mlic_hf.metrics.bootstrap import (
    BootstrapInterval,
    bootstrap_map,
    paired_bootstrap_gain,
    paired_bootstrap_map,
    resampled_images,
    resampled_pairs,
)
from mlic_hf.metrics.calibration import Reliability, calibration_error, reliability
from mlic_hf.metrics.count_based_f1 import count_based_f1
from mlic_hf.metrics.decisions import (
    DecisionCounts,
    count_decisions,
    hamming_loss,
    precision_recall_f1,
    subset_accuracy,
)
from mlic_hf.metrics.evaluate_modules import evaluate_module
from mlic_hf.metrics.fit_calibration import apply_calibration, fit_calibration
from mlic_hf.metrics.label_errors import ConfidentCounts, confident_counts, suspicion
from mlic_hf.metrics.multilabel_metrics import multilabel_metrics, per_label_metrics
from mlic_hf.metrics.precision_recall_curve import precision_recall_curves
from mlic_hf.metrics.ranking import ranking_metrics
from mlic_hf.metrics.roc_auc import roc_auc
from mlic_hf.metrics.tune_thresholds import tune_thresholds
from mlic_hf.metrics.wished_thresholds import (
    decide_or_abstain,
    thresholds_for_absence,
    thresholds_for_precision,
    thresholds_for_recall,
)

__all__ = [
    "AveragePrecisionKind",
    "BootstrapInterval",
    "ConfidentCounts",
    "DecisionCounts",
    "Reliability",
    "apply_calibration",
    "average_precision",
    "bootstrap_map",
    "calibration_error",
    "confident_counts",
    "count_based_f1",
    "count_decisions",
    "decide_or_abstain",
    "evaluate_module",
    "fit_calibration",
    "hamming_loss",
    "mean_average_precision",
    "multilabel_metrics",
    "paired_bootstrap_gain",
    "paired_bootstrap_map",
    "per_label_metrics",
    "precision_recall_curves",
    "precision_recall_f1",
    "ranking_metrics",
    "reliability",
    "resampled_images",
    "resampled_pairs",
    "roc_auc",
    "subset_accuracy",
    "suspicion",
    "thresholds_for_absence",
    "thresholds_for_precision",
    "thresholds_for_recall",
    "tune_thresholds",
]
