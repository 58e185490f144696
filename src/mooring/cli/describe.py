"""`moor describe`: everything about one object, ending with what happened to it."""

import json
import re
from collections.abc import Iterator
from datetime import datetime
from itertools import islice
from typing import Any

import click

from mooring.cli.client import Api, path_of
from mooring.cli.completing import complete_kind_or_ref
from mooring.cli.describe_joined import group_sections, virtual_head, virtual_sections
from mooring.cli.failures import Failure
from mooring.cli.invocation import Invocation, everywhere, pass_invocation
from mooring.cli.output import now
from mooring.cli.targets import EVENT, INSTANCE, SERVER, VIRTUAL, Target, named
from mooring.core import columns
from mooring.core.columns import NONE, age, last_seen
from mooring.core.durations import short
from mooring.core.explaining import last_probe
from mooring.core.printable import pad, printable, width

Document = dict[str, Any]

LAST_LINES = 10
_FRACTION = re.compile(r"\.\d+")
"""Of a second; nobody describes by it."""
_SERVER_KINDS = {"MCPServer": "MCPServer", "MCPInstance": "MCPServer"}
_OWN_LINES = ("replicas", "transport", "isolation", "eras", "path", "port", "group")


@click.command(
    epilog="\b\nExamples:\n  moor describe server time\n  moor describe inst time-0"
    "\n  moor describe secret gitea-creds"
)
@click.argument("what", nargs=-1, metavar="KIND NAME", shell_complete=complete_kind_or_ref)
@everywhere
@pass_invocation
def describe(invocation: Invocation, what: tuple[str, ...]) -> None:
    """Show everything about an object.

    Its spec and status, instances, the last log lines, and what happened to it.
    """
    for number, target in enumerate(named(what, invocation.namespace, "describe")):
        if number:
            click.echo()
        for line in Description(invocation.api, target, now()).lines():
            click.echo(line)


