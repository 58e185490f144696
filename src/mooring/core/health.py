"""What is believed of an instance, and whether it is fit for new work.

Beliefs come from probes. A success is believed at once; failures have to come in a row, fewer
than the threshold make an instance degraded, as many unhealthy. Standing follows from belief,
in one function that everybody uses: phase and counts, conditions, tables, routing and the
command line.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal

from mooring.core.world import Belief
from mooring.kinds.server import Health, InstanceStatus

Standing = Literal["preferred", "last-resort", "out"]
Outcome = Literal["answered", "failed", "login", "busy"]
"""`login`: it is alive, and answers only callers that it knows. `busy`: it asks to be left alone,
which says nothing."""

WORDLESS = "the tool reported an error, without words"

_STANDING: dict[Health, Standing] = {
    "healthy": "preferred",
    "unauthenticated": "preferred",
    "degraded": "last-resort",
    "unhealthy": "out",
    "unknown": "out",
}
_ORDER: tuple[Standing, ...] = ("preferred", "last-resort", "out")


@dataclass(frozen=True, slots=True)
class Finding:
    """What one probe came to."""

    outcome: Outcome
    message: str = ""
    """Why not, in the words of whoever said it."""


@dataclass(frozen=True, slots=True)
class Probe:
    """One probe that was made."""

    at: datetime
    """When it began."""
    seconds: float
    """How long it took."""
    finding: Finding
    health: Health
    """What is believed since."""
    tool: str = ""
    """The tool that was called; empty where tools were listed."""


def believe(before: Belief, found: Finding, threshold: int) -> Belief:
    """What is believed after one more probe.

    An instance that was never ready is ready with its first success; its attempt has failed when
    it is unhealthy.
    """
    if found.outcome == "busy":
        return before
    if found.outcome == "failed":
        failures = min(before.failures + 1, threshold)
        over = failures >= threshold
        return replace(
            before,
            health="unhealthy" if over else "degraded",
            failures=failures,
            message=found.message,
            settled=before.shaken or over,
        )
    health: Health = "healthy" if found.outcome == "answered" else "unauthenticated"
    return replace(
        before, shaken=True, settled=True, health=health, failures=0, message=found.message
    )


def remembered(row: InstanceStatus) -> Belief | None:
    """What its row says of an instance that was spoken to before Mooring was started again."""
    ready = row.state == "Ready"
    if not ready and (row.state != "Starting" or not row.failed_probes):
        return None
    return Belief(
        shaken=ready,
        era=row.era,
        health=row.health,
        message=row.message,
        failures=row.failed_probes,
        settled=ready,
        safe_tools=row.safe_tools,
    )


def verdict(result: Mapping[str, Any]) -> Finding:
    """What the result of a tool comes to; the words of an error are those of the tool.

    >>> verdict({"isError": True, "content": [{"type": "text", "text": "token is required"}]})
    Finding(outcome='failed', message='token is required')
    """
    if not result.get("isError"):
        return Finding("answered")
    pieces = result.get("content")
    texts = [
        piece["text"]
        for piece in (pieces if isinstance(pieces, list) else ())
        if isinstance(piece, Mapping) and isinstance(piece.get("text"), str)
    ]
    return Finding("failed", "\n".join(texts).strip() or WORDLESS)


def standing(row: InstanceStatus) -> Standing:
    """Where new work goes: to preferred instances, else to last resorts, never to the others.

    An instance that leaves, or is not ready, is out whatever is believed of it.
    """
    return _STANDING[row.health] if row.state == "Ready" else "out"


def best(rows: Iterable[InstanceStatus]) -> Standing:
    """The standing of a server: that of its best instance."""
    return min((standing(row) for row in rows), key=_ORDER.index, default="out")
