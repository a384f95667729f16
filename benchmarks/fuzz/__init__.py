"""Mutated annotations and pictures against the readers, judged by other readers: `python -m benchmarks.fuzz`."""
