"""Tables and pictures of what a model has learned."""

from mlic_hf.reports.audit import audit_report
from mlic_hf.reports.co_occurrence_picture import co_occurrence, draw_co_occurrence
from mlic_hf.reports.evaluation_report import evaluation_report
from mlic_hf.reports.frequency_picture import draw_average_precision_against_frequency
from mlic_hf.reports.gains import Variant, draw_gains, gains_table, measure_gains
from mlic_hf.reports.per_label_table import per_label_rows, write_csv
from mlic_hf.reports.precision_recall_picture import draw_precision_recall
from mlic_hf.reports.reliability_picture import draw_reliability
from mlic_hf.reports.terminal_table import print_tables

__all__ = [
    "Variant",
    "audit_report",
    "co_occurrence",
    "draw_average_precision_against_frequency",
    "draw_co_occurrence",
    "draw_gains",
    "draw_precision_recall",
    "draw_reliability",
    "evaluation_report",
    "gains_table",
    "measure_gains",
    "per_label_rows",
    "print_tables",
    "write_csv",
]
