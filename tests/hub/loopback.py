"""A small stand-in for the Hub on 127.0.0.1: repositories in memory, uploads, listings, downloads, faults."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from tests.hub.card_rules import errors_of


def blob_id(data: bytes) -> str:
    """What git names a file: the sha1 of its header and content."""
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


class LoopbackHub(ThreadingHTTPServer):
    """The server and its state.

    `faults` holds, for a part of a path ("/commit/"), how many of the next requests to it answer 503.
    `lose` names files that a commit silently drops, as a broken store would.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.repos: dict[str, list[tuple[str, dict[str, bytes]]]] = {}
        self.blobs: dict[str, bytes] = {}
        self.lfs_files: set[tuple[str, str]] = set()
        self.faults: dict[str, int] = {}
        self.lose: set[str] = set()
        self.requests: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def files(self, repo: str, revision: str = "main") -> tuple[str, dict[str, bytes]]:
        """The commit id and the files of a revision ("main" or a commit id); KeyError when there is none."""
        history = self.repos[repo]
        if revision == "main":
            return history[-1]
        return next(commit for commit in history if commit[0] == revision)

    def commit(self, repo: str, files: dict[str, bytes]) -> str:
        oid = hashlib.sha1(repr((repo, len(self.repos.get(repo, [])))).encode()).hexdigest()
        self.repos.setdefault(repo, []).append((oid, files))
        return oid


