"""Speaking with one instance, and what all such conversations share.

A contact goes over the connections that traffic takes, to the address that traffic goes to. It
keeps one session for as long as it is open.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from mooring.clock import Clock
from mooring.core.aggregate_items import Lists
from mooring.kinds.ref import Ref
from mooring.kinds.server import Eras, MCPServer


class Answer(Protocol):
    """What a handshake found out."""

    @property
    def era(self) -> Literal["session", "stateless"]:
        """Which era the instance speaks."""
        ...

    @property
    def needs_login(self) -> bool:
        """It is alive, and serves only users that it knows."""
        ...

    @property
    def capabilities(self) -> Mapping[str, Any]:
        """What it can do, as MCP declares it."""
        ...


class Contact(Protocol):
    """A conversation with one instance.

    Each question has so many seconds and raises Unavailable "UpstreamTimeout" after them; Denied
    "LoginNeeded" where the caller should be somebody; NotFound "SessionLost" where the instance
    has forgotten the session, so that a new handshake is due; or another MooringError, with the
    server's own words.
    """

    def handshake(self, seconds: float, eras: Eras) -> Awaitable[Answer]:
        """Opens a session, where the instance has them."""
        ...

    def list_tools(self, seconds: float) -> Awaitable[Sequence[Mapping[str, Any]]]:
        """All its tools."""
        ...

    def lists(self, able: Mapping[str, Any], seconds: float) -> Awaitable[Lists]:
        """Everything that it offers, as far as its capabilities say that it does."""
        ...

    def call_tool(
        self, name: str, arguments: dict[str, Any], seconds: float
    ) -> Awaitable[Mapping[str, Any]]:
        """The result of a call; `isError` is part of it."""
        ...

    def ping(self, seconds: float) -> Awaitable[None]:
        """Whether it answers at all."""
        ...

    def close(self) -> Awaitable[None]:
        """Ends the session, within a few seconds, whatever the instance says."""
        ...


Connect = Callable[[str, MCPServer], Contact]
"""A contact to the instance at an address, of this server; nothing is sent yet."""


@dataclass(frozen=True, slots=True)
class Practice:
    """What all conversations share."""

    connect: Connect
    clock: Clock
    chance: Callable[[], float]
    """A number from 0 up to 1, another one every time."""
    tasks: asyncio.TaskGroup
    changed: Callable[[Ref], None]
    """Told of every server of whose instances something else is believed now."""
