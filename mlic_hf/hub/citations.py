"""The papers behind the methods and the architectures, and their BibTeX entries, for model cards."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Paper:
    """One publication.

    Args:
        title: as published.
        venue: where and when.
        url: a page that lasts (DOI or arXiv).
        bibtex: the whole entry.
    """

    title: str
    venue: str
    url: str
    bibtex: str


PSD = Paper(
    "Boosting Multi-Label Image Classification with Complementary Parallel Self-Distillation",
    "IJCAI 2022",
    "https://arxiv.org/abs/2205.10986",
    """@inproceedings{xu2022boosting,
  title     = {Boosting Multi-Label Image Classification with Complementary Parallel Self-Distillation},
  author    = {Xu, Jiazhi and Huang, Sheng and Zhou, Fengtao and Huangfu, Luwen and Zeng, Daniel and Liu, Bo},
  booktitle = {International Joint Conference on Artificial Intelligence (IJCAI)},
  year      = {2022}
}""",
)
L2D = Paper(
    "Multi-Label Knowledge Distillation",
    "ICCV 2023",
    "https://arxiv.org/abs/2308.06453",
    """@inproceedings{yang2023multilabel,
  title     = {Multi-Label Knowledge Distillation},
  author    = {Yang, Penghui and Xie, Ming-Kun and Zong, Chen-Chen and Feng, Lei and Niu, Gang and
               Sugiyama, Masashi and Huang, Sheng-Jun},
  booktitle = {International Conference on Computer Vision (ICCV)},
  year      = {2023}
}""",
)
MULCON = Paper(
    "Contrastively enforcing distinctiveness for multi-label image classification",
    "Neurocomputing 555, 2023",
    "https://doi.org/10.1016/j.neucom.2023.126605",
    """@article{dao2023contrastively,
  title   = {Contrastively enforcing distinctiveness for multi-label image classification},
  author  = {Dao, Son D. and Zhao, He and Phung, Dinh and Cai, Jianfei},
  journal = {Neurocomputing},
  volume  = {555},
  pages   = {126605},
  year    = {2023}
}""",
)
CO_OCCURRENCE = Paper(
    "Multi-Label Image Classification via Contrastive Co-occurrence Learning",
    "submitted to IEEE Transactions on Image Processing, 2024",
    "",
    """@misc{contrastive_co_occurrence_2024,
  title = {Multi-Label Image Classification via Contrastive Co-occurrence Learning},
  note  = {Submitted to IEEE Transactions on Image Processing},
  year  = {2024}
}""",
)
OASS = Paper(
    "Object-Aware Self-Supervised Multi-Label Learning",
    "ICIP 2022",
    "https://arxiv.org/abs/2205.07028",
    """@inproceedings{kaixin2022object,
  title     = {Object-Aware Self-Supervised Multi-Label Learning},
  author    = {Xu, Kaixin and Liu, Liyang and Zhao, Ziyuan and Zeng, Zeng and Veeravalli, Bharadwaj},
  booktitle = {IEEE International Conference on Image Processing (ICIP)},
  year      = {2022},
  doi       = {10.1109/ICIP46576.2022.9897968}
}""",
)
ML_DECODER = Paper(
    "ML-Decoder: Scalable and Versatile Classification Head",
    "WACV 2023",
    "https://arxiv.org/abs/2111.12933",
    """@inproceedings{ridnik2023mldecoder,
  title     = {{ML-Decoder}: Scalable and Versatile Classification Head},
  author    = {Ridnik, Tal and Sharir, Gilad and Ben-Cohen, Avi and Ben-Baruch, Emanuel and Noy, Asaf},
  booktitle = {Winter Conference on Applications of Computer Vision (WACV)},
  year      = {2023}
}""",
)
QUERY2LABEL = Paper(
    "Query2Label: A Simple Transformer Way to Multi-Label Classification",
    "arXiv 2021",
    "https://arxiv.org/abs/2107.10834",
    """@misc{liu2021query2label,
  title         = {{Query2Label}: A Simple Transformer Way to Multi-Label Classification},
  author        = {Liu, Shilong and Zhang, Lei and Yang, Xiao and Su, Hang and Zhu, Jun},
  year          = {2021},
  eprint        = {2107.10834},
  archivePrefix = {arXiv}
}""",
)

METHOD_PAPERS: dict[str, Paper] = {
    "psd": PSD,
    "l2d": L2D,
    "mulcon": MULCON,
    "co_occurrence": CO_OCCURRENCE,
    "oass": OASS,
}
METHOD_NAMES: dict[str, str] = {
    "supervised": "supervised training",
    "psd": "PSD, complementary parallel self-distillation",
    "l2d": "L2D, multi-label knowledge distillation",
    "mulcon": "MulCon, contrastively enforced distinctiveness",
    "co_occurrence": "CoCo, contrastive co-occurrence learning",
    "oass": "OASS, object-aware self-supervision",
}
ARCHITECTURE_PAPERS: dict[str, Paper] = {
    "mlic_ml_decoder": ML_DECODER,
    "mlic_query2label": QUERY2LABEL,
    "mlic_label_transformer": PSD,
    "mlic_mulcon": MULCON,
    "mlic_co_occurrence": CO_OCCURRENCE,
    "mlic_text_decoder": ML_DECODER,
}
ARCHITECTURE_NAMES: dict[str, str] = {
    "mlic_linear": "global average pool and one linear layer",
    "mlic_ml_decoder": "ML-Decoder",
    "mlic_query2label": "Query2Label",
    "mlic_label_transformer": "label transformer over word vectors",
    "mlic_mulcon": "MulCon's label-level attention",
    "mlic_co_occurrence": "CoCo's transformer and gated graph network",
    "mlic_text_decoder": "ML-Decoder with text queries",
}


def papers_of(method: str | None, model_type: str | None) -> list[Paper]:
    """The papers a model rests on, the method's first, none twice.

    Args:
        method: a method key (`psd`, `l2d`, ...), or None.
        model_type: the model type of the config (`mlic_ml_decoder`, ...), or None.

    Returns:
        zero to two papers.
    """
    found = [METHOD_PAPERS.get(method or ""), ARCHITECTURE_PAPERS.get(model_type or "")]
    return list(dict.fromkeys(paper for paper in found if paper is not None))
