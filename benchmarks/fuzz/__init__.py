"""Mutated annotations and pictures against the readers, judged by other readers: `python -m benchmarks.fuzz`."""

from __future__ import annotations

SEEDS = (1, 2, 3)


def section(quick: bool) -> str:
    """Counts of `SEEDS` as a section of docs/benchmarks.md."""
    from benchmarks.fuzz.__main__ import CLASSES, fuzz

    cases = 200 if quick else 10_000
    counts = {seed: fuzz(cases, seed) for seed in SEEDS}
    rows = [f"| {seed} | {' | '.join(str(found[name]) for name in CLASSES)} |" for seed, found in counts.items()]
    return "\n".join(
        [
            "## Damaged annotations and pictures",
            "",
            f"`python -m benchmarks.fuzz --cases {cases} --seed N`. A case is an annotation tree (13 layouts: folder, "
            "VOC as XML, lists and table, COCO, ML-GCN, NUS-WIDE, Visual Genome, tables) or a picture (14 kinds: PNG, "
            "JPEG, PPM, PGM, BMP, WebP) with one to three mutations, read by the library and by strict readers that "
            "share no code with it (OpenCV for JPEG, BMP and WebP, which uses libjpeg and libwebp as Pillow does). "
            "Right: both read the same. Error: one sentence that names the file. The other four must be 0. Hang: 5 s "
            "of processor time; over memory: 512 MB.",
            "",
            f"| seed | {' | '.join(CLASSES)} |",
            f"|---{'|---' * len(CLASSES)}|",
            *rows,
        ]
    )
