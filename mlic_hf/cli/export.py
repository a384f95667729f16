"""Write a saved model as an ONNX file for servers, phones and browsers, checked against the checkpoint.

mlic export --model runs/digits/student --output tagger.onnx --pictures photos/
mlic export --model runs/digits/student --output tagger.onnx --pictures photos/ --quantize int8 \\
    --inside preprocessing thresholds --dataset digit_scenes --split validation

Labels, thresholds, calibration and pixel statistics lie in the file's metadata. `mlic_hf.OnnxTagger` tags pictures
with it, without torch. The file appears when its scores on real pictures are those of the checkpoint; of int8 the
difference is told, not judged: a data set tells what it costs.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any


def parse_arguments(given: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, help="folder of a saved model, or a Hub repository")
    parser.add_argument("--output", type=Path, required=True, help="the .onnx file")
    parser.add_argument(
        "--pictures",
        nargs="+",
        required=True,
        help="files, folders or quoted globs of pictures such as the model will see: the file is held against the "
        "checkpoint on 64 of them, and int8 measures its ranges on 256",
    )
    smaller = parser.add_mutually_exclusive_group()
    smaller.add_argument("--half", action="store_true", help="weights of 16 bits")
    smaller.add_argument("--quantize", choices=("int8",), help="weights of 8 bits, and products of 8-bit numbers")
    parser.add_argument(
        "--inside",
        nargs="+",
        choices=("preprocessing", "thresholds"),
        default=[],
        help="let the graph resize and normalise (input: RGB bytes of one picture), and decide at the thresholds",
    )
    parser.add_argument("--opset", type=int, default=20, help="version of ONNX's operators (default: 20)")
    parser.add_argument("--dataset", help="a data set that tells mAP before and after: name, folder, hub:owner/name")
    parser.add_argument("--data_dir", help="where the data set lies")
    parser.add_argument("--data_options", type=json.loads, default={}, help="its options, as JSON (docs/datasets.md)")
    parser.add_argument("--split", default="validation", help="the split that is measured (default: validation)")
    parser.add_argument("--json", action="store_true", help="print one JSON object in place of sentences")
    parser.add_argument("--traceback", metavar="true", help="show the traceback of an error")
    return parser.parse_args(given)


def main(given: Sequence[str] | None = None) -> None:
    arguments = parse_arguments(given)
    if arguments.output.suffix != ".onnx":
        raise ValueError(f"--output is {arguments.output}; a .onnx file was expected.")
    from mlic_hf.methods.saved_model import load_saved
    from mlic_hf.runs.exporting import export
    from mlic_hf.runs.picture_sources import find_pictures

    pictures = [picture.source() for picture in find_pictures(arguments.pictures)]
    model = load_saved(arguments.model, "model").eval()
    precision = arguments.quantize or ("float16" if arguments.half else "float32")
    difference = export(model, arguments.output, pictures, precision, arguments.inside, arguments.opset)
    told: dict[str, Any] = {"file": str(arguments.output), "precision": precision, "opset": arguments.opset}
    told |= {"bytes": arguments.output.stat().st_size, "difference": vars(difference)}
    if not arguments.json:
        print(f"{told['file']}: {told['bytes'] / 1e6:.1f} MB, {precision}, opset {told['opset']}; {difference}")
    if arguments.dataset is not None:
        told["data"] = of_data(model, arguments)
        if not arguments.json:
            print(
                "mAP on {split} ({images} pictures): {checkpoint:.2f} of the checkpoint, {file:.2f} of the file; "
                "difference {difference:+.2f} (95 % from {low:+.2f} to {high:+.2f})".format(**told["data"])
            )
    if arguments.json:
        print(json.dumps(told))


def of_data(model: Any, arguments: argparse.Namespace) -> dict[str, Any]:
    """mAP of the checkpoint and of the file on a data set, and the paired difference, in percent."""
    from mlic_hf.metrics import mean_average_precision, paired_bootstrap_map
    from mlic_hf.runs.data import load_data
    from mlic_hf.runs.exporting import OnnxTagger, scores_before_and_after
    from mlic_hf.runs.options import RunOptions

    data = load_data(
        RunOptions(dataset=arguments.dataset, data_dir=arguments.data_dir, data_options=arguments.data_options)
    )
    rows = data.images(arguments.split, "split")
    before, after, targets = scores_before_and_after(model, OnnxTagger(arguments.output), rows)
    pair = [100 * mean_average_precision(scores, targets)[0] for scores in (before, after)]
    gain = paired_bootstrap_map(after, before, targets)
    means = dict(zip(("checkpoint", "file", "difference"), (*pair, 100 * gain.value)))
    interval = {"low": 100 * gain.low, "high": 100 * gain.high}
    return {"split": arguments.split, "images": len(targets), **means, **interval}
