"""PSD: complementary parallel self-distillation (Xu et al., IJCAI 2022)."""

from __future__ import annotations

from mlic_hf.methods.psd.config import PSDConfig
from mlic_hf.methods.psd.method import psd_objectives
from mlic_hf.methods.registry import MethodSpec

METHOD = MethodSpec(
    key="psd",
    title="PSD, complementary parallel self-distillation",
    config=PSDConfig,
    objectives=psd_objectives,
    needs_teacher=True,
    citation="""@inproceedings{xu2022boosting,
  title={Boosting Multi-Label Image Classification with Complementary Parallel Self-Distillation},
  author={Xu, Jiazhi and Huang, Sheng and Zhou, Fengtao and Huangfu, Luwen and Zeng, Daniel and Liu, Bo},
  booktitle={Proceedings of the International Joint Conference on Artificial Intelligence},
  year={2022}
}""",
)
