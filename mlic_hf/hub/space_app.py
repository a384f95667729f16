"""A page to try a tagger on: drop a picture, see its labels, move the threshold, see where a label was looked for.

This file is also the app.py of a Space, so it stands alone: gradio, transformers, torch and Pillow are all it needs.
Set MODEL to a folder or a Hub repository of a model whose code you trust: it brings its own.
"""

from __future__ import annotations

import os
from typing import Any

import gradio as gr
import torch
from PIL import Image

MODEL = os.environ.get("MODEL", "")
HEAT = ((26, 20, 60), (140, 40, 110), (230, 90, 50), (250, 220, 90))  # from nothing to most


def load(name: str) -> tuple[Any, Any]:
    """A saved model in evaluation mode, and its image processor."""
    from transformers import AutoImageProcessor, AutoModelForImageClassification

    model = AutoModelForImageClassification.from_pretrained(name, trust_remote_code=True).eval()
    return model, AutoImageProcessor.from_pretrained(name, trust_remote_code=True)


@torch.inference_mode()
def look(model: Any, processor: Any, picture: Image.Image) -> tuple[list[float], torch.Tensor]:
    """Scores of all labels, and maps (C, h, w) of where each was looked for."""
    pixels = processor(picture, return_tensors="pt")["pixel_values"].to(model.device)
    logits, maps = model.label_maps(pixels)
    return logits[0].float().sigmoid().tolist(), maps[0].float().cpu()


def labels_above(model: Any, scores: list[float], threshold: float, own: bool) -> dict[str, float]:
    """Labels with their scores that reach the threshold, or their own one."""
    wanted = model.config.thresholds if own and model.config.thresholds else [threshold] * len(scores)
    kept = [label for label, score in enumerate(scores) if score >= wanted[label]]
    return {model.config.id2label[label]: scores[label] for label in sorted(kept, key=lambda label: -scores[label])}


def heat(picture: Image.Image, label_map: torch.Tensor) -> Image.Image:
    """A map (h, w) over the picture, its lowest value dark and its highest bright."""
    low, high = float(label_map.min()), float(label_map.max())
    levels = ((label_map - low) / max(high - low, 1e-12) * 255).round().byte().numpy()
    fine = Image.fromarray(levels).resize(picture.size, Image.Resampling.BICUBIC)
    steps = [level / 255 * (len(HEAT) - 1) for level in range(256)]
    palette = []
    for step in steps:
        before = min(int(step), len(HEAT) - 2)
        share = step - before
        palette += [round(a + share * (b - a)) for a, b in zip(HEAT[before], HEAT[before + 1])]
    fine.putpalette(palette)
    return Image.blend(picture.convert("RGB"), fine.convert("RGB"), 0.55)


def build(model: Any, processor: Any, title: str) -> gr.Blocks:
    """The page of a model."""
    tuned = model.config.thresholds is not None

    def tag(picture: Image.Image | None, threshold: float, own: bool) -> tuple[Any, Any, Any]:
        if picture is None:
            return {}, gr.update(choices=[], value=None), None
        scores, maps = look(model, processor, picture)
        order = sorted(range(len(scores)), key=lambda label: -scores[label])
        names = [model.config.id2label[label] for label in order]
        found = labels_above(model, scores, threshold, own)
        return found, gr.update(choices=names, value=names[0]), heat(picture, maps[order[0]])

    def move(picture: Image.Image | None, threshold: float, own: bool) -> Any:
        return {} if picture is None else labels_above(model, look(model, processor, picture)[0], threshold, own)

    def show(picture: Image.Image | None, label: str | None) -> Any:
        if picture is None or label is None:
            return None
        _, maps = look(model, processor, picture)
        return heat(picture, maps[model.config.label2id[label]])

    with gr.Blocks(title=title, analytics_enabled=False) as page:
        gr.Markdown(f"# {title}\n{len(model.config.id2label)} labels. Drop a picture.")
        with gr.Row():
            with gr.Column():
                picture = gr.Image(type="pil", label="picture", height=360)
                threshold = gr.Slider(0, 1, 0.5, step=0.01, label="threshold")
                own = gr.Checkbox(tuned, label="the model's own thresholds", visible=tuned)
            with gr.Column():
                labels = gr.Label(label="labels", elem_id="labels", show_heading=False)
                chosen = gr.Dropdown([], label="heat map of", elem_id="chosen")
                warm = gr.Image(label="where it was looked for", height=360, elem_id="heat", interactive=False)
        picture.change(tag, [picture, threshold, own], [labels, chosen, warm])
        threshold.input(lambda: False, None, own)  # who moves the slider wants it to count
        for moved in (threshold.change, own.change):
            moved(move, [picture, threshold, own], labels, trigger_mode="always_last")
        chosen.input(show, [picture, chosen], warm)
    return page


if __name__ == "__main__":
    build(*load(MODEL), title=MODEL.split("/")[-1]).launch()
