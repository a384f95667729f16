from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import urlsplit

import pytest
import torch
from huggingface_hub import HfApi, ModelCard, repocard
from huggingface_hub.utils import get_session
from safetensors.torch import load_file, save_file

from mlic_hf.cli import push
from mlic_hf.cli.errors import explained
from mlic_hf.hub import check_checkpoint, push_folder, push_model, save_model, verify_push
from mlic_hf.hub.push import IncompletePush, files_to_push, is_transient
from tests.hub.client import connected_hub
from tests.hub.loopback import LoopbackHub, client_environment
from tests.hub.tiny_models import tiny_model

REPO = "tester/tagger"
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def hub() -> Iterator[tuple[LoopbackHub, HfApi]]:
    with connected_hub() as pair:
        yield pair


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = {"method": "supervised", "finished": True, "metrics": {"test_mAP": 0.5}, "data": {"name": "digits"}}
    return save_model(tiny_model("mlic_linear"), tmp_path_factory.mktemp("saved"), run)


@pytest.fixture
def folder(saved: Path, tmp_path: Path) -> Path:
    return shutil.copytree(saved, tmp_path / "model")


def test_push_uploads_model_code_and_card_in_one_commit(folder: Path, hub: tuple[LoopbackHub, HfApi]) -> None:
    server, api = hub
    (folder / "optimizer.pt").write_bytes(b"not for the Hub")
    (folder / "checkpoint-1").mkdir()
    commit = push_folder(folder, REPO, api=api, wait=0)
    head, files = server.files(REPO)
    assert head == commit
    assert len(server.repos[REPO]) == 2  # the empty repository and one commit
    assert set(files) - {".gitattributes"} == set(files_to_push(folder))
    assert files["model.safetensors"] == (folder / "model.safetensors").read_bytes()
    assert b'model="tester/tagger"' in files["README.md"]
    assert b"| test | 50.0 |" in files["README.md"]
    assert "modeling_linear_mlic.py" in files
    assert not any(name.startswith(("optimizer", "checkpoint")) for name in files)


def test_pushing_again_replaces_the_files(folder: Path, hub: tuple[LoopbackHub, HfApi]) -> None:
    server, api = hub
    push_folder(folder, REPO, api=api, wait=0)
    save_model(tiny_model("mlic_linear", image_size=32), folder)
    push_folder(folder, REPO, api=api, wait=0)
    assert json.loads(server.files(REPO)[1]["config.json"])["image_size"] == 32


@pytest.mark.parametrize("part", ["/repos/create", "/preupload/", "/objects/batch", "/commit/", "/tree/"])
def test_a_busy_hub_is_tried_again(part: str, folder: Path, hub: tuple[LoopbackHub, HfApi]) -> None:
    server, api = hub
    server.faults[part] = 1
    commit = push_folder(folder, REPO, api=api, wait=0)
    assert server.files(REPO)[0] == commit
    assert server.faults[part] == 0


def test_an_upload_that_breaks_for_good_leaves_no_file_and_says_so(
    folder: Path, hub: tuple[LoopbackHub, HfApi]
) -> None:
    server, api = hub
    server.faults["/commit/"] = 99
    with pytest.raises(OSError, match=r"was not published after 2 attempts"):
        push_folder(folder, REPO, api=api, attempts=2, wait=0)
    assert set(server.files(REPO)[1]) == {".gitattributes"}


def test_a_commit_that_loses_a_file_is_not_announced(folder: Path, hub: tuple[LoopbackHub, HfApi]) -> None:
    server, api = hub
    server.lose = {"configuration_mlic.py"}
    with pytest.raises(OSError, match=r"lacks configuration_mlic\.py"):
        push_folder(folder, REPO, api=api, attempts=2, wait=0)
    server.lose = set()
    commit = push_folder(folder, REPO, api=api, wait=0)
    assert server.files(REPO)[0] == commit


@pytest.mark.parametrize("name", ["model.safetensors", "config.json"])
def test_verify_finds_a_changed_file(name: str, folder: Path, hub: tuple[LoopbackHub, HfApi]) -> None:
    _, api = hub
    push_folder(folder, REPO, api=api, wait=0)
    files = files_to_push(folder)
    verify_push(REPO, files, api=api)
    (folder / name).write_bytes((folder / name).read_bytes() + b" ")
    with pytest.raises(IncompletePush, match="holds another " + name):
        verify_push(REPO, files, api=api)


