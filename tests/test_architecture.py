"""The arrows between the rooms, and the rules of the folder that travels to the Hub."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "mlic_hf"
MODELING = PACKAGE / "modeling"

# which rooms a room may import beside itself; what is not here may import nothing else
ARROWS: dict[str, set[str]] = {
    "modeling": set(),
    "losses": set(),
    "metrics": set(),
    "pictures": set(),
    "data": {"pictures"},
    "methods": {"losses", "data", "modeling"},
    "hub": {"modeling"},
    "training": {"hub", "methods", "losses", "data", "modeling", "metrics"},
    "export": {"methods", "modeling", "pictures"},
    "reports": {"training", "methods", "losses", "data", "modeling", "metrics"},
    "runs": {"training", "hub", "reports", "export", "methods", "losses", "data", "modeling", "metrics", "pictures"},
    "cli": {"runs", "training", "hub", "reports", "export", "methods", "losses", "data", "modeling", "metrics"},
}
# the rooms that know where data come from
MAY_BUILD_DATA = ("runs", "cli")
# extras that the core must do without: imported inside the function that needs them
EXTRAS = {"datasets", "evaluate", "albumentations", "sklearn", "matplotlib", "rich", "defusedxml", "scipy", "cv2"}
EXTRAS |= {"onnx", "onnxscript", "onnxruntime"}
CORE_ROOMS = ("modeling", "losses", "methods", "training", "export", "pictures")

# transformers' own scanner of custom code (dynamic_module_utils.get_relative_imports)
RELATIVE_FROM = re.compile(r"^\s*from\s+\.(\S+)\s+import", re.MULTILINE)
RELATIVE_IMPORT = re.compile(r"^\s*import\s+\.(\S+)\s*$", re.MULTILINE)


def python_files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*.py") if "__pycache__" not in path.parts)


def imported_modules(path: Path) -> Iterator[tuple[str, int]]:
    """Absolute names of what a file imports, anywhere in it, with the line."""
    package = path.relative_to(ROOT).with_suffix("").parts[:-1]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package[: len(package) - node.level + 1]) if node.level else ""
            module = ".".join(part for part in (base, node.module or "") if part)
            yield module, node.lineno
            yield from ((f"{module}.{alias.name}", node.lineno) for alias in node.names)


def room_of(module: str) -> str | None:
    parts = module.split(".")
    return parts[1] if parts[0] == "mlic_hf" and len(parts) > 1 and parts[1] in ARROWS else None


def files_of_rooms() -> list[Path]:
    return [path for room in ARROWS for path in python_files(PACKAGE / room)]


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def test_the_page_on_the_house_names_every_room() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    assert [room for room in ARROWS if f"| `mlic_hf/{room}` |" not in page] == []
    assert {path.parent.name for path in PACKAGE.glob("*/__init__.py")} == set(ARROWS)
    drawing = (ROOT / "docs" / "images" / "house.svg").read_text(encoding="utf-8")
    assert [room for room in (*ARROWS, "dataset_builders") if f">{room}</text>" not in drawing] == []


@pytest.mark.parametrize("path", files_of_rooms(), ids=name_of)
def test_rooms_import_only_along_the_arrows(path: Path) -> None:
    room = path.relative_to(PACKAGE).parts[0]
    allowed = ARROWS[room] | {room}
    wrong = [
        f"line {line}: {module}"
        for module, line in imported_modules(path)
        if (room_of(module) is not None and room_of(module) not in allowed)
        or module.split(".")[0] in {"training_scripts", "tests"}
        or (module.split(".")[0] == "dataset_builders" and room not in MAY_BUILD_DATA)
    ]
    # the front door of the package registers the models: no room may lean on it
    wrong += [f"line {line}: mlic_hf.auto" for module, line in imported_modules(path) if module == "mlic_hf.auto"]
    assert wrong == []


@pytest.mark.parametrize("path", python_files(ROOT / "dataset_builders"), ids=name_of)
def test_dataset_builders_stand_alone(path: Path) -> None:
    foreign = {"mlic_hf", "training_scripts", "torch"}
    # a picture is read in one way only, in training as in the check before it
    allowed = ("mlic_hf.pictures.image_reading",)
    wrong = [m for m, _ in imported_modules(path) if m.split(".")[0] in foreign and not m.startswith(allowed)]
    assert wrong == []


@pytest.mark.parametrize("path", python_files(PACKAGE / "pictures"), ids=name_of)
def test_pictures_need_no_torch(path: Path) -> None:
    allowed = {"numpy", "PIL", "onnxruntime", "mlic_hf"} | set(sys.stdlib_module_names)
    assert [module for module, _ in imported_modules(path) if module.split(".")[0] not in allowed] == []


@pytest.mark.parametrize("path", python_files(ROOT / "training_scripts"), ids=name_of)
def test_scripts_are_thin_doors(path: Path) -> None:
    assert {module for module, _ in imported_modules(path)} <= {"mlic_hf.cli", "mlic_hf.cli.run_verb"}
    assert path.stem == "__init__" or f'run_verb("{path.stem}")' in path.read_text(encoding="utf-8")


def test_every_room_has_its_arrows() -> None:
    rooms = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    assert rooms <= set(ARROWS), f"rooms without a rule: {rooms - set(ARROWS)}"


@pytest.mark.parametrize("room", CORE_ROOMS)
def test_the_core_imports_no_extra_at_the_top(room: str) -> None:
    wrong = []
    for path in python_files(PACKAGE / room):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and not node.level:
                names = [node.module or ""]
            wrong += [f"{name_of(path)}: {name}" for name in names if name.split(".")[0] in EXTRAS]
    assert wrong == []


def test_files_stay_short() -> None:
    long = {
        name_of(path): lines
        for folder in (PACKAGE, ROOT / "dataset_builders", ROOT / "training_scripts")
        for path in python_files(folder)
        if (lines := len(path.read_text(encoding="utf-8").splitlines())) > 500
    }
    assert long == {}


class TestHubFolder:
    """What transformers can follow when it saves and loads custom code."""

    files = sorted(MODELING.glob("*.py"))

    def test_it_is_flat(self) -> None:
        assert [path for path in MODELING.iterdir() if path.is_dir() and path.name != "__pycache__"] == []
        assert all(path.stem.endswith("_mlic") or path.stem == "__init__" for path in self.files)

    @pytest.mark.parametrize("path", files, ids=lambda path: path.name)
    def test_the_scanner_finds_exactly_the_real_imports(self, path: Path) -> None:
        text = path.read_text(encoding="utf-8")
        scanned = set(RELATIVE_FROM.findall(text)) | set(RELATIVE_IMPORT.findall(text))
        tree = ast.parse(text)
        real = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.level == 1}
        assert not [n for n in ast.walk(tree) if isinstance(n, ast.ImportFrom) and n.level > 1]
        assert None not in real, "`from . import x` is silently not copied"
        assert scanned == real, "a docstring looks like an import, or an import has a form that is not followed"
        assert all((MODELING / f"{name}.py").exists() for name in real)

    @pytest.mark.parametrize("path", files, ids=lambda path: path.name)
    def test_relative_imports_stand_at_the_top_each_on_its_own_line(self, path: Path) -> None:
        text = path.read_text(encoding="utf-8")
        tree = ast.parse(text)
        relative = [n for n in ast.walk(tree) if isinstance(n, ast.ImportFrom) and n.level]
        assert all(node in tree.body for node in relative)
        assert all(re.fullmatch(r"from \.\w+ import (\(|[\w, ]+)", text.splitlines()[n.lineno - 1]) for n in relative)

    @pytest.mark.parametrize("path", files, ids=lambda path: path.name)
    def test_only_torch_transformers_and_the_standard_library(self, path: Path) -> None:
        allowed = {"torch", "transformers", "numpy", "PIL"} | set(sys.stdlib_module_names)
        tree = ast.parse(path.read_text(encoding="utf-8"))
        guarded = {
            node
            for block in ast.walk(tree)
            if isinstance(block, ast.Try)
            for statement in block.body
            for node in ast.walk(statement)
        }
        wrong = []
        for node in ast.walk(tree):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and not node.level:
                names = [node.module or ""]
            for name in (name.split(".")[0] for name in names):
                may_be_missing = name in {"timm", "torchvision"} and node in guarded
                if name not in allowed and not may_be_missing:
                    wrong.append(name)
        assert wrong == []

    @pytest.mark.parametrize("path", files, ids=lambda path: path.name)
    def test_no_registration_in_exported_files(self, path: Path) -> None:
        if path.name == "__init__.py":
            pytest.skip("this file stays at home")
        text = path.read_text(encoding="utf-8")
        assert ".register(" not in text
        assert "register_for_auto_class" not in text

    def test_every_concrete_class_is_registered(self) -> None:
        from mlic_hf.modeling import ARCHITECTURES, MultiLabelImageProcessor

        for config_class, model_class in ARCHITECTURES.values():
            assert config_class.__dict__["_auto_class"] == "AutoConfig"
            assert model_class.__dict__["_auto_class"] == "AutoModelForImageClassification"
        assert MultiLabelImageProcessor.__dict__["_auto_class"] == "AutoImageProcessor"
        written = {p.stem for p in self.files if p.stem.startswith("modeling_")}
        assert written == {model.__module__.split(".")[-1] for _, model in ARCHITECTURES.values()}
