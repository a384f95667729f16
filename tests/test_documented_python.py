"""The Python of the guides runs as it stands there, a page from top to bottom.

What a page takes for granted is made small before: photographs, a teacher, a model. Names of published weights
stand for random networks of the same kind. README.md and docs/imperfect_labels.md have tests of their own.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mlic_hf.hub import save_model
from mlic_hf.modeling import MLDecoderForImageClassification, MultiLabelModel
from tests.dataset_builders import trees
from tests.documented import PAGES, blocks
from tests.hub.client import connected_hub
from tests.methods.tiny import NAMES, tiny_linear
from tests.scripts.folder import make_folder
from tests.training.tiny import arguments, dataset_of, rows

pytest.importorskip("datasets")
PUBLISHING = {"models.md"}
ELSEWHERE = {"README.md", "imperfect_labels.md"}
WORLDS: dict[str, Callable[[Path, pytest.MonkeyPatch], list[dict[str, Any]]]] = {}


def world(page: str) -> Callable[[Any], Any]:
    """Marks what makes a page's files, and tells the names that are known before its first block, its second, ..."""

    def note(make: Any) -> Any:
        WORLDS[page] = make
        return make

    return note


def decoder(labels: list[str] = NAMES, image_size: int = 32) -> MLDecoderForImageClassification:
    sizes: dict[str, Any] = {"width": 16, "num_heads": 2, "feed_forward_size": 32, "image_size": image_size}
    return MLDecoderForImageClassification.from_timm("test_resnet", labels, pretrained=False, **sizes)


def photograph(*files: Path) -> None:
    for number, file in enumerate(files):
        trees.picture(file, (96, 64), seed=number)


