"""OASS: object-aware self-supervision, which cuts images at their objects and puts the class maps together again."""

from __future__ import annotations

from mlic_hf.methods.oass.config import OASSConfig
from mlic_hf.methods.oass.method import oass_objectives
from mlic_hf.methods.registry import MethodSpec

METHOD = MethodSpec(
    key="oass",
    title="OASS, object-aware self-supervision",
    config=OASSConfig,
    objectives=oass_objectives,
)
