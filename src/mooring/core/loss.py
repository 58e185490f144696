"""Whether a server says that it knows a session no more.

404 is what the specification wants (MCP 2025-11-25, Transports, Session Management). The
TypeScript reference server says it with 400, code -32000 and no id, which is also what it says
to other faults; so a 400 is only a suspicion, to be confirmed by asking again.
"""

import msgspec

from mooring.core.codes import INVALID_PARAMS, METHOD_NOT_FOUND, PARSE_ERROR, STATELESS_ONLY

_ELSE = STATELESS_ONLY | {PARSE_ERROR, INVALID_PARAMS, METHOD_NOT_FOUND}
"""Codes of requests that are at fault themselves."""


class _Error(msgspec.Struct):
    code: int = 0


class _Refusal(msgspec.Struct):
    error: _Error
    id: str | int | float | None = None


def suspicious(status: int, body: bytes) -> bool:
    """Whether an answer to a request with a session id may mean that the session is gone."""
    if status != 400:
        return False
    try:
        refusal = msgspec.json.decode(body, type=_Refusal)
    except (msgspec.DecodeError, RecursionError):
        return False
    return refusal.error.code not in _ELSE and refusal.id in (None, "server-error")
