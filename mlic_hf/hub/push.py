"""Uploading a checkpoint folder: one commit, retried, and believed only when its files are read back."""

from __future__ import annotations

import hashlib
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from huggingface_hub import CommitOperationAdd, HfApi
from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

from mlic_hf.hub.card import write_card
from mlic_hf.hub.card_facts import CARD_PICTURES
from mlic_hf.hub.check import check_checkpoint
from mlic_hf.hub.hub_readme import take_over
from mlic_hf.hub.save import save_model
from mlic_hf.hub.scan import refuse_private
from mlic_hf.modeling import MultiLabelModel

Result = TypeVar("Result")
# what belongs to a model; optimizer states, logs and intermediate checkpoints stay at home
PUSHED = ("config.json", "preprocessor_config.json", "README.md", "run.json", "weights.json", "*.py",
          "model*.safetensors", "model.safetensors.index.json", *CARD_PICTURES)  # fmt: skip
TRANSIENT_STATUS = (408, 429, 500, 502, 503, 504)


class IncompletePush(OSError):
    """The Hub does not hold what was sent."""


def files_to_push(folder: str | Path) -> dict[str, Path]:
    """The files of a checkpoint folder that make the published model: name on the Hub -> file."""
    folder = Path(folder)
    return {path.name: path for pattern in PUSHED for path in sorted(folder.glob(pattern)) if path.is_file()}


def push_folder(
    folder: str | Path,
    repo_id: str,
    *,
    facts: Mapping[str, Any] | None = None,
    private: bool | None = None,
    message: str = "Upload model",
    attempts: int = 4,
    wait: float = 2.0,
    api: HfApi | None = None,
) -> str:
    """Check a checkpoint folder, write our part of its card, upload it in one commit and read it back.

    What somebody wrote into the README here or on the Hub stays.

    Args:
        folder: a saved model (see `check_checkpoint`).
        repo_id: "user/name"; made when it does not exist.
        facts: further facts for the card.
        private: whether a new repository is private.
        message: of the commit.
        attempts: how often every step is tried.
        wait: seconds before the second try; doubled each time.
        api: the client; None for the default one.

    Returns:
        the commit id, after every file has been verified under it.

    Raises:
        FileNotFoundError, ValueError: when the folder is not fit to be published, or a file holds a secret or a path
            of somebody's home folder; nothing is sent then.
        OSError: when the upload failed for good; the sentence says what the repository holds.
    """
    check_checkpoint(folder)
    write_card(folder, {**(facts or {}), "repo_id": repo_id})
    files = files_to_push(folder)
    refuse_private(files)
    api = api or HfApi()

    def create() -> str:
        return api.create_repo(repo_id, private=private, exist_ok=True).repo_id

    def upload() -> str:
        # a new list each time: a tried operation remembers that it was sent
        operations = [CommitOperationAdd(name, str(path)) for name, path in files.items()]
        commit = api.create_commit(repo_id, operations, commit_message=message).oid
        verify_push(repo_id, files, revision=commit, api=api)
        return commit

    try:
        repo_id = retry(create, attempts, wait)
        retry(lambda: take_over(folder, repo_id, api), attempts, wait)
        refuse_private(files)
        commit = retry(upload, attempts, wait)
        # what users get is the main branch: it must hold the same files
        retry(lambda: verify_push(repo_id, files, api=api), attempts, wait)
    except Exception as error:
        if not isinstance(error, OSError) and not is_transient(error):
            raise
        raise OSError(
            f"{repo_id} was not published after {attempts} attempts: {first_line(error)}. "
            "Files come in one commit, so the repository holds all of an attempt or nothing of it, and none of "
            "them is verified; run the same command again."
        ) from error
    return commit


def push_model(model: MultiLabelModel, repo_id: str, run: Mapping[str, Any] | None = None, **options: Any) -> str:
    """Save a model with its card in a temporary folder and push that; arguments as in `save_model`, `push_folder`."""
    with tempfile.TemporaryDirectory() as folder:
        save_model(model, folder, run)
        return push_folder(folder, repo_id, **options)


def verify_push(repo_id: str, files: Mapping[str, Path], *, revision: str = "main", api: HfApi | None = None) -> None:
    """Compare a repository's files with local ones by size and hash.

    Args:
        repo_id, revision: what to look at.
        files: name on the Hub -> local file.
        api: the client; None for the default one.

    Raises:
        IncompletePush: naming the files that are missing or differ.
    """
    entries = (api or HfApi()).list_repo_tree(repo_id, revision=revision, recursive=True)
    there = {entry.path: entry for entry in entries if hasattr(entry, "size")}
    missing = sorted(set(files) - set(there))
    other = [name for name, path in files.items() if name in there and not same_file(there[name], path)]
    if missing or other:
        raise IncompletePush(
            f"{repo_id} at {revision} lacks {listed(missing)} and holds another {listed(other)} than was sent"
        )


def same_file(entry: Any, path: Path) -> bool:
    """Whether the Hub's entry (a large file's sha256, a small one's git id) is this local file."""
    if entry.lfs is not None:
        return entry.lfs.sha256 == hash_file(hashlib.sha256(), path)
    blob = hashlib.sha1(b"blob %d\0" % path.stat().st_size, usedforsecurity=False)
    return entry.blob_id == hash_file(blob, path)


def hash_file(digest: Any, path: Path) -> str:
    with path.open("rb") as stream:
        while part := stream.read(1 << 20):
            digest.update(part)
    return digest.hexdigest()


def retry(action: Callable[[], Result], attempts: int, wait: float) -> Result:
    """Do something that may fail on the way, again and again, waiting twice as long each time."""
    for attempt in range(1, attempts + 1):
        try:
            return action()
        except Exception as error:
            if attempt == attempts or not is_transient(error):
                raise
            time.sleep(wait * 2 ** (attempt - 1))
    raise ValueError(f"attempts is {attempts}; expected at least 1.")


def is_transient(error: BaseException | None) -> bool:
    """Whether trying again may help: a busy server, a broken connection, a commit that lost files."""
    if error is None:
        return False
    if isinstance(error, HfHubHTTPError):
        return error.response is not None and error.response.status_code in TRANSIENT_STATUS
    if isinstance(error, LocalEntryNotFoundError):  # a download that failed, whatever for
        return is_transient(error.__cause__)
    if isinstance(error, (IncompletePush, ConnectionError, TimeoutError)):
        return True
    # the client's transport (httpx) has errors of its own; uploads wrap theirs in a RuntimeError
    if type(error).__module__.startswith("httpx"):
        return True
    return isinstance(error, RuntimeError) and is_transient(error.__cause__)


def first_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0].rstrip(".") if lines else type(error).__name__


def listed(names: Iterable[str]) -> str:
    return ", ".join(names) or "nothing"
