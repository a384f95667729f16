"""Label names to rows of a GloVe text file."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from mlic_hf.modeling import LabelTransformerForImageClassification, load_word_vectors


def glove(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_whole_names_before_the_mean_of_their_words(tmp_path: Path) -> None:
    path = glove(tmp_path / "glove.txt", "dining 1 2\ntable 3 4\ncat 5 6\nt-shirt 7 8\nshirt 9 9\nt 0 0\n")
    found = load_word_vectors(path, ["Dining_table", "cat", "t-shirt"])
    assert torch.equal(found, torch.tensor([[2.0, 3.0], [5.0, 6.0], [7.0, 8.0]]))


def test_a_missing_word_is_named(tmp_path: Path) -> None:
    path = glove(tmp_path / "glove.txt", "dining 1 2\n")
    with pytest.raises(ValueError, match=r"no vector for 2 labels: 'dining table' \(table\); 'zebra' \(zebra\)"):
        load_word_vectors(path, ["dining table", "zebra"])


def test_a_malformed_line_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="line 2: 'cat' is not followed by numbers only"):
        load_word_vectors(glove(tmp_path / "a.txt", "dog 1 2\ncat 1 x\n"), ["cat"])
    with pytest.raises(ValueError, match="line 2: 'cat' has 1 numbers, not 2"):
        load_word_vectors(glove(tmp_path / "b.txt", "dog 1 2\ncat 1\n"), ["dog", "cat"])


def test_a_missing_file() -> None:
    with pytest.raises(FileNotFoundError, match=r"No word vectors at nowhere.txt"):
        load_word_vectors("nowhere.txt", ["cat"])


def test_the_model_takes_the_file(tmp_path: Path) -> None:
    path = glove(tmp_path / "glove.txt", "cat 1 2 3\ndog 4 5 6\n")
    model = LabelTransformerForImageClassification.from_timm(
        "resnet10t", ["dog", "cat"], pretrained=False, word_vectors=path, width=16, image_size=64
    )
    assert model.head.word_vectors.tolist() == [[4, 5, 6], [1, 2, 3]]
