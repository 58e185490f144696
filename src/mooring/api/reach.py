"""What the API needs of servers that run, beyond what is stored of them.

Whoever wires the API brings something that satisfies `Reach`. Questions to a server go through
its endpoint, the way a client's do.
"""

from collections.abc import AsyncIterator, Awaitable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from mooring.core.health import Probe
from mooring.kinds.ref import Ref


@dataclass(frozen=True, slots=True)
class LogQuery:
    """Which part of an instance's log."""

    tail: int | None = None
    """At most so many lines, the last ones."""
    since: float | None = None
    """Only lines of the last so many seconds."""
    previous: bool = False
    """The log of the start before this one."""
    follow: bool = False
    """Go on with what is written from now on, until the reader leaves."""


class Reach(Protocol):
    """Servers that run."""

    def tools(self, ref: Ref) -> Awaitable[Sequence[Mapping[str, Any]]]:
        """The tools of a server, as it describes them.

        Raises NotFound, and Unavailable where no instance answers.
        """
        ...

    def call(self, ref: Ref, tool: str, arguments: Mapping[str, Any]) -> Awaitable[dict[str, Any]]:
        """The JSON-RPC result of `tools/call`, as it came; `isError` is part of it.

        A JSON-RPC error is raised as Invalid or Unavailable, with the server's words.
        """
        ...

    def probe(self, ref: Ref, instance: str) -> Awaitable[Probe]:
        """Probes an instance of a server now.

        Raises Conflict "NotRunning" where there is nobody to ask.
        """
        ...

    def last_probe(self, ref: Ref, uid: str) -> Probe | None:
        """The last probe of an instance; None where it was not probed since Mooring started."""
        ...

    def logs(self, ref: Ref, instance: str, query: LogQuery) -> AsyncIterator[bytes]:
        """What an instance's children wrote to stderr: whole lines, as they come.

        An async generator, closed when the reader leaves. Raises NotFound where there is no log.
        """
        ...

    def endpoints(self) -> str:
        """Where clients find Mooring: `http://127.0.0.1:8470`."""
        ...

    def door(self) -> str:
        """Where this API is for clients with a token; empty where it is not."""
        ...