def test_a_mistake_of_the_user_is_not_retried(folder: Path, hub: tuple[LoopbackHub, HfApi]) -> None:
    server, api = hub
    (folder / "config.json").write_text("{}")
    with pytest.raises(FileNotFoundError):
        push_folder(folder, REPO, api=api)
    assert server.requests == []
    assert not is_transient(ValueError("wrong"))


@pytest.mark.parametrize(
    ("name", "change", "said"),
    [
        ("run.json", {"settings": {"hub_token": "abc"}}, r"run\.json, settings\.hub_token: a secret"),
        ("config.json", {"teacher": "/home/bob/runs/teacher"}, r"config\.json, teacher: a path of somebody's home"),
        ("weights.json", {"note": "hf_" + "aB3" * 11}, r"weights\.json, note: a Hugging Face token"),
    ],
)
def test_a_secret_or_a_private_path_is_not_sent(
    name: str, change: dict[str, object], said: str, folder: Path, hub: tuple[LoopbackHub, HfApi]
) -> None:
    server, api = hub
    before = json.loads((folder / name).read_text()) if (folder / name).is_file() else {}
    (folder / name).write_text(json.dumps({**before, **change}))
    with pytest.raises(ValueError, match=said):
        push_folder(folder, REPO, api=api)
    assert server.requests == []


def test_the_card_passes_the_hubs_validation(
    folder: Path, hub: tuple[LoopbackHub, HfApi], monkeypatch: pytest.MonkeyPatch
) -> None:
    server, api = hub
    push_folder(folder, REPO, api=api, wait=0, facts={"license": "mit", "base_model": "timm/resnet18.a1_in1k"})
    text = server.files(REPO)[1]["README.md"].decode()
    # older clients know one address only, the Hub's
    to_loopback = SimpleNamespace(post=lambda url, **rest: get_session().post(server.url + urlsplit(url).path, **rest))
    monkeypatch.setattr(repocard, "get_session", lambda: to_loopback)
    card = ModelCard(text)
    card.validate()
    [result] = card.data.eval_results
    assert (result.metric_name, result.metric_value, result.dataset_name) == ("mAP", 0.5, "digits")
    assert "POST /api/validate-yaml" in server.requests
    with pytest.raises(ValueError, match="license"):  # the stand-in does look
        ModelCard(text.replace("license: mit", "license: my own")).validate()


HAND_WRITTEN = "---\nlicense: cc-by-4.0\nlanguage:\n- de\n---\n\n# Tagger\n\nWritten by hand on the Hub.\n"


def test_what_was_written_on_the_hub_stays(folder: Path, hub: tuple[LoopbackHub, HfApi]) -> None:
    server, api = hub
    api.create_repo(REPO)
    server.commit(REPO, {"README.md": HAND_WRITTEN.encode()})
    push_folder(folder, REPO, api=api, wait=0)
    text = server.files(REPO)[1]["README.md"].decode()
    assert "# Tagger\n\nWritten by hand on the Hub.\n\n<!-- mlic_hf: begin -->" in text
    assert "license: cc-by-4.0\n" in text
    assert "language:\n- de\n" in text
    assert "| test | 50.0 |" in text
    assert (folder / "README.md").read_text() == text
    push_folder(folder, REPO, api=api, wait=0)  # and again
    assert server.files(REPO)[1]["README.md"].decode() == text
    longer = text.replace("Written by hand on the Hub.", "Written by hand on the Hub.\n\nThen here.")
    (folder / "README.md").write_text(longer)
    push_folder(folder, REPO, api=api, wait=0)
    assert "Then here." in server.files(REPO)[1]["README.md"].decode()


def test_two_readmes_with_text_of_their_own_are_not_mixed(folder: Path, hub: tuple[LoopbackHub, HfApi]) -> None:
    server, api = hub
    api.create_repo(REPO)
    server.commit(REPO, {"README.md": HAND_WRITTEN.encode()})
    (folder / "README.md").write_text("# Tagger\n\nWritten by hand at home.\n")
    with pytest.raises(ValueError, match=r"tester/tagger has 1 lines of text.*'Written by hand on the Hub\.'"):
        push_folder(folder, REPO, api=api, wait=0)
    assert server.files(REPO)[1] == {"README.md": HAND_WRITTEN.encode()}


