"""The page to try a model on, here and as a Space."""

from __future__ import annotations

import ast
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from mlic_hf.cli import push
from mlic_hf.hub.space import write_space
from mlic_hf.modeling import ARCHITECTURES, MultiLabelImageProcessor
from tests.browser import page
from tests.modeling.tiny_models import LABELS, tiny_model


def photograph(folder: Path) -> Path:
    noise = np.random.default_rng(2).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    Image.fromarray(noise).resize((320, 240), Image.Resampling.BICUBIC).save(folder / "photo.png")
    return folder / "photo.png"


def test_a_space_is_whole(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    files = write_space(tmp_path / "space", "user/tagger")
    assert sorted(path.name for path in files) == ["README.md", "app.py", "requirements.txt"]
    text = (tmp_path / "space" / "app.py").read_text()
    imported = {
        name.split(".")[0]
        for node in ast.walk(ast.parse(text))
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    }
    assert imported - set(sys.stdlib_module_names) == {"gradio", "torch", "PIL", "transformers"}
    assert 'MODEL = os.environ.get("MODEL", "user/tagger")' in text
    front = (tmp_path / "space" / "README.md").read_text().split("---\n")[1]
    card = yaml.safe_load(front)
    assert (card["sdk"], card["app_file"], card["models"]) == ("gradio", "app.py", ["user/tagger"])
    write_space(tmp_path / "space", "user/other")
    (tmp_path / "space" / "letter.txt").write_text("dear")
    with pytest.raises(ValueError, match=r"holds letter\.txt, which is not part of a Space"):
        write_space(tmp_path / "space", "user/tagger")
    with pytest.raises(SystemExit):
        push.main(["--model", "m", "--space", "s", "--check_only"])
    assert "name it with --repo_id" in capsys.readouterr().err


def test_the_card_names_the_space(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    seen: dict[str, Any] = {}

    def keep(folder: str, repo_id: str, facts: dict[str, Any], **others: Any) -> str:
        seen.update(facts)
        return "0123abc"

    monkeypatch.setattr("mlic_hf.hub.push_folder", keep)
    push.main(["--model", "m", "--repo_id", "user/tagger", "--space", str(tmp_path / "space")])
    assert seen == {"repo_id": "user/tagger", "space": "user/tagger"}
    assert f"hf upload user/tagger {tmp_path / 'space'} --repo-type space" in capsys.readouterr().out


class TestPage:
    @pytest.fixture(autouse=True)
    def needs_gradio(self) -> None:
        pytest.importorskip("gradio", reason="needs the demo extra")

    def test_heat_is_brightest_where_the_map_is_highest(self) -> None:
        from mlic_hf.hub.space_app import heat

        label_map = torch.zeros(4, 4)
        label_map[3, 0] = 0.01
        levels = np.asarray(heat(Image.new("RGB", (80, 40)), label_map).convert("L")).astype(int)
        assert levels.shape == (40, 80)
        assert levels[36:, :8].mean() > levels[:20].mean() + 40

    @pytest.mark.parametrize("model_type", list(ARCHITECTURES))
    def test_every_architecture_is_shown(self, model_type: str, tmp_path: Path) -> None:
        from mlic_hf.hub.space_app import build, labels_above, look

        model = tiny_model(model_type, thresholds=[0.0, 0.0, 1.0, 1.0, 1.0])
        processor = MultiLabelImageProcessor.for_model(model)
        scores, maps = look(model, processor, Image.open(photograph(tmp_path)))
        assert (len(scores), len(maps)) == (5, 5)
        assert set(labels_above(model, scores, 0.0, own=True)) == {"cat", "dog"}
        assert set(labels_above(model, scores, 0.0, own=False)) == set(LABELS)
        build(model, processor, "tagger")

    def test_in_a_browser(self, tmp_path: Path) -> None:
        """Upload, labels, threshold, heat map of another label."""
        from mlic_hf.hub.space_app import build

        model = tiny_model("mlic_query2label", thresholds=[0.5] * 5)
        with torch.no_grad():  # scores on both sides of one half
            model.head.classifier.linear.weight.zero_()
            model.head.classifier.linear.bias.copy_(torch.tensor([2.0, 1.0, 0.5, -1.0, -2.0]))
        shown: Any = build(model, MultiLabelImageProcessor.for_model(model), "tiny tagger")
        _, address, _ = shown.launch(server_name="127.0.0.1", prevent_thread_lock=True, share=False, quiet=True)
        try:
            with page() as (tab, errors):
                tab.goto(address)
                tab.locator("input[type=file]").first.set_input_files(str(photograph(tmp_path)))
                labels = tab.locator("#labels")
                labels.get_by_text("88%").first.wait_for(timeout=60_000)
                assert all(name in labels.inner_text() for name in ("cat", "dog", "car"))
                assert "tree" not in labels.inner_text()
                heat = tab.locator("#heat img")
                heat.first.wait_for(timeout=30_000)
                before = heat.first.get_attribute("src")
                own = tab.get_by_role("checkbox", name="the model's own thresholds")
                assert own.is_checked()
                slider = tab.locator("input[type=number]").first
                slider.fill("0.8")
                slider.press("Enter")
                labels.get_by_text("dog").first.wait_for(state="detached", timeout=30_000)
                assert "cat" in labels.inner_text()
                assert not own.is_checked()
                tab.locator("#chosen input").click()
                tab.get_by_role("option", name="sky").click()
                tab.wait_for_function(
                    "before => document.querySelector('#heat img').src !== before", arg=before, timeout=30_000
                )
                assert errors == []
        finally:
            shown.close()