class Description:
    """One object in words."""

    def __init__(self, api: Api, target: Target, moment: datetime) -> None:
        self._api = api
        self._target = target
        self._now = moment
        path = path_of(target.naming, target.namespace, target.name)
        self._document: Document = api.get(path)
        self._status: Document = self._document.get("status") or {}

    def lines(self) -> Iterator[str]:
        """All of it."""
        yield from _fields(self._head())
        match self._target.naming.kind:
            case "MCPServer":
                yield from self._server()
            case "MCPGroup":
                yield from self._group()
            case "VirtualMCPServer":
                yield from self._conditions()
                for section in virtual_sections(self._document):
                    yield from _section(*section)
            case "MCPInstance":
                yield from self._log_lines([self._target.name])
        yield from self._events()

    def _head(self) -> list[tuple[str, str]]:
        metadata, kind = self._document["metadata"], self._target.naming.kind
        head = [
            ("Name", metadata["name"]),
            ("Namespace", metadata["namespace"]),
            ("Labels", _pairs(metadata.get("labels"))),
        ]
        if metadata.get("annotations"):
            head.append(("Annotations", _pairs(metadata["annotations"])))
        if kind != "MCPInstance":
            head.append(("Created", self._moment(metadata.get("creationTimestamp"))))
        if metadata.get("deletionTimestamp"):
            head.append(("Deleting since", self._moment(metadata["deletionTimestamp"])))
        return head + _SECTIONS[kind](self)

    def _server_head(self) -> list[tuple[str, str]]:
        spec = self._document["spec"]
        said = columns.message(self._document, self._now)
        head = [
            ("Status", columns.phase(self._document)),
            ("Message", said or NONE),
            ("URL", self._status.get("url") or NONE),
            ("Source", columns.source(self._document)),
        ]
        if spec.get("args"):
            head.append(("Args", " ".join(spec["args"])))
        head += [(key.capitalize(), str(spec[key])) for key in _OWN_LINES if key in spec]
        head += self._rollout()
        head.append(("Probes", _check(spec.get("healthCheck") or {})))
        return head + [("Env", _variable(each)) for each in spec.get("env") or ()]

    def _rollout(self) -> list[tuple[str, str]]:
        rollout, revisions = self._status.get("rollout"), self._status.get("revisions")
        if not rollout or not revisions:
            return []
        since = self._moment(rollout["steppedAt"])
        return [("Rollout", f"revision {revisions[-1]['number']}, {rollout['state']}, {since}")]

    def _group_head(self) -> list[tuple[str, str]]:
        ready, count = self._status.get("readyServers", 0), self._status.get("serverCount", 0)
        return [
            ("Description", self._document.get("spec", {}).get("description") or NONE),
            ("Ready", f"{ready}/{count}"),
        ]

    def _instance_head(self) -> list[tuple[str, str]]:
        row = self._status
        head = [("Server", self._document["spec"]["server"])]
        words = ("state", "health", "reason", "message", "address", "era", "uid", "checksum",
                 "restarts")  # fmt: skip
        head += [(w.capitalize(), str(row[w])) for w in words if row.get(w, "") != ""]
        head.append(("Since", self._moment(row.get("since"))))
        if row.get("healthSince"):
            head.append(("Health since", self._moment(row["healthSince"])))
        head.append(("Last probe", last_probe(row, self._now) or NONE))
        if row.get("safeTools"):
            head.append(("Safe tools", ", ".join(row["safeTools"])))
        if row.get("attemptCount"):
            head.append(("Attempts", str(row["attemptCount"])))
        head += [
            (words, self._moment(row[key]))
            for words, key in (("Last attempt", "lastAttemptAt"), ("Next attempt", "nextRetryAt"))
            if row.get(key)
        ]
        return head

    def _secret_head(self) -> list[tuple[str, str]]:
        keys = self._document.get("data") or {}
        return [
            ("Type", self._document.get("type", "")),
            ("Keys", ", ".join(sorted(keys)) or NONE),
        ]

    def _event_head(self) -> list[tuple[str, str]]:
        event = self._document
        return [
            ("Object", columns.involved(event)),
            ("Type", event.get("type", "")),
            ("Reason", event.get("reason", "")),
            ("Message", event.get("message", "")),
            ("Count", str(event.get("count", 1))),
            ("Last seen", self._moment(last_seen(event))),
        ]

    def _virtual_head(self) -> list[tuple[str, str]]:
        return virtual_head(self._document)

    def _group(self) -> Iterator[str]:
        yield from _fields([("Servers", ", ".join(self._status.get("servers") or ()) or NONE)])
        namespace = self._target.namespace
        servers = self._api.get(path_of(SERVER, namespace))["items"]
        virtuals = self._api.get(path_of(VIRTUAL, namespace))["items"]
        for section in group_sections(self._document, servers, virtuals):
            yield from _section(*section)

    def _conditions(self) -> Iterator[str]:
        claims = [
            [c["type"], c["status"], c["reason"], self._moment(c["lastTransitionTime"]),
             c.get("message", "")]
            for c in self._status.get("conditions") or ()
        ]  # fmt: skip
        yield from _section("Conditions", ["TYPE", "STATUS", "REASON", "SINCE", "MESSAGE"], claims)

    def _server(self) -> Iterator[str]:
        yield from self._conditions()
        rows = self._status.get("instances") or ()
        instances = [
            [row["name"], row["state"], row["health"], str(row.get("restarts", 0)),
             self._moment(row.get("since")), row.get("message", "")]
            for row in rows
        ]  # fmt: skip
        heads = ["NAME", "STATE", "HEALTH", "RESTARTS", "SINCE", "MESSAGE"]
        yield from _section("Instances", heads, instances)
        yield from self._log_lines([row["name"] for row in rows])

    def _log_lines(self, instances: list[str]) -> Iterator[str]:
        yield "Last log lines:"
        found = False
        for name in instances:
            path = path_of(INSTANCE, self._target.namespace, name, "log")
            try:
                for line in islice(self._api.lines(path, {"tail": LAST_LINES}), LAST_LINES):
                    found = True
                    text = printable(line.decode(errors="replace").rstrip("\n"), keep="\t")
                    yield f"  {name} | {text}"
            except Failure as failure:
                found = True
                yield f"  {name} | ({failure.message})"
        if not found:
            yield f"  {NONE}"

    def _events(self) -> Iterator[str]:
        kind = self._target.naming.kind
        if kind == "Event":
            return
        about = self._target.name
        if kind == "MCPInstance":
            kind, about = "MCPServer", self._document["spec"]["server"]
        fields = f"involvedObject.kind={kind},involvedObject.name={about}"
        path = path_of(EVENT, self._target.namespace)
        events = self._api.get(path, {"fieldSelector": fields})["items"]
        if self._target.naming.kind == "MCPInstance":
            events = [event for event in events if not self._of_sibling(about, event)]
        events.sort(key=last_seen)
        rows = [
            [self._moment(last_seen(e)), e.get("type", ""), e.get("reason", ""),
             str(e.get("count", 1)), e.get("message", "")]
            for e in events
        ]  # fmt: skip
        yield from _section("Events", ["LAST SEEN", "TYPE", "REASON", "COUNT", "MESSAGE"], rows)

    def _of_sibling(self, server: str, event: Document) -> bool:
        """Whether an event of the server is about another of its instances."""
        about = re.match(rf"({re.escape(server)}-\d+): ", event.get("message", ""))
        return about is not None and about[1] != self._target.name

    def _moment(self, text: str | None) -> str:
        if not text:
            return NONE
        ahead = (datetime.fromisoformat(text) - self._now).total_seconds()
        away = f"in {short(ahead)}" if ahead > 0 else f"{age(text, self._now)} ago"
        return f"{_FRACTION.sub('', text)} ({away})"


