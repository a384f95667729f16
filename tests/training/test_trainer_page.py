"""docs/trainer.md tells the truth: every field of TrainingArguments is in its table and does what the table says."""

from __future__ import annotations

import ast
import dataclasses
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import Trainer, TrainingArguments

from mlic_hf.training import MultiLabelTrainer, MultiLabelTrainingArguments
from tests.training.tiny import arguments, dataset, make_trainer

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "trainer.md").read_text(encoding="utf-8")


def table(heading: str) -> list[list[str]]:
    """The rows of the first table under a heading, cell by cell."""
    part = PAGE.split(f"\n## {heading}\n", 1)[1].split("\n## ")[0]
    lines = re.search(r"(?:^\|.*\n)+", part, re.MULTILINE)
    assert lines is not None
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines.group().splitlines()[2:]]


ROWS = {cells[0].strip("` "): cells[1:] for cells in table("Settings")}
REFUSED = [name for name, (told, _) in ROWS.items() if re.search(r"\brefused\b", told) and "above" not in told]
TRIED = {name: ast.literal_eval(value.strip("`| ")) for name, (_, value) in ROWS.items()
         if value.strip("`| ") and "object()" not in value}  # fmt: skip
CONDITIONAL = {"lr_scheduler_kwargs", "warmup_steps", "optim_args"}  # with the library's own optimizer and schedules


def test_the_table_has_every_field() -> None:
    fields = {field.name for field in dataclasses.fields(TrainingArguments) if field.init}
    assert fields - {"warmup_ratio", "logging_dir"} <= ROWS.keys()  # both only in older transformers
    own = {field.name for field in dataclasses.fields(MultiLabelTrainingArguments) if field.init} - fields
    assert own == set(re.findall(r"^\| `(\w+)` \| ", PAGE.split("The library's own:")[1], re.MULTILINE))


def test_every_feature_names_a_test_that_exists() -> None:
    code = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py"))
    rows = table("Features of transformers' Trainer") + table("Names of transformers in use")
    assert len(rows) > 25
    for cells in rows:
        assert f"def {cells[2].strip('`| ')}(" in code, cells[0]


def test_the_page_lists_what_is_overridden() -> None:
    told = PAGE.split("## Names of transformers in use")[1].split("\n## ")[0]
    overridden = {
        name for name in vars(MultiLabelTrainer) if name in vars(Trainer) and callable(getattr(Trainer, name))
    }
    assert {name for name in overridden if not name.startswith("__")} == {
        name for name in re.findall(r"`(\w+)`", told) if hasattr(Trainer, name)
    }
    code = (ROOT / "mlic_hf" / "training" / "trainer.py").read_text(encoding="utf-8")
    private = {name for name in re.findall(r"(?:self|super\(\))\.(_[a-z]\w+)\(", code) if name in vars(Trainer)}
    assert private <= overridden


@pytest.mark.parametrize("name", [name for name in REFUSED if name in TRIED])
def test_what_is_refused_is_an_error_with_its_name(name: str, tmp_path: Path) -> None:
    if name not in TrainingArguments.__dataclass_fields__:
        assert name in ROWS  # of another version of transformers
        return
    with pytest.raises(ValueError, match=name):
        arguments(tmp_path, **{name: TRIED[name]})


@pytest.mark.parametrize("name", [name for name in TRIED if name not in REFUSED or name in CONDITIONAL])
def test_what_works_trains(name: str, tmp_path: Path) -> None:
    if name not in TrainingArguments.__dataclass_fields__:
        assert name in ROWS
        return
    settings: dict[str, Any] = {"num_train_epochs": 1, "ema_decay": None}
    if name in CONDITIONAL:
        settings |= {"optim": "adamw_torch", "lr_scheduler_type": "cosine_with_restarts"}
    value = {"num_cycles": 2} if name == "lr_scheduler_kwargs" else TRIED[name]
    if name == "output_dir":
        value = str(tmp_path / value)
    trainer = make_trainer(tmp_path / "run", train=dataset(8), **{**settings, name: value})
    try:
        trainer.train()
    finally:
        torch.use_deterministic_algorithms(False)  # full_determinism outlives its run
    assert trainer.state.global_step >= 1
    assert getattr(trainer.args, name) == value or name in {"accelerator_config", "debug", "report_to", "local_rank"}
