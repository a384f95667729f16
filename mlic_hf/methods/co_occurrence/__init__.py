"""CoCo: contrastive learning of label co-occurrence on a graph that each image predicts."""

from __future__ import annotations

from mlic_hf.methods.co_occurrence.config import CoOccurrenceLossConfig
from mlic_hf.methods.co_occurrence.method import co_occurrence_objectives
from mlic_hf.methods.registry import MethodSpec

METHOD = MethodSpec(
    key="co_occurrence",
    title="CoCo, contrastive co-occurrence learning",
    config=CoOccurrenceLossConfig,
    objectives=co_occurrence_objectives,
)
