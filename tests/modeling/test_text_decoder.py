"""Text queries: new labels are new vectors, a subset of labels a step is the whole in expectation."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from tokenizers import Tokenizer, models, pre_tokenizers
from torch import Tensor
from transformers import BertConfig, BertModel, CLIPConfig, CLIPModel, PreTrainedTokenizerFast

from mlic_hf.modeling import TextDecoderConfig, TextDecoderForImageClassification, text_vectors
from tests.modeling.tiny_models import FIELDS, LABELS, pictures, tiny_model

VECTORS = torch.randn(len(LABELS), 12, generator=torch.Generator().manual_seed(1))


def text_model(**fields: Any) -> TextDecoderForImageClassification:
    torch.manual_seed(0)
    return tiny_model("mlic_text_decoder", word_vectors=VECTORS, **fields)


@torch.no_grad()
def test_a_label_is_its_vector(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    model = text_model(thresholds=[0.1, 0.2, 0.3, 0.4, 0.5])
    before = model(pictures()).logits
    cow = torch.randn(12)
    assert model.set_labels(["feline", "tree", "cow"], torch.stack([VECTORS[0], VECTORS[3], cow])) == []
    assert "start anew" not in caplog.text
    after = model(pictures()).logits
    torch.testing.assert_close(after[:, :2], before[:, [0, 3]], rtol=1e-4, atol=1e-6)
    assert model.label_names == ["feline", "tree", "cow"]
    assert model.config.thresholds == [0.5, 0.4, 0.5]  # the tree's own, by name
    model.save_pretrained(tmp_path)
    loaded = TextDecoderForImageClassification.from_pretrained(tmp_path)
    assert torch.equal(loaded(pictures()).logits, after)
    other = TextDecoderForImageClassification.from_pretrained(tmp_path, labels=["cow"], word_vectors=cow[None])
    torch.testing.assert_close(other(pictures()).logits, after[:, 2:], rtol=1e-4, atol=1e-6)


def test_new_labels_need_vectors_of_the_right_kind() -> None:
    model = text_model()
    with pytest.raises(ValueError, match="1 labels have no word vector, the first 'cow'"):
        model.set_labels(["cat", "cow"])
    for wrong in (torch.randn(2, 11), torch.randn(3, 12), torch.full((2, 12), float("nan"))):
        with pytest.raises(ValueError, match=r"word_vectors has shape .* for \(2, 12\)"):
            model.set_labels(["cat", "cow"], wrong)
    assert model.label_names == LABELS


@torch.no_grad()
def test_the_length_of_a_vector_says_nothing() -> None:
    model = text_model()
    before = model(pictures()).logits
    model.set_word_vectors(VECTORS * torch.tensor([[0.1], [2.0], [30.0], [4.0], [0.5]]))
    torch.testing.assert_close(model(pictures()).logits, before, rtol=1e-4, atol=1e-5)


def test_a_random_subset_has_the_gradient_of_all_labels_on_average(monkeypatch: pytest.MonkeyPatch) -> None:
    model = text_model(labels_per_step=2, dropout=0.0, freeze_batch_norm=True).train()
    targets = torch.tensor([[1.0, 0, 1, 0, 0], [0, 1, 0, 0, 1]])

    def gradients(logits: Tensor) -> list[Tensor]:
        parameters = list(model.head.parameters())
        loss = F.binary_cross_entropy_with_logits(logits, targets, reduction="sum")
        return list(torch.autograd.grad(loss, parameters))

    whole = gradients(model(pictures(), output_label_embeddings=True).logits)
    complete = model(pictures(), output_label_embeddings=True).logits.detach()
    pairs = list(combinations(range(5), 2))
    total = [torch.zeros_like(gradient) for gradient in whole]
    for pair in pairs:
        rest = [place for place in range(5) if place not in pair]
        monkeypatch.setattr(torch, "randperm", lambda count, pair=pair, rest=rest, **_: torch.tensor([*pair, *rest]))
        logits = model(pictures()).logits
        torch.testing.assert_close(logits[:, list(pair)], complete[:, list(pair)], rtol=1e-4, atol=1e-5)
        assert not logits[:, rest].any()
        total = [sum_ + gradient / len(pairs) for sum_, gradient in zip(total, gradients(logits), strict=True)]
    for mean, exact in zip(total, whole, strict=True):
        torch.testing.assert_close(mean, exact, rtol=1e-3, atol=1e-5)


def test_subsets_change_and_only_in_training() -> None:
    model = text_model(labels_per_step=2)
    with torch.no_grad():
        assert model(pictures()).logits.all()
        model.train()
        seen = {tuple(model(pictures()).logits[0].nonzero().flatten().tolist()) for _ in range(40)}
    assert all(len(some) == 2 for some in seen)
    assert len(seen) > 3


@pytest.mark.parametrize("value", [0, -1, 2.5, True, "all"])
def test_a_subset_is_a_whole_number(value: object) -> None:
    with pytest.raises(ValueError, match="labels_per_step"):
        TextDecoderConfig(labels_per_step=value).check()


def test_it_answers_for_labels_it_was_never_trained_on() -> None:
    """Pictures are sums of what their labels look like, and looks are a fixed function of the labels' vectors."""
    torch.manual_seed(0)
    vectors, looks = F.normalize(torch.randn(60, 12), dim=1), torch.randn(12, 512)
    names = [f"label {position}" for position in range(60)]
    seen, unseen = slice(0, 50), slice(50, 60)
    options = {**FIELDS["mlic_text_decoder"], "image_size": 64, "dropout": 0.0, "pretrained": False}
    model = TextDecoderForImageClassification.from_timm(
        "resnet10t", names[seen], word_vectors=vectors[seen], **options
    )

    def draw(count: int, labels: slice) -> tuple[Tensor, Tensor]:
        targets = (torch.rand(count, 60) < 0.1).float()
        targets[:, [place for place in range(60) if place not in range(60)[labels]]] = 0
        objects = torch.randint(0, 4, (count, 60))
        places = F.one_hot(objects, 4).float() * targets[:, :, None]
        feature_map = torch.einsum("ncp,cd->ndp", places, vectors @ looks).view(count, 512, 2, 2)
        return feature_map, targets[:, labels]

    optimiser = torch.optim.AdamW(model.head.parameters(), lr=2e-3)
    for _ in range(400):
        feature_map, targets = draw(32, seen)
        loss = model(feature_map=feature_map, labels=targets).loss
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    model.eval().set_labels(names[unseen], vectors[unseen])
    feature_map, targets = draw(500, unseen)
    with torch.no_grad():
        logits = model(feature_map=feature_map).logits
    positive, negative = logits[targets == 1], logits[targets == 0]
    above = (positive[:, None] > negative[None]).float().mean()
    assert above > 0.85  # 0.5 is chance


