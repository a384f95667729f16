"""`mlic predict` on very many small pictures: pictures a second against decoding and the network alone; killed thrice.

python -m benchmarks.predict --model MODEL --folder SCRATCH [--pictures 50000]

Every hundredth picture is cut off. The verb runs with one process that reads and one that computes, a thread each, and
is killed three times on its way; what it wrote is then held against the list of the pictures. Rates are those of runs
that nothing else shares the machine with: decoding alone is one process that reads and prepares the same pictures,
the network alone one thread that is given ready batches. Each is measured before and after, and the better counts.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from mlic_hf.methods.saved_model import load_saved
from mlic_hf.modeling import MultiLabelImageProcessor
from mlic_hf.runs.picture_sources import find_pictures
from mlic_hf.runs.tagging import PreparedPictures

BATCH = 32
SAMPLE = 4_000


def generate(folder: Path, count: int, side: int) -> None:
    """JPEGs of `side` pixels with colours of several sizes, every hundredth cut off; none where they are already."""
    if folder.is_dir() and len(list(folder.glob("*/*.jpg"))) == count:
        return
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (256, 12, 12, 3), dtype=np.uint8)
    fine = rng.integers(-12, 13, (256, side, side, 3), dtype=np.int16)
    smooth = [np.asarray(Image.fromarray(x).resize((side, side), Image.Resampling.BICUBIC), np.int16) for x in coarse]
    for number in range(count):
        path = folder / f"{number // 1000:03}" / f"{number:06}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = (smooth[number % 256] + fine[number * 7 // 256 % 256]).clip(0, 255).astype(np.uint8)
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, "JPEG", quality=90)
        path.write_bytes(file.getvalue()[: 300 if number % 100 == 50 else None])


def decoding_alone(prepared: PreparedPictures) -> float:
    """Pictures a second of one process that reads and prepares."""
    start = time.perf_counter()
    for place in range(0, min(SAMPLE, len(prepared))):
        prepared[place]
    return min(SAMPLE, len(prepared)) / (time.perf_counter() - start)


def network_alone(model: Any, prepared: PreparedPictures) -> float:
    """Pictures a second of one thread that is given batches."""
    rows = [row for row in (prepared[place] for place in range(BATCH + 8)) if not isinstance(row, str)][:BATCH]
    batch = torch.from_numpy(np.stack(rows))
    with torch.inference_mode():
        model(batch)
        start, done = time.perf_counter(), 0
        while done < SAMPLE:
            model(batch)
            done += len(batch)
    return done / (time.perf_counter() - start)


def command(arguments: argparse.Namespace, output: Path) -> list[str]:
    """The verb, as it is typed."""
    verb = [sys.executable, "-m", "mlic_hf.cli", "predict", str(arguments.folder / "pictures")]
    verb += ["--model", arguments.model, "--output", str(output), "--shard_size", "2500", "--resume"]
    return [*verb, "--num_workers", "1", "--batch_size", str(BATCH), "--format", arguments.format]


def killed(verb: list[str], output: Path, times: int) -> list[int]:
    """Start and kill the verb, each time after two more shards; how many shards there were each time."""
    counts = []
    for _ in range(times):
        before = len(list(output.glob("part-*")))
        started = subprocess.Popen(verb, start_new_session=True, stderr=subprocess.DEVNULL)
        while len(list(output.glob("part-*"))) < before + 2 and started.poll() is None:
            time.sleep(0.05)
        time.sleep(0.7)  # in the middle of a shard
        os.killpg(started.pid, signal.SIGKILL)
        started.wait()
        counts.append(len(list(output.glob("part-*"))))
    return counts


def rows_of(output: Path) -> list[dict[str, Any]]:
    """All rows, shard after shard."""
    if list(output.glob("*.jsonl")):
        return [json.loads(line) for path in sorted(output.glob("part-*")) for line in path.open(encoding="utf-8")]
    import pyarrow.parquet

    return [row for path in sorted(output.glob("part-*")) for row in pyarrow.parquet.read_table(path).to_pylist()]


def rate_of(verb: list[str], count: int) -> tuple[float, float]:
    """Pictures a second of a whole run, as its own bar says; and with everything from the start of Python."""
    start = time.perf_counter()
    done = subprocess.run(verb, stderr=subprocess.PIPE, text=True, check=True)
    whole = count / (time.perf_counter() - start)
    last = [line for line in done.stderr.replace("\r", "\n").splitlines() if f"{count}/{count}" in line][-1]
    minutes = last.split("[")[1].split("<")[0].split(":")
    seconds = sum(float(part) * 60**place for place, part in enumerate(reversed(minutes)))
    return count / max(seconds, 1e-9), whole


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True)
    parser.add_argument("--folder", type=Path, required=True, help="for the pictures and the tags")
    parser.add_argument("--pictures", type=int, default=50_000)
    parser.add_argument("--side", type=int, default=160, help="of a picture, in pixels")
    parser.add_argument("--format", default="parquet")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    generate(arguments.folder / "pictures", arguments.pictures, arguments.side)
    pictures = find_pictures([arguments.folder / "pictures"])
    model = load_saved(arguments.model, "model").eval()
    prepared = PreparedPictures(pictures, MultiLabelImageProcessor.for_model(model))
    output = arguments.folder / f"tags-{time.time():.0f}"
    verb = command(arguments, output)
    counts = killed(verb, output, 3)
    subprocess.run(verb, check=True, stderr=subprocess.DEVNULL)
    rows = rows_of(output)
    assert [row["file"] for row in rows] == [picture.name for picture in pictures], "lines were lost or repeated"
    broken = sum(row.get("error") is not None for row in rows)
    print(f"killed with {counts} shards there; then {len(rows)} rows of {len(pictures)}, {broken} of them broken")
    before = decoding_alone(prepared), network_alone(model, prepared)
    told, whole = rate_of(command(arguments, output.with_name(output.name + "-timed")), len(pictures))
    after = decoding_alone(prepared), network_alone(model, prepared)
    decode, network = (max(pair) for pair in zip(before, after))
    share = told / min(decode, network)
    print(f"decoding alone {decode:.0f}, network alone {network:.0f}, predict {told:.0f} pictures a second")
    print(f"({whole:.0f} with the start of Python and the model); {100 * share:.0f} % of the lesser")


if __name__ == "__main__":
    main()
