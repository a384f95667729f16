"""Labels with scores for a file, a folder or a glob of images; to the screen, JSONL or CSV.

mlic predict --model runs/digit_scenes_l2d/student photo.jpg 'holiday/*.jpg' --output tags.jsonl
mlic predict --model runs/digit_scenes_oass --boxes drawn photo.jpg
"""

from __future__ import annotations

import argparse
import csv
import glob
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

ENDINGS = {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff"}


def parse_arguments(given: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("images", nargs="+", help="files, folders (searched through) or quoted globs")
    parser.add_argument("--model", required=True, help="folder of a saved model, or a Hub repository")
    parser.add_argument("--threshold", type=float, help="one threshold for all labels; else the model's own, else 0.5")
    parser.add_argument(
        "--top_k", type=int, help="the k highest labels of an image instead of those above a threshold"
    )
    parser.add_argument("--output", help="a .jsonl or .csv file; the screen without it")
    parser.add_argument("--boxes", metavar="FOLDER", help="draw a box and a key point a label; needs class maps")
    parser.add_argument("--batch_size", type=int, default=32, help="images at once (default: 32)")
    parser.add_argument("--traceback", metavar="true", help="show the traceback of an error")
    return parser.parse_args(given)


def find_images(patterns: Sequence[str]) -> list[Path]:
    """The image files that are meant, each once, in the order of the patterns.

    Raises:
        FileNotFoundError: for a pattern without an image.
    """
    found: dict[Path, None] = {}
    for pattern in patterns:
        path = Path(pattern)
        if path.is_dir():
            matches = sorted(p for p in path.rglob("*") if p.suffix.lower() in ENDINGS)
        elif path.is_file():
            matches = [path]
        else:
            matches = sorted(Path(p) for p in glob.glob(pattern, recursive=True) if Path(p).suffix.lower() in ENDINGS)
        if not matches:
            raise FileNotFoundError(f"{pattern} is no image, and no folder or pattern that holds one.")
        found |= dict.fromkeys(matches)
    return list(found)


def choose(scores: Any, names: Sequence[str], thresholds: Any, top_k: int | None) -> list[dict[str, Any]]:
    """The labels of one image with their scores, highest first."""
    ranked = sorted(range(len(names)), key=lambda label: -float(scores[label]))
    kept = ranked[:top_k] if top_k is not None else [i for i in ranked if scores[i] >= thresholds[i]]
    return [{"label": names[i], "score": round(float(scores[i]), 4)} for i in kept]


def predict(arguments: argparse.Namespace) -> Iterator[tuple[Path, list[dict[str, Any]]]]:
    """Each image and its labels."""
    import torch

    from mlic_hf.data import read_image
    from mlic_hf.methods.teacher import list_labels
    from mlic_hf.modeling import MultiLabelImageProcessor
    from mlic_hf.runs.models import load_saved

    model = load_saved(arguments.model, "model").eval()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model.to(device)
    names, processor = list_labels(model), MultiLabelImageProcessor.for_model(model)
    default = 0.5 if arguments.threshold is None else arguments.threshold
    own = model.config.thresholds if arguments.threshold is None else None
    thresholds = own or [default] * len(names)
    files = find_images(arguments.images)
    for start in range(0, len(files), arguments.batch_size):
        chunk = files[start : start + arguments.batch_size]
        pictures = [read_image({"path": str(path), "bytes": None}, str(path)) for path in chunk]
        pixels = processor(pictures, return_tensors="pt")["pixel_values"].to(device)
        with torch.inference_mode():
            scores = model(pixels).logits.sigmoid().cpu()
        if arguments.boxes:
            draw(model, pixels, pictures, chunk, thresholds, Path(arguments.boxes))
        for path, row in zip(chunk, scores):
            yield path, choose(row, names, thresholds, arguments.top_k)


def draw(
    model: Any, pixels: Any, pictures: Sequence[Any], files: Sequence[Path], thresholds: Any, folder: Path
) -> None:
    """Write every picture with the boxes and key points of its labels."""
    from mlic_hf.reports.boxes import draw_boxes

    if not hasattr(model, "localize"):
        raise ValueError(f"--boxes needs class maps, which {type(model).__name__} does not have; use a Linear model.")
    folder.mkdir(parents=True, exist_ok=True)
    for picture, path, found in zip(pictures, files, model.localize(pixels, thresholds=thresholds)):
        draw_boxes(picture, found, model.config.image_size).save(folder / f"{path.stem}.png")


def write(results: Iterator[tuple[Path, list[dict[str, Any]]]], output: str | None) -> None:
    """Write to the screen, to JSONL (a line an image) or to CSV (a line a label).

    Raises:
        ValueError: for another ending.
    """
    if output is None:
        for path, labels in results:
            print(f"{path}: " + (", ".join(f"{x['label']} {x['score']:.3f}" for x in labels) or "no label"))
        return
    ending = Path(output).suffix.lower()
    if ending not in (".jsonl", ".csv"):
        raise ValueError(f"--output is {output}; a .jsonl or .csv file was expected.")
    count = 0
    with open(output, "w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        if ending == ".csv":
            table.writerow(["file", "label", "score"])
        for count, (path, labels) in enumerate(results, start=1):  # noqa: B007
            if ending == ".jsonl":
                file.write(json.dumps({"file": str(path), "labels": labels}, ensure_ascii=False) + "\n")
            else:
                table.writerows([str(path), x["label"], x["score"]] for x in labels)
    print(f"{count} images written to {output}", file=sys.stderr)


def main(given: Sequence[str] | None = None) -> None:
    arguments = parse_arguments(given)
    write(predict(arguments), arguments.output)
