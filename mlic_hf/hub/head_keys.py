"""Parameter names of the originals' heads to those of this package's heads.

Pure renaming (with splitting of packed projections and stacking of per-label layers): no model is built here.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import torch
from torch import Tensor

State = dict[str, Tensor]
Rules = list[tuple[str, str]]

# torch's transformer layers -> mlic_hf.modeling.transformer_mlic, inside one layer
_LAYER: Rules = [
    (r"self_attn\.", "self_attention."),
    (r"multihead_attn\.", "cross_attention."),
    (r"linear1\.", "feed_forward.expand."),
    (r"linear2\.", "feed_forward.contract."),
]
_ENCODER_NORMS: Rules = [(r"norm1\.", "self_attention_norm."), (r"norm2\.", "feed_forward_norm.")]
_DECODER_NORMS: Rules = [
    (r"norm1\.", "self_attention_norm."),
    (r"norm2\.", "cross_attention_norm."),
    (r"norm3\.", "feed_forward_norm."),
]


def split_packed_attention(state: State) -> State:
    """`x.in_proj_weight` (3d, d) to query, key and value weights; `out_proj` to `output`."""
    renamed: State = {}
    for key, tensor in state.items():
        packed = re.fullmatch(r"(.*)in_proj_(weight|bias)", key)
        if packed:
            parts = zip(("query", "key", "value"), tensor.chunk(3))
            renamed.update({f"{packed[1]}{name}.{packed[2]}": part.clone() for name, part in parts})
        else:
            renamed[key.replace(".out_proj.", ".output.")] = tensor
    return renamed


def _rename(state: State, rules: Rules) -> State:
    """Apply the first matching rule to every key. Raises ValueError for keys that no rule knows."""
    renamed: State = {}
    unknown = []
    for key, tensor in state.items():
        for pattern, replacement in rules:
            found = re.match(pattern, key)
            if found:
                renamed[found.expand(replacement) + key[found.end() :]] = tensor
                break
        else:
            unknown.append(key)
    if unknown:
        raise ValueError(f"{len(unknown)} keys belong to no part of this head, the first {sorted(unknown)[:3]}.")
    return renamed


def _rename_layers(state: State, stack: str, norms: Rules) -> State:
    """Rename what is inside the layers of a stack, `<stack>.<number>.`, and leave all other keys."""
    renamed: State = {}
    for key, tensor in state.items():
        found = re.match(rf"{stack}\.\d+\.", key)
        inner = key[found.end() :] if found else key
        if found:
            inner = next(iter(_rename({inner: tensor}, [*_LAYER, *norms])))
        renamed[(found[0] if found else "") + inner] = tensor
    return renamed


def _ml_decoder(state: State) -> State:
    state = {re.sub(r"^decoder\.", "", key): tensor for key, tensor in state.items()}
    rules: Rules = [
        (r"duplicate_pooling_bias$", "classifier.bias"),
        (r"duplicate_pooling$", "classifier.weight"),
        (r"embed_standart\.", "input_projection."),
        (r"query_embed\.weight$", "queries"),
        (r"layers\.0\.norm1\.", "layer.query_norm."),
        (r"layers\.0\.norm2\.", "layer.attention_norm."),
        (r"layers\.0\.norm3\.", "layer.feed_forward_norm."),
        (r"layers\.0\.multihead_attn\.", "layer.attention."),
        (r"layers\.0\.linear1\.", "layer.feed_forward.expand."),
        (r"layers\.0\.linear2\.", "layer.feed_forward.contract."),
    ]
    return split_packed_attention(_rename(state, rules))


def _transformer_layers(state: State) -> State:
    state = _rename_layers(state, "encoder", _ENCODER_NORMS)
    return split_packed_attention(_rename_layers(state, "decoder", _DECODER_NORMS))


def _query2label(state: State) -> State:
    rules: Rules = [
        (r"transformer\.(encoder|decoder)\.layers\.", r"\1."),
        (r"transformer\.decoder\.norm\.", "decoder_norm."),
        (r"input_proj\.", "input_projection."),
        (r"query_embed\.", "queries."),
        (r"fc\.W$", "classifier.linear.weight"),
        (r"fc\.b$", "classifier.linear.bias"),
    ]
    renamed = _transformer_layers(_rename(state, rules))
    for key in ("classifier.linear.weight", "classifier.linear.bias"):
        renamed[key] = renamed[key].squeeze(0)
    return renamed


def _label_transformer(state: State) -> State:
    attention, forward = r"transformer\.layers\.(\d+)\.0\.fn\.", r"transformer\.layers\.(\d+)\.1\.fn\."
    rules: Rules = [
        (r"fc\.0\.", "feature_projection."),
        (r"label_emb\.0\.", "word_projection."),
        (r"classify\.0\.", "classifier."),
        (r"word_vectors$", "word_vectors"),
        (attention + r"norm\.", r"layers.\1.attention_norm."),
        (attention + r"fn\.to_qkv\.weight$", r"layers.\1.attention.in_proj_weight"),
        (attention + r"fn\.to_out\.0\.", r"layers.\1.attention.output."),
        (forward + r"norm\.", r"layers.\1.feed_forward_norm."),
        (forward + r"fn\.net\.0\.", r"layers.\1.feed_forward.expand."),
        (forward + r"fn\.net\.3\.", r"layers.\1.feed_forward.contract."),
    ]
    return split_packed_attention(_rename(state, rules))


def _mulcon(state: State) -> State:
    labels = sorted({int(found[1]) for key in state if (found := re.match(r"C\.(\d+)\.", key))})
    if labels != list(range(len(labels))) or not labels:
        raise ValueError(f"The label classifiers are numbered {labels}; expected 0 to the number of labels - 1.")
    stacked = {
        f"classifier.linear.{kind}": torch.cat([state[f"C.{label}.{kind}"] for label in labels])
        for kind in ("weight", "bias")
    }
    rest = {key: tensor for key, tensor in state.items() if not key.startswith("C.")}
    places = {"sab1": "feature_blocks.0", "sab2": "feature_blocks.1", "sab3": "label_blocks.0"}
    parts = {
        "fc_q": "query",
        "fc_k": "key",
        "fc_v": "value",
        "fc_o": "feed_forward",
        "ln0": "attention_norm",
        "ln1": "feed_forward_norm",
    }
    rules: Rules = [(r"A\.I$", "queries"), (r"P\.0\.", "projector.hidden."), (r"P\.2\.", "projector.output.")]
    for part, ours in parts.items():
        rules.append((rf"A\.mab\.{part}\.", f"label_attention.{ours}."))
        rules += [(rf"A\.{sab}\.mab\.{part}\.", f"{place}.{ours}.") for sab, place in places.items()]
    renamed = _rename(rest, rules)
    if "queries" in renamed:
        renamed["queries"] = renamed["queries"].squeeze(0)
    return {**renamed, **stacked}


def _co_occurrence(state: State) -> State:
    gates = {"1": "update", "2": "reset", "3": "candidate"}
    rules: Rules = [
        (r"attention\.(encoder|decoder)\.layers\.", r"\1."),
        (r"attention\.(encoder|decoder)\.norm\.", r"\1_norm."),
        (r"query_embed\.", "queries."),
        (r"net\.", "edge_classifier."),
        (r"fc\.", "classifier.linear."),
    ]
    for number, gate in gates.items():
        rules += [
            (rf"encoder\.fc{number}_w\.", f"graph.{gate}_message."),
            (rf"encoder\.fc{number}_u\.", f"graph.{gate}_state."),
        ]
    return _transformer_layers(_rename(state, rules))


def _linear(state: State) -> State:
    renamed = _rename(state, [(r"(?:classifier|fc|head|head\.fc)\.(?=weight$|bias$)", "classifier.")])
    # a 1x1 convolution (C, D, 1, 1) is the same classifier at every place
    return {key: tensor.flatten(1) if tensor.ndim == 4 else tensor for key, tensor in renamed.items()}


_CONVERTERS: dict[str, Callable[[State], State]] = {
    "ml_decoder": _ml_decoder,
    "query2label": _query2label,
    "label_transformer": _label_transformer,
    "mulcon": _mulcon,
    "co_occurrence": _co_occurrence,
    "linear": _linear,
}


def convert_head(kind: str, state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Rename the weights of an original head.

    Args:
        kind: ml_decoder, query2label, label_transformer, mulcon, co_occurrence or linear.
        state: the head's tensors under the original's keys, without backbone, `module.` and the name that
            the original model gives its head (`fc.` before an ML-Decoder's `decoder.`).

    Returns:
        A state dict for the `head` of this package's model. A label transformer's word vectors, which the
        originals do not store, come through under "word_vectors" when they are in `state`.

    Raises:
        ValueError: for an unknown kind, or keys that do not belong to such a head.
    """
    if kind not in _CONVERTERS:
        raise ValueError(f"kind is {kind!r}; expected one of {', '.join(_CONVERTERS)}.")
    return _CONVERTERS[kind](dict(state))