_SECTIONS = {
    "MCPServer": Description._server_head,
    "MCPGroup": Description._group_head,
    "VirtualMCPServer": Description._virtual_head,
    "MCPInstance": Description._instance_head,
    "Secret": Description._secret_head,
    "Event": Description._event_head,
}


def _pairs(mapping: dict[str, str] | None) -> str:
    return ", ".join(f"{key}={value}" for key, value in sorted((mapping or {}).items())) or NONE


def _check(check: Document) -> str:
    """How instances are probed."""
    asked = check.get("tool") or "tools/list"
    if check.get("arguments"):
        asked += f" {json.dumps(check['arguments'], ensure_ascii=False)}"
    times = f"every {check.get('intervalSeconds', 30)} s, for {check.get('timeoutSeconds', 10):g} s"
    return f"{asked} {times}; unhealthy after {check.get('failureThreshold', 3)} failures in a row"


def _variable(variable: Document) -> str:
    origin = variable.get("valueFrom")
    if not origin:
        return f"{variable['name']}={variable.get('value', '')}"
    if "env" in origin:
        return f"{variable['name']} (from variable {origin['env']} of Mooring)"
    key = origin["secretKeyRef"]
    store = key.get("store", "encrypted")
    kept = "" if store == "encrypted" else f" in the store {store}"
    return f"{variable['name']} (from key {key['key']} of secret {key['name']}{kept})"


def _fields(pairs: list[tuple[str, str]]) -> Iterator[str]:
    longest = max(len(name) for name, _ in pairs) + 1
    for name, value in pairs:
        yield f"{name + ':':<{longest}}  {printable(value)}".rstrip()


def _section(title: str, heads: list[str], rows: list[list[str]]) -> Iterator[str]:
    if not rows:
        yield f"{title}: {NONE}"
        return
    yield f"{title}:"
    fit = [heads, *([printable(cell) for cell in row] for row in rows)]
    widths = [max(width(row[index]) for row in fit) for index in range(len(heads))]
    for row in fit:
        cells = [pad(cell, cells) for cell, cells in zip(row, widths, strict=True)]
        yield ("  " + "   ".join(cells)).rstrip()
