"""What fixes each head's own choices."""

from __future__ import annotations

import math

import pytest
import torch

from mlic_hf.modeling import LabelTransformerForImageClassification, MLDecoderConfig
from mlic_hf.modeling.modeling_co_occurrence_mlic import GatedGraph
from mlic_hf.modeling.modeling_ml_decoder_mlic import GroupClassifier
from mlic_hf.modeling.modeling_mulcon_mlic import SetAttention
from mlic_hf.modeling.sine_position_mlic import sine_position
from tests.modeling.tiny_models import LABELS, pictures, targets, tiny_model


@pytest.mark.parametrize("bias", [True, False])
def test_class_maps_average_to_the_logits_in_either_order(bias: bool) -> None:
    pooled_first = tiny_model("mlic_linear", classifier_bias=bias)
    maps_first = tiny_model("mlic_linear", classifier_bias=bias, class_maps_first=True)
    maps_first.load_state_dict(pooled_first.state_dict())
    with torch.no_grad():
        one = pooled_first(pictures(), output_class_maps=True)
        other = maps_first(pictures(), output_class_maps=True)
    assert one.class_maps.shape == (2, len(LABELS), 2, 2)
    torch.testing.assert_close(one.class_maps.mean(dim=(2, 3)), one.logits)
    torch.testing.assert_close(other.logits, one.logits)
    assert torch.equal(other.class_maps, one.class_maps)


class TestMLDecoderGroups:
    def test_groups_are_not_called_label_embeddings(self) -> None:
        model = tiny_model("mlic_ml_decoder", num_groups=2)
        with torch.no_grad():
            output = model(pictures(), output_label_embeddings=True)
        assert output.label_embeddings is None
        assert output.group_embeddings.shape == (2, 2, 32)
        assert "label_embeddings" not in model.provides

    def test_each_group_answers_for_its_own_labels(self) -> None:
        classifier = GroupClassifier(groups=2, width=3, labels=5)
        embeddings = torch.randn(1, 2, 3)
        logits = classifier(embeddings)
        for label in range(5):
            group, place = divmod(label, 3)
            expected = embeddings[0, group] @ classifier.weight[group, :, place] + classifier.bias[label]
            torch.testing.assert_close(logits[0, label], expected)

    def test_queries_are_fixed(self) -> None:
        model = tiny_model("mlic_ml_decoder")
        assert "head.queries" in model.state_dict()
        assert "head.queries" not in dict(model.named_parameters())

    def test_more_groups_than_labels(self) -> None:
        with pytest.raises(ValueError, match="num_groups is 6 for 5 labels"):
            MLDecoderConfig(num_labels=5, num_groups=6)


class TestSinePosition:
    def test_values(self) -> None:
        code = sine_position(3, 2, 8)
        assert code.shape == (8, 3, 2)
        angle = 2 / (3 + 1e-6) * 2 * math.pi
        expected = [math.sin(angle), math.cos(angle), math.sin(angle / 100), math.cos(angle / 100)]
        torch.testing.assert_close(code[:4, 1, 0], torch.tensor(expected))
        assert torch.equal(code[:4, 1, 0], code[:4, 1, 1])
        assert torch.equal(code[4:, 0, 1], code[4:, 2, 1])

    def test_the_model_follows_the_maps_size(self) -> None:
        model = tiny_model("mlic_query2label")
        with torch.no_grad():
            assert model(pictures(1, 96)).logits.shape == (1, len(LABELS))
        assert not any("position" in name for name in model.state_dict())


@pytest.mark.parametrize(("choice", "expected"), [("none", []), ("after_first", [1]), ("all", [0, 1])])
def test_query2label_self_attention_where_asked(choice: str, expected: list[int]) -> None:
    model = tiny_model("mlic_query2label", decoder_self_attention=choice)
    having = [i for i, layer in enumerate(model.head.decoder) if layer.self_attention is not None]
    assert having == expected
    with torch.no_grad():
        assert torch.isfinite(model(pictures()).logits).all()


