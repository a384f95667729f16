from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from mlic_hf.hub.privacy import SECRET, command_line, publishable, without_secrets
from mlic_hf.hub.scan import refuse_private, scan

TOKEN = "hf_" + "aB3" * 11
SECRETS = {
    "Hugging Face": TOKEN,
    "GitHub": "ghp_" + "a1B2" * 9,
    "GitHub, fine grained": "github_pat_" + "a1B2_" * 9,
    "GitLab": "glpat-" + "a1B2" * 5,
    "AWS": "AKIA" + "A1B2" * 4,
    "Google": "AIza" + "a1B2_" * 7,
    "Slack": "xoxb-" + "12345-" * 3 + "abcd",
    "OpenAI": "sk-proj-" + "a1B2" * 10,
    "npm": "npm_" + "a1B2" * 9,
    "JWT": "eyJhbGciOiJI.eyJzdWIiOiIx.SflKxwRJSMeKKF2QT4",
    "bearer": "Authorization: Bearer " + "a1B2" * 6,
    "address": "https://bob:hunter2@example.org/data.zip",
    "private key": "-----BEGIN RSA PRIVATE KEY-----\nMIIEabc\n-----END RSA PRIVATE KEY-----",
    "query": "https://example.org/data.zip?access_token=a1b2c3d4e5",
}
HARMLESS = [
    "mean_average_precision", "--num_tokens 4", "the bearer of bad news", "tokenizer: none", "/m/01g317", "n/a",
    "https://huggingface.co/user/model", "hf_hub_download(repo_id)", "sk_resnet_50_pretrained_on_imagenet",
    "token: str | None = None", "token = kwargs.pop('token1', None)", "a1b2c3d4" * 8, "3/4 of 1e-3", "and/or",
]  # fmt: skip


@pytest.mark.parametrize("secret", SECRETS.values(), ids=SECRETS)
def test_what_looks_like_a_secret_is_replaced_and_found(secret: str, tmp_path: Path) -> None:
    told = json.dumps(publishable({"note": [f"first {secret} last"]}, tmp_path))
    assert SECRET in told
    core = max(secret.replace("\n", " ").split(), key=len)
    assert core not in told
    (tmp_path / "notes.md").write_text(f"one\ntwo {secret} three\n")
    [finding, *_] = scan({"notes.md": tmp_path / "notes.md"})
    assert (finding.file, finding.place) == ("notes.md", "line 2")
    assert core not in str(finding)


@pytest.mark.parametrize("text", HARMLESS)
def test_what_only_resembles_one_stays(text: str, tmp_path: Path) -> None:
    assert publishable([text, {"a": text}], tmp_path) == [text, {"a": text}]
    (tmp_path / "notes.md").write_text(text)
    assert scan({"notes.md": tmp_path / "notes.md"}) == []


def test_settings_lose_what_their_names_tell_is_secret() -> None:
    settings = {"hub_token": "short", "push_to_hub_token": None, "mulcon.stage_one": {"api_key": "x"}, "seed": 3}
    assert without_secrets(settings) == {"push_to_hub_token": None, "mulcon.stage_one": {}, "seed": 3}


def test_secrets_of_the_environment_are_known_whatever_they_look_like(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COMPANY_REGISTRY_TOKEN", "correct horse")
    assert publishable("x correct horse y", tmp_path) == f"x {SECRET} y"
    (tmp_path / "run.json").write_text(json.dumps({"log": [{"note": "correct horse"}]}))
    assert [f.place for f in scan({"run.json": tmp_path / "run.json"})] == ["log.0.note"]


def test_paths_become_relative_to_the_run() -> None:
    folder = "/home/bob/runs/one"
    settings = {"data_dir": "/home/bob/my data/voc", "teacher": "/home/bob/runs/one/teacher", "name": "runs/two"}
    assert publishable(settings, folder) == {"data_dir": "../../my data/voc", "teacher": "teacher", "name": "runs/two"}
    elsewhere = publishable(["/home/alice/voc", "/data/voc", "/data/coco", "C:\\Users\\bob\\voc"], folder)
    assert [place.rsplit("/", 1)[-1] for place in elsewhere] == ["voc", "voc", "coco", "voc"]
    assert not any("alice" in place or "bob" in place for place in elsewhere)
    assert len(set(elsewhere)) == 4  # two places stay two
    assert elsewhere[1].split("/")[0] == elsewhere[2].split("/")[0]
    assert publishable(elsewhere, folder) == elsewhere


def test_a_command_is_told_without_secrets_and_private_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    script, data = tmp_path / "scripts" / "train.py", tmp_path / "my data"
    given = [str(script), "--hub_token", "abc", "--data_dir", str(data), f"--teacher={tmp_path}/t", "--seed", "3"]
    told = "scripts/train.py --data_dir 'my data' --teacher=t --seed 3"
    assert command_line(given) == told
    assert command_line(["/usr/local/bin/mlic", "train", "--hub_token=abc"]) == "mlic train"
    assert command_line(["mlic train", "--seed", "3"]) == "mlic train --seed 3"
    nested = command_line(["mlic", "--teacher_run", '{"hub_token": "' + TOKEN + '", "seed": 1}'])
    assert TOKEN not in nested
    assert '"seed": 1' in nested


def test_the_scan_names_file_and_key(tmp_path: Path) -> None:
    home = str(Path.home() / "data")
    contents = {
        "run.json": json.dumps({"settings": {"hub_token": "abc", "dirs": ["x", "/home/bob/voc"]}, "command": home}),
        "README.md": "---\nlicense: mit\n---\n\nTrained in /Users/bob/voc\n",
        "code.py": f'x = 1\nTOKEN = "{TOKEN}"\n',
        "broken.json": f'{{"a": "{TOKEN}',
        "good.json": json.dumps({"labels": ["/m/01g317"], "teacher": "../teacher"}),
    }
    for name, content in contents.items():
        (tmp_path / name).write_text(content)
    save_file({"a": torch.zeros(1)}, tmp_path / "model.safetensors", metadata={"made_by": TOKEN, "format": "pt"})
    (tmp_path / "curves.png").write_bytes(b"\x89PNG\xff" + TOKEN.encode())
    files = {path.name: path for path in sorted(tmp_path.iterdir())}
    assert {(f.file, f.place) for f in scan(files)} == {
        ("run.json", "settings.hub_token"),
        ("run.json", "settings.dirs.1"),
        ("run.json", "command"),
        ("README.md", "line 5"),
        ("code.py", "line 2"),
        ("broken.json", "line 1"),
        ("model.safetensors", "__metadata__.made_by"),
        ("curves.png", "byte 5"),
    }
    with pytest.raises(ValueError, match=r"Nothing was sent.*run\.json, settings\.hub_token: a secret") as refused:
        refuse_private(files)
    assert TOKEN not in str(refused.value)
    refuse_private({"good.json": tmp_path / "good.json"})
