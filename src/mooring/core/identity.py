"""Who calls.

An identity is an issuer, a subject and a client, never a token or its hash: a refreshed
token keeps its session. Until authentication is configured everybody is `ANONYMOUS`.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, order=True)
class Identity:
    """Who calls."""

    issuer: str
    subject: str
    client: str = ""


ANONYMOUS = Identity("", "anonymous")
