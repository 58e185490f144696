"""How a server is, in one sentence: the same words in CLI, API and console.

    Ready 2/3, 1 instance CrashLoopBackOff (exit 1, "missing API key", retry in 16 s)

What is stored must not change while nothing happens, so there the sentence ends in
`retry at 12:03:05Z`; whoever shows it gives the time of day and gets `retry in 16 s`.
"""

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime

from mooring.core.printable import printable
from mooring.core.workload import Ended
from mooring.kinds.server import InstanceStatus, Phase, ServerStatus, State

_UNREADY: tuple[State, ...] = (
    "ERROR", "CrashLoopBackOff", "Restarting", "Installing", "Starting", "Pending", "Draining",
)  # fmt: skip
_SIGNALS = {1: "SIGHUP", 2: "SIGINT", 3: "SIGQUIT", 4: "SIGILL", 6: "SIGABRT", 7: "SIGBUS",
            8: "SIGFPE", 9: "SIGKILL", 11: "SIGSEGV", 13: "SIGPIPE", 15: "SIGTERM"}  # fmt: skip
_UNWELL: tuple[tuple[str, str], ...] = (
    ("unauthenticated", "requires authentication"),
    ("degraded", "degraded"),
    ("unhealthy", "unhealthy"),
    ("unknown", "not checked yet"),
)


def sentence(status: ServerStatus, now: datetime | None = None) -> str:
    """The sentence for a status; with `now`, times in it are relative."""
    if not status.instances and status.phase in ("Stopped", "Terminating"):
        return status.phase
    parts = [_head(status.phase, status.ready_instances, status.replicas)]
    for state in _UNREADY:
        rows = [row for row in status.instances if row.state == state]
        parts += _counted(rows, state, lambda row: _detail(row, now))
    ready = [row for row in status.instances if row.state == "Ready"]
    for health, words in _UNWELL:
        parts += _counted([r for r in ready if r.health == health], words, lambda r: r.message)
    outdated = [row for row in ready if row.checksum != status.checksum]
    parts += _counted(outdated, "to be updated", lambda _: "")
    return ", ".join(parts)


def ending(ended: Ended | None) -> str:
    """How an instance ended.

    >>> ending(Ended(datetime(2026, 1, 1), code=1, last_line="missing API key"))
    'exit 1, "missing API key"'
    """
    if ended is None:
        return "it ended, and nobody saw how"
    how = f"exit {ended.code}"
    if ended.signal:
        how = f"killed by {_SIGNALS.get(ended.signal, f'signal {ended.signal}')}"
    last = printable(ended.last_line.strip())
    return f'{how}, "{last}"' if last else how


def count(number: int, noun: str = "instance") -> str:
    """A number of things: `1 instance`, `2 instances`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _head(phase: Phase, ready: int, wanted: int) -> str:
    return phase if phase in ("Stopped", "Terminating") else f"Ready {ready}/{wanted}"


def _counted(
    rows: Sequence[InstanceStatus], words: str, detail: Callable[[InstanceStatus], str]
) -> list[str]:
    """`2 instances ERROR (why)`; where reasons differ, the first one's and that there are more."""
    if not rows:
        return []
    details = _distinct(detail(row) for row in rows)
    if not details:
        return [f"{count(len(rows))} {words}"]
    more = "; others differ" if len(details) > 1 else ""
    return [f"{count(len(rows))} {words} ({details[0]}{more})"]


def _distinct(texts: Iterable[str]) -> list[str]:
    return [text for text in dict.fromkeys(texts) if text]


def _detail(row: InstanceStatus, now: datetime | None) -> str:
    parts = [row.message] if row.message else []
    if row.attempt_count > 1:
        parts.append(f"attempt {row.attempt_count}")
    if row.next_retry_at is not None:
        parts.append(_retry(row.next_retry_at, now))
    return ", ".join(parts)


def _retry(at: datetime, now: datetime | None) -> str:
    if now is None:
        return f"retry at {at:%H:%M:%S}Z"
    return f"retry in {max(0, round((at - now).total_seconds()))} s"
