"""MulCon: contrastively enforced distinctiveness (Dao et al., Neurocomputing 2023)."""

from __future__ import annotations

from mlic_hf.methods.mulcon.config import MulConLossConfig
from mlic_hf.methods.mulcon.method import mulcon_objectives
from mlic_hf.methods.registry import MethodSpec

METHOD = MethodSpec(
    key="mulcon",
    title="MulCon, contrastively enforced distinctiveness",
    config=MulConLossConfig,
    objectives=mulcon_objectives,
    citation="""@article{dao2023contrastively,
  title={Contrastively Enforcing Distinctiveness for Multi-Label Image Classification},
  author={Dao, Son D. and Zhao, He and Phung, Dinh and Cai, Jianfei},
  journal={Neurocomputing},
  year={2023}
}""",
)
