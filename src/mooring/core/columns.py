"""What tables say of each kind.

A column is a name and a rule that makes its cell from a document as the API answers it. The
command line and the API's `Table` answers use the same columns.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from mooring.core import durations
from mooring.core.naming import label

Document = Mapping[str, Any]
NONE = "<none>"

_DAY = 86400
_RETRY = re.compile(r"retry at (\d\d:\d\d:\d\d)Z")
_SINCE = re.compile(r"since (\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ)")


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a kind's table."""

    name: str
    about: str
    cell: Callable[[Document, datetime], str]
    wide: bool = False
    """Shown only on request."""
    state: bool = False
    """Its words say how well things are."""


def columns(kind: str, wide: bool = True) -> tuple[Column, ...]:
    """The columns of a kind; those of any other kind are a name and an age."""
    known = _COLUMNS.get(kind, _PLAIN)
    return tuple(column for column in known if wide or not column.wide)


def age(text: str | None, now: datetime) -> str:
    """How long ago a moment of a document was."""
    if not text:
        return "<unknown>"
    return durations.short((now - datetime.fromisoformat(text)).total_seconds())


def last_seen(event: Document) -> str:
    """When an event happened last."""
    return str(
        event.get("lastTimestamp")
        or event.get("firstTimestamp")
        or event["metadata"].get("creationTimestamp")
        or ""
    )


def phase(document: Document) -> str:
    """The one word for how an object is."""
    if document["metadata"].get("deletionTimestamp"):
        return "Terminating"
    return str(_status(document).get("phase") or "Pending")


def source(server: Document) -> str:
    """Where a server comes from: `pypi: mcp-server-time==2025.9.25`."""
    given = server["spec"]["source"]
    kind = next((k for k in ("command", "pypi", "npm", "image", "url") if given.get(k)), "")
    value = given.get(kind) or ""
    text = value if isinstance(value, str) else " ".join(value)
    found = _status(server).get("resolved")
    return f"{kind}: {text}" + (f" ({found['version']})" if found else "")


def message(document: Document, now: datetime) -> str:
    """The sentence for how an object is, with moments as `retry in 16 s` and `for 40s`."""
    said = str(_status(document).get("message") or "")
    said = _RETRY.sub(lambda found: f"retry in {_seconds_until(found[1], now)} s", said)
    return _SINCE.sub(lambda found: f"for {age(found[1], now)}", said)


def eras(server: Document) -> str:
    """The eras that its instances speak."""
    return ",".join(sorted({row["era"] for row in _rows(server) if row.get("era")})) or NONE


def involved(event: Document) -> str:
    """The object that an event is about, as people write it."""
    about = event["involvedObject"]
    return label(str(about.get("kind", "")), "", str(about.get("name", "")))


