"""Every architecture says where it looks for a label."""

from __future__ import annotations

import pytest
import torch

from mlic_hf.modeling import ARCHITECTURES
from tests.modeling.tiny_models import BACKBONES, LABELS, SIZE, pictures, tiny_model


@pytest.mark.parametrize("backbone", BACKBONES)
@pytest.mark.parametrize("model_type", list(ARCHITECTURES))
def test_maps_and_places_of_every_architecture(model_type: str, backbone: str) -> None:
    model = tiny_model(model_type, backbone)
    with torch.no_grad():
        logits, maps = model.label_maps(pictures())
        cells = model(pictures(), output_feature_map=True).feature_map.shape[-2:]
        torch.testing.assert_close(logits, model(pictures()).logits, atol=1e-5, rtol=1e-4)
    assert maps.shape == (2, 5, *cells)
    if model_type == "mlic_linear":
        torch.testing.assert_close(maps.mean(dim=(2, 3)), logits, atol=1e-5, rtol=1e-4)
    elif model_type != "mlic_label_transformer":  # whose labels attend to one another, too
        torch.testing.assert_close(maps.sum(dim=(2, 3)), torch.ones(2, 5))
    found = model.localize(pictures(), thresholds=0.0)
    assert [sorted(entry["label"] for entry in entries) for entries in found] == [sorted(LABELS)] * 2
    for entry in found[0] + found[1]:
        left, top, right, bottom = entry["box"]
        x, y = entry["key_point"]
        assert 0 <= left <= x <= right <= SIZE
        assert 0 <= top <= y <= bottom <= SIZE


def test_labels_of_a_group_share_its_map() -> None:
    model = tiny_model("mlic_ml_decoder", num_groups=2)  # labels 0 to 2, and 3 and 4
    _, maps = model.label_maps(pictures())
    with torch.no_grad():
        weights = model(pictures(), output_attentions=True).attentions[-1].mean(dim=1)
    for label, group in enumerate((0, 0, 0, 1, 1)):
        torch.testing.assert_close(maps[:, label].flatten(1), weights[:, group])
    assert not torch.equal(maps[:, 0], maps[:, 3])


def test_attention_follows_the_query_to_its_place() -> None:
    """A decoder whose keys are one-hot in the places: each query is made to look at a place of its own."""
    model = tiny_model("mlic_ml_decoder")
    attention = model.head.layer.attention
    wanted = torch.tensor([0, 3, 1, 2, 3])
    with torch.no_grad():
        feature_map = model(pictures(1), output_feature_map=True).feature_map
        memory = torch.relu(model.head.input_projection(feature_map.flatten(2).transpose(1, 2)))
        keys = attention.key(memory)[0]  # (places, width)
        queries = model.head.layer.query_norm(2 * model.head.queries)
        aim = 40 * (keys - keys.mean(dim=0))[wanted]
        # the linear map that takes the queries to what they should ask for; there are fewer queries than widths
        attention.query.weight.copy_((torch.linalg.pinv(queries) @ aim).T)
        attention.query.bias.zero_()
        _, maps = model.label_maps(pictures(1))
    assert maps.shape[-2:] == (2, 2)
    assert maps[0].flatten(1).argmax(dim=1).tolist() == wanted.tolist()
