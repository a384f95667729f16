"""A page in the browser to try a saved model on: drop a picture, see labels, threshold and heat maps.

mlic demo --model runs/digit_scenes_l2d/student
mlic push --model runs/digit_scenes_l2d/student --repo_id user/tagger --space tagger_space   # the same, as a Space

The page is served to this machine alone, unless --share asks Gradio for a public address.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path


def parse_arguments(given: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, help="folder of a saved model, or a Hub repository")
    parser.add_argument("--port", type=int, default=7860, help="of the address (default: 7860)")
    parser.add_argument("--share", action="store_true", help="a public address, for 72 hours; anybody can use it")
    parser.add_argument("--traceback", metavar="true", help="show the traceback of an error")
    return parser.parse_args(given)


def main(given: Sequence[str] | None = None) -> None:
    arguments = parse_arguments(given)
    from mlic_hf.methods.saved_model import load_saved
    from mlic_hf.modeling import MultiLabelImageProcessor

    model = load_saved(arguments.model, "model").eval()
    try:
        from mlic_hf.hub.space_app import build
    except ImportError as error:
        raise ImportError(f"the page needs gradio ({error}): pip install 'mlic_hf[demo]'") from error
    title = Path(arguments.model).resolve().name if Path(arguments.model).is_dir() else arguments.model
    page = build(model, MultiLabelImageProcessor.for_model(model), title)
    page.launch(server_name="127.0.0.1", server_port=arguments.port, share=arguments.share)
