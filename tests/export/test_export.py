"""Exported files say what their checkpoints say, and everything that their users must know."""

from __future__ import annotations

import json
import math
import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from transformers import pipeline

import mlic_hf
from mlic_hf import OnnxTagger
from mlic_hf.methods.saved_model import load_saved
from mlic_hf.modeling import ARCHITECTURES, MultiLabelImageProcessor
from tests.modeling.tiny_models import LABELS, tiny_model

onnx = pytest.importorskip("onnx", reason="needs the onnx extra")
pytest.importorskip("onnxscript", reason="needs the onnx extra")
pytest.importorskip("onnxruntime", reason="needs the onnx extra")

from mlic_hf.cli import export as verb  # noqa: E402
from mlic_hf.export import check_exported, checkpoint_scores, int8_graph, write_onnx  # noqa: E402
from mlic_hf.export.quantize import front  # noqa: E402
from mlic_hf.runs.exporting import export, scores_before_and_after, spread  # noqa: E402

ROOT = Path(mlic_hf.__file__).parents[1]
THRESHOLDS = [0.1, 0.3, 0.5, 0.7, 0.9]
CALIBRATION = [[1.5, -0.5], [1.0, 0.0], [0.5, 0.25], [2.0, 1.0], [1.0, -1.0]]


def photographs(folder: Path, count: int = 12) -> list[Path]:
    """Smooth pictures of several sizes and formats, as cameras and people leave them."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(7)
    files = []
    for place in range(count):
        coarse = Image.fromarray(rng.integers(0, 256, (5, 7, 3), dtype=np.uint8))
        picture = coarse.resize((90 + 17 * place, 140 - 6 * place), Image.Resampling.BICUBIC)
        files.append(folder / f"{place:02}.{'png' if place % 3 else 'jpg'}")
        picture.convert(("RGB", "L", "RGBA", "P")[place % 4 if place % 3 else 0]).save(files[-1])
    return files


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return photographs(tmp_path_factory.mktemp("pictures"))


@pytest.fixture(scope="module")
def model() -> Any:
    return tiny_model("mlic_ml_decoder", thresholds=THRESHOLDS, calibration=CALIBRATION)


@pytest.fixture(scope="module")
def plain(model: Any, pictures: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("plain") / "model.onnx"
    export(model, path, pictures)
    return path


@pytest.fixture
def traced(plain: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The graph of `model` without the seconds that torch takes for it."""
    monkeypatch.setattr("mlic_hf.runs.exporting.logits_graph", lambda model, opset: onnx.load(plain))


