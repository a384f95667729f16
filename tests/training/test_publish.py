"""`push_to_hub` of the trainer: our card, one commit, nothing private, against a Hub on this machine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from huggingface_hub import HfApi, ModelCard, constants
from transformers.utils import hub as transformers_hub

from tests.hub.client import connected_hub
from tests.hub.loopback import LoopbackHub
from tests.training.test_trainer_features import lora
from tests.training.tiny import arguments, dataset, make_trainer

TOKEN = "hf_" + "a1B2" * 8


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[LoopbackHub]:
    with connected_hub() as (server, _):
        monkeypatch.setattr(constants, "ENDPOINT", server.url)
        template = f"{server.url}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr(transformers_hub, "_hf_api", HfApi(endpoint=server.url), raising=False)
        yield server


def test_a_trained_model_is_pushed_with_its_card(server: LoopbackHub, tmp_path: Path) -> None:
    hub = {"push_to_hub": True, "hub_model_id": "tester/tagger", "hub_token": TOKEN}
    trainer = make_trainer(tmp_path / "run", num_train_epochs=2, **hub)
    trainer.train()
    address = trainer.push_to_hub(license="mit", dataset="tester/pictures", tasks="image-classification")
    head, files = server.files("tester/tagger")
    assert address == f"{server.url}/tester/tagger/commit/{head}"
    assert {"model.safetensors", "config.json", "preprocessor_config.json", "README.md", "base_mlic.py"} <= set(files)
    assert not any(name.startswith(("training_args", "optimizer", "checkpoint")) for name in files)
    assert not any(TOKEN.encode() in content or str(tmp_path).encode() in content for content in files.values())
    card = ModelCard(files["README.md"].decode())
    best = max(line["eval_mAP"] for line in trainer.state.log_history if "eval_mAP" in line)
    results = {result.metric_name: result.metric_value for result in card.data.eval_results}
    assert results["mAP"] == pytest.approx(best, abs=1e-6)
    assert card.data.license == "mit"
    assert card.data.datasets == ["tester/pictures"]
    assert "**Learning rate:** 0.01" in card.text
    # what somebody wrote stays, and saving pushes again, as in transformers
    readme = tmp_path / "run" / "README.md"
    readme.write_text(readme.read_text() + "\n## By hand\n")
    trainer.save_model()
    again, files = server.files("tester/tagger")
    assert again != head
    assert b"## By hand" in files["README.md"]


def test_what_a_push_cannot_do_is_said(server: LoopbackHub, tmp_path: Path) -> None:
    trainer = make_trainer(tmp_path / "run", hub_model_id="tester/other")
    with pytest.raises(ValueError, match="leave blocking true and revision out"):
        trainer.push_to_hub(blocking=False)
    with pytest.raises(ValueError, match="tasks is 'text-generation'"):
        trainer.push_to_hub(tasks="text-generation")
    (tmp_path / "adapted").mkdir()
    adapted = type(trainer)(lora(), arguments(tmp_path / "adapted"), train_dataset=dataset(8), eval_dataset=dataset(8))
    with pytest.raises(ValueError, match=r"wrapped by an adapter.*merge_and_unload"):
        adapted.push_to_hub()
