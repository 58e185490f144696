"""One runtime over two: processes here, and servers that run elsewhere.

A server whose source changes from one to the other has instances in both for a while.
"""

from collections.abc import AsyncIterator

from mooring.core.actions import Action, Start
from mooring.core.ports import Runtime
from mooring.core.workload import Observed
from mooring.kinds.ref import Ref
from mooring.runtimes.feed import Feed


class RuntimeChoice:
    """Chooses by the type of the source."""

    sources = frozenset({"command", "pypi", "npm", "url"})
    """Types of source that can be run."""

    def __init__(self, processes: Runtime, remote: Runtime, feed: Feed) -> None:
        """Both tell their changes to `feed`."""
        self._processes = processes
        self._remote = remote
        self._feed = feed

    async def observe(self, ref: Ref) -> tuple[Observed, ...]:
        """The instances of both, sorted by name."""
        seen = (*await self._processes.observe(ref), *await self._remote.observe(ref))
        return tuple(sorted(seen, key=lambda instance: (instance.name, instance.uid)))

    async def owners(self) -> tuple[Ref, ...]:
        """The servers of both."""
        return tuple(sorted({*await self._processes.owners(), *await self._remote.owners()}))

    async def perform(self, action: Action) -> None:
        """A start goes where the source runs; a stop to both, since one does not know the uid."""
        if isinstance(action, Start):
            elsewhere = action.workload.source.url is not None
            await (self._remote if elsewhere else self._processes).perform(action)
            return
        await self._remote.perform(action)
        await self._processes.perform(action)

    def changes(self) -> AsyncIterator[Ref]:
        """The changes of both."""
        return self._feed.changes()
