"""A hold on a request that waits, so that it can be pulled back.

A client that leaves, or a gateway that closes, must be able to end a request that waits for
an upstream. The hold cancels the task that serves the request; whoever holds the leash catches
that and goes on in peace.
"""

import asyncio
from typing import Self

Leashes = set["Leash"]
"""Of all requests that may stay open for as long as they like."""


class Leash:
    """Use as a context: `with Leash() as leash: …`; afterwards `leash.pulled` tells."""

    __slots__ = ("_among", "_task", "pulled")

    def __init__(self, among: Leashes | None = None) -> None:
        self._among = among
        self._task: asyncio.Task[object] | None = None
        self.pulled = False

    def pull(self) -> None:
        """Ends what is waited for within the context, now or at its next wait."""
        if self._task is not None and not self.pulled:
            self.pulled = True
            self._task.cancel()

    def __enter__(self) -> Self:
        self._task = asyncio.current_task()
        if self._among is not None:
            self._among.add(self)
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> bool:
        task, self._task = self._task, None
        if self._among is not None:
            self._among.discard(self)
        if self.pulled and task is not None:
            others = task.uncancel()
            return kind is asyncio.CancelledError and not others
        return False
