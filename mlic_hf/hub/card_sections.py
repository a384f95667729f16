"""The sections of a model card: what the model is, how it is used, how good it is, how it came to be, its limits."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from mlic_hf.hub.card_facts import CARD_PICTURES, CardFacts, Score
from mlic_hf.hub.citations import ARCHITECTURE_NAMES, METHOD_NAMES, papers_of

MANY = 24
# the columns of the table of results; all other measures are folded away under it
MAIN = ("mAP", "CF1", "OF1", "CP", "CR", "OP", "OR")
WEIGHTS = {"ema": "averaged", "plain": "plain"}


def card_sections(facts: CardFacts) -> str:
    """Our part of a README: a section for each thing that is known."""
    parts: list[Callable[[CardFacts], list[str]]] = [title, use, results, labels, data, training, limits, citation]
    return "\n".join(line for part in parts for line in part(facts)).strip()


def title(facts: CardFacts) -> list[str]:
    """What the model is."""
    told = f"Tells which of {len(facts.labels)} labels a picture shows: any number of them, each scored by itself."
    head = ARCHITECTURE_NAMES.get(facts.model_type or "", facts.model_type)
    rows = {
        "Backbone": facts.backbone and f"`{facts.backbone}` of {facts.library or 'timm'}",
        "Head": f"{head} (`{facts.architecture}`)" if facts.architecture else head,
        "Input": facts.image_size and f"RGB, resized to {facts.image_size} × {facts.image_size} pixels",
        "Parameters": facts.parameters and f"{facts.parameters / 1e6:.1f} M",
        "Trained with": METHOD_NAMES.get(facts.method or "", facts.method),
        "Weights": weights_sentence(facts.weights),
        "Quantised with": facts.quantized_with,
    }
    return [f"# {facts.name}", "", told, "", *listed(rows), *([facts.origin, ""] if facts.origin else [])]


def listed(rows: Mapping[str, object]) -> list[str]:
    """A bullet for each thing that is known, and an empty line."""
    return [*(f"- **{name}:** {value}" for name, value in rows.items() if value not in (None, "")), ""]


def weights_sentence(weights: Mapping[str, object]) -> str | None:
    """Which of plain and averaged weights the model holds, with the scores that decided where known."""
    root, scores = weights.get("root"), weights.get("scores")
    if root is None:
        return None
    name = {"ema": "moving average over the steps", "plain": "of one step, not averaged"}.get(str(root), str(root))
    known = {k: v for k, v in scores.items() if isinstance(v, (int, float))} if isinstance(scores, Mapping) else {}
    if len(known) < 2:
        return name
    told = ", ".join(f"{WEIGHTS.get(kind, kind)} {100 * score:.1f}" for kind, score in known.items())
    return f"{name} (mAP on validation: {told})"


def use(facts: CardFacts) -> list[str]:
    """What to install and what to write."""
    lines = ["## How to use it", ""]
    if facts.requirements:
        wanted = " ".join(f'"{name}"' if set("<>=") & set(name) else name for name in facts.requirements)
        lines += ["```bash", f"pip install {wanted}", "```", ""]
    where = f'model="{facts.repo_id or "path/to/this/folder"}", trust_remote_code=True'
    lines += ["```python", "from transformers import pipeline", ""]
    if facts.pipeline:
        reached = "the threshold tuned for it" if facts.thresholds is not None else "0.5"
        lines += [
            f'tagger = pipeline("{facts.pipeline}", {where})',
            f'tags = tagger("photo.jpg")  # [{{"label": ..., "score": ...}}, ...]: each label that reaches {reached}',
            'scores = tagger("photo.jpg", threshold=0.0)  # every label',
        ]
    else:  # saved before models had a pipeline of their own
        every = max(len(facts.labels), 1)
        lines += [
            f'tagger = pipeline("image-classification", {where})',
            f'scores = tagger("photo.jpg", top_k={every})  # [{{"label": ..., "score": ...}}, ...]',
        ]
    lines += ["```", ""]
    if facts.space:
        lines += [f"Or try it in the browser: https://huggingface.co/spaces/{facts.space}", ""]
    return [
        *lines,
        "`trust_remote_code=True` runs the Python files of this repository, which define the model: read them first, "
        "and pin what you have read with `revision=`. After `import mlic_hf` the model loads without it.",
        "",
    ]


def results(facts: CardFacts) -> list[str]:
    """A row a split with the measures that papers tell, in percent; all others under it."""
    if not facts.scores:
        return []
    splits = list(dict.fromkeys(score.split for score in facts.scores))
    found = {(score.split, score.name): score for score in facts.scores}
    columns = [name for name in MAIN if any((split, name) in found for split in splits)]
    lines = ["## Results", ""]
    if columns:
        lines += [f"| split | {' | '.join(columns)} |", f"|---|{'---:|' * len(columns)}"]
        for split in splits:
            cells = [percent(found.get((split, name))) for name in columns]
            if any(cells):
                lines.append(f"| {split or facts.data_name or 'all'} | {' | '.join(cells)} |")
        lines += ["", legend(facts, columns), ""]
    rest = [name for name in dict.fromkeys(score.name for score in facts.scores) if name not in MAIN]
    if rest:
        table = ["| measure | " + " | ".join(split or "value" for split in splits) + " |"]
        table += [f"|---|{'---:|' * len(splits)}"]
        for name in rest:
            values = [found.get((split, name)) for split in splits]
            table.append(f"| {name} | " + " | ".join(f"{s.value:.4f}" if s else "" for s in values) + " |")
        lines += [*folded("All other measures", "\n".join(table)), ""]
    return [*lines, *pictures(facts)]


def percent(score: Score | None) -> str:
    if score is None:
        return ""
    if not isinstance(score.low, (int, float)) or not isinstance(score.high, (int, float)):
        return f"{100 * score.value:.1f}"
    return f"{100 * score.value:.1f} ({100 * score.low:.1f} to {100 * score.high:.1f})"


def legend(facts: CardFacts, columns: list[str]) -> str:
    """What the columns mean."""
    told = "In percent."
    if "mAP" in columns:
        told += " mAP is the mean over labels of the average precision as scikit-learn defines it"
        interval = any(score.name == "mAP" and score.low is not None for score in facts.scores)
        told += ", with the 95 % interval of a bootstrap over images." if interval else "."
    if len(columns) > 1:
        told += " C: mean over labels; O: all decisions together; P: precision, R: recall, F1: their harmonic mean"
        told += ", at a threshold of 0.5 for every label." if facts.settings else "."
    return told


def pictures(facts: CardFacts) -> list[str]:
    return [line for name in facts.pictures for line in (f"![{CARD_PICTURES[name]}]({name})", "")]


def labels(facts: CardFacts) -> list[str]:
    """The labels, with their thresholds where they were tuned."""
    if not facts.labels:
        return []
    lines = ["## Labels", ""]
    if facts.thresholds is None:
        lines += ["No thresholds were tuned; 0.5 is the usual one.", ""]
        content = ", ".join(f"`{name}`" for name in facts.labels)
    else:
        lines += ["The threshold of a label is the one at which its F1 on validation was best.", ""]
        rows = [f"| {cell(name)} | {t:.3f} |" for name, t in zip(facts.labels, facts.thresholds, strict=True)]
        content = "\n".join(["| label | threshold |", "|---|---:|", *rows])
    many = len(facts.labels) > MANY
    return [*lines, *(folded(f"All {len(facts.labels)} labels", content) if many else [content]), ""]


def cell(text: str) -> str:
    """Text that may stand in a table."""
    return text.replace("|", "\\|").replace("\n", " ")


def folded(summary: str, content: str) -> list[str]:
    return [f"<details><summary>{summary}</summary>", "", content, "", "</details>"]


def data(facts: CardFacts) -> list[str]:
    """What it was trained and measured on."""
    if not facts.data:
        return []
    roles = {facts.data.get("train"): "trained on", facts.data.get("eval"): "chosen and tuned on",
             facts.data.get("test"): "tested on"}  # fmt: skip
    splits = facts.data.get("splits")
    lines = ["## Data", "", f"**{facts.data_name or 'unnamed'}**"]
    if isinstance(splits, Mapping):
        lines += ["", "| split | images | use | hash of ids and labels |", "|---|---:|---|---|"]
        for name, told in splits.items():
            known = told if isinstance(told, Mapping) else {"images": told}
            count, print_ = known.get("images", ""), known.get("hash")
            shown = f"{count:,}" if isinstance(count, int) else str(count)
            lines.append(f"| {name} | {shown} | {roles.get(name, '')} | {f'`{print_}`' if print_ else ''} |")
    elif splits:
        lines[-1] += f": {', '.join(map(str, splits)) if isinstance(splits, (list, tuple)) else splits}"
    options = facts.data.get("options")
    told = ", ".join(f"`{name}`: {value}" for name, value in options.items()) if isinstance(options, Mapping) else ""
    return [*lines, "", *([f"Read with {told}.", ""] if told else [])]


def training(facts: CardFacts) -> list[str]:
    """Settings, what it took, versions and the command."""
    took = {
        "Hardware": facts.hardware,
        "Hours": facts.hours and f"{facts.hours:.2g}",
        "CO2 equivalent": facts.emissions and f"{facts.emissions:.3g} g (codecarbon)",
    }
    told = {**facts.hyperparameters, **took}
    lines = listed(told) if any(value not in (None, "") for value in told.values()) else []
    if facts.versions:
        lines += ["Made with " + ", ".join(f"{name} {version}" for name, version in facts.versions.items()) + "."]
        lines += [""]
    if facts.command:
        lines += ["```bash", facts.command, "```", ""]
    return ["## Training", "", *lines] if lines else []


def limits(facts: CardFacts) -> list[str]:
    """What it is for, and what it should not be used for."""
    errors = [score.value for score in facts.scores if score.name == "calibration_error"]
    measured = f" (their expected calibration error here: {100 * errors[-1]:.1f} %)" if errors else ""
    where = f" on {facts.data_name}" if facts.data_name else ""
    base = f" and of the weights it started from (`{facts.base_model}`)" if facts.base_model else ""
    return [
        "## Uses and limits",
        "",
        "- Made for tagging, sorting and searching pictures like those it was trained on, and as a start for training "
        "on other labels.",
        "- It knows its labels and nothing else. Every picture gets a score for each, also one that shows none.",
        f"- It was trained and measured{where}: mistakes and gaps of those labels are learned too, and on other kinds "
        "of pictures it can be far worse. Measure it on yours before you rely on it.",
        f"- Scores are not guaranteed to be probabilities{measured}; they do not add up to one.",
        "- It was not tested for decisions about people and should not make them.",
        f"- The licences of the data{base} apply as well.",
        "",
    ]


def citation(facts: CardFacts) -> list[str]:
    """The papers behind method and head."""
    papers = papers_of(facts.method, facts.model_type)
    if not papers:
        return []
    lines = ["## Papers", ""]
    for paper in papers:
        name = f"[{paper.title}]({paper.url})" if paper.url else paper.title
        lines += [f"{name}, {paper.venue}", "", "```bibtex", paper.bibtex, "```", ""]
    return lines
