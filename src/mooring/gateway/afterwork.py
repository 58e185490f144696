"""Work that goes on after a request, and has no client to answer to.

In the session era a client that disconnects has not cancelled its call: the upstream's answer
is read to its end and thrown away, up to a bound. Sessions that nobody will use are ended
upstream, best effort. All of it belongs to the gateway and ends with it.
"""

import asyncio
from collections.abc import Coroutine
from typing import Any

from mooring.core.headers import Headers
from mooring.core.table import Upstream
from mooring.errors import MooringError
from mooring.gateway.relay import Answer
from mooring.sessions.courier import Courier, Parcel, Sent

DISCARD_BYTES = 64 * 1024 * 1024
DISCARD_SECONDS = 600.0
ENDING_SECONDS = 10.0
TASKS = 10_000
"""So many may be under way; what exceeds it is given up at once."""


class Afterwork:
    """Runs what is left over in a group of tasks."""

    def __init__(self, courier: Courier) -> None:
        self._courier = courier
        self._group: asyncio.TaskGroup | None = None
        self._count = 0

    def begin(self, group: asyncio.TaskGroup | None) -> None:
        """From now on work is done in this group; with None, not at all."""
        self._group = group

    def discard(self, sent: Sent, answer: Answer) -> None:
        """Reads the rest of an answer for nobody, then closes the call."""
        if not self._start(self._discard(sent, answer)):
            sent.close()

    def end_upstream(self, upstream: Upstream, headers: Headers) -> None:
        """DELETEs a session of an upstream; `headers` name it."""
        self._start(self._end_upstream(upstream, headers))

    def _start(self, work: Coroutine[Any, Any, None]) -> bool:
        if self._group is None or self._count >= TASKS:
            work.close()
            return False
        self._count += 1
        self._group.create_task(work).add_done_callback(self._ended)
        return True

    def _ended(self, _: asyncio.Task[None]) -> None:
        self._count -= 1

    async def _discard(self, sent: Sent, answer: Answer) -> None:
        left = DISCARD_BYTES
        try:
            async with asyncio.timeout(DISCARD_SECONDS):
                if answer.chunks is None:
                    return
                async for chunk in answer.chunks:
                    left -= len(chunk)
                    if left < 0:
                        return
        except (MooringError, TimeoutError):
            return
        finally:
            sent.close()

    async def _end_upstream(self, upstream: Upstream, headers: Headers) -> None:
        parcel = Parcel("DELETE", headers, b"", repeatable=True, seconds=ENDING_SECONDS)
        try:
            (await self._courier.send(upstream, parcel)).close()
        except MooringError:
            return  # it ends by its own idleness
