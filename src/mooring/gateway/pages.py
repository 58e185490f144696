"""The pages beside the endpoints: is it alive, is it ready, what is there.

They show names, phases and counts, and never a secret, nor what a server said. A server that is a
backend of a virtual server is judged through that: one of several that is away makes it degraded,
and a degraded virtual server serves.
"""

from typing import Any

import msgspec

from mooring.core.headers import NOSNIFF, Headers
from mooring.core.table import Entry, Table, Virtual
from mooring.gateway.call import JSON
from mooring.gateway.examination import Examiner
from mooring.gateway.metrics import CONTENT_TYPE, Metrics
from mooring.sessions.tally import Tally
from mooring.transports.http_server import Exchange

TEXT: Headers = ((b"content-type", b"text/plain; charset=utf-8"), NOSNIFF)
PAGES = ("/healthz", "/readyz", "/status", "/metrics")
PROBES = ("/healthz", "/readyz")
"""Asked by name or address of whoever probes: the Host is not looked at."""
ENDPOINT = "/mcp"
STATUS, READINESS = "/status", "/readyz"
"""Pages of one virtual server, beside its endpoint: `/virtual/NAME/status`."""


class Pages:
    """Answers `/healthz`, `/readyz`, `/status` and `/metrics`."""

    def __init__(self, examiner: Examiner, metrics: Metrics, tally: Tally) -> None:
        self.table: Table | None = None
        self._examiner = examiner
        self._metrics = metrics
        self._tally = tally

    def answer(self, exchange: Exchange) -> bool:
        """Whether the request was for a page; if so, it is answered."""
        request = exchange.request
        path = request.path
        virtual = self._virtual(path)
        if path not in PAGES and virtual is None:
            return False
        complaint = None
        if path not in PROBES and not path.endswith(READINESS):
            complaint = self._examiner.refusal(request.index)
        if complaint is not None:
            exchange.respond(403, TEXT, complaint.encode() + b"\n")
        elif request.method not in ("GET", "HEAD"):
            exchange.respond(405, (*TEXT, (b"allow", b"GET, HEAD")), b"pages are read with GET\n")
        elif virtual is not None:
            code = 200 if virtual.judgement.healthy or path.endswith(STATUS) else 503
            exchange.respond(code, JSON, msgspec.json.encode(_joined(virtual)))
        else:
            exchange.respond(*self._page(path))
        return True

    def _virtual(self, path: str) -> Virtual | None:
        """The virtual server whose page a path is."""
        for page in (STATUS, READINESS):
            if path.endswith(page) and self.table is not None:
                return self.table.virtual_by_path.get(path.removesuffix(page) + ENDPOINT)
        return None

    def _page(self, path: str) -> tuple[int, Headers, bytes]:
        if path == "/healthz":
            return 200, TEXT, b"ok\n"
        if path == "/metrics":
            return 200, ((b"content-type", CONTENT_TYPE), NOSNIFF), self._metrics.page()
        if path == "/status":
            return 200, JSON, status(self.table, self._tally.store)
        code, body = readiness(self.table)
        return code, JSON, body


def is_ready(entry: Entry) -> bool:
    """Whether a server can take new work, or is not wanted to run at all."""
    return bool(entry.standing) or not entry.wanted


def readiness(table: Table | None) -> tuple[int, bytes]:
    """HTTP status and body of `/readyz`; None is a table that was not read yet."""
    if table is None:
        return 503, msgspec.json.encode({"ready": False, "message": "the table is being read"})
    waiting = [_named(entry) for entry in _waiting(table)]
    waiting += [_virtually_named(each) for each in table.virtuals if not each.judgement.healthy]
    told = {"ready": not waiting, "notReady": waiting}
    return (503 if waiting else 200), msgspec.json.encode(told)


def status(table: Table | None, store_trouble: str = "") -> bytes:
    """The body of `/status`. Without its store of session records a gateway is still ready."""
    found = table if table is not None else Table()
    healthy = (
        table is not None
        and not _waiting(found)
        and all(virtual.judgement.healthy for virtual in found.virtuals)
    )
    return msgspec.json.encode(
        {
            "healthy": healthy,
            "servers": [_named(entry) | _counts(entry) for entry in found.entries],
            "virtual": [_joined(virtual) for virtual in found.virtuals],
            "sessionStore": {"available": not store_trouble, "message": store_trouble},
        }
    )


def _waiting(table: Table) -> list[Entry]:
    """Servers that are not ready, and are judged by themselves."""
    joined = {entry.ref for each in table.virtuals for entry in each.backends.values()}
    return [entry for entry in table.entries if entry.ref not in joined and not is_ready(entry)]


def _named(entry: Entry) -> dict[str, Any]:
    return {"namespace": entry.ref.namespace, "name": entry.ref.name, "phase": entry.phase}


def _counts(entry: Entry) -> dict[str, Any]:
    counts = {"path": entry.paths[0], "readyInstances": entry.ready, "replicas": entry.wanted}
    return counts | ({"outOfReach": len(entry.elsewhere)} if entry.elsewhere else {})


def _virtually_named(virtual: Virtual) -> dict[str, Any]:
    ref, phase = virtual.ref, virtual.judgement.phase
    return {"namespace": ref.namespace, "name": ref.name, "phase": phase, "virtual": True}


def _joined(virtual: Virtual) -> dict[str, Any]:
    """How a virtual server is."""
    judgement = virtual.judgement
    backends = [{"name": each.name, "state": each.word} for each in judgement.backends]
    return _virtually_named(virtual) | {
        "healthy": judgement.healthy,
        "path": virtual.paths[0],
        "reason": judgement.reason,
        "message": judgement.message,
        "backendCount": judgement.routable,
        "backends": backends,
    }
