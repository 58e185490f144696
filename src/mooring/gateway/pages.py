"""The pages beside the endpoints: is it alive, is it ready, what is there.

They show names, phases and counts, and never a secret.
"""

from typing import Any

import msgspec

from mooring.core.headers import NOSNIFF, Headers
from mooring.core.table import Entry, Table
from mooring.gateway.call import JSON
from mooring.gateway.examination import Examiner
from mooring.gateway.metrics import CONTENT_TYPE, Metrics
from mooring.transports.http_server import Exchange

TEXT: Headers = ((b"content-type", b"text/plain; charset=utf-8"), NOSNIFF)
PAGES = ("/healthz", "/readyz", "/status", "/metrics")
PROBES = ("/healthz", "/readyz")
"""Asked by name or address of whoever probes: the Host is not looked at."""


class Pages:
    """Answers `/healthz`, `/readyz`, `/status` and `/metrics`."""

    def __init__(self, examiner: Examiner, metrics: Metrics) -> None:
        self.table: Table | None = None
        self._examiner = examiner
        self._metrics = metrics

    def answer(self, exchange: Exchange) -> bool:
        """Whether the request was for a page; if so, it is answered."""
        request = exchange.request
        path = request.path
        if path not in PAGES:
            return False
        complaint = None
        if path not in PROBES:
            complaint = self._examiner.refusal(request.index)
        if complaint is not None:
            exchange.respond(403, TEXT, complaint.encode() + b"\n")
        elif request.method not in ("GET", "HEAD"):
            exchange.respond(405, (*TEXT, (b"allow", b"GET, HEAD")), b"pages are read with GET\n")
        else:
            exchange.respond(*self._page(path))
        return True

    def _page(self, path: str) -> tuple[int, Headers, bytes]:
        if path == "/healthz":
            return 200, TEXT, b"ok\n"
        if path == "/metrics":
            return 200, ((b"content-type", CONTENT_TYPE), NOSNIFF), self._metrics.page()
        if path == "/status":
            return 200, JSON, status(self.table)
        code, body = readiness(self.table)
        return code, JSON, body


def is_ready(entry: Entry) -> bool:
    """Whether a server can take new work, or is not wanted to run at all."""
    return bool(entry.standing) or not entry.wanted


def readiness(table: Table | None) -> tuple[int, bytes]:
    """HTTP status and body of `/readyz`; None is a table that was not read yet."""
    if table is None:
        return 503, msgspec.json.encode({"ready": False, "message": "the table is being read"})
    waiting = [entry for entry in table.entries if not is_ready(entry)]
    told = {"ready": not waiting, "notReady": [_named(entry) for entry in waiting]}
    return (503 if waiting else 200), msgspec.json.encode(told)


def status(table: Table | None) -> bytes:
    """The body of `/status`."""
    entries = table.entries if table is not None else ()
    servers = [_named(entry) | _counts(entry) for entry in entries]
    healthy = table is not None and all(map(is_ready, entries))
    return msgspec.json.encode({"healthy": healthy, "servers": servers})


def _named(entry: Entry) -> dict[str, Any]:
    return {"namespace": entry.ref.namespace, "name": entry.ref.name, "phase": entry.phase}


def _counts(entry: Entry) -> dict[str, Any]:
    return {"path": entry.paths[0], "readyInstances": entry.ready, "replicas": entry.wanted}
