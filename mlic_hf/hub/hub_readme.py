"""What others wrote into a repository's README, brought home before ours is sent."""

from __future__ import annotations

import tempfile
from pathlib import Path

from huggingface_hub import HfApi

from mlic_hf.hub.readme import Readme, merge_fields, read_readme, write_readme

NAME = "README.md"
SHOWN = 3
JOINED = ("tags", "datasets", "metrics", "model-index")


def take_over(folder: str | Path, repo_id: str, api: HfApi) -> None:
    """Write into a folder's README what only the repository's has: text around our section, front matter.

    Args:
        folder: holds README.md with our section.
        repo_id: what it will be pushed to.
        api: the client.

    Raises:
        ValueError: when both have text of their own and that of the repository would be lost.
    """
    if not api.file_exists(repo_id, NAME):
        return
    with tempfile.TemporaryDirectory() as place:
        text = Path(api.hf_hub_download(repo_id, NAME, local_dir=place)).read_text(encoding="utf-8")
    theirs = read_readme(text, f"{repo_id}/{NAME}")
    path = Path(folder) / NAME
    ours = read_readme(path.read_text(encoding="utf-8"), str(path))
    here = {line.strip() for line in ours.own_text.splitlines()}
    lost = [line for line in theirs.own_text.splitlines() if line.strip() and line.strip() not in here]
    if lost and ours.own_text:
        shown = "; ".join(repr(line) for line in lost[:SHOWN])
        raise ValueError(
            f"Nothing was sent: {NAME} of {repo_id} has {len(lost)} lines of text that {path} lacks ({shown}). Bring "
            "what should stay into the file here, and delete the rest there; then push again."
        )
    around = theirs if lost else ours
    fields = merge_fields(theirs.fields, ours.fields)
    fields |= {key: value for key, value in ours.fields.items() if key not in JOINED}
    merged = Readme(ours.front, around.before, ours.section, around.after)
    path.write_text(write_readme(merged, fields, ours.section or ""), encoding="utf-8")