@world("comparison.md")
def comparison(folder: Path, patch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    return []


@world("datasets.md")
def data_sets(folder: Path, patch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    import datasets

    import dataset_builders
    from dataset_builders.coco import read_annotations
    from mlic_hf.cli import main

    trees.coco(folder / "data" / "coco", year="2014")
    trees.voc(folder / "data" / "VOC2007", lists=("train", "val", "trainval", "test"))
    make_folder(folder / "photos", count=8)
    (folder / "photos.csv").write_text("file,tags\nphotos/train/image-0-0.png,sea|sand\n")
    main(
        [
            "prepare_dataset",
            "--name",
            "coco",
            "--data_dir",
            "data/coco",
            "--to",
            "parquet",
            "--output_dir",
            "coco_parquet",
        ]
    )
    photograph(*(folder / "corel" / f"{number}.jpeg" for number in (1000, 1003)))
    hub = datasets.DatasetDict({"train": dataset_of(4)})
    patch.setattr(datasets, "load_dataset", lambda name, *a, **k: {"owner/name": hub}[name])
    drawn = functools.partial(dataset_builders.load_splits, train_images=4, validation_images=2, test_images=2)
    load = dataset_builders.load_splits
    patch.setattr(dataset_builders, "load_splits", lambda n, **k: drawn(n) if n == "digit_scenes" else load(n, **k))
    assert read_annotations("data/coco").names
    many = datasets.concatenate_datasets([dataset_of(6)] * 100)
    args = arguments(folder / "runs", max_steps=1)
    return [{"dataset": {"train": many, "validation": dataset_of(4)}, "student": tiny_linear(), "args": args}]


@world("metrics.md")
def metrics(folder: Path, patch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    pytest.importorskip("evaluate")
    draw = np.random.default_rng(0)
    return [{"scores": draw.random((20, 5)), "targets": draw.integers(0, 2, (20, 5))}]


@world("models.md")
def models(folder: Path, patch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    import transformers

    random_networks_stand_for_published_ones(patch)
    encoder, tokenizer = dual_encoder()
    patch.setattr(transformers.AutoModel, "from_pretrained", lambda name: encoder)
    patch.setattr(transformers.AutoTokenizer, "from_pretrained", lambda name: tokenizer)
    save_model(decoder(), folder / "user" / "name")
    photograph(folder / "photo.jpg")
    taught = {
        "function": lambda pixels: pixels.flatten(1)[:, :2],
        "mean": (0.5, 0.5, 0.5),
        "std": (0.5, 0.5, 0.5),
        "labels": list(NAMES),  # cat and dog among them
        "model": tiny_linear(),
        "args": arguments(folder / "runs"),
        "train": dataset_of(8),
        "val": dataset_of(4),
    }
    published = {"model": decoder(), "folder": folder / "published", "run": {}}
    return [{}, {}, taught, {}, published]


@world("products.md")
def products(folder: Path, patch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    from mlic_hf.runs.exporting import export

    photograph(*(folder / name for name in ("a.jpg", "b.jpg", "photo.jpg")))
    model = decoder()
    model.config.calibration = [[1.0, 0.0]] * len(NAMES)
    export(model.eval(), folder / "tagger.onnx", [folder / "a.jpg", folder / "b.jpg"])
    return []


@world("publish.md")
def publish(folder: Path, patch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    products(folder, patch)
    save_model(decoder(), folder / "user" / "tagger")
    return []


@world("tag_photographs.md")
def tag_photographs(folder: Path, patch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    save_model(decoder(), folder / "runs" / "tagger")
    photograph(folder / "beach.jpg")
    return []


@world("teacher_cache.md")
def teacher_cache(folder: Path, patch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    decoder().save_pretrained(folder / "runs" / "teacher")
    args = arguments(folder / "runs" / "student")
    return [
        {
            "ds": {"train": dataset_of(8), "validation": dataset_of(4)},
            "labels": list(NAMES),
            "student": decoder(),
            "args": args,
        }
    ]


@world("trainer.md")
def trainer(folder: Path, patch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    import mlic_hf.training

    random_networks_stand_for_published_ones(patch)
    labels = ["sea", "sand", "sky"]
    decoder(labels[::-1]).save_pretrained(folder / "runs" / "teacher")
    for split in ("train", "validation"):
        drawn = [{**row, "labels": [labels[i] for i in row["labels"] if i < 3]} for row in rows(8)]
        for row in drawn:
            trees.picture(folder / "photographs" / split / f"{row['image_id']}.jpg", (64, 64))
        told = [{"file_name": f"{row['image_id']}.jpg", "labels": row["labels"]} for row in drawn]
        trees.metadata(folder / "photographs" / split, told, images=False)
    short = functools.partial(mlic_hf.training.MultiLabelTrainingArguments, max_steps=2, dataloader_num_workers=0)
    patch.setattr(mlic_hf.training, "MultiLabelTrainingArguments", short)
    return []


def random_networks_stand_for_published_ones(patch: pytest.MonkeyPatch) -> None:
    from transformers import Dinov2Config

    timm, backbone = MultiLabelModel.from_timm.__func__, MultiLabelModel.from_backbone.__func__  # type: ignore[attr-defined]
    small = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "image_size": 28, "patch_size": 14}
    of_hub = {"image_mean": (0.5,) * 3, "image_std": (0.5,) * 3, "image_size": 28}

    def from_timm(cls: Any, name: str, labels: Any, **fields: Any) -> Any:
        return timm(cls, name, labels, **{"pretrained": False, "image_size": 64, **fields})

    def from_backbone(cls: Any, name: str, labels: Any, **fields: Any) -> Any:
        if "/" not in name:
            return from_timm(cls, name, labels, **fields)
        return backbone(cls, Dinov2Config(**small), labels, **of_hub, **fields)

    patch.setattr(MultiLabelModel, "from_timm", classmethod(from_timm))
    patch.setattr(MultiLabelModel, "from_backbone", classmethod(from_backbone))


def dual_encoder() -> tuple[Any, Any]:
    """A small CLIP, and a tokenizer that knows a few words."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import CLIPConfig, CLIPModel, PreTrainedTokenizerFast

    words = ["<pad>", "<unk>", "a", "photo", "of", "cat", "dog", "grass", "horse", "fence", "."]
    plain = Tokenizer(models.WordLevel({word: place for place, word in enumerate(words)}, unk_token="<unk>"))
    plain.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=plain, pad_token="<pad>", unk_token="<unk>", eos_token=".", model_max_length=8
    )
    sizes = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    text = {**sizes, "vocab_size": len(words), "max_position_embeddings": 8, "eos_token_id": len(words) - 1}
    config = CLIPConfig(
        text_config=text, vision_config={**sizes, "image_size": 32, "patch_size": 16}, projection_dim=6
    )
    return CLIPModel(config), tokenizer


def test_every_page_with_python_is_run() -> None:
    with_python = {page.name for page in PAGES if blocks(page, "python")}
    assert with_python == WORLDS.keys() | ELSEWHERE


@pytest.mark.slow
@pytest.mark.parametrize("page", [page for page in PAGES if page.name in WORLDS], ids=lambda page: page.name)
def test_a_page_runs(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.chdir(tmp_path)
    before, known = WORLDS[page.name](tmp_path, monkeypatch), {"__name__": "__main__"}
    told: list[str] = []
    capsys.readouterr()
    with connected_hub() if page.name in PUBLISHING else contextlib.nullcontext((None, None)) as (_, api):
        monkeypatch.setattr("mlic_hf.hub.push.HfApi", lambda: api)
        for block, names in itertools.zip_longest(blocks(page, "python"), before, fillvalue={}):
            known |= names
            exec(compile(block.code, str(block), "exec"), known)
            told += re.findall(r"^print.*  # ([\d\[{].*|tensor\(.*)$", block.code, re.MULTILINE)  # not words about it
    said = capsys.readouterr().out.splitlines()
    assert [line for line in told if line not in said] == []
