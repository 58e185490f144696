"""Which requests may be sent twice.

A request that may have run is sent again only if that cannot matter: reading, listing, setting
what is set already, and tools that their own server calls read-only (or harmless to repeat,
where its owner trusts it that far). Never one that answers a question of the server.
"""

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from mooring.kinds.server import Retry

REPEATABLE = frozenset(
    {
        "ping", "server/discover", "tools/list", "prompts/list", "resources/list",
        "resources/templates/list", "resources/read", "prompts/get", "completion/complete",
        "logging/setLevel", "resources/subscribe", "resources/unsubscribe",
    }
)  # fmt: skip
_ANSWERING = (b'"inputResponses"', b'"requestState"')


def repeatable(method: str, body: bytes) -> bool:
    """Whether a request may be sent again although it may have run, whichever server it is for.

    >>> repeatable("tools/list", b"{}"), repeatable("tools/call", b"{}")
    (True, False)
    """
    return method in REPEATABLE and not answering(body)


def repeatable_call(tool: str | None, body: bytes, safe: Collection[str]) -> bool:
    """Whether a call of a tool may be, at an instance whose tools in `safe` may run twice.

    >>> repeatable_call("read", b"{}", {"read"}), repeatable_call("write", b"{}", {"read"})
    (True, False)
    """
    return tool in safe and not answering(body)


def answering(body: bytes) -> bool:
    """Whether a request answers a question of its server (MCP 2026-07-28)."""
    return any(mark in body for mark in _ANSWERING)


def safe_tools(tools: Iterable[Mapping[str, Any]], retry: Retry) -> tuple[str, ...]:
    """The tools of an instance's own list that may run twice, sorted.

    A name that is listed twice must be safe both times.
    """
    safe: dict[str, bool] = {}
    for tool in tools:
        name = tool.get("name")
        if isinstance(name, str):
            safe[name] = safe.get(name, True) and _is_safe(tool.get("annotations"), retry)
    return tuple(sorted(name for name, is_safe in safe.items() if is_safe))


def _is_safe(annotations: object, retry: Retry) -> bool:
    if retry == "never" or not isinstance(annotations, Mapping):
        return False
    if annotations.get("readOnlyHint") is True:
        return True
    return retry == "idempotent" and annotations.get("idempotentHint") is True
