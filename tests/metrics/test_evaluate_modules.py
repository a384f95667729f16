from __future__ import annotations

import multiprocessing
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mlic_hf import metrics
from mlic_hf.metrics import evaluate_module
from tests.metrics import inputs

evaluate = pytest.importorskip("evaluate")

MODULES = ["multilabel_f1", "multilabel_mean_average_precision", "multilabel_metrics"]


def one_of_two(rank: int, cache: str, results: Any) -> None:
    """What each process of a pair runs: its own part of the images, then compute."""
    metric = evaluate.load(
        evaluate_module("multilabel_metrics"),
        cache_dir=cache,
        num_process=2,
        process_id=rank,
        experiment_id="pair",
    )
    scores, targets = inputs.make("tied_left_out")
    part = slice(0, 80) if rank == 0 else slice(80, None)
    metric.add_batch(predictions=scores[part], references=targets[part])
    results.put((rank, metric.compute(threshold=0.3)))


@pytest.mark.parametrize("name", MODULES)
def test_batches_by_path_give_the_functions_numbers(name: str, tmp_path: Path) -> None:
    metric = evaluate.load(evaluate_module(name), cache_dir=str(tmp_path))
    scores, targets = inputs.make("left_out")
    for first in range(0, len(scores), 50):
        metric.add_batch(predictions=scores[first : first + 50], references=targets[first : first + 50])
    got = metric.compute()
    if name == "multilabel_metrics":
        assert got == metrics.multilabel_metrics(scores, targets)
    elif name == "multilabel_f1":
        assert got == metrics.precision_recall_f1(scores, targets)
    else:
        mean, without_positives = metrics.mean_average_precision(scores, targets)
        assert got == {"mAP": mean, "labels_without_positives": without_positives}


def test_options_and_precision(tmp_path: Path) -> None:
    metric = evaluate.load(evaluate_module("multilabel_f1"), cache_dir=str(tmp_path))
    scores = np.full((2, 2), 0.7, dtype=np.float32)
    got = metric.compute(predictions=scores, references=[[1, 1], [0, 1]], threshold=[0.7, 0.7], topk=1)
    assert got == metrics.precision_recall_f1(scores, [[1, 1], [0, 1]], [0.7, 0.7], 1)
    assert got["OP"] == 0.5


def test_two_processes_equal_one(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")  # spares each of the two a fresh import of everything
    results = context.Queue()
    pair = [context.Process(target=one_of_two, args=(rank, str(tmp_path), results)) for rank in (0, 1)]
    for process in pair:
        process.start()
    got = dict(results.get(timeout=120) for _ in pair)
    for process in pair:
        process.join(timeout=60)
    assert [process.exitcode for process in pair] == [0, 0]
    assert got[1] is None
    assert got[0] == metrics.multilabel_metrics(*inputs.make("tied_left_out"), threshold=0.3)


def test_a_folder_is_a_space(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Served as the Hub serves a Space, the folder loads by its repository name."""

    class Space(SimpleHTTPRequestHandler):
        def translate_path(self, path: str) -> str:
            return str(Path(evaluate_module("multilabel_f1")) / Path(path).name)

        def log_message(self, *arguments: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Space)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    hub = f"http://127.0.0.1:{server.server_port}/spaces/{{path}}/resolve/{{revision}}/{{name}}"
    monkeypatch.setattr(evaluate.config, "HUB_EVALUATE_URL", hub)
    downloads = evaluate.utils.file_utils.DownloadConfig(cache_dir=tmp_path / "downloads")
    try:
        metric = evaluate.load(
            "someone/multilabel_f1", module_type="metric", cache_dir=str(tmp_path), download_config=downloads
        )
    finally:
        server.shutdown()
    got = metric.compute(predictions=[[0.9, 0.1], [0.2, 0.8]], references=[[1, 0], [1, 1]])
    assert got == metrics.precision_recall_f1([[0.9, 0.1], [0.2, 0.8]], [[1, 0], [1, 1]])


@pytest.mark.parametrize("name", MODULES)
def test_a_folder_holds_what_a_space_needs(name: str) -> None:
    folder = Path(evaluate_module(name))
    card = (folder / "README.md").read_text(encoding="utf-8").split("---")[1]
    assert "sdk: gradio" in card
    assert "app_file: app.py" in card
    assert "- evaluate" in card
    assert name in (folder / "app.py").read_text(encoding="utf-8")
    assert "mlic_hf" in (folder / "requirements.txt").read_text(encoding="utf-8")


def test_unknown_module_is_named() -> None:
    with pytest.raises(ValueError, match="there is no evaluate module 'mAP'; expected one of"):
        evaluate_module("mAP")