def test_a_readme_that_cannot_be_fetched_at_once_is_not_overwritten(
    folder: Path, hub: tuple[LoopbackHub, HfApi]
) -> None:
    server, api = hub
    api.create_repo(REPO)
    server.commit(REPO, {"README.md": HAND_WRITTEN.encode()})
    server.faults["/resolve/main/README.md"] = 2
    push_folder(folder, REPO, api=api, wait=0)
    assert b"Written by hand on the Hub." in server.files(REPO)[1]["README.md"]
    server.faults["/resolve/main/README.md"] = 99
    with pytest.raises(OSError, match="was not published after 2 attempts"):
        push_folder(folder, REPO, api=api, attempts=2, wait=0)


def test_push_model_writes_the_card_too(hub: tuple[LoopbackHub, HfApi]) -> None:
    server, api = hub
    push_model(tiny_model("mlic_linear"), REPO, {"method": "oass"}, api=api, wait=0)
    assert b"kaixin2022object" in server.files(REPO)[1]["README.md"]


def break_weights(folder: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    tensors["head.classifier.bias"][0] = torch.nan
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


def drop_a_weight(folder: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    del tensors["head.classifier.bias"]
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


def edit(name: str, **changes: object) -> object:
    def change(folder: Path) -> None:
        content = json.loads((folder / name).read_text())
        (folder / name).write_text(json.dumps({**content, **changes}))

    return change


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (break_weights, "not finite"),
        (drop_a_weight, "missing keys"),
        (lambda f: (f / "model.safetensors").unlink(), r"no model\.safetensors"),
        (lambda f: (f / "preprocessor_config.json").unlink(), "no preprocessor_config"),
        (lambda f: (f / "base_mlic.py").unlink() or (f / "modeling_linear_mlic.py").unlink(), "linear_mlic.py is"),
        (edit("preprocessor_config.json", image_size=32), "has image_size 32, the model 64"),
        (edit("config.json", id2label={"0": "LABEL_0", "1": "LABEL_1", "2": "LABEL_2"}), "have no name"),
        (edit("config.json", auto_map={}), "no auto_map entry"),
        (edit("config.json", model_type="bert"), "model_type 'bert'"),
        (edit("run.json", finished=False), "training is not finished"),
    ],
)  # fmt: skip
def test_what_is_not_ready_is_refused(damage, said: str, folder: Path) -> None:
    check_checkpoint(folder)
    damage(folder)
    with pytest.raises(ValueError, match=said):
        check_checkpoint(folder)


def run_script(server: LoopbackHub, home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, **client_environment(server, home)}
    command = [sys.executable, "-m", "mlic_hf.cli", "push", *arguments]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300)


def test_script_publishes(folder: Path, tmp_path: Path, hub: tuple[LoopbackHub, HfApi]) -> None:
    server, _ = hub
    done = run_script(server, tmp_path / "home", "--model", str(folder), "--repo_id", REPO)
    assert done.returncode == 0, done.stderr
    assert f"Published and verified: {REPO} at commit {server.files(REPO)[0]}" in done.stdout


def test_script_checks_without_sending(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    explained(lambda: push.main(["--model", str(folder), "--check_only", "--license", "mit"]))
    told = capsys.readouterr().out
    assert "is ready: LinearForImageClassification, 3 labels" in told
    assert "\n+license: mit\n" in told
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_script_needs_to_know_what_to_do(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        push.main(["--model", str(folder)])
    assert "give --repo_id to publish the model, or --check_only" in capsys.readouterr().err


def test_script_says_a_mistake_in_one_line(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "preprocessor_config.json").unlink()
    with pytest.raises(SystemExit):
        explained(lambda: push.main(["--model", str(folder), "--check_only"]))
    told = capsys.readouterr().err
    line = told.strip().splitlines()[-1]
    assert "Traceback" not in told
    assert line.startswith("error: ")
    assert "no preprocessor_config.json" in line
