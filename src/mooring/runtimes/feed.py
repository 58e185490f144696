"""Tells whoever listens which servers have to be looked at again."""

import asyncio
from collections.abc import AsyncIterator
from weakref import WeakSet

from mooring.kinds.ref import Ref


class Feed:
    """Many tell, many listen; a listener hears a server once, however often it was told."""

    def __init__(self) -> None:
        self._listeners: WeakSet[_Listener] = WeakSet()

    def tell(self, ref: Ref) -> None:
        """Something changed about this server."""
        for listener in self._listeners:
            listener.hear(ref)

    def changes(self) -> AsyncIterator[Ref]:
        """Servers as they are told from now on, for ever."""
        listener = _Listener()
        self._listeners.add(listener)
        return listener


class _Listener:
    """What was told and not yet heard; it listens for as long as somebody holds it."""

    def __init__(self) -> None:
        self._pending: dict[Ref, None] = {}
        self._woken = asyncio.Event()

    def hear(self, ref: Ref) -> None:
        self._pending[ref] = None
        self._woken.set()

    def __aiter__(self) -> AsyncIterator[Ref]:
        return self

    async def __anext__(self) -> Ref:
        await self._woken.wait()
        ref = next(iter(self._pending))
        del self._pending[ref]
        if not self._pending:
            self._woken.clear()
        return ref
