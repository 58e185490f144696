"""Tells whoever listens which servers have to be looked at again."""

import asyncio
from collections.abc import AsyncIterator

from mooring.kinds.ref import Ref


class Feed:
    """Many tell, many listen; a listener hears a server once, however often it was told."""

    def __init__(self) -> None:
        self._listeners: set[_Listener] = set()

    def tell(self, ref: Ref) -> None:
        """Something changed about this server."""
        for listener in self._listeners:
            listener.pending[ref] = None
            listener.woken.set()

    async def changes(self) -> AsyncIterator[Ref]:
        """Servers as they are told, from the first step on, for ever."""
        listener = _Listener()
        self._listeners.add(listener)
        try:
            while True:
                await listener.woken.wait()
                ref = next(iter(listener.pending))
                del listener.pending[ref]
                if not listener.pending:
                    listener.woken.clear()
                yield ref
        finally:
            self._listeners.discard(listener)


class _Listener:
    def __init__(self) -> None:
        self.pending: dict[Ref, None] = {}
        self.woken = asyncio.Event()
