"""When a remote backend that fails is left alone, so that calls to it fail at once and in words.

After so many failures in a row it is asked nothing for a while. Then one call is let through: if
that is answered all are, else the while begins again. A call that was let through and never came
back holds up the next one for a time only. Times are of a clock that never goes back.
"""

from dataclasses import dataclass

from mooring.kinds.virtual import RemoteHealth

FAILURES = frozenset(
    {
        "UpstreamError", "UpstreamMalformed", "UpstreamRefused", "UpstreamReset",
        "UpstreamTimeout", "UpstreamUnreadable", "OutcomeUnknown", "RecoveryFailed",
    }
)  # fmt: skip
"""Reasons that count: nobody answered, or something that is no answer of an MCP server."""


@dataclass(slots=True)
class Breaker:
    """What is known of one backend."""

    failures: int = 0
    """In a row."""
    until: float = 0.0
    """It is left alone until then; or, once that is past, one call is under way until then."""

    def refuses(self, policy: RemoteHealth, now: float) -> float:
        """Seconds for which a call would be in vain; 0: it may go, and its outcome is to be told.

        >>> breaker, policy = Breaker(), RemoteHealth(failure_threshold=1)
        >>> breaker.failed(policy, 0), breaker.refuses(policy, 10), breaker.refuses(policy, 30)
        (True, 20, 0.0)
        """
        if self.failures < policy.failure_threshold:
            return 0.0
        if now < self.until:
            return self.until - now
        self.until = now + policy.timeout_seconds
        return 0.0

    def failed(self, policy: RemoteHealth, now: float) -> bool:
        """Counts a failure; whether the backend is left alone from now on."""
        self.failures += 1
        if self.failures < policy.failure_threshold:
            return False
        self.until = now + policy.interval_seconds
        return True

    def answered(self) -> None:
        """It answers."""
        self.failures = 0
