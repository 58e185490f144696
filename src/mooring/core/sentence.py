"""How a server is, in one sentence: the same words in CLI, API and console.

    Ready 2/3, 1 instance CrashLoopBackOff (exit 1, "missing API key", retry in 16 s)

It says since when something is wrong and what happens next. What is stored must not change
while nothing happens, so there it names moments (`retry at 12:03:05Z`, and `since` with day and
time); whoever shows it says `retry in 16 s` and `for 40s` (`core/columns.message`).
"""

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime

from mooring.core.printable import printable
from mooring.core.workload import Ended
from mooring.kinds.server import Health, InstanceStatus, Phase, ServerStatus, State

_UNREADY: tuple[State, ...] = (
    "ERROR", "CrashLoopBackOff", "Restarting", "Installing", "Starting", "Pending", "Draining",
)  # fmt: skip
_SIGNALS = {1: "SIGHUP", 2: "SIGINT", 3: "SIGQUIT", 4: "SIGILL", 6: "SIGABRT", 7: "SIGBUS",
            8: "SIGFPE", 9: "SIGKILL", 11: "SIGSEGV", 13: "SIGPIPE", 15: "SIGTERM"}  # fmt: skip
_UNWELL: tuple[tuple[Health, str, str], ...] = (
    ("unauthenticated", "requires authentication", "require authentication"),
    ("degraded", "degraded", "degraded"),
    ("unhealthy", "unhealthy", "unhealthy"),
    ("unknown", "not checked yet", "not checked yet"),
)
"""Words for one instance, and for several."""


def sentence(status: ServerStatus, now: datetime | None = None, every: int = 0) -> str:
    """The sentence for a status; with `now`, the time of the next attempt is relative.

    `every`: seconds from one probe of an instance to the next.
    """
    if not status.instances and status.phase in ("Stopped", "Terminating"):
        return status.phase
    parts = [_head(status.phase, status.ready_instances, status.replicas)]
    for state in _UNREADY:
        rows = [row for row in status.instances if row.state == state]
        parts += _counted(rows, state, lambda row: _detail(row, now, every))
    ready = [row for row in status.instances if row.state == "Ready"]
    for health, one, several in _UNWELL:
        unwell = [row for row in ready if row.health == health]
        words = one if len(unwell) == 1 else several
        parts += _counted(unwell, words, lambda row: row.message, _course(unwell, every))
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
    rows: Sequence[InstanceStatus],
    words: str,
    detail: Callable[[InstanceStatus], str],
    course: str = "",
) -> list[str]:
    """`2 instances ERROR (why, course)`; where reasons differ, the first, and that others do."""
    if not rows:
        return []
    details = _distinct(detail(row) for row in rows)
    more = "; others differ" if len(details) > 1 else ""
    said = ", ".join(filter(None, (f"{details[0]}{more}" if details else "", course)))
    return [f"{count(len(rows))} {words} ({said})" if said else f"{count(len(rows))} {words}"]


def _course(rows: Sequence[InstanceStatus], every: int) -> str:
    """Since when what probes found holds, and when it is looked at again."""
    since = min((row.health_since for row in rows if row.health_since is not None), default=None)
    if since is None or not any(row.failed_probes for row in rows):
        return ""
    return ", ".join(filter(None, (f"since {since:%Y-%m-%dT%H:%M:%SZ}", _probed(every))))


def _probed(every: int) -> str:
    return f"probed every {every} s" if every else ""


def _distinct(texts: Iterable[str]) -> list[str]:
    return [text for text in dict.fromkeys(texts) if text]


def _detail(row: InstanceStatus, now: datetime | None, every: int) -> str:
    parts = [row.message] if row.message else []
    if row.attempt_count > 1:
        parts.append(f"attempt {row.attempt_count}")
    if row.state == "Starting" and row.failed_probes and every:
        parts.append(_probed(every))
    if row.next_retry_at is not None:
        parts.append(_retry(row.next_retry_at, now))
    return ", ".join(parts)


def _retry(at: datetime, now: datetime | None) -> str:
    if now is None:
        return f"retry at {at:%H:%M:%S}Z"
    return f"retry in {max(0, round((at - now).total_seconds()))} s"