class Handler(BaseHTTPRequestHandler):
    server: LoopbackHub
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing: pytest shows what matters."""

    def body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        data = b""
        while size := int(self.rfile.readline().split(b";")[0], 16):
            data += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return data

    def answer(self, status: int, content: Any, **headers: str) -> None:
        data = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def missing(self, code: str) -> None:
        self.answer(404, {"error": code}, X_Error_Code=code, X_Error_Message=code)

    def handle_request(self) -> None:
        path = unquote(urlsplit(self.path).path)
        data = self.body()
        self.server.requests.append(f"{self.command} {path}")
        for part, left in self.server.faults.items():
            if part in path and left > 0:
                self.server.faults[part] = left - 1
                return self.answer(503, {"error": "planted fault"})
        route = self.read if self.command in ("GET", "HEAD") else self.write
        return route(path, data)

    do_GET = do_HEAD = do_POST = do_PUT = handle_request

    def read(self, path: str, data: bytes) -> None:
        if path == "/api/whoami-v2":
            return self.answer(200, {"type": "user", "name": "tester", "orgs": []})
        if path.startswith("/api/"):
            return self.describe(key_of(path))
        repo, _, rest = path.strip("/").partition("/resolve/")
        revision, _, name = rest.partition("/")
        try:
            oid, files = self.server.files(repo, revision)
        except KeyError:
            return self.missing("RepoNotFound")
        except StopIteration:
            return self.missing("RevisionNotFound")
        if name not in files:
            return self.missing("EntryNotFound")
        headers = {"X_Repo_Commit": oid, "ETag": f'"{blob_id(files[name])}"'}
        asked = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
        if asked:
            first, last = int(asked[1]), min(int(asked[2]), len(files[name]) - 1)
            headers["Content_Range"] = f"bytes {first}-{last}/{len(files[name])}"
            return self.answer(206, files[name][first : last + 1], **headers)
        return self.answer(200, files[name], **headers)

    def describe(self, rest: str) -> None:
        tree = "/tree/" in rest
        repo, _, place = rest.partition("/tree/" if tree else "/revision/")
        revision, _, folder = place.partition("/")
        try:
            oid, files = self.server.files(repo, revision or "main")
        except KeyError:
            return self.missing("RepoNotFound")
        except StopIteration:
            return self.missing("RevisionNotFound")
        if tree:
            inside = {name: content for name, content in files.items() if name.startswith(folder and f"{folder}/")}
            folders = {str(parent) for name in inside for parent in PurePosixPath(name).parents} - {".", folder}
            rows = [{"type": "directory", "path": name, "oid": blob_id(name.encode())} for name in sorted(folders)]
            rows += [self.entry(repo, name, content) for name, content in inside.items()]
            if not rows:
                return self.missing("EntryNotFound")
            recursive = "true" in parse_qs(urlsplit(self.path).query).get("recursive", ["false"])[0].lower()
            here = [row for row in rows if recursive or str(PurePosixPath(row["path"]).parent) == (folder or ".")]
            return self.answer(200, here)
        siblings = [{"rfilename": name} for name in files]
        info = {"id": repo, "modelId": repo, "sha": oid, "private": False, "tags": [], "siblings": siblings}
        return self.answer(200, info)

    def entry(self, repo: str, name: str, content: bytes) -> dict[str, Any]:
        row = {"type": "file", "path": name, "size": len(content), "oid": blob_id(content)}
        if (repo, name) in self.server.lfs_files:
            row["lfs"] = {
                "oid": hashlib.sha256(content).hexdigest(),
                "size": len(content),
                "pointerSize": 130,
            }
        return row

    def write(self, path: str, data: bytes) -> None:
        if path == "/api/validate-yaml":
            errors = errors_of(json.loads(data)["content"])
            told = {"errors": [{"message": message} for message in errors], "warnings": []}
            return self.answer(400 if errors else 200, told)
        if path == "/api/repos/create":
            return self.create(json.loads(data))
        if path.startswith("/blobs/"):
            self.server.blobs[path.removeprefix("/blobs/")] = data
            return self.answer(200, {})
        if path.endswith(".git/info/lfs/objects/batch"):
            return self.batch(json.loads(data))
        repo, _, action = key_of(path).partition("/paths-info/")
        if action and repo in self.server.repos:
            wanted = parse_qs(data.decode())["paths"]
            files = self.server.files(repo)[1]
            return self.answer(200, [self.entry(repo, name, files[name]) for name in wanted if name in files])
        repo, _, action = key_of(path).partition("/preupload/")
        if action:
            files = [{**f, "sample": None, "shouldIgnore": False, "uploadMode": mode_of(f["path"])}
                     for f in json.loads(data)["files"]]  # fmt: skip
            return self.answer(200, {"files": files})
        repo, _, action = repo.partition("/commit/")
        if action and repo in self.server.repos:
            return self.take_commit(repo, [json.loads(line) for line in data.splitlines() if line.strip()])
        return self.missing("RepoNotFound")

    def create(self, wish: dict[str, Any]) -> None:
        kind = "datasets/" if wish.get("type") == "dataset" else ""
        repo = f"{kind}{wish.get('organization') or 'tester'}/{wish['name']}"
        url = f"{self.server.url}/{repo}"
        if repo in self.server.repos:
            return self.answer(409, {"error": "You already created this model repo", "url": url})
        self.server.commit(repo, {".gitattributes": b"*.safetensors filter=lfs\n"})
        return self.answer(200, {"url": url, "name": repo})

    def batch(self, wish: dict[str, Any]) -> None:
        objects: list[dict[str, Any]] = []
        for item in wish["objects"]:
            href = f"{self.server.url}/blobs/{item['oid']}"
            known = item["oid"] in self.server.blobs
            objects.append({**item} if known else {**item, "actions": {"upload": {"href": href}}})
        self.answer(200, {"transfer": "basic", "objects": objects})

    def take_commit(self, repo: str, lines: list[dict[str, Any]]) -> None:
        files = dict(self.server.files(repo)[1])
        for line in lines:
            value = line["value"]
            if line["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                files[value["path"]] = self.server.blobs[value["oid"]]
                self.server.lfs_files.add((repo, value["path"]))
            elif line["key"] == "deletedFile":
                files.pop(value["path"], None)
        oid = self.server.commit(repo, {k: v for k, v in files.items() if k not in self.server.lose})
        url = f"{self.server.url}/{repo}/commit/{oid}"
        self.answer(200, {"success": True, "commitOid": oid, "commitUrl": url, "hookOutput": ""})


def key_of(path: str) -> str:
    """A model's repository goes by its name, a data set's by "datasets/" and its name."""
    return path.removeprefix("/api/models/").removeprefix("/api/")


def mode_of(name: str) -> str:
    return "lfs" if name.endswith((".safetensors", ".bin", ".npz", ".png", ".parquet")) else "regular"


@contextmanager
def loopback_hub() -> Iterator[LoopbackHub]:
    """A running server for the length of a `with` block."""
    server = LoopbackHub()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()


def client_environment(server: LoopbackHub, home: Any) -> dict[str, str]:
    """What a process needs in its environment to take this server for the Hub, with an empty cache."""
    return {
        "HF_ENDPOINT": server.url,
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_OFFLINE": "0",
        "HF_TOKEN": "hf_loopback",
        "HF_HOME": str(home),
        "HF_HUB_DISABLE_TELEMETRY": "1",
    }
