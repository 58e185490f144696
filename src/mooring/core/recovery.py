"""What is done when a request of a session meets trouble on its way to the session's owner.

A session moves to another instance only on proof that its owner's half is gone: the owner says
that it knows the session no more, or the owner's uid is no longer in the table. Everything else
(refused, cut, silent) concerns one request alone. A request that may have run is never sent
twice, unless that cannot matter. `VERDICTS` is the whole of it; the rest of this file says when
an instance may take a session over, and what the client is told.
"""

import json
from collections.abc import Collection, Mapping
from typing import Any, Final, Literal

Met = Literal[
    "gone",  # the owner is not in the table; nothing was sent
    "forgotten",  # the owner answered that it does not know the session, so nothing ran
    "refused",  # no connection to the owner for two seconds; nothing was sent
    "cut",  # the connection was lost after the request, before a byte of an answer
    "exited",  # cut, and then the owner was found to be gone
    "silent",  # no answer in time
    "challenged",  # 401 or 403
    "busy",  # 429 or 503
]
"""What a request met."""

Part = Literal[
    "request",  # somebody waits for its answer
    "harmless",  # likewise, and it may run twice
    "news",  # a notification that a new owner should hear, too
    "aside",  # of no use to a new owner: an answer, `cancelled`, `progress`, `initialized`
    "stream",  # a GET
]
"""What a message is in all this."""

Verdict = Literal[
    "recover",  # the session gets a new owner, and the message goes to it, for the first time
    "repeat",  # it is sent to the same owner once more
    "fail",  # it fails, alone; the session stays where it is
    "unknown",  # it fails, and the answer says that it may have run
    "drop",  # 202, and it goes nowhere
    "pass",  # the owner's answer is passed on
]

_ASIDE: Final = frozenset(
    {"notifications/cancelled", "notifications/progress", "notifications/initialized"}
)

VERDICTS: Final[Mapping[Met, Mapping[Part, Verdict]]] = {
    "gone": {
        "request": "recover", "harmless": "recover", "news": "recover", "aside": "drop",
        "stream": "recover",
    },
    "forgotten": {
        "request": "recover", "harmless": "recover", "news": "recover", "aside": "drop",
        "stream": "recover",
    },
    "refused": {
        "request": "fail", "harmless": "fail", "news": "fail", "aside": "drop", "stream": "fail",
    },
    "cut": {
        "request": "unknown", "harmless": "repeat", "news": "drop", "aside": "drop",
        "stream": "repeat",
    },
    "exited": {
        "request": "unknown", "harmless": "unknown", "news": "drop", "aside": "drop",
        "stream": "recover",
    },
    "silent": {
        "request": "fail", "harmless": "fail", "news": "drop", "aside": "drop", "stream": "fail",
    },
    "challenged": {
        "request": "pass", "harmless": "pass", "news": "pass", "aside": "pass", "stream": "pass",
    },
    "busy": {
        "request": "pass", "harmless": "pass", "news": "pass", "aside": "pass", "stream": "pass",
    },
}  # fmt: skip
"""By what was met and what the message is."""


def part(kind: str, method: str, *, harmless: bool) -> Part:
    """What a message of a client is: `kind` is that of its envelope.

    >>> part("notification", "notifications/roots/list_changed", harmless=False)
    'news'
    """
    if kind == "request":
        return "harmless" if harmless else "request"
    return "aside" if kind == "response" or method in _ASIDE else "news"


def verdict(met: Met, what: Part, *, repeated: bool = False, replayed: bool = False) -> Verdict:
    """What to do with a message, which was repeated, or replayed at a second owner, already.

    Neither is done twice: what a second owner refuses is passed on, what is cut twice fails.
    """
    found = VERDICTS[met][what]
    if found == "recover" and replayed:
        return "pass" if met == "forgotten" else "fail"
    return "fail" if found == "repeat" and repeated else found


# When an instance may take a session over.

INSTANCES: Final = 3
"""Instances that one recovery asks."""
AT_ONCE: Final = 32
"""Recoveries that one instance is asked for at the same time."""
WAIT: Final = 10.0
"""Seconds that a recovery waits for any instance to be ready."""
_LONGEST: Final = 30.0

Opened = Literal["taken", "passed", "next", "other"]
"""An answer to `initialize`: it is one to go on with; it is for the request that leads, whose
credentials were used; another instance is asked; it is another server than the client knows."""


def pause(failures: int) -> float:
    """Seconds until a session whose recovery has failed tries again: 1, 2, 4 … 30.

    >>> [pause(n) for n in (1, 2, 3, 6, 900)]
    [1.0, 2.0, 4.0, 30.0, 30.0]
    """
    return min(2.0 ** min(failures - 1, 8), _LONGEST)


def promised(capabilities: Mapping[str, Any]) -> tuple[str, ...]:
    """What a server's capabilities promise, sorted, with dots; experiments are no promise.

    >>> promised({"tools": {}, "resources": {"subscribe": True, "listChanged": False}})
    ('resources', 'resources.subscribe', 'tools')
    """
    found = set()
    for name, inner in capabilities.items():
        if name == "experimental" or inner in (None, False):
            continue
        found.add(name)
        if isinstance(inner, Mapping):
            found |= {f"{name}.{key}" for key, value in inner.items() if value is not False}
    return tuple(sorted(found))


def unkept(version: str, promises: Collection[str], answered: str, offered: Collection[str]) -> str:
    """Why an instance cannot go on with a session: what it answered is not what was promised.

    Empty where it can.
    """
    if answered != version:
        return f"it speaks protocol version {answered or 'unknown'}, the session {version}"
    missing = sorted(set(promises) - set(offered))
    return f"it does not offer {', '.join(missing)}" if missing else ""


def opened(status: int, kept: str, *, read: bool) -> Opened:
    """What an answer to `initialize` is good for, during a recovery.

    `read`: it is a result, with a session id; `kept`: see `unkept`.
    """
    if status in (401, 403):
        return "passed"
    if not 200 <= status < 300 or not read:
        return "next"
    return "other" if kept else "taken"


# What the client is told.

_LEVELS: Final = (
    "debug", "info", "notice", "warning", "error", "critical", "alert", "emergency",
)  # fmt: skip
LEVEL: Final = "warning"
_LISTS: Final = ("prompts", "resources", "tools")
TOLD: Final = (
    "The instance that held this session is gone, and what it kept in memory for the session is "
    "lost. The session goes on with another one."
)


def notices(capabilities: Collection[str], log_level: str) -> tuple[bytes, ...]:
    """The messages for a client whose session has moved: JSON-RPC notifications.

    A log message, where the server promised such and the client wants them; and that every list
    that was promised to be watched may have changed.
    """
    told: list[dict[str, Any]] = []
    if "logging" in capabilities and _is_wanted(log_level):
        params = {"level": LEVEL, "logger": "mooring", "data": TOLD}
        told.append({"method": "notifications/message", "params": params})
    told += [
        {"method": f"notifications/{name}/list_changed"}
        for name in _LISTS
        if f"{name}.listChanged" in capabilities
    ]
    return tuple(
        json.dumps({"jsonrpc": "2.0", **each}, separators=(",", ":")).encode() for each in told
    )


def _is_wanted(log_level: str) -> bool:
    if log_level not in _LEVELS:
        return True  # none was set, or one that nobody knows
    return _LEVELS.index(log_level) <= _LEVELS.index(LEVEL)
