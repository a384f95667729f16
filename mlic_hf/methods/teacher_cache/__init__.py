"""Ask the teacher once: its answers for V views of every image, kept in a folder that teaches in its place."""

from __future__ import annotations

from mlic_hf.methods.teacher_cache.answers import CONTENTS, contents_for
from mlic_hf.methods.teacher_cache.cached_teacher import CachedTeacher, refuse_mixed_answers
from mlic_hf.methods.teacher_cache.compute import compute_cache
from mlic_hf.methods.teacher_cache.elsewhere import keep_answers
from mlic_hf.methods.teacher_cache.fill import begin_cache, fill_cache
from mlic_hf.methods.teacher_cache.fingerprint import teacher_hash
from mlic_hf.methods.teacher_cache.manifest import DTYPES, Manifest, is_cache, load_manifest
from mlic_hf.methods.teacher_cache.plan import plan_cache, sizes
from mlic_hf.methods.teacher_cache.shards import missing_shards
from mlic_hf.methods.teacher_cache.shown import Shown

__all__ = [
    "CONTENTS",
    "DTYPES",
    "CachedTeacher",
    "Manifest",
    "Shown",
    "begin_cache",
    "compute_cache",
    "contents_for",
    "fill_cache",
    "is_cache",
    "keep_answers",
    "load_manifest",
    "missing_shards",
    "plan_cache",
    "refuse_mixed_answers",
    "sizes",
    "teacher_hash",
]
