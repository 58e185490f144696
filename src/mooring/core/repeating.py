"""Which requests may be sent twice.

A request that may have run is sent again only if that cannot matter. Nothing is said here of
`tools/call`, which is never one of them, nor of a request that answers a server's question.
"""

REPEATABLE = frozenset(
    {
        "ping", "server/discover", "tools/list", "prompts/list", "resources/list",
        "resources/templates/list", "resources/read", "prompts/get", "completion/complete",
        "logging/setLevel", "resources/subscribe", "resources/unsubscribe",
    }
)  # fmt: skip
_ANSWERING = (b'"inputResponses"', b'"requestState"')


def repeatable(method: str, body: bytes) -> bool:
    """Whether a request may be sent again although it may have run.

    >>> repeatable("tools/list", b"{}"), repeatable("tools/call", b"{}")
    (True, False)
    """
    return method in REPEATABLE and not any(mark in body for mark in _ANSWERING)
