"""Cases run in a process of their own, so that one that hangs or eats memory is counted and left behind."""

from __future__ import annotations

import multiprocessing
import os
import random
import resource
import tempfile
import time
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path

CPU_SECONDS = 5.0  # a case that computes longer hangs
SECONDS = 60.0  # ... or that takes longer by the clock, on a busy machine
MEMORY = 512 * 1024  # kB that one case may add to the largest the process has been
ADDRESSES = 6 << 30
MEMORY_DISK = "/dev/shm"  # a case writes and deletes up to 50 files


def run_cases(cases: int, seed: int) -> Iterator[tuple[int, str, str]]:
    """(number, class, word) of every case."""
    _import_all()
    done = 0
    while done < cases:
        ours, theirs = multiprocessing.get_context("fork").Pipe()
        worker = multiprocessing.get_context("fork").Process(target=_work, args=(theirs, done, cases, seed))
        worker.start()
        theirs.close()
        while done < cases:
            try:
                if not ours.poll(SECONDS):
                    worker.kill()
                    yield done, "hang", "it was stopped"
                    done += 1
                    break
                yield done, *ours.recv()
            except EOFError:
                yield done, "over memory", "the process ended"
                done += 1
                break
            done += 1
        worker.join(5)
        worker.kill()


def case(number: int, seed: int, root: Path) -> tuple[str, str]:
    """One case by its number: two of three damage annotations, one a picture."""
    from benchmarks.fuzz import annotation_cases, picture_cases

    rng = random.Random(f"{seed}/{number}")
    kind = picture_cases if number % 3 == 2 else annotation_cases
    return kind.run(root / ("pictures" if number % 3 == 2 else "tree"), rng)


def _work(results: Connection, first: int, cases: int, seed: int) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESSES + _addresses(), -1))
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # where libjpeg writes what it thinks of damaged pictures
    with tempfile.TemporaryDirectory(dir=MEMORY_DISK if os.path.isdir(MEMORY_DISK) else None) as folder:
        for number in range(first, cases):
            before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
            try:
                judged, word = case(number, seed, Path(folder))
            except Exception as error:  # of a strict reader: to be mended there
                judged, word = "foreign", f"in the benchmark: {type(error).__name__}: {error}"
            more = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
            if more > MEMORY or "MemoryError" in word:
                judged, word = "over memory", f"{more} kB more; {judged}: {word}"
            elif (seconds := time.process_time() - start) > CPU_SECONDS:
                judged, word = "hang", f"{seconds:.1f} s; {judged}: {word}"
            results.send((judged, word))


def _import_all() -> None:
    """What cases import, before the first of them is timed."""
    import datasets  # noqa: F401

    import mlic_hf.data  # noqa: F401
    from dataset_builders import coco, folder, nus_wide, table, visual_genome, voc  # noqa: F401


def _addresses() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    return pages * resource.getpagesize()
