"""Servers that run elsewhere: nothing is started, an address is known.

The uid is derived from the server, the name and the URL, so that sessions go on after a
restart of Mooring, whose memory of remote servers is only this process's.
"""

import hashlib
from collections.abc import AsyncIterator

from mooring.core.actions import Action, Start, Stop
from mooring.core.workload import Observed
from mooring.errors import Invalid
from mooring.kinds.ref import Ref
from mooring.runtimes.feed import Feed


class RemoteRuntime:
    """Knows the servers with a `url`."""

    def __init__(self, feed: Feed) -> None:
        self._known: dict[tuple[Ref, str], Observed] = {}
        self._feed = feed

    async def observe(self, ref: Ref) -> tuple[Observed, ...]:
        """The addresses of a server, as instances that always run."""
        return tuple(self._known[key] for key in sorted(self._known) if key[0] == ref)

    async def owners(self) -> tuple[Ref, ...]:
        """Every server known."""
        return tuple(sorted({ref for ref, _ in self._known}))

    async def perform(self, action: Action) -> None:
        """Remembers an address, or forgets it."""
        key = (action.ref, action.name)
        known = self._known.get(key)
        match action:
            case Start(workload=workload):
                if known is not None:
                    return
                url = workload.source.url
                if url is None:
                    raise Invalid("Invalid", f"{action.ref} has no url")
                uid = hashlib.sha256(f"{action.ref}\n{action.name}\n{url}".encode()).hexdigest()
                checksum = workload.checksum
                self._known[key] = Observed(action.name, uid[:32], checksum, "running", url)
            case Stop(uid=uid):
                if known is None or known.uid != uid:
                    return
                del self._known[key]
        self._feed.tell(action.ref)

    def changes(self) -> AsyncIterator[Ref]:
        """Servers whose address was remembered or forgotten."""
        return self._feed.changes()