def _seconds_until(clock: str, now: datetime) -> int:
    """From now until the clock shows this, whichever day is nearer; what is past is now."""
    hours, minutes, seconds = (int(part) for part in clock.split(":"))
    then = now.replace(hour=hours, minute=minutes, second=seconds, microsecond=0)
    left = round((then - now).total_seconds())
    return max((left + _DAY // 2) % _DAY - _DAY // 2, 0)


def _status(document: Document) -> Mapping[str, Any]:
    return document.get("status") or {}


def _rows(server: Document) -> list[Mapping[str, Any]]:
    return list(_status(server).get("instances") or ())


def _ready(server: Document, _: datetime) -> str:
    wanted = server["spec"].get("replicas", 1)
    return f"{_status(server).get('readyInstances', 0)}/{wanted}"


def _ready_members(group: Document, _: datetime) -> str:
    status = _status(group)
    return f"{status.get('readyServers', 0)}/{status.get('serverCount', 0)}"


def _routable(virtual: Document, _: datetime) -> str:
    status = _status(virtual)
    known = len(status.get("discoveredBackends") or ())
    return f"{status.get('backendCount', 0)}/{known}"


def _group(virtual: Document) -> str:
    return str(virtual["spec"].get("group", NONE))


def _restarts(server: Document, _: datetime) -> str:
    return str(sum(row.get("restarts", 0) for row in _rows(server)))


def _created(document: Document, now: datetime) -> str:
    return age(document["metadata"].get("creationTimestamp"), now)


def _next_retry(instance: Document, now: datetime) -> str:
    due = _status(instance).get("nextRetryAt")
    if not due:
        return NONE
    left = (datetime.fromisoformat(due) - now).total_seconds()
    return f"in {durations.short(left)}" if left > 0 else "now"


def _last_probe(instance: Document, now: datetime) -> str:
    found = _status(instance).get("lastProbe")
    return age(found["at"], now) if found else NONE


def _of_status(key: str, absent: str = NONE) -> Callable[[Document, datetime], str]:
    return lambda document, _: str(_status(document).get(key) or absent)


_NAME = Column("NAME", "Its name.", lambda document, _: str(document["metadata"]["name"]))
_AGE = Column("AGE", "How long ago it was made.", _created)
_PLAIN = (_NAME, _AGE)

_COLUMNS: Mapping[str, tuple[Column, ...]] = {
    "MCPServer": (
        _NAME,
        Column("READY", "Instances that are ready, of those wanted.", _ready),
        Column("STATUS", "How it is.", lambda server, _: phase(server), state=True),
        Column("RESTARTS", "How often its instances were started again.", _restarts),
        _AGE,
        Column("URL", "Where clients find it.", _of_status("url"), wide=True),
        Column("ERA", "What it speaks.", lambda server, _: eras(server), wide=True),
        Column("SOURCE", "Where it comes from.", lambda server, _: source(server), wide=True),
        Column("MESSAGE", "How it is, in a sentence.", message, wide=True),
    ),
    "MCPGroup": (
        _NAME,
        Column("READY", "Servers that are ready, of its members.", _ready_members),
        _AGE,
        Column(
            "SERVERS",
            "Its members.",
            lambda group, _: ",".join(_status(group).get("servers") or ()) or NONE,
            wide=True,
        ),
        Column(
            "DESCRIPTION",
            "What it is for.",
            lambda group, _: str(group.get("spec", {}).get("description", "")),
            wide=True,
        ),
    ),
    "VirtualMCPServer": (
        _NAME,
        Column("BACKENDS", "Backends that calls go to, of all.", _routable),
        Column("TOOLS", "Tools that clients see.", _of_status("toolCount", "0")),
        Column("STATUS", "How it is.", lambda virtual, _: phase(virtual), state=True),
        _AGE,
        Column("GROUP", "Whose servers it joins.", lambda v, _: _group(v), wide=True),
        Column(
            "STRATEGY",
            "How names of several servers become one list.",
            lambda v, _: str(v["spec"].get("aggregation", {}).get("strategy", "prefix")),
            wide=True,
        ),
        Column(
            "TOKENS",
            "What its list of tools costs a model, about.",
            _of_status("estimatedTokens", "0"),
            wide=True,
        ),
        Column("URL", "Where clients find it.", _of_status("url"), wide=True),
        Column("MESSAGE", "How it is, in a sentence.", message, wide=True),
    ),
    "MCPInstance": (
        _NAME,
        Column("SERVER", "Whose instance it is.", lambda view, _: str(view["spec"]["server"])),
        Column("STATUS", "Its state.", _of_status("state", "Pending"), state=True),
        Column("HEALTH", "What we believe of it.", _of_status("health", "unknown"), state=True),
        Column("RESTARTS", "How often it was started again.", _of_status("restarts", "0")),
        Column(
            "SINCE",
            "How long it has been in this state.",
            lambda view, now: age(_status(view).get("since"), now),
        ),
        Column("ERA", "What it speaks.", _of_status("era"), wide=True),
        Column("ADDRESS", "Where it answers.", _of_status("address"), wide=True),
        Column("RETRY", "When it is tried again.", _next_retry, wide=True),
        Column("PROBED", "How long ago it was probed last.", _last_probe, wide=True),
        Column("MESSAGE", "What is to be said of it.", _of_status("message", "")),
    ),
    "Secret": (
        _NAME,
        Column("TYPE", "What kind of secret it is.", lambda s, _: str(s.get("type", "Opaque"))),
        Column("DATA", "How many keys it has.", lambda s, _: str(len(s.get("data") or {}))),
        _AGE,
        Column("KEYS", "Its keys.", lambda s, _: ",".join(sorted(s.get("data") or {})), wide=True),
    ),
    "Namespace": (_NAME, Column("STATUS", "How it is.", _of_status("phase"), state=True), _AGE),
    "Event": (
        Column(
            "LAST SEEN", "How long ago it happened last.", lambda e, now: age(last_seen(e), now)
        ),
        Column("TYPE", "Normal or Warning.", lambda e, _: str(e.get("type", "")), state=True),
        Column("REASON", "Why, in a word.", lambda e, _: str(e.get("reason", ""))),
        Column("OBJECT", "What it happened to.", lambda e, _: involved(e)),
        Column("COUNT", "How often it happened.", lambda e, _: str(e.get("count", 1))),
        Column("MESSAGE", "What happened.", lambda e, _: str(e.get("message", ""))),
    ),
}
