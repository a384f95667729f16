"""Flags and recipes: every setting known, typed, overridable; every recipe in the project parses."""

from __future__ import annotations

from pathlib import Path

import pytest

from mlic_hf.cli.parsing import make_parser, parse
from mlic_hf.methods.registry import FOLDERS
from mlic_hf.modeling import ARCHITECTURES
from mlic_hf.runs.options import MODEL_CLASSES
from mlic_hf.runs.settings import build, read_recipe, settings_of

RECIPES = sorted((Path(__file__).parents[2] / "mlic_hf" / "recipes").rglob("*.yaml"))


def test_flags_override_the_recipe_and_the_recipe_the_defaults(tmp_path: Path) -> None:
    recipe = tmp_path / "r.yaml"
    recipe.write_text("method: l2d\nlearning_rate: 1e-3\nimage_size: 96\nema_decay: null\nl2d: {weight_mld: 5}\n")
    settings = parse("", "supervised", ["--config", str(recipe), "--image_size", "64", "--l2d.weight_rkd", "2"])
    assert settings.run.method == "l2d"
    assert settings.training.learning_rate == 1e-3
    assert settings.run.image_size == 64
    assert settings.training.ema_decay is None
    assert (settings.method.weight_mld, settings.method.weight_rkd, settings.method.weight_hard) == (5.0, 2.0, 1.0)


def test_every_architecture_has_a_name() -> None:
    assert sorted(MODEL_CLASSES.values()) == sorted(model.__name__ for _, model in ARCHITECTURES.values())


def test_types_of_flags() -> None:
    flags = ["--dataset", "x", "--bf16", "true", "--ema_decay", "none", "--num_train_epochs", "2.5"]
    flags += ["--lr_scales", '{"student.backbone": 0.1}', "--pretrained", "false", "--psd.kinds", '["cgp"]']
    settings = parse("", "psd", flags)
    assert settings.training.bf16 is True
    assert settings.training.ema_decay is None
    assert settings.training.num_train_epochs == 2.5
    assert settings.training.lr_scales == {"student.backbone": 0.1}
    assert settings.run.pretrained == "false"
    assert settings.method.kinds == ["cgp"]


@pytest.mark.parametrize("key", list(FOLDERS))
def test_the_embedded_recipe_of_a_method_holds_without_recipe_and_data_set(key: str) -> None:
    settings = parse("", key, [])
    assert settings.run.method == key
    assert settings.run.dataset == "digit_scenes"
    with_data = parse("", key, ["--dataset", "coco"])
    assert with_data.run.image_size == 224


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_every_recipe_parses_and_names_an_existing_method(recipe: Path) -> None:
    settings = parse("", "supervised", ["--config", str(recipe)])
    assert settings.run.method in FOLDERS
    for section in (settings.run.teacher_run, settings.run.alone_run):
        build({**settings.values, **section}, settings.run.method)


@pytest.mark.parametrize(
    "text, message",
    [
        ("learning_rat: 1", "unknown key 'learning_rat'; did you mean learning_rate"),
        ("l2d: {weight_mdl: 1}", "unknown key 'l2d.weight_mdl'; did you mean l2d.weight_mld"),
        ("teacher_run: {epochs: 1}", "section teacher_run has the unknown key 'epochs'"),
        ("image_size: big", "image_size is 'big', but int was expected"),
        ("bf16: perhaps", "bf16 is 'perhaps', but bool was expected"),
        ("- a list", "is a list; a mapping of settings was expected"),
        ("a: [1", "is not YAML"),
        ("architecture: cnn", "architecture is 'cnn'; it is one of linear"),
        ("part: 1", "partition and part go together"),
    ],
)
def test_wrong_recipes_are_refused(tmp_path: Path, text: str, message: str) -> None:
    recipe = tmp_path / "r.yaml"
    recipe.write_text(text)
    with pytest.raises(ValueError, match=message):
        parse("", "l2d", ["--config", str(recipe)])


def test_short_flags_of_mulcon() -> None:
    settings = parse("", "mulcon", ["--stage", "1", "--gather", "off"])
    assert settings.method.stage == 1
    assert settings.method.gather is False


def test_a_missing_recipe_and_an_unknown_method_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="is not there"):
        read_recipe(tmp_path / "none.yaml")
    with pytest.raises(ValueError, match="There is no method 'kd'"):
        parse("", "l2d", ["--method", "kd"])


def test_help_is_complete() -> None:
    text = make_parser("x", "l2d").format_help()
    for name in settings_of(list(FOLDERS)):
        assert f"--{name} " in text, name
