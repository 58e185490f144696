"""Claims about an object, and since when each holds."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from mooring.kinds.base import Condition


@dataclass(frozen=True, slots=True)
class Claim:
    """One thing that is true or not, with the reason as a CamelCase word."""

    type: str
    holds: bool
    reason: str
    message: str = ""


def settle(
    before: Iterable[Condition], claims: Iterable[Claim], now: datetime, generation: int
) -> tuple[Condition, ...]:
    """The claims as conditions, sorted by type; time moves only where the status changed."""
    known = {condition.type: condition for condition in before}
    return tuple(
        _condition(claim, known.get(claim.type), now, generation)
        for claim in sorted(claims, key=lambda c: c.type)
    )


def _condition(claim: Claim, before: Condition | None, now: datetime, generation: int) -> Condition:
    same = before is not None and (before.status == "True") == claim.holds
    return Condition(
        type=claim.type,
        status="True" if claim.holds else "False",
        reason=claim.reason,
        message=claim.message,
        last_transition_time=before.last_transition_time if before and same else now,
        observed_generation=generation,
    )