@pytest.fixture(scope="module")
def saved(model: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("saved")
    model.save_pretrained(folder)
    MultiLabelImageProcessor.for_model(model).save_pretrained(folder)
    return folder


def one_fast(fast: str) -> list[Any]:
    return [name if name == fast else pytest.param(name, marks=pytest.mark.slow) for name in ARCHITECTURES]


@pytest.mark.parametrize("precision", ["float32", pytest.param("float16", marks=pytest.mark.slow)])
@pytest.mark.parametrize("model_type", one_fast("mlic_query2label"))
def test_every_architecture(model_type: str, precision: str, pictures: list[Path], tmp_path: Path) -> None:
    difference = export(tiny_model(model_type), tmp_path / "model.onnx", pictures, precision)
    assert difference.pictures == len(pictures)
    assert difference.largest <= (1e-5 if precision == "float32" else 2e-2)
    assert [path.name for path in tmp_path.iterdir()] == ["model.onnx"]


def test_the_file_says_what_its_users_must_know(model: Any, plain: Path) -> None:
    graph = onnx.load(plain)
    told = {entry.key: entry.value for entry in graph.metadata_props}
    assert told.pop("format") == "mlic_hf/1"
    values = {key: json.loads(value) for key, value in told.items()}
    assert values == {
        "labels": LABELS,
        "thresholds": THRESHOLDS,
        "calibration": CALIBRATION,
        "pixels": {
            "image_size": 64,
            "mean": model.backbone.mean,
            "std": model.backbone.std,
            "interpolation": model.backbone.interpolation,
        },
        "architecture": "MLDecoderForImageClassification",
        "backbone": "resnet10t",
    }
    assert graph.opset_import[0].version == 20
    assert graph.graph.input[0].type.tensor_type.shape.dim[0].dim_param == "batch"


def test_the_file_knows_nothing_of_this_machine(plain: Path) -> None:
    content = plain.read_bytes()
    for path in (Path(mlic_hf.__file__).parent, Path(sys.prefix), Path.home(), plain.parent):
        assert str(path).encode() not in content
    assert b".py" not in content


@pytest.mark.slow
def test_an_opset_is_kept(model: Any, pictures: list[Path], tmp_path: Path) -> None:
    export(model, tmp_path / "model.onnx", pictures, opset=18)
    assert onnx.load(tmp_path / "model.onnx").opset_import[0].version == 18


def test_an_old_opset_is_refused(model: Any, pictures: list[Path], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="opset is 17; expected 18 or more"):
        export(model, tmp_path / "model.onnx", pictures, opset=17)


class TestTagger:
    """The call and the answers of the pipeline."""

    @pytest.mark.parametrize(
        "arguments",
        [
            {},
            {"threshold": 0.4},
            {"threshold": 0.0, "top_k": 2},
            {"calibrated": True},
            {"threshold": THRESHOLDS[::-1]},
        ],
    )
    def test_it_answers_as_the_pipeline(
        self, model: Any, plain: Path, pictures: list[Path], arguments: dict[str, Any]
    ) -> None:
        processor = MultiLabelImageProcessor.for_model(model)
        reference = pipeline("multi-label-image-classification", model=model, image_processor=processor, device="cpu")
        names = [str(path) for path in pictures]
        expected, found = reference(names, **arguments), OnnxTagger(plain)(names, **arguments)
        assert len(found) == len(expected)
        for ours, theirs in zip(found, expected):
            assert [x["label"] for x in ours] == [x["label"] for x in theirs]
            assert [x["score"] for x in ours] == pytest.approx([x["score"] for x in theirs], abs=1e-5)
        alone = OnnxTagger(plain)(names[0], **arguments)
        assert [x["label"] for x in alone] == [x["label"] for x in found[0]]

    def test_batches_change_nothing(self, plain: Path, pictures: list[Path]) -> None:
        alone = OnnxTagger(plain, batch_size=1, threads=1).scores(pictures)
        together = OnnxTagger(plain, batch_size=5, threads=1).scores(pictures)
        np.testing.assert_allclose(alone, together, atol=1e-6)
        assert OnnxTagger(plain).scores([]).shape == (0, 5)

    def test_bytes_and_pillow_images(self, plain: Path, pictures: list[Path]) -> None:
        tagger = OnnxTagger(plain)
        by_path = tagger(pictures[1], threshold=0)
        assert tagger(pictures[1].read_bytes(), threshold=0) == by_path
        assert tagger(Image.open(pictures[1]), threshold=0) == by_path

    def test_what_is_wrong_is_said(self, model: Any, plain: Path, tmp_path: Path) -> None:
        with pytest.raises(ValueError, match=r"nowhere\.onnx is no file"):
            OnnxTagger(tmp_path / "nowhere.onnx")
        (tmp_path / "text.onnx").write_text("no graph")
        with pytest.raises(ValueError, match=r"text\.onnx cannot be read by onnxruntime"):
            OnnxTagger(tmp_path / "text.onnx")
        graph = onnx.load(plain)
        del graph.metadata_props[:]
        onnx.save(graph, tmp_path / "bare.onnx")
        with pytest.raises(ValueError, match=r"its format is None; expected 'mlic_hf/1': write it with `mlic export`"):
            OnnxTagger(tmp_path / "bare.onnx")
        (tmp_path / "broken.png").write_bytes(b"")
        with pytest.raises(ValueError, match=r"broken\.png' has zero bytes|broken\.png.*zero bytes"):
            OnnxTagger(plain)([str(tmp_path / "broken.png")])
        with pytest.raises(ValueError, match="threshold has 2 numbers for 5 labels"):
            OnnxTagger(plain)([], threshold=[0.1, 0.2])
        with pytest.raises(ValueError, match="threshold is 'best'"):
            OnnxTagger(plain)([], threshold="best")


class TestInside:
    """What the graph does itself is what is done around it."""

    @pytest.mark.parametrize("interpolation", ["bicubic", pytest.param("bilinear", marks=pytest.mark.slow)])
    def test_preprocessing_and_thresholds(self, interpolation: str, pictures: list[Path], tmp_path: Path) -> None:
        model = tiny_model("mlic_linear", thresholds=THRESHOLDS, interpolation=interpolation)
        path = tmp_path / "model.onnx"
        export(model, path, pictures, inside=("preprocessing", "thresholds"))
        tagger = OnnxTagger(path)
        expected = checkpoint_scores(model, pictures)
        np.testing.assert_allclose(tagger.scores(pictures), expected, atol=1e-3)  # a step of 255 here and there
        pixels = np.stack([np.asarray(Image.open(pictures[0]).convert("RGB"))] * 3)
        found = dict(zip(("logits", "scores", "decisions"), tagger.session.run(None, {"pictures": pixels})))
        np.testing.assert_allclose(found["scores"], expected[[0, 0, 0]], atol=1e-3)
        np.testing.assert_array_equal(found["decisions"], found["scores"] >= np.float32(THRESHOLDS))

    @pytest.mark.usefixtures("traced")
    def test_a_filter_that_onnx_lacks_is_refused(self, pictures: list[Path], tmp_path: Path) -> None:
        model = tiny_model("mlic_linear", interpolation="lanczos")
        with pytest.raises(ValueError, match="ONNX has no lanczos resize"):
            export(model, tmp_path / "model.onnx", pictures, inside=["preprocessing"])
        assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("traced")
class TestInt8:
    def test_it_is_small_and_near(self, model: Any, plain: Path, pictures: list[Path], tmp_path: Path) -> None:
        path = tmp_path / "int8.onnx"
        difference = export(model, path, pictures, "int8", inside=["thresholds"])
        assert path.stat().st_size < plain.stat().st_size / 3
        assert 1e-6 < difference.largest < 0.15
        nodes = onnx.load(path).graph.node
        assert {"QuantizeLinear", "DequantizeLinear", "LayerNormalization"} <= {node.op_type for node in nodes}
        first = [node.op_type for node in nodes].index("QuantizeLinear")
        assert "Conv" in [node.op_type for node in nodes[:first]], "the first layers stay in float"

    def test_the_front_is_a_share_of_the_weights(self, plain: Path) -> None:
        graph = onnx.load(plain)
        sizes = {w.name: math.prod(w.dims) for w in graph.graph.initializer}
        weights = [sum(sizes.get(name, 0) for name in node.input) for node in graph.graph.node]
        for share in (0.0, 0.01, 0.3):
            count = len(front(graph, share))
            assert sum(weights[:count]) <= share * sum(sizes.values()) < sum(weights[: count + 1])

    def test_it_wants_pictures(self, model: Any, tmp_path: Path) -> None:
        with pytest.raises(ValueError, match="no picture to measure the ranges on"):
            int8_graph(None, [])
        with pytest.raises(ValueError, match="no picture to hold the file against"):
            export(model, tmp_path / "model.onnx", [])


def test_another_model_does_not_pass_the_check(plain: Path, pictures: list[Path]) -> None:
    other = tiny_model("mlic_ml_decoder", thresholds=THRESHOLDS)
    with pytest.raises(ValueError, match="does not say what its checkpoint says"):
        check_exported(OnnxTagger(plain), other, pictures)


@pytest.mark.usefixtures("traced")
def test_a_failed_check_leaves_what_was_there(
    model: Any, pictures: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "model.onnx"
    path.write_text("of yesterday")
    monkeypatch.setattr("mlic_hf.export.check.LARGEST", {"float32": -1.0})
    with pytest.raises(ValueError, match="does not say what its checkpoint says"):
        export(model, path, pictures)
    assert path.read_text() == "of yesterday"
    assert len(list(tmp_path.iterdir())) == 1


def test_before_and_after_see_the_same_pictures(model: Any, plain: Path, pictures: list[Path]) -> None:
    rows = [{"image": str(p), "image_id": p.name, "labels": [LABELS[i % 5]]} for i, p in enumerate(pictures)]
    before, after, targets = scores_before_and_after(model, OnnxTagger(plain), rows)
    np.testing.assert_allclose(before, after, atol=1e-5)
    np.testing.assert_array_equal(targets.argmax(1), np.arange(12) % 5)


def test_spread() -> None:
    assert spread(range(10), 20) == list(range(10))
    assert spread(range(10), 3) == [0, 3, 6]


def test_a_data_set_tells_what_fewer_bits_cost(saved: Path, plain: Path, pictures: list[Path], tmp_path: Path) -> None:
    lines = [json.dumps({"file_name": path.name, "labels": [LABELS[i % 5]]}) for i, path in enumerate(pictures)]
    place = tmp_path / "data" / "validation"
    place.mkdir(parents=True)
    for path in pictures:
        (place / path.name).write_bytes(path.read_bytes())
    (place / "metadata.jsonl").write_text("\n".join(lines))
    flags = ["--model", str(saved), "--pictures", "p", "--output", str(plain), "--dataset", str(tmp_path / "data")]
    told = verb.of_data(load_saved(str(saved)).eval(), verb.parse_arguments(flags))
    assert told["images"] == 12
    assert told["checkpoint"] == pytest.approx(told["file"], abs=1e-3)
    assert told["low"] <= told["difference"] <= told["high"]


def test_the_verb(
    saved: Path,
    plain: Path,
    pictures: list[Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("mlic_hf.runs.exporting.logits_graph", lambda model, opset: onnx.load(plain))
    flags = ["--model", str(saved), "--pictures", str(pictures[0].parent)]
    verb.main([*flags, "--output", str(tmp_path / "model.onnx"), "--half", "--inside", "thresholds"])
    said = capsys.readouterr().out
    assert "MB, float16, opset 20; scores on 12 pictures differ" in said
    monkeypatch.setattr("mlic_hf.cli.export.of_data", lambda model, arguments: {"checkpoint": 1.0})
    verb.main([*flags, "--output", str(tmp_path / "model.onnx"), "--json", "--dataset", "d"])
    told = json.loads(capsys.readouterr().out)
    assert told["bytes"] == (tmp_path / "model.onnx").stat().st_size
    assert told["difference"]["pictures"] == 12
    assert told["data"] == {"checkpoint": 1.0}
    with pytest.raises(ValueError, match=r"a \.onnx file was expected"):
        verb.main([*flags, "--output", str(tmp_path / "model.pt")])
    with pytest.raises(SystemExit):
        verb.main([*flags, "--output", str(tmp_path / "model.onnx"), "--half", "--quantize", "int8"])


WITHOUT_TORCH = """
import importlib.abc, sys

class Refuse(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {"torch", "transformers", "timm", "torchvision", "accelerate", "datasets", "onnx"}:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return None

sys.meta_path.insert(0, Refuse())
import importlib.util
real = importlib.util.find_spec
importlib.util.find_spec = lambda name, package=None: None if name.split(".")[0] == "torch" else real(name, package)
import json
from mlic_hf import OnnxTagger
print(json.dumps(OnnxTagger(sys.argv[1])(sys.argv[2:])))
assert "torch" not in sys.modules
"""


def test_without_torch(plain: Path, pictures: list[Path]) -> None:
    """`OnnxTagger` where torch, transformers and onnx cannot be imported, in a process of its own."""
    names = [str(path) for path in pictures[:3]]
    environment = {**os.environ, "PYTHONPATH": str(Path(mlic_hf.__file__).parents[1])}
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_TORCH, str(plain), *names],
        capture_output=True,
        text=True,
        env=environment,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == OnnxTagger(plain)(names)


@pytest.mark.slow
def test_in_a_fresh_environment(plain: Path, pictures: list[Path], tmp_path: Path) -> None:
    """The two commands of docs/products.md in a new environment, where torch was never installed."""
    source = tmp_path / "source"
    for name in ("mlic_hf", "dataset_builders"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    venv.create(tmp_path / "environment", with_pip=True)
    python = str(tmp_path / "environment" / "bin" / "python")
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}

    def run(*arguments: str) -> subprocess.CompletedProcess:
        return subprocess.run(
            [python, *arguments], capture_output=True, text=True, env=environment, cwd=tmp_path, timeout=600
        )

    install = run("-m", "pip", "install", "--quiet", "numpy", "pillow", "onnxruntime")
    if install.returncode and "No matching distribution" in install.stderr:
        pytest.skip("needs a package index")
    assert install.returncode == 0, install.stderr
    assert run("-m", "pip", "install", "--quiet", "--no-deps", str(source)).returncode == 0
    names = [str(path) for path in pictures[:3]]
    code = "import importlib.util, json, sys; from mlic_hf import OnnxTagger"
    code += "; tags = OnnxTagger(sys.argv[1])(sys.argv[2:])"
    done = run("-c", f"{code}; print(json.dumps([tags, importlib.util.find_spec('torch')]))", str(plain), *names)
    assert done.returncode == 0, done.stderr
    tags, torch = json.loads(done.stdout)
    assert torch is None
    assert [[x["label"] for x in one] for one in tags] == [
        [x["label"] for x in one] for one in OnnxTagger(plain)(names)
    ]


def test_write_onnx_refuses_a_broken_graph(model: Any, plain: Path, tmp_path: Path) -> None:
    graph = onnx.load(plain)
    del graph.graph.node[:1]
    with pytest.raises(onnx.checker.ValidationError):
        write_onnx(graph, model, tmp_path / "model.onnx")
