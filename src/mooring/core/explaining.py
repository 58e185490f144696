"""Why an instance is as it is, from facts: its row, its server's spec, and what happened to it.

What is known is said line by line, each with since when; the last line is a command to type
next. Nothing is guessed: what nobody has seen is not mentioned.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from mooring.core.columns import age
from mooring.core.durations import short
from mooring.core.ejection import LONGEST

Document = Mapping[str, Any]

_FIX = re.compile(r"^(?P<why>.*?)\.? Fix: (?P<fix>.*)$", re.DOTALL)
_OUTCOMES = {
    "answered": "answered in",
    "failed": "failed after",
    "login": "was told to log in after",
    "busy": "was told to come later after",
}
_HEALTH = {
    "healthy": "new sessions go to it",
    "unauthenticated": "it serves only callers who log in; new sessions go to it",
    "degraded": "new sessions go to it only while no other instance is well",
    "unhealthy": "it gets no new sessions, and keeps those it has",
}
_SENTENCES = {
    "Pending": "it is about to be started",
    "Installing": "its package is being installed",
    "Starting": "it runs, and is not ready yet",
    "Restarting": "it ended, and is started again",
    "CrashLoopBackOff": "it keeps ending soon after its start, and is held back",
    "ERROR": "it could not be brought up",
    "Draining": "it is leaving: no new sessions, time for those it has",
}


def explain(
    instance: Document, server: Document, events: Iterable[Document], now: datetime
) -> list[str]:
    """The lines; `events` are those of its server."""
    row: Document = instance.get("status") or {}
    mine = _own(str(row["name"]), events)
    facts = (
        *_state(instance, row, now),
        *_health(row, now),
        *_attempts(row, now),
        *_last_exit(row, mine, now),
        *_probes(row, server, now),
        *_ejections(mine, now),
    )
    return [*facts, f"Next: {_next(instance, row, server)}"]


def last_probe(row: Document, now: datetime) -> str:
    """The last probe of an instance in words: `12s ago: whoami failed after 15 ms: no token`."""
    found = row.get("lastProbe")
    if not found:
        return ""
    return f"{age(found['at'], now)} ago: {outcome(found)}"


def outcome(probe: Document) -> str:
    """What one probe came to: `tools/list answered in 3 ms`."""
    asked = probe.get("tool") or "tools/list"
    words = f"{asked} {_OUTCOMES[probe['outcome']]} {_milliseconds(probe['seconds'])}"
    return f"{words}: {probe['message']}" if probe.get("message") else words


def _own(name: str, events: Iterable[Document]) -> list[Document]:
    """The events of one instance."""
    prefix = f"{name}: "
    return [e for e in events if str(e.get("message", "")).startswith(prefix)]


def _state(instance: Document, row: Document, now: datetime) -> Iterator[str]:
    name, state = instance["metadata"]["name"], row["state"]
    since = f" for {age(row['since'], now)}" if row.get("since") else ""
    said = f": {_SENTENCES[state]}" if state in _SENTENCES else ""
    yield f"instance/{name} is {state}{since}{said}."
    if state != "Ready" and row.get("message"):
        why, _ = _parted(row["message"])
        reason = f" ({row['reason']})" if row.get("reason") else ""
        yield f"Why: {why}{reason}"


def _health(row: Document, now: datetime) -> Iterator[str]:
    if row["state"] not in ("Ready", "Starting") or row["health"] == "unknown":
        return
    since = f" for {age(row['healthSince'], now)}" if row.get("healthSince") else ""
    means = f": {_HEALTH[row['health']]}" if row["state"] == "Ready" else ""
    yield f"Health: {row['health']}{since}{means}."
    if row["state"] == "Ready" and row.get("message"):
        yield f"Why: {row['message']}"


def _attempts(row: Document, now: datetime) -> Iterator[str]:
    count = row.get("attemptCount", 0)
    if count and row["state"] != "Ready":
        last = f", the last {age(row['lastAttemptAt'], now)} ago" if _known(row) else ""
        yield f"Attempts: {count} since it was last ready{last}{_retry(row, now)}."
    elif row["state"] in ("Restarting", "CrashLoopBackOff"):
        yield f"Restarts: {row.get('restarts', 0)}{_retry(row, now)}."
    elif row.get("restarts"):
        yield f"Restarts: {row['restarts']}."


def _known(row: Document) -> bool:
    return bool(row.get("lastAttemptAt"))


def _retry(row: Document, now: datetime) -> str:
    if not row.get("nextRetryAt"):
        return ""
    left = (datetime.fromisoformat(row["nextRetryAt"]) - now).total_seconds()
    return f"; the next in {short(left)}" if left > 0 else "; the next is due now"


def _last_exit(row: Document, mine: Sequence[Document], now: datetime) -> Iterator[str]:
    exits = [event for event in mine if event.get("reason") == "Exited"]
    if not exits:
        return
    last = max(exits, key=lambda event: str(event.get("lastTimestamp") or ""))
    words = str(last["message"]).partition(": ")[2]
    times = last.get("count", 1)
    often = f", {times} times like this" if times > 1 else ""
    yield f"Last exit: {words} ({age(last.get('lastTimestamp'), now)} ago{often})"


def _probes(row: Document, server: Document, now: datetime) -> Iterator[str]:
    check = (server.get("spec") or {}).get("healthCheck") or {}
    if row.get("reason") == "ProbeFailed" and check.get("tool"):
        failed = f"it failed {row.get('failedProbes', 0)} times in a row"
        yield f"Health check: {check['tool']} has to succeed first; {failed}."
    if row["state"] not in ("Ready", "Starting"):
        return
    every, threshold = check.get("intervalSeconds", 30), check.get("failureThreshold", 3)
    found = last_probe(row, now)
    if found:
        yield f"Last probe {found}"
    failed = row.get("failedProbes", 0)
    if failed:
        yield f"Failed probes in a row: {failed} of {threshold}; probed every {every} s."


def _ejections(mine: Sequence[Document], now: datetime) -> Iterator[str]:
    """Gateways that have left it alone lately."""
    for event in mine:
        at = event.get("lastTimestamp")
        if event.get("reason") != "Ejected" or not at:
            continue
        if (now - datetime.fromisoformat(at)).total_seconds() < LONGEST:
            words = str(event["message"]).partition(": ")[2]
            yield f"Ejected: {words} ({age(at, now)} ago)"


def _next(instance: Document, row: Document, declared: Document) -> str:
    """A command, or what to wait for."""
    name, server = instance["metadata"]["name"], instance["spec"]["server"]
    state, health = row["state"], row["health"]
    _, fix = _parted(str(row.get("message") or ""))
    url = ((declared.get("spec") or {}).get("source") or {}).get("url")
    if fix:
        return fix
    if url and health != "unauthenticated" and (state != "Ready" or row.get("message")):
        return _next_elsewhere(name, server, state, url)
    if row.get("reason") == "Exited":
        return f"moor logs {name}"
    if state == "ERROR":
        return f"moor logs {name}; then change the server and apply it, which retries at once"
    if state in ("Pending", "Installing"):
        return f"moor get inst {name} -w"
    if health == "unauthenticated":
        return f"log in with a client; its URL: moor describe server {server}"
    if health in ("degraded", "unhealthy"):
        return f"moor probe inst {name}; what it says itself: moor logs {name}"
    if state == "Starting":
        return f"moor logs {name} -f"
    return f"moor tools {server}"


def _next_elsewhere(name: str, server: str, state: str, url: str) -> str:
    """The same for one that Mooring does not run: it has no log here."""
    if state == "ERROR":
        return f"see that {url} answers; then moor rollout restart {server}, which retries at once"
    return f"moor get inst {name} -w" if state != "Ready" else f"moor probe inst {name}"


def _parted(message: str) -> tuple[str, str]:
    """What is wrong, and how to mend it, where the message says so.

    >>> _parted('no key "token". Fix: moor create secret x')
    ('no key "token"', 'moor create secret x')
    """
    found = _FIX.match(message)
    return (found["why"], found["fix"]) if found else (message, "")


def _milliseconds(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms" if seconds < 10 else f"{seconds:.1f} s"
