"""A recipe over several seeds, with its baseline: the tables of docs/results.md.

python -m benchmarks.seeds --method l2d --seeds 0 1 2 --output_dir runs/seeds_l2d
python -m benchmarks.seeds --method mulcon --seeds 0 1 2 --baseline '{"mulcon.weight_contrast": 0}' \\
    --output_dir runs/seeds_mulcon

Further flags go to the run. Runs that are done are read; a broken one resumes with the same command.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from mlic_hf.cli.parsing import parse
from mlic_hf.runs.stages import run


def score(told: dict[str, Any]) -> float:
    """A run's mAP in percent: on test, or on validation where there is no test split."""
    metrics = told["metrics"]
    return 100 * metrics.get("test_mAP", metrics["eval_mAP"])


def measure(method: str, seed: int, folder: Path, flags: list[str], baseline: dict[str, Any]) -> dict[str, float]:
    """The score of every stage of one seed, and of the baseline where there is one."""
    own = ["--seed", str(seed), "--disable_tqdm", "true", *flags]
    settings = parse("", method, [*own, "--output_dir", str(folder / f"seed_{seed}")])
    scores = {stage: score(told) for stage, told in run(settings).items()}
    if baseline:
        without = settings.but(**baseline, output_dir=str(folder / f"seed_{seed}_baseline"))
        scores["baseline"] = score(run(without)["student"])
    return scores


def table(found: dict[int, dict[str, float]]) -> str:
    """Markdown: a row a stage, a column a seed, mean and standard deviation; then the gain of the student."""
    stages = list(next(iter(found.values())))
    lines = ["| mAP | " + " | ".join(f"seed {seed}" for seed in found) + " | mean | s.d. |"]
    lines.append("|---|" + "---|" * (len(found) + 2))
    rows = {stage: [scores[stage] for scores in found.values()] for stage in stages}
    against = "alone" if "alone" in rows else "baseline"
    if against in rows:
        rows[f"student - {against}"] = [a - b for a, b in zip(rows["student"], rows[against])]
    for name, values in rows.items():
        spread = f"{stdev(values):.2f}" if len(values) > 1 else ""
        cells = " | ".join(f"{value:.2f}" for value in values)
        lines.append(f"| {name} | {cells} | {mean(values):.2f} | {spread} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--method", required=True, help="its recipe for digit_scenes holds without --config")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--baseline", type=json.loads, default={}, help="the settings of the baseline, as JSON")
    parser.add_argument("--output_dir", type=Path, required=True)
    arguments, flags = parser.parse_known_args()
    found = {
        seed: measure(arguments.method, seed, arguments.output_dir, flags, arguments.baseline)
        for seed in arguments.seeds
    }
    print("\n" + table(found))
    (arguments.output_dir / "table.md").write_text(table(found) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