class TestTextVectors:
    NAMES = ["cat", "dining_table", "car"]

    @pytest.fixture
    def tokenizer(self) -> PreTrainedTokenizerFast:
        words = ["<pad>", "<unk>", "a", "photo", "of", "cat", "dining", "table", "car", "."]
        plain = Tokenizer(models.WordLevel({word: place for place, word in enumerate(words)}, unk_token="<unk>"))
        plain.pre_tokenizer = pre_tokenizers.Whitespace()
        return PreTrainedTokenizerFast(
            tokenizer_object=plain, pad_token="<pad>", unk_token="<unk>", eos_token=".", model_max_length=8
        )

    SIZES = {"vocab_size": 10, "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}

    @torch.no_grad()
    def test_the_mean_over_the_words_of_any_encoder(self, tokenizer: PreTrainedTokenizerFast) -> None:
        encoder = BertModel(BertConfig(**self.SIZES, intermediate_size=16, max_position_embeddings=8)).eval()
        vectors = text_vectors(self.NAMES, encoder, tokenizer)
        assert vectors.shape == (3, 16)
        alone = tokenizer("a photo of a dining table.", return_tensors="pt")
        expected = encoder(alone["input_ids"]).last_hidden_state[0].mean(dim=0)
        torch.testing.assert_close(vectors[1], expected, rtol=1e-4, atol=1e-5)

    @torch.no_grad()
    def test_the_text_features_of_a_dual_encoder(self, tokenizer: PreTrainedTokenizerFast) -> None:
        text = {**self.SIZES, "intermediate_size": 16, "max_position_embeddings": 8, "eos_token_id": 9}
        vision = {"image_size": 32, "patch_size": 16, "hidden_size": 16, "intermediate_size": 16}
        vision |= {"num_hidden_layers": 1, "num_attention_heads": 2}
        config = CLIPConfig(text_config=text, vision_config=vision, projection_dim=6)
        encoder = CLIPModel(config).eval()
        vectors = text_vectors(self.NAMES, encoder, tokenizer)
        assert vectors.shape == (3, 6)
        alone = encoder.get_text_features(**tokenizer("a photo of a car.", return_tensors="pt"))
        expected = getattr(alone, "pooler_output", alone)[0]
        torch.testing.assert_close(vectors[2], expected, rtol=1e-4, atol=1e-5)

    def test_a_template_has_a_place_for_the_name(self, tokenizer: PreTrainedTokenizerFast) -> None:
        with pytest.raises(ValueError, match=r"expected a text with \{\}"):
            text_vectors(self.NAMES, None, tokenizer, template="a photo")
