"""What a user of Python writes: ten lines of the library a method, on a `Dataset` of pictures and label names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from transformers import AutoModelForImageClassification, pipeline

from tests.methods.tiny import NAMES
from tests.training.tiny import rows

datasets = pytest.importorskip("datasets")

SMALL = {"width": 16, "num_heads": 2, "feed_forward_size": 32}


@pytest.fixture(scope="module")
def ds() -> Any:
    """Pictures with label names, as a user has them: no ids, no ClassLabel."""

    def split(count: int, seed: int) -> Any:
        found = rows(count, seed)
        names = [[NAMES[label] for label in row["labels"]] for row in found]
        return datasets.Dataset.from_dict({"photo": [row["image"] for row in found], "tags": names}).cast_column(
            "photo", datasets.Image()
        )

    return datasets.DatasetDict(train=split(16, 0), validation=split(8, 1))


def settings(folder: Path, **changes: Any) -> Any:
    from mlic_hf import MultiLabelTrainingArguments

    return MultiLabelTrainingArguments(
        str(folder), num_train_epochs=1, per_device_train_batch_size=8, learning_rate=1e-2, dataloader_num_workers=0,
        use_cpu=True, disable_tqdm=True, **changes,
    )  # fmt: skip


def works(trainer: Any, folder: Path, architecture: str) -> None:
    """The saved folder is the model that was measured, and answers as a pipeline."""
    score = trainer.evaluate()["eval_mAP"]
    assert score == pytest.approx(max(trainer.weights.scores.values()))
    model = AutoModelForImageClassification.from_pretrained(folder)
    assert type(model).__name__ == f"{architecture}ForImageClassification"
    told = pipeline("image-classification", model=str(folder), top_k=5)(rows(1, 3)[0]["image"])
    assert {entry["label"] for entry in told} == set(NAMES)


def test_supervised(ds: Any, tmp_path: Path) -> None:
    from mlic_hf import LinearForImageClassification, MultiLabelTrainer

    model = LinearForImageClassification.from_timm("test_resnet", NAMES, pretrained=False, image_size=32)
    trainer = MultiLabelTrainer(
        model, settings(tmp_path / "run"), train_dataset=ds["train"], eval_dataset=ds["validation"]
    )
    trainer.train()
    trainer.save_model(tmp_path / "out")
    works(trainer, tmp_path / "out", "Linear")


def test_l2d(ds: Any, tmp_path: Path) -> None:
    from mlic_hf import L2DConfig, MLDecoderForImageClassification, MultiLabelTrainer

    teacher = MLDecoderForImageClassification.from_timm(
        "test_resnet", NAMES[::-1], pretrained=False, image_size=48, **SMALL
    )
    teacher.save_pretrained(tmp_path / "teacher")
    student = MLDecoderForImageClassification.from_timm("test_resnet", NAMES, pretrained=False, image_size=32, **SMALL)
    trainer = MultiLabelTrainer(
        student, settings(tmp_path / "run"), train_dataset=ds["train"], eval_dataset=ds["validation"],
        method=L2DConfig(weight_mld=5), teacher=tmp_path / "teacher",
    )  # fmt: skip
    trainer.train()
    trainer.save_model(tmp_path / "out")
    works(trainer, tmp_path / "out", "MLDecoder")


def test_psd(ds: Any, tmp_path: Path) -> None:
    from mlic_hf import LinearForImageClassification, MultiLabelTrainer, train_part_teachers

    def make(labels: list[str]) -> Any:
        return LinearForImageClassification.from_timm("test_resnet", labels, pretrained=False, image_size=32)

    data = {"train_dataset": ds["train"], "eval_dataset": ds["validation"]}
    teachers = train_part_teachers(make, settings(tmp_path / "x"), **data, folder=tmp_path / "teachers", parts=2)
    before = {path: path.stat().st_mtime_ns for path in teachers.glob("*/part_*/model.safetensors")}
    assert len(before) == 4
    train_part_teachers(make, settings(tmp_path / "x"), **data, folder=tmp_path / "teachers", parts=2)
    assert {path: path.stat().st_mtime_ns for path in before} == before  # finished ones are skipped
    trainer = MultiLabelTrainer(make(NAMES), settings(tmp_path / "run"), **data, method="psd", teacher=teachers)
    trainer.train()
    trainer.save_model(tmp_path / "out")
    assert {"loss_asl", "loss_cgp", "loss_dgp"} <= trainer.state.log_history[0].keys()
    works(trainer, tmp_path / "out", "Linear")


def test_mulcon(ds: Any, tmp_path: Path) -> None:
    from mlic_hf import MulConForImageClassification, MulConLossConfig, MultiLabelTrainer

    data = {"train_dataset": ds["train"], "eval_dataset": ds["validation"]}
    model = MulConForImageClassification.from_timm("test_resnet", NAMES, pretrained=False, image_size=32, width=16)
    first = MultiLabelTrainer(model, settings(tmp_path / "one"), **data, method=MulConLossConfig(stage=1))
    first.train()
    first.save_model(tmp_path / "first")
    model = MulConForImageClassification.from_pretrained(tmp_path / "first")
    trainer = MultiLabelTrainer(model, settings(tmp_path / "two", optim="sgd"), **data, method="mulcon")
    trainer.train()
    trainer.save_model(tmp_path / "out")
    assert "loss_contrast" in trainer.state.log_history[0]
    works(trainer, tmp_path / "out", "MulCon")


def test_co_occurrence(ds: Any, tmp_path: Path) -> None:
    from mlic_hf import CoOccurrenceForImageClassification, MultiLabelTrainer

    model = CoOccurrenceForImageClassification.from_timm(
        "test_resnet", NAMES, pretrained=False, image_size=32, num_heads=2, feed_forward_size=32
    )
    trainer = MultiLabelTrainer(
        model, settings(tmp_path / "run"), train_dataset=ds["train"], eval_dataset=ds["validation"],
        method="co_occurrence",
    )  # fmt: skip
    trainer.train()
    trainer.save_model(tmp_path / "out")
    works(trainer, tmp_path / "out", "CoOccurrence")


def test_oass(ds: Any, tmp_path: Path) -> None:
    from mlic_hf import LinearForImageClassification, MultiLabelTrainer, OASSConfig

    model = LinearForImageClassification.from_timm(
        "test_resnet", NAMES, pretrained=False, image_size=64, output_stride=8, class_maps_first=True
    )
    trainer = MultiLabelTrainer(
        model, settings(tmp_path / "run"), train_dataset=ds["train"], eval_dataset=ds["validation"],
        method=OASSConfig(chunk_size=4),
    )  # fmt: skip
    trainer.train()
    trainer.save_model(tmp_path / "out")
    assert {"loss_partial_class", "loss_reconstruction"} <= trainer.state.log_history[0].keys()
    works(trainer, tmp_path / "out", "Linear")


def test_several_methods_at_once(ds: Any, tmp_path: Path) -> None:
    from mlic_hf import MLDecoderForImageClassification, MultiLabelTrainer

    student, teacher = (
        MLDecoderForImageClassification.from_timm("test_resnet", NAMES, pretrained=False, image_size=32, **SMALL)
        for _ in range(2)
    )
    trainer = MultiLabelTrainer(
        student, settings(tmp_path), train_dataset=ds["train"], eval_dataset=ds["validation"],
        method={"l2d": None, "mulcon.contrast": 0.5}, teacher=teacher,
    )  # fmt: skip
    trainer.train()
    line = trainer.state.log_history[0]
    parts = {"bce": 1, "class_aware": 100, "instance_aware": 1000, "mld": 10, "contrast": 0.5}
    assert line["loss"] == pytest.approx(
        sum(weight * line[f"loss_{name}"] for name, weight in parts.items()), rel=1e-4
    )


def test_a_run_with_all_its_stages_is_one_call(tmp_path: Path) -> None:
    from mlic_hf import run
    from tests.scripts.folder import make_folder

    flags: dict[str, Any] = {
        "dataset": str(make_folder(tmp_path / "photos", 16)), "backbone": "test_resnet", "pretrained": False,
        "image_size": 32, "num_train_epochs": 1, "per_device_train_batch_size": 8, "dataloader_num_workers": 0,
        "test_split": None, "transform": "eval", "use_cpu": True, "disable_tqdm": True,
        "architecture": "ml_decoder", "model_options": SMALL,
    }  # fmt: skip
    outcome = run("l2d", **flags, output_dir=str(tmp_path / "run"), l2d={"weight_mld": 3.0})
    assert set(outcome) == {"teacher", "student"}
    assert outcome["student"]["resolved"]["l2d.weight_mld"] == 3.0
    again = run("l2d", **flags, output_dir=str(tmp_path / "run"), l2d={"weight_mld": 3.0})
    assert again["student"]["metrics"] == outcome["student"]["metrics"]
    assert again["student"]["log"] == outcome["student"]["log"]
    with pytest.raises(ValueError, match="The call has the unknown key 'backbones'; did you mean backbone"):
        run("l2d", backbones="resnet18")
