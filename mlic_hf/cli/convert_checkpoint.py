"""Convert a published checkpoint of PSD, L2D, MulCon, CoCo or OASS to a folder that `from_pretrained` reads.

mlic convert_checkpoint --checkpoint psd_resnet101.ckpt --output_dir models/psd_resnet101
mlic convert_checkpoint --checkpoint checkpoints/coco_model --epoch 15 --output_dir models/mulcon
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

WEIGHTS = {"ema": True, "plain": False, "auto": None}


def parse_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoint", required=True, help="the file, or MulCon's folder of epoch_N_net_*.pth files")
    parser.add_argument("--output_dir", required=True, help="folder for the converted model")
    parser.add_argument(
        "--labels",
        help="text file with one label name a line, in the order of the logits, or a known order "
        "(coco_alphabetical, coco_by_id, voc, nus_wide); default: the order the origin trained with",
    )
    parser.add_argument("--word_vectors", help="GloVe text file; only for PSD's label transformer, which stores none")
    parser.add_argument("--epoch", type=int, help="for a folder: which epoch (default: the last)")
    parser.add_argument(
        "--weights",
        choices=tuple(WEIGHTS),
        default="auto",
        help="averaged or plain weights, where a file or folder holds both (default: averaged where there are any)",
    )
    parser.add_argument("--image_size", type=int, help="side of the input in pixels (default: the origin's)")
    parser.add_argument("--graph_steps", type=int, help="steps of CoCo's graph network (default: by labels)")
    parser.add_argument("--overwrite", action="store_true", help="replace a model in the folder")
    parser.add_argument("--traceback", metavar="true", help="show the traceback of an error")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    options = parse_arguments(arguments)
    folder = Path(options.output_dir)
    if (folder / "config.json").exists() and not options.overwrite:
        raise ValueError(f"{folder} already holds a model; choose another --output_dir or give --overwrite.")
    # imported here, so that --help is quick
    from mlic_hf.hub.convert import build_converted, convert_state
    from mlic_hf.hub.privacy import command_line
    from mlic_hf.hub.read_original import read_original
    from mlic_hf.hub.save import library_versions, save_model

    state = read_original(options.checkpoint, epoch=options.epoch, ema=WEIGHTS[options.weights])
    converted = convert_state(state)
    given = {"image_size": options.image_size, "graph_steps": options.graph_steps}
    fields: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    if "graph_steps" in fields and converted.origin.head != "co_occurrence":
        raise ValueError(f"--graph_steps is for CoCo's checkpoints; this one is {converted.origin.name}.")
    model = build_converted(converted, options.labels, word_vectors=options.word_vectors, **fields)
    name = Path(options.checkpoint).name
    run = {
        "method": converted.origin.method,
        "origin": f"Converted from an original checkpoint ({converted.origin.name}; `{name}`).",
        "command": command_line(["mlic convert_checkpoint", *(arguments or sys.argv[1:])]),
        "versions": library_versions(),
    }
    save_model(model, folder, run)
    print(
        f"{folder}: {converted.origin.name} as {type(model).__name__} on {model.config.backbone}, "
        f"{model.config.num_labels} labels, {model.config.image_size} px"
    )
