"""What a client says of itself when it opens a session, and what backends are told of it.

A backend is told the client's own words, reduced to what can be relayed to it: questions of a
backend (sampling, elicitation, roots) reach the client only where that was opted in to, and
tasks are not relayed at all. The words travel in the sealed session id, so that any gateway can
go on with a session that it never saw; what is too long for that is cut down to what matters.
"""

from collections.abc import Collection
from typing import Any, Final

import msgspec

from mooring.core.bridging import LATEST
from mooring.core.era import SESSION_VERSIONS

QUESTIONS: Final = ("sampling", "elicitation", "roots")
TASKS: Final = "io.modelcontextprotocol/tasks"
LIMIT: Final = 1000
"""Bytes of what a session id carries."""
NAMELESS: Final = {"name": "client", "version": "0"}


class _Params(msgspec.Struct):
    protocolVersion: Any = ""
    capabilities: Any = None
    clientInfo: Any = None


class _Request(msgspec.Struct):
    params: _Params = msgspec.field(default_factory=_Params)


_DECODE: Final = msgspec.json.Decoder(_Request).decode
_UNPACK: Final = msgspec.json.Decoder().decode


class Promises:
    """What one client said."""

    __slots__ = ("capabilities", "client", "packed")

    def __init__(self, capabilities: dict[str, Any], client: dict[str, Any], packed: bytes) -> None:
        self.capabilities = capabilities
        self.client = client
        self.packed = packed
        """The same, as the session id carries it."""

    def answers(self, kind: str) -> bool:
        """Whether the client answers questions of that kind."""
        return isinstance(self.capabilities.get(kind), dict)

    def told(self, relayed: Collection[str]) -> dict[str, Any]:
        """The capabilities that a backend hears of; `relayed` are the kinds opted in to."""
        capabilities = {
            name: value
            for name, value in self.capabilities.items()
            if name not in QUESTIONS or name in relayed
        }
        capabilities.pop("tasks", None)
        extensions = capabilities.get("extensions")
        if isinstance(extensions, dict):
            capabilities["extensions"] = {n: v for n, v in extensions.items() if n != TASKS}
        return capabilities


def understood(initialize: bytes) -> tuple[str, Promises]:
    """The protocol version that a session gets, and what the client says in its `initialize`."""
    try:
        params = _DECODE(initialize).params
    except (msgspec.DecodeError, RecursionError):
        params = _Params()
    asked = params.protocolVersion if isinstance(params.protocolVersion, str) else ""
    version = asked if asked.encode("utf-8", "replace") in SESSION_VERSIONS else LATEST
    return version, promised(params.capabilities, params.clientInfo)


def promised(capabilities: Any, client: Any) -> Promises:
    """What a client says, as it travels."""
    can = capabilities if isinstance(capabilities, dict) else {}
    who = client if isinstance(client, dict) and isinstance(client.get("name"), str) else NAMELESS
    short = {"name": str(who["name"])[:100], "version": str(who.get("version", ""))[:50]}
    spare = {name: can[name] for name in QUESTIONS if isinstance(can.get(name), dict)}
    bare: dict[str, Any] = {name: {} for name in spare}
    for fewer, shorter in ((can, who), (can, short), (spare, short), (bare, short)):
        packed = msgspec.json.encode([fewer, shorter])
        if len(packed) <= LIMIT:
            return Promises(fewer, shorter, packed)
    return Promises(bare, NAMELESS, msgspec.json.encode([bare, NAMELESS]))


def unpacked(packed: bytes) -> Promises:
    """What a session id carries."""
    try:
        capabilities, client = _UNPACK(packed)
    except (msgspec.DecodeError, ValueError, TypeError):
        return promised({}, {})
    return Promises(capabilities, client, packed)
