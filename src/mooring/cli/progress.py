"""What `moor up` tells while servers come up: each turn they take, one line each, as it happens.

It ends once every server is ready, or has failed for now, and then says how to reach them.
"""

import json
import re
from collections.abc import Callable, Sequence
from typing import Any, TextIO

from mooring.cli.client import Api, path_of
from mooring.cli.failures import UNREACHABLE, Failure
from mooring.cli.files import File, change, mind_failures, named, read
from mooring.cli.output import now
from mooring.cli.targets import SERVER, VIRTUAL
from mooring.cli.waiting import current
from mooring.core.columns import message, phase
from mooring.core.naming import label
from mooring.core.printable import printable

Document = dict[str, Any]

SECONDS = 900.0
"""How long servers are watched coming up; they go on without us after that."""

_BUSY = {"Pending", "Installing", "Starting", "Restarting", "Draining"}
_UNWELL = ("Failed", "Degraded")
_COUNTS = re.compile(r"\d+")


def read_manifest(file: str) -> list[File]:
    """The manifests of a file or directory; Failure where it cannot be read."""
    return read([file])


def bring_up(
    api: Api, manifest: Sequence[File] | None, out: TextIO, seconds: float = SECONDS
) -> bool:
    """Declares what a manifest says and tells how every server comes up.

    Raises Failure where the manifest is refused. False: an object of it could not be written.
    """
    rows = change(api, manifest or (), "default")
    for row in rows:
        if row["outcome"] != "failed":
            print(f"{named(row)} {row['outcome']}", file=out, flush=True)
    try:
        mind_failures(rows)
    except Failure as failure:
        print(failure.message, file=out, flush=True)
        return False
    progress = Progress(lambda line: print(line, file=out, flush=True))
    try:
        _follow(api, progress, seconds)
        virtuals = api.get(path_of(VIRTUAL, None))["items"]
    except Failure as failure:
        if failure.code != UNREACHABLE:
            raise
        return True  # the daemon ends, and says so itself
    progress.conclude(virtuals)
    return True


def _follow(api: Api, progress: "Progress", seconds: float) -> None:
    try:
        for batch in api.follow(path_of(SERVER, None), seconds=seconds):
            for kind, document in batch:
                progress.take(kind, document)
            if progress.settled:
                return
    except TimeoutError:
        return


class Progress:
    """What every server does, as far as it was told."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        self._tell = tell
        self._servers: dict[str, Document] = {}
        self._told: dict[str, str] = {}

    def take(self, kind: str, document: Document) -> None:
        """One change of one server."""
        metadata = document["metadata"]
        name = label("MCPServer", metadata["namespace"], metadata["name"])
        if kind == "DELETED":
            self._servers.pop(name, None)
            return
        self._servers[name] = document
        if not current(document):
            return
        line = turn(document)
        if line and self._told.get(name) != _COUNTS.sub("", line):
            self._told[name] = _COUNTS.sub("", line)
            self._tell(f"{name:<24}  {printable(line)}")

    @property
    def settled(self) -> bool:
        """Whether nothing more will happen soon."""
        return all(settled(document) for document in self._servers.values())

    def conclude(self, virtuals: Sequence[Document] = ()) -> None:
        """Where servers and virtual servers are, and what a client is told to find them."""
        if not self._servers:
            self._tell("No servers are declared. Declare some: moor apply -f FILE")
            return
        joined = {
            label("VirtualMCPServer", each["metadata"]["namespace"], each["metadata"]["name"]): each
            for each in virtuals
        }
        urls = {
            name.removeprefix("server/"): document["status"]["url"]
            for name, document in (*sorted(self._servers.items()), *sorted(joined.items()))
            if (document.get("status") or {}).get("url")
        }
        longest = max(map(len, urls), default=0)
        self._tell("\nEndpoints:")
        for name, url in urls.items():
            self._tell(f"  {name:<{longest}}  {url}")
        entries = {
            name.replace("/", "-"): {"type": "http", "url": url} for name, url in urls.items()
        }
        self._tell("\nFor your client:")
        self._tell(json.dumps({"mcpServers": entries}, indent=2))
        unready = [name for name, each in sorted(self._servers.items()) if phase(each) != "Ready"]
        for name in unready:
            self._tell(f"\n{name} is not ready. To see why: moor describe {name}")


def settled(document: Document) -> bool:
    """Whether a server is as it will be for a while."""
    word, status = phase(document), document.get("status") or {}
    if word == "Terminating":
        return True
    busy = any(row["state"] in _BUSY for row in status.get("instances") or ())
    return current(document) and word in ("Ready", "Stopped", *_UNWELL) and not busy


def turn(document: Document) -> str:
    """What a server does now, on one line; empty where that is not worth one."""
    word = phase(document)
    said = message(document, now())
    if word == "Ready":
        return said or word
    if word in _UNWELL:
        return f"{word}: {said}"
    if word == "Pending":
        return ""
    about = [row.get("message") for row in (document.get("status") or {}).get("instances") or ()]
    detail = next((text for text in about if text), "")
    return f"{word}: {detail}" if detail and word == "Installing" else word
