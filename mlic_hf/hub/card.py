"""The model card: README.md of a checkpoint folder, with front matter the Hub reads."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from huggingface_hub import EvalResult, ModelCardData

from mlic_hf.hub.card_facts import CardFacts, Score, read_facts
from mlic_hf.hub.card_sections import card_sections
from mlic_hf.hub.readme import Readme, merge_fields, read_readme, write_readme

NAME = "README.md"
# what a card's front matter tells of results, by the Hub's own names for what it can draw
METRIC_TYPES = {
    "mAP": "mean_average_precision",
    **{f"{kind}{name}": kind_of for kind in "CO" for name, kind_of in
       (("F1", "f1"), ("P", "precision"), ("R", "recall"))},
}  # fmt: skip


def write_card(folder: str | Path, facts: CardFacts | Mapping[str, Any] | None = None) -> Path:
    """Write our part of README.md beside a saved model, from `config.json`, `run.json`, `weights.json` and what is
    given. What somebody else wrote there stays.

    Args:
        folder: a folder with config.json.
        facts: fields of `CardFacts` that win over what the folder says.

    Returns:
        the path of the card.

    Raises:
        FileNotFoundError, ValueError: as `read_facts`; also when a README is there and cannot be read.
    """
    path = Path(folder) / NAME
    text = card_text(folder, facts)
    path.write_text(text, encoding="utf-8")
    return path


def card_difference(folder: str | Path, facts: CardFacts | Mapping[str, Any] | None = None) -> str:
    """What `write_card` would change, as a unified diff; "" for nothing. Writes nothing."""
    path = Path(folder) / NAME
    before = path.read_text(encoding="utf-8") if path.is_file() else ""
    after = card_text(folder, facts)
    lines = difflib.unified_diff(
        before.splitlines(), after.splitlines(), f"{NAME} (as it is)", f"{NAME} (as it would be)", lineterm=""
    )
    return "\n".join(lines)


def card_text(folder: str | Path, facts: CardFacts | Mapping[str, Any] | None = None) -> str:
    """The whole README: the folder's own with our part written anew."""
    path = Path(folder) / NAME
    readme = read_readme(path.read_text(encoding="utf-8"), str(path)) if path.is_file() else Readme()
    known = read_facts(folder, facts)
    # what is given now wins over what stands there
    given = {name: getattr(known, name) for name in ("license", "base_model") if facts and _given(facts, name)}
    return render_card(known, readme, given)


def _given(facts: CardFacts | Mapping[str, Any], name: str) -> bool:
    return bool(getattr(facts, name) if isinstance(facts, CardFacts) else facts.get(name))


def render_card(facts: CardFacts, readme: Readme | None = None, given: Mapping[str, Any] | None = None) -> str:
    """A README of facts, around what is there already; `given` fields of the front matter win over those there."""
    readme = readme or Readme()
    theirs = {**readme.fields, **(given or {})}
    return write_readme(readme, merge_fields(theirs, front_matter(facts)), card_sections(facts))


def front_matter(facts: CardFacts) -> dict[str, Any]:
    """The fields of a card that the Hub reads."""
    dataset = str(facts.data.get("name") or "")
    tags = ["mlic_hf", "multi-label-image-classification", facts.model_type, facts.method]
    results = [eval_result(score, facts) for score in facts.scores if score.name in METRIC_TYPES]
    emitted = {"emissions": facts.emissions, "source": "codecarbon", "hardware_used": facts.hardware}
    data = ModelCardData(
        license=facts.license,
        library_name="transformers",
        pipeline_tag="image-classification",
        base_model=facts.base_model,
        tags=[tag for tag in tags if tag],
        datasets=[dataset] if re.fullmatch(r"[\w-][\w.-]*/[\w.-]+", dataset) else None,
        metrics=list(dict.fromkeys(result.metric_type for result in results)) or None,
        model_name=facts.name if results else None,
        eval_results=results or None,
        co2_eq_emissions=emitted if facts.emissions else None,
        ignore_metadata_errors=False,
    )
    return data.to_dict()


def eval_result(score: Score, facts: CardFacts) -> EvalResult:
    name = facts.data_name or "unnamed data"
    return EvalResult(
        task_type="image-classification",
        task_name="Multi-label image classification",
        dataset_type=re.sub(r"[^\w./-]+", "_", str(facts.data.get("name") or name)).strip("_./-").lower() or "unnamed",
        dataset_name=name,
        dataset_split=score.split,
        metric_type=METRIC_TYPES[score.name],
        metric_name=score.name,
        metric_value=round(score.value, 6),
    )
