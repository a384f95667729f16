"""The fuzz of benchmarks/fuzz: it finds what it is there to find, and the readers pass it."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from benchmarks.fuzz import __main__ as fuzz_main
from benchmarks.fuzz import annotation_cases, picture_cases, section, worker
from benchmarks.fuzz.layouts import LAYOUTS
from benchmarks.fuzz.strict_json import Strict, parse

pytest.importorskip("datasets")
pytest.importorskip("cv2")
ROOT = Path(__file__).resolve().parents[2]


def fuzz(cases: int, seed: int) -> None:
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "benchmarks.fuzz", "--cases", str(cases), "--seed", str(seed)]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "foreign 0, hang 0, over memory 0, silently wrong 0" in done.stdout


def test_some_cases() -> None:
    fuzz(150, 7)


@pytest.mark.slow
def test_many_cases() -> None:
    fuzz(2000, 20)


def test_the_section_of_the_benchmarks(monkeypatch: pytest.MonkeyPatch) -> None:
    def counted(cases: int, seed: int) -> dict[str, int]:
        return dict.fromkeys(fuzz_main.CLASSES, 0) | {"right": seed, "error": cases - seed}

    monkeypatch.setattr(fuzz_main, "fuzz", counted)
    text = section(quick=True)
    assert "`python -m benchmarks.fuzz --cases 200 --seed N`" in text
    assert (
        "| seed | right | error | foreign | hang | over memory | silently wrong |\n|---|---|---|---|---|---|---|"
        in text
    )
    assert text.endswith("| 2 | 2 | 198 | 0 | 0 | 0 | 0 |\n| 3 | 3 | 197 | 0 | 0 | 0 | 0 |")


def written(root: Path, files: dict[str, bytes]) -> Path:
    for path, content in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(content)
    return root


@pytest.mark.parametrize("name", LAYOUTS)
def test_both_readers_agree_where_nothing_is_damaged(tmp_path: Path, name: str) -> None:
    layout = LAYOUTS[name]
    assert annotation_cases.judge(written(tmp_path / "tree", layout.files), layout, layout.files) == ("right", "")


@pytest.mark.parametrize("kind", picture_cases.kinds(), ids=lambda kind: kind.name)
def test_pictures_agree_where_nothing_is_damaged(tmp_path: Path, kind: picture_cases.Kind) -> None:
    (tmp_path / kind.name).write_bytes(kind.content)
    assert picture_cases.judge(tmp_path / kind.name, kind.content, kind) == ("right", "")


def other_labels(read: Any, root: Path) -> Any:
    names, splits = read
    return names, {split: {key: (frozenset(), frozenset()) for key in rows} for split, rows in splits.items()}


def raised(error: Exception) -> Callable[..., Any]:
    def reader(read: Any, root: Path) -> Any:
        raise type(error)(str(error).format(root=root))

    return reader


@pytest.mark.parametrize(
    ("reader", "judged"),
    [
        (other_labels, "silently wrong"),
        (raised(KeyError("labels")), "foreign"),
        (raised(ValueError("a file is wrong")), "foreign"),
        (raised(ValueError("{root}/a\nTraceback")), "foreign"),
        (raised(OSError("{root}")), "foreign"),
        (raised(ValueError("{root}/metadata.jsonl, line 3: no")), "error"),
    ],
)
def test_what_a_reader_does_is_judged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reader: Callable[..., Any], judged: str
) -> None:
    layout = LAYOUTS["folder"]
    read = annotation_cases._read
    monkeypatch.setattr(annotation_cases, "_read", lambda root, layout: reader(read(root, layout), root))
    root = written(tmp_path / "tree", layout.files)
    assert annotation_cases.judge(root, layout, layout.files)[0] == judged


def test_a_picture_of_other_pixels_is_silently_wrong(tmp_path: Path) -> None:
    kind = picture_cases.kinds()[0]
    other = Image.fromarray(255 - np.asarray(Image.open(written(tmp_path, {"a": kind.content}) / "a")))
    other.save(tmp_path / kind.name)
    judged = picture_cases.judge(tmp_path / kind.name, kind.content, kind)
    assert judged == ("silently wrong", "other pixels than the other reader's")


def hangs(number: int, seed: int, root: Path) -> tuple[str, str]:
    if number == 1:
        time.sleep(60)
    return "right", ""


def computes(number: int, seed: int, root: Path) -> tuple[str, str]:
    end = time.process_time() + (0.5 if number == 1 else 0)
    while time.process_time() < end:
        pass
    return "right", ""


def eats(number: int, seed: int, root: Path) -> tuple[str, str]:
    if number == 1:
        len(b"x" * (600 << 20))
    return "right", ""


def dies(number: int, seed: int, root: Path) -> tuple[str, str]:
    if number == 1:
        os._exit(9)
    return "right", ""


def breaks(number: int, seed: int, root: Path) -> tuple[str, str]:
    if number == 1:
        raise IndexError("of a strict reader")
    return "right", ""


@pytest.mark.parametrize(
    ("case", "judged"),
    [(hangs, "hang"), (computes, "hang"), (eats, "over memory"), (dies, "over memory"), (breaks, "foreign")],
)
def test_the_watch(monkeypatch: pytest.MonkeyPatch, case: Callable[..., Any], judged: str) -> None:
    monkeypatch.setattr(worker, "case", case)
    monkeypatch.setattr(worker, "SECONDS", 5.0 if case is eats else 1.0)
    monkeypatch.setattr(worker, "CPU_SECONDS", 0.4 if case is computes else 5.0)
    found = list(worker.run_cases(3, 0))
    assert [(number, how) for number, how, _ in found] == [(0, "right"), (1, judged), (2, "right")]


def test_a_case_is_a_function_of_seed_and_number(tmp_path: Path) -> None:
    for number in (2, 4):
        first, again = (worker.case(number, 3, tmp_path) for _ in range(2))
        assert first == again


@pytest.mark.parametrize(
    "text", ["", "[1,]", '{"a": 1, "a": 1}', "NaN", '"\\ud800"', "[" * 50 + "]" * 50, "01", "1 2", "'a'", '"\n"', "[1"]
)
def test_the_strict_reader_of_json_refuses(text: str) -> None:
    with pytest.raises(Strict):
        parse(text)


def test_the_strict_reader_of_json_reads() -> None:
    assert parse(' {"a": [1, -2.5e1, true, null, "\\u00e9\\n\\ud83d\\ude00"], "b": {}} ') == {
        "a": [1, -25.0, True, None, "é\n😀"],
        "b": {},
    }


def test_damage_differs_from_case_to_case() -> None:
    content = LAYOUTS["coco"].files["annotations/instances_val2017.json"]
    found = {annotation_cases.damage("a.json", content, random.Random(seed)) for seed in range(60)}
    assert len(found) > 45
