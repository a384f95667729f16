"""`mlic audit`: labels that were made wrong on purpose come first, and what was decided about them is read back."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from dataset_builders import load_splits
from mlic_hf.cli import audit
from mlic_hf.cli.parsing import parse
from mlic_hf.data import stratified_split
from mlic_hf.runs.audit import scores_of_folds
from mlic_hf.runs.data import folds_of, load_data
from mlic_hf.runs.frozen_heads import fit_heads, out_of_fold_scores
from tests.methods.tiny import NAMES
from tests.scripts.folder import FLAGS, make_folder
from tests.training.tiny import rows

FROZEN = ["--frozen", "true", "--backbone", "test_resnet", "--pretrained", "false", "--image_size", "32"]


def cells(output: Path) -> list[dict[str, str]]:
    with (output / "corrections.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def wrong(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, set[tuple[str, str]]]:
    """A folder in whose training labels some were turned round, and which."""
    folder = make_folder(tmp_path_factory.mktemp("wrong") / "pictures", 200)
    place = folder / "train" / "metadata.jsonl"
    lines = [json.loads(line) for line in place.read_text().splitlines()]
    turned = set()
    for row, label in zip(lines[::10], NAMES * 4):
        row["labels"] = sorted(set(row["labels"]) ^ {label})
        turned.add((f"train/{row['file_name']}", label))
    place.write_text("".join(json.dumps(row) + "\n" for row in lines))
    return folder, turned


def test_frozen_heads_find_what_was_turned_and_the_decisions_are_read_back(
    wrong: tuple[Path, set[tuple[str, str]]], tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    folder, turned = wrong
    audit.main([*FROZEN, "--dataset", str(folder), "--output_dir", str(tmp_path), "--images", "6", "--most", "40"])
    assert "200 pictures, 1000 cells that are known" in capsys.readouterr().out
    ranked = cells(tmp_path)
    first = {(row["image_id"], row["label"]) for row in ranked[: len(turned)]}
    assert len(first & turned) >= 0.7 * len(turned)
    page = (tmp_path / "audit.html").read_text(encoding="utf-8")
    assert page.count("<figure>") == 12
    assert "Listed, but unlikely: the first 6" in page
    for row in ranked:  # somebody decides
        if (row["image_id"], row["label"]) in turned:
            row["correct"] = "0" if row["listed"] == "1" else "1"
    with (tmp_path / "corrections.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(ranked[0]))
        writer.writeheader()
        writer.writerows(ranked)
    found = load_splits(folder, corrections=str(tmp_path / "corrections.csv"), cache_dir=tmp_path / "cache")["train"]
    before = load_splits(folder, cache_dir=tmp_path / "cache")["train"]
    changed = {
        (one, NAMES[label])
        for one, new, old in zip(found["image_id"], found["labels"], before["labels"])
        for label in set(new) ^ set(old)
    }
    decided = {(row["image_id"], row["label"]) for row in ranked if row["correct"]}
    assert changed == decided
    assert len(changed) >= 0.7 * len(turned)


def test_a_model_is_asked_about_a_split_it_has_not_seen(folder: Path, distilled: tuple, tmp_path: Path) -> None:
    student = Path(distilled[1]["student"]["folder"])
    flags = ["--model", str(student), "--dataset", str(folder), "--split", "validation", "--use_cpu", "true"]
    audit.main([*flags, "--frozen", "false", "--output_dir", str(tmp_path), "--most", "1000"])
    ranked = cells(tmp_path)
    assert len(ranked) == 12 * 5
    doubts = [1 - float(row["score"]) if row["listed"] == "1" else float(row["score"]) for row in ranked]
    assert doubts == sorted(doubts, reverse=True)
    with pytest.raises(ValueError, match="give one of the two"):
        audit.main([*flags, "--frozen", "true", "--output_dir", str(tmp_path)])


def test_every_fold_is_scored_by_a_run_that_has_not_seen_it(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlic_hf.runs import audit as of_runs
    from mlic_hf.runs.stages import run

    seen = []

    def run_here(jobs: list, at_once: int, unit: str) -> list:
        for job in jobs:
            seen.append(run(job.settings)["student"]["data"]["splits"]["train"])
        return []

    monkeypatch.setattr(of_runs, "run_jobs", run_here)
    flags = ["--dataset", str(folder), "--output_dir", str(tmp_path / "a"), *FLAGS]
    settings = parse("", "supervised", [*flags, "--per_device_train_batch_size", "6"])
    data = load_data(settings.run)
    scores = scores_of_folds(settings, data, 3)
    assert [told["images"] for told in seen] == [24 - len(part) for part in folds_of(data, "train", 3)]
    assert len({told["hash"] for told in seen}) == 3
    assert ((scores > 0) & (scores < 1)).all()
    np.testing.assert_array_equal(scores_of_folds(settings, data, 3), scores)
    assert len(seen) == 3  # finished folds are read
    with pytest.raises(ValueError, match="fold is 3, but there are the folds 0 to 2"):
        load_data(settings.but(folds=3, fold=3).run)
    with pytest.raises(ValueError, match="go together"):
        settings.but(folds=3)


def test_folds_are_whole_and_share_the_labels() -> None:
    labels = torch.tensor([[float(label in row["labels"]) for label in range(5)] for row in rows(50)])
    parts = stratified_split(labels, 5, [0.2] * 5)
    assert sorted(np.concatenate(parts)) == list(range(50))
    features = torch.randn(50, 8, generator=torch.Generator().manual_seed(0))
    scores = out_of_fold_scores(features, labels, 5, [0.1])
    rest = np.setdiff1d(np.arange(50), parts[2])
    expected = fit_heads(features[rest], labels[rest], 0.1)(features[parts[2]]).double().sigmoid()
    np.testing.assert_array_equal(scores[parts[2]], expected.numpy())
    with pytest.raises(ValueError, match="folds is 1; between 2 and the 50 images"):
        out_of_fold_scores(features, labels, 1)


def test_heads_are_those_of_scikit_learn() -> None:
    linear_model = pytest.importorskip("sklearn.linear_model")
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(80, 6, generator=generator) * torch.tensor([1.0, 5, 0.1, 1, 1, 1]) + 3
    labels = (features[:, :3] + torch.randn(80, 3, generator=generator) > 3).float()
    labels[::7, 1] = -1
    logits = fit_heads(features, labels, 0.05)(features)
    inputs = ((features - features.mean(0)) / features.std(0, correction=0)).numpy()
    for label in range(3):
        known = (labels[:, label] >= 0).numpy()
        model = linear_model.LogisticRegression(C=1 / (0.05 * known.sum()), tol=1e-8, max_iter=1000)
        model.fit(inputs[known], labels[known, label].numpy())
        np.testing.assert_allclose(logits[:, label].numpy(), model.decision_function(inputs), atol=2e-3)
