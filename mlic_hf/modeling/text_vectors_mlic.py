"""Label names to vectors, by any text encoder of transformers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor


@torch.no_grad()
def text_vectors(names: Sequence[str], encoder: Any, tokenizer: Any, template: str = "a photo of a {}.") -> Tensor:
    """A vector a label name, of the text that a template makes of it.

    A dual encoder (CLIP, SigLIP) gives its text features; any other encoder the mean of its last hidden state over
    the words.

    Args:
        names: C label names; "_" is read as a space.
        encoder: a model of transformers that reads text, in evaluation mode.
        tokenizer: its tokenizer.
        template: the text, with {} in the place of the name.

    Returns:
        (C, n) float32.

    Raises:
        ValueError: when the template has no {}.
    """
    if "{}" not in template:
        raise ValueError(f"template is {template!r}; expected a text with {{}} in the place of the name.")
    texts = [template.format(name.replace("_", " ")) for name in names]
    dual = hasattr(encoder, "get_text_features")
    # SigLIP was trained on texts that are filled up to its longest one; for others it changes nothing
    tokens = tokenizer(texts, padding="max_length" if dual else True, truncation=True, return_tensors="pt")
    tokens = {name: tensor.to(encoder.device) for name, tensor in tokens.items()}
    if dual:
        features = encoder.get_text_features(**tokens)
        return getattr(features, "pooler_output", features).float().cpu()
    states = encoder(**tokens).last_hidden_state.float()
    words = tokens["attention_mask"].to(states.dtype)[:, :, None]
    return ((states * words).sum(dim=1) / words.sum(dim=1)).cpu()
