"""Our label-graph partitions against the published ones: the table in docs/results.md.

python -m benchmarks.partition --counts_dir ../shared/golden --output runs/partitions.md
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from sklearn.metrics import adjusted_rand_score

from mlic_hf.methods.psd.graph import affinity, normalized_cut
from mlic_hf.methods.psd.refine import refined_partition
from mlic_hf.methods.psd.spectral import spectral_partition

DATA_SETS = {
    "COCO 2014 train": "partition_coco2014_train.npz",
    "NUS-WIDE train": "partition_nuswide_train.npz",
}
SIZES = (2, 3, 5, 8, 13)
HEADER = """# PSD: label-graph partitions

Partitions of the real label counts of COCO 2014 train (80 labels) and NUS-WIDE train (81 labels) into k
parts, beside the parts published with PSD. The cut is the normalised cut of the kind's graph (cgp: S =
sym(sqrt P); dgp: S = sym(1 - sqrt P); diagonal 0), lower is better; ARI is the adjusted Rand index against
the published parts, 1 where the parts are the same. `spectral` is the published rule over seeds 0..24
(default for cgp), `refine` the lowest cut that local moves reach from spectral and random starts (default
for dgp); both with seed 0. The cut measures the partition only, not the student that is distilled from its
teachers.

| data set | kind | k | cut published | cut spectral | ARI spectral | cut refine | ARI refine |
|---|---|---|---|---|---|---|---|
"""
FOOTER = """
Command (the counts are the golden files; less than a minute on one core):

    {command}
"""


def table_rows(counts_dir: Path) -> list[str]:
    """One line of the table for every data set, kind and number of parts."""
    rows = []
    for title, file_name in DATA_SETS.items():
        with np.load(counts_dir / file_name) as arrays:
            data = dict(arrays)
        for kind in ("cgp", "dgp"):
            weights = affinity(data["cooccurrence"], data["counts"], kind)
            for num_parts in SIZES:
                published = data[f"published_{kind}_{num_parts}"]
                cells = [title, kind, str(num_parts), f"{normalized_cut(weights, published):.4f}"]
                for cluster in (spectral_partition, refined_partition):
                    ours = cluster(weights, num_parts)
                    cells.append(f"{normalized_cut(weights, ours):.4f}")
                    cells.append(f"{adjusted_rand_score(published, ours):.3f}")
                rows.append(f"| {' | '.join(cells)} |")
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--counts_dir", type=Path, required=True, help=f"folder of {', '.join(DATA_SETS.values())}")
    parser.add_argument("--output", type=Path, help="the file to write; without it the table is printed")
    options = parser.parse_args()
    target = f" --output {options.output}" if options.output else ""
    command = f"python -m benchmarks.partition --counts_dir {options.counts_dir}{target}"
    text = HEADER + "\n".join(table_rows(options.counts_dir)) + "\n" + FOOTER.format(command=command)
    if options.output:
        options.output.write_text(text, encoding="utf-8")
    else:
        print(text)


if __name__ == "__main__":
    main()
