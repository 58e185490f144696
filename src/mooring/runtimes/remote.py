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
        self._known: dict[Ref, dict[str, Observed]] = {}
        self._feed = feed

    async def observe(self, ref: Ref) -> tuple[Observed, ...]:
        """The addresses of a server, as instances that always run."""
        found = self._known.get(ref, {})
        return tuple(found[name] for name in sorted(found))

    async def owners(self) -> tuple[Ref, ...]:
        """Every server known."""
        return tuple(sorted(self._known))

    async def perform(self, action: Action) -> None:
        """Remembers an address, or forgets it."""
        instances = self._known.get(action.ref, {})
        known = instances.get(action.name)
        match action:
            case Start(workload=workload):
                if known is not None:
                    return
                url = workload.source.url
                if url is None:
                    raise Invalid("Invalid", f"{action.ref} has no url")
                uid = hashlib.sha256(f"{action.ref}\n{action.name}\n{url}".encode()).hexdigest()
                checksum = workload.checksum
                seen = Observed(action.name, uid[:32], checksum, "running", url)
                self._known.setdefault(action.ref, {})[action.name] = seen
            case Stop(uid=uid):
                if known is None or known.uid != uid:
                    return
                del instances[action.name]
                if not instances:
                    del self._known[action.ref]
        self._feed.tell(action.ref)

    def changes(self) -> AsyncIterator[Ref]:
        """Servers whose address was remembered or forgotten."""
        return self._feed.changes()
