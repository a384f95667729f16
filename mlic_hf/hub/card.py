"""The model card: README.md of a checkpoint folder, with front matter the Hub reads."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from huggingface_hub import EvalResult, ModelCardData

from mlic_hf.hub.card_facts import CardFacts, Score, read_facts
from mlic_hf.hub.citations import ARCHITECTURE_NAMES, METHOD_NAMES, papers_of

# the Hub's own names for what it can draw; others keep ours
METRIC_TYPES = {"mAP": "mean_average_precision", "OF1": "f1", "OP": "precision", "OR": "recall"}
MANY_LABELS = 24


def write_card(folder: str | Path, facts: CardFacts | Mapping[str, Any] | None = None) -> Path:
    """Write README.md beside a saved model, from `config.json`, `run.json`, `weights.json` and what is given.

    Args:
        folder: a folder with config.json.
        facts: fields of `CardFacts` that win over what the folder says.

    Returns:
        the path of the card.

    Raises:
        FileNotFoundError, ValueError: as `read_facts`.
    """
    path = Path(folder) / "README.md"
    path.write_text(render_card(read_facts(folder, facts)), encoding="utf-8")
    return path


def render_card(facts: CardFacts) -> str:
    """The whole card as text: front matter, then one section for each thing that is known."""
    sections: list[Callable[[CardFacts], list[str]]] = [
        title, loading, labels, data, results, thresholds, training, citation
    ]  # fmt: skip
    body = "\n".join(line for section in sections for line in section(facts))
    return f"---\n{front_matter(facts)}\n---\n\n{body.strip()}\n"


def front_matter(facts: CardFacts) -> str:
    """The YAML block of a card, without its fences."""
    dataset = str(facts.data.get("name") or "")
    tags = ["mlic_hf", "multi-label", "image-classification", facts.model_type, facts.method]
    data = ModelCardData(
        license=facts.license,
        library_name="transformers",
        pipeline_tag="image-classification",
        tags=[tag for tag in tags if tag],
        datasets=[dataset] if dataset.count("/") == 1 else None,
        model_name=facts.name if facts.scores else None,
        eval_results=[eval_result(score, facts) for score in facts.scores] or None,
        ignore_metadata_errors=False,
    )
    return data.to_yaml(line_break="\n")


def eval_result(score: Score, facts: CardFacts) -> EvalResult:
    dataset = str(facts.data.get("name") or "unnamed")
    return EvalResult(
        task_type="image-classification",
        task_name="Multi-label image classification",
        dataset_type=dataset.replace(" ", "_").lower(),
        dataset_name=dataset,
        dataset_split=score.split,
        metric_type=METRIC_TYPES.get(score.name, score.name),
        metric_name=score.name,
        metric_value=round(score.value, 6),
    )


def title(facts: CardFacts) -> list[str]:
    head = ARCHITECTURE_NAMES.get(facts.model_type or "", facts.model_type)
    method = METHOD_NAMES.get(facts.method or "", facts.method)
    lines = [f"# {facts.name}", ""]
    lines += [f"A multi-label image classifier: each of its {len(facts.labels)} labels is scored by itself."]
    rows = [
        ("backbone", f"`{facts.backbone}` (timm)" if facts.backbone else None),
        ("head", f"{head} (`{facts.architecture}`)" if facts.architecture else head),
        ("parameters", f"{facts.parameters / 1e6:.1f} M" if facts.parameters else None),
        ("image size", f"{facts.image_size} px" if facts.image_size else None),
        ("method", method),
        ("weights", weights_sentence(facts.weights)),
    ]
    lines += ["", *(f"- **{name}**: {value}" for name, value in rows if value), ""]
    return [*lines, facts.origin, ""] if facts.origin else lines


def weights_sentence(weights: Mapping[str, Any]) -> str | None:
    """Which of plain and averaged weights the root holds, with the scores that decided where known."""
    root = weights.get("root")
    if root is None:
        return None
    name = {"ema": "the exponential moving average", "plain": "the plain weights"}.get(str(root), str(root))
    scores = weights.get("scores")
    if not isinstance(scores, Mapping):
        return name
    shown = ", ".join(f"{k} {v:.4f}" for k, v in scores.items() if isinstance(v, (int, float)))
    return f"{name} ({shown})" if shown else name


def loading(facts: CardFacts) -> list[str]:
    return [
        "## How to load it",
        "",
        "Needs `transformers`, `timm`, `torchvision`; not `mlic_hf`. The model's code travels with it.",
        "",
        "```python",
        "from transformers import pipeline",
        f'tagger = pipeline("image-classification", model="{facts.repo_id or "path/to/this/folder"}", '
        "trust_remote_code=True)",
        'print(tagger("photo.jpg", top_k=5))',
        "```",
        "",
    ]


def labels(facts: CardFacts) -> list[str]:
    if not facts.labels:
        return []
    names = ", ".join(f"`{name}`" for name in facts.labels)
    return [f"## Labels ({len(facts.labels)})", "", *folded(names, len(facts.labels)), ""]


def folded(content: str, length: int) -> list[str]:
    """Content that is folded away where it is long."""
    if length <= MANY_LABELS:
        return [content]
    return ["<details><summary>show all</summary>", "", content, "", "</details>"]


def data(facts: CardFacts) -> list[str]:
    if not facts.data:
        return []
    splits = facts.data.get("splits")
    if isinstance(splits, Mapping):
        splits = ", ".join(f"{name} ({count})" for name, count in splits.items())
    elif isinstance(splits, (list, tuple)):
        splits = ", ".join(str(name) for name in splits)
    rows = {**facts.data, "splits": splits}
    return ["## Data", "", *(f"- **{key}**: {value}" for key, value in rows.items() if value), ""]


def results(facts: CardFacts) -> list[str]:
    if not facts.scores:
        return []
    with_splits = any(score.split for score in facts.scores)
    lines = ["## Results", "", "| split | metric | value | 95 % interval |" if with_splits else
             "| metric | value | 95 % interval |"]  # fmt: skip
    lines += ["|---|---|---:|---|" if with_splits else "|---|---:|---|"]
    for score in facts.scores:
        known = isinstance(score.low, (int, float)) and isinstance(score.high, (int, float))
        interval = f"{score.low:.4f} to {score.high:.4f}" if known else ""
        first = f"| {score.split or ''} " if with_splits else ""
        lines.append(f"{first}| {score.name} | {score.value:.4f} | {interval} |")
    note = "mAP: mean of scikit-learn's average precision over the labels that have a positive."
    return [*lines, "", note, ""] if any(score.name == "mAP" for score in facts.scores) else [*lines, ""]


def thresholds(facts: CardFacts) -> list[str]:
    lines = ["## Thresholds", ""]
    if facts.thresholds is None:
        return [*lines, "A label counts as present at a score of 0.5 or more; no thresholds were tuned.", ""]
    rows = [
        f"| {name.replace('|', chr(92) + '|')} | {t:.4f} |"
        for name, t in zip(facts.labels, facts.thresholds, strict=True)
    ]
    table = "\n".join(["| label | threshold |", "|---|---:|", *rows])
    return [*lines, "Tuned for each label (`config.thresholds`):", "", *folded(table, len(rows)), ""]


def training(facts: CardFacts) -> list[str]:
    lines: list[str] = []
    if facts.command:
        lines += ["```bash", facts.command, "```", ""]
    if facts.seed is not None:
        lines += [f"- **seed**: {facts.seed}"]
    if facts.versions:
        lines += ["- **versions**: " + ", ".join(f"{name} {version}" for name, version in facts.versions.items())]
    return ["## Training", "", *lines, ""] if lines else []


def citation(facts: CardFacts) -> list[str]:
    papers = papers_of(facts.method, facts.model_type)
    if not papers:
        return []
    lines = ["## Papers", ""]
    for paper in papers:
        name = f"[{paper.title}]({paper.url})" if paper.url else paper.title
        lines += [f"{name}, {paper.venue}", "", "```bibtex", paper.bibtex, "```", ""]
    return lines
