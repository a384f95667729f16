"""Words that a model was never trained on, asked by their vectors: the table of docs/results.md.

    python -m benchmarks.text_queries --data_dir corel5k --weights tf_efficientnet_lite2.safetensors \\
        --output_dir runs/text_queries

The data folder holds train/ with metadata.jsonl (file_name, labels). 65 % of it train, 20 % validate, 15 % test. For
each seed 71 words are drawn and taken out of the training labels; an ML-Decoder with text queries learns the others on
the maps of a frozen backbone; its epoch is chosen by the words it is trained on. The vectors come from the
words' co-occurrence in the training tags (positive pointwise mutual information, singular vectors), and so from the
tags of the unseen words, too: how often they stand beside which words is known, in which pictures is not.

Beside it, on the same unseen words: chance; the co-occurrence alone (the model's probabilities of the seen words,
carried over by P(unseen given seen) or by the likeness of the vectors); the same network with random vectors; and
trained on all words.
"""

from __future__ import annotations

import json

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from benchmarks.photographs import Part, asking, load_part, names_of, predict, train_head
from mlic_hf.data import stateless_generator, stratified_split
from mlic_hf.metrics import average_precision
from mlic_hf.modeling import LinearForImageClassification, TextDecoderForImageClassification

SEEDS = (0, 1, 2)
RATE = 2e-3
UNSEEN, SIZE, SOME = 71, 64, 5  # words, numbers of a vector, test pictures that a word should have
KINDS = ("text queries", "text queries, random vectors", "text queries, trained on all words")
NETWORK = {"width": 64, "num_heads": 4, "feed_forward_size": 128, "labels_per_step": 100}


def co_occurrence_vectors(labels: Tensor, size: int) -> Tensor:
    """(C, size) left singular vectors of the words' positive pointwise mutual information, scaled by its values."""
    together = (labels.T @ labels).double().fill_diagonal_(0)
    total, marginal = together.sum(), together.sum(dim=1).clamp(min=1)
    information = torch.log(together * total / (marginal[:, None] * marginal)).clamp(min=0)
    left, values, _ = torch.linalg.svd(information)
    return (left[:, :size] * values[:size].sqrt()).float()


def mean_score(scores: np.ndarray, labels: Tensor, some: int = 1) -> float:
    """mAP in percent over the words that are on so many pictures."""
    enough = ((labels > 0).sum(dim=0) >= some).numpy()
    return 100 * float(average_precision(scores[:, enough], labels.numpy()[:, enough]).mean())


def one_run(
    kind: str, parts: dict[str, Part], names: list[str], model: dict, epochs: int, seed: int
) -> dict[str, tuple[float, float]]:
    """Method -> mAP of the unseen words, and of those on enough test pictures.

    Args:
        kind: "text queries", also with "random vectors" or "trained on all words".
    """
    order = stateless_generator("unseen", seed).permutation(len(names))
    unseen, seen = sorted(order[:UNSEEN].tolist()), sorted(order[UNSEEN:].tolist())
    labels, test = parts["train"].labels, parts["test"]
    vectors = co_occurrence_vectors(labels, SIZE)
    if "random" in kind:
        vectors = torch.randn(vectors.shape, generator=torch.Generator().manual_seed(seed))
    words = list(range(len(names))) if "all" in kind else seen
    torch.manual_seed(seed)
    network = TextDecoderForImageClassification.from_timm(
        labels=[names[word] for word in words], word_vectors=vectors[words], **model, **NETWORK
    )
    train_head(network, *(parts[name].columns(words) for name in ("train", "validation")), RATE, epochs, seed)
    learned = predict(network, test)
    found: dict[str, np.ndarray] = {}
    network.set_labels([names[word] for word in unseen], vectors[unseen])
    found[kind] = predict(network, test)
    if kind == "text queries":
        shares = torch.from_numpy(learned).sigmoid()
        conditional = (labels[:, seen].T @ labels[:, unseen]) / labels[:, seen].sum(dim=0).clamp(min=1)[:, None]
        found["co-occurrence alone: P(unseen given seen)"] = (shares @ conditional).numpy()
        likeness = F.normalize(vectors[seen], dim=1) @ F.normalize(vectors[unseen], dim=1).T
        found["co-occurrence alone: likeness of vectors"] = (shares @ likeness).numpy()
        found["chance"] = stateless_generator("chance", seed).random((len(shares), UNSEEN))
    asked, known = test.labels[:, unseen], test.labels[:, words]
    scored = {method: (mean_score(scores, asked), mean_score(scores, asked, SOME)) for method, scores in found.items()}
    if kind == "text queries":
        scored["the words it was trained on"] = (mean_score(learned, known), mean_score(learned, known, SOME))
    return scored


def main() -> None:
    parser = asking(__doc__)
    parser.add_argument("--epochs", type=int, default=8)
    told = parser.parse_args()
    names = names_of(told.data_dir / "train")
    options = {"backbone": told.backbone, "image_size": told.image_size, "pretrained": str(told.weights)}
    frozen = LinearForImageClassification.from_timm(labels=names, **options)
    cache = told.output_dir / f"{told.backbone}_{told.image_size}" / "train"
    whole = load_part(told.data_dir / "train", names, frozen, cache)
    cuts = stratified_split(whole.labels, len(names), [0.65, 0.2, 0.15])
    parts = {name: whole.rows(cut) for name, cut in zip(("train", "validation", "test"), cuts)}
    model = {**options, "pretrained": False}

    found: list[dict[str, tuple[float, float]]] = [{} for _ in SEEDS]
    for number, kind in enumerate(KINDS):
        for seed, of_seed in zip(SEEDS, found):
            file = told.output_dir / f"{number}_{seed}.json"
            if not file.exists():
                file.write_text(json.dumps(one_run(kind, parts, names, model, told.epochs, seed), indent=1))
            of_seed |= json.loads(file.read_text())
            print(kind, seed, of_seed, flush=True)
    lines = [f"| | {' | '.join(f'seed {seed}' for seed in SEEDS)} | mean | s.d. | {SOME} or more test pictures |"]
    lines.append("|---|" + "---|" * (len(SEEDS) + 3))
    for method in sorted(found[0], key=lambda one: found[0][one][0]):
        values = [of_seed[method][0] for of_seed in found]
        of_some = np.mean([of_seed[method][1] for of_seed in found])
        figures = [*values, np.mean(values), np.std(values, ddof=1), of_some]
        lines.append(f"| {method} | " + " | ".join(f"{value:.1f}" for value in figures) + " |")
    (told.output_dir / "table.md").write_text("\n".join(lines) + "\n")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