class TestLabelTransformer:
    def test_word_vectors_are_a_saved_buffer(self) -> None:
        vectors = torch.randn(len(LABELS), 7)
        model = LabelTransformerForImageClassification.from_timm(
            "resnet10t", LABELS, pretrained=False, word_vectors=vectors, width=32, image_size=64
        )
        assert model.config.label_vectors == "words"
        assert model.config.label_vector_size == 7
        assert torch.equal(model.state_dict()["head.word_vectors"], vectors)
        assert "head.word_vectors" not in dict(model.named_parameters())

    def test_learned_vectors_are_parameters(self) -> None:
        assert "head.word_vectors" in dict(tiny_model("mlic_label_transformer").named_parameters())

    def test_vectors_that_were_never_given_show(self) -> None:
        config = tiny_model("mlic_label_transformer", label_vectors="learned").config
        config.label_vectors = "words"
        with torch.no_grad():
            assert LabelTransformerForImageClassification(config).eval()(pictures()).logits.isnan().all()

    def test_refusals(self) -> None:
        build = LabelTransformerForImageClassification.from_timm
        with pytest.raises(ValueError, match="label_vectors is 'words', but word_vectors is missing"):
            build("resnet10t", LABELS, pretrained=False, label_vectors="words")
        with pytest.raises(ValueError, match=r"word_vectors has shape \(2, 7\) for \(5, 7\)"):
            build("resnet10t", LABELS, pretrained=False, word_vectors=torch.zeros(2, 7), width=32)

    def test_labels_keep_their_logits_when_the_labels_change_places(self) -> None:
        vectors = torch.randn(len(LABELS), 7)
        model = LabelTransformerForImageClassification.from_timm(
            "resnet10t", LABELS, pretrained=False, word_vectors=vectors, width=32, image_size=64
        ).eval()
        with torch.no_grad():
            before = model(pictures()).logits
            model.set_word_vectors(vectors.flip(0))
            torch.testing.assert_close(model(pictures()).logits, before.flip(1), rtol=1e-4, atol=1e-5)


def test_mulcon_scales_by_the_full_width() -> None:
    block = SetAttention(8, 8, 8, heads=2)
    query, key = torch.randn(1, 3, 8), torch.randn(1, 4, 8)
    _, weights = block(query, key, need_weights=True)
    scores = block.query(query)[0, :, :4] @ block.key(key)[0, :, :4].T / math.sqrt(8)
    torch.testing.assert_close(weights[0, 0], scores.softmax(dim=-1))


def test_mulcon_projections_have_unit_length() -> None:
    with torch.no_grad():
        projections = tiny_model("mlic_mulcon")(pictures(), output_label_embeddings=True).projections
    torch.testing.assert_close(projections.norm(dim=-1), torch.ones(2, len(LABELS)))


def test_the_graph_network_is_its_equations() -> None:
    graph = GatedGraph(width=4, steps=2)
    state, edges = torch.randn(1, 3, 4), torch.rand(1, 3, 3)
    expected = state
    for _ in range(2):
        message = edges @ expected
        r = torch.sigmoid(message @ graph.update_message.weight.T + expected @ graph.update_state.weight.T)
        s = torch.sigmoid(message @ graph.reset_message.weight.T + expected @ graph.reset_state.weight.T)
        h = torch.tanh(message @ graph.candidate_message.weight.T + (s * expected) @ graph.candidate_state.weight.T)
        expected = (1 - r) * expected + r * h
    torch.testing.assert_close(graph(state, edges), expected)
    assert all(parameter.ndim == 2 for parameter in graph.parameters())


def test_co_occurrence_entries_are_shares() -> None:
    with torch.no_grad():
        edges = tiny_model("mlic_co_occurrence")(pictures(), output_label_embeddings=True).co_occurrence
    assert edges.shape == (2, len(LABELS), len(LABELS))
    assert ((edges > 0) & (edges < 1)).all()


def test_an_unknown_label_takes_no_part_in_the_loss() -> None:
    model = tiny_model("mlic_linear")
    labels = targets()
    with torch.no_grad():
        output = model(pictures(), labels=labels)
        probability = output.logits.sigmoid()
    cells = [
        -math.log(probability[i, j] if labels[i, j] == 1 else 1 - probability[i, j])
        for i in range(2)
        for j in range(len(LABELS))
        if labels[i, j] >= 0
    ]
    assert output.loss.item() == pytest.approx(sum(cells) / len(cells), rel=1e-5)
    with torch.no_grad():
        assert model(pictures(), labels=torch.full_like(labels, -1)).loss == 0
        integers = model(pictures(), labels=labels.long())
    assert torch.equal(integers.loss, output.loss)
    with pytest.raises(ValueError, match=r"labels has shape \(2, 3\)"):
        model(pictures(), labels=torch.zeros(2, 3))
