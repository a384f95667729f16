"""L2D: multi-label knowledge distillation (Yang et al., ICCV 2023)."""

from __future__ import annotations

from mlic_hf.methods.l2d.config import L2DConfig
from mlic_hf.methods.l2d.method import l2d_objectives
from mlic_hf.methods.registry import MethodSpec

METHOD = MethodSpec(
    key="l2d",
    title="L2D, multi-label knowledge distillation",
    config=L2DConfig,
    objectives=l2d_objectives,
    needs_teacher=True,
    citation="""@inproceedings{yang2023multi,
  title={Multi-Label Knowledge Distillation},
  author={Yang, Penghui and Xie, Ming-Kun and Zong, Chen-Chen and Feng, Lei and Niu, Gang and Sugiyama, Masashi
          and Huang, Sheng-Jun},
  booktitle={Proceedings of the IEEE/CVF International Conference on Computer Vision},
  year={2023}
}""",
)
