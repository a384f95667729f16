"""What the Hub's `/api/validate-yaml` demands of a model card, as far as its answers and documentation tell."""

from __future__ import annotations

import re
from typing import Any

import yaml

LICENSES = {"apache-2.0", "mit", "bsd-3-clause", "cc-by-4.0", "cc-by-nc-4.0", "cc-by-sa-4.0", "cc0-1.0", "gpl-3.0",
            "openrail", "other", "unknown"}  # fmt: skip
REPO = re.compile(r"(?:[\w-][\w.-]*/)?[\w.-]+$")
TEXT = ("license", "library_name", "pipeline_tag", "base_model")
LISTS = ("tags", "datasets", "metrics", "language")


def errors_of(content: str) -> list[str]:
    """The complaints about a card's front matter."""
    match = re.match(r"---\n(.*?)\n---\n", content, re.DOTALL)
    if match is None:
        return ["empty or missing yaml metadata in repo card"]
    try:
        fields = yaml.safe_load(match[1])
    except yaml.YAMLError as error:
        return [f"invalid yaml: {error}"]
    if not isinstance(fields, dict):
        return ["metadata must be an object"]
    errors = [f'"{name}" must be a string' for name in TEXT if not isinstance(fields.get(name, ""), str)]
    for name in LISTS:
        value = fields.get(name, [])
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            errors.append(f'"{name}" must be an array of strings')
    if fields.get("license", "mit") not in LICENSES:
        errors.append('"license" must be one of [...]')
    ids = {"base_model": fields.get("base_model", "a/b")}
    ids |= {f"datasets[{number}]": name for number, name in enumerate(fields.get("datasets", []))}
    errors += [f'"{n}" with value "{v}" is not valid. Use an id from https://hf.co' for n, v in ids.items()
               if not REPO.match(str(v))]  # fmt: skip
    for place, model in enumerate(fields.get("model-index", [])):
        errors += model_errors(model, f"model-index[{place}]")
    return errors


def model_errors(model: dict[str, Any], place: str) -> list[str]:
    errors = [] if isinstance(model.get("name"), str) else [f'"{place}.name" is required']
    if not model.get("results"):
        return [*errors, f'"{place}.results" is required']
    for number, result in enumerate(model["results"]):
        inside = f"{place}.results[{number}]"
        wanted = {"task": ("type",), "dataset": ("type", "name")}
        for section, names in wanted.items():
            errors += [f'"{inside}.{section}.{n}" is required' for n in names if not result.get(section, {}).get(n)]
        if not REPO.match(str(result.get("dataset", {}).get("type"))):
            errors.append(f'"{inside}.dataset.type" is not valid')
        if not result.get("metrics"):
            errors.append(f'"{inside}.metrics" is required')
        for metric in result.get("metrics", []):
            errors += [f'"{inside}.metrics.{n}" is required' for n in ("type", "value") if metric.get(n) in (None, "")]
            if isinstance(metric.get("value"), float) and metric["value"] != metric["value"]:
                errors.append(f'"{inside}.metrics.value" must be a number')
    return errors
