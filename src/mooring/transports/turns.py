"""Several processes accept on one listening socket, and each gets its share.

The kernel wakes all of them for every connection, and the quickest would take all that come at
once. So each says, in memory that all of them see, how many connections it has; one that has
more than another leaves the next one to it, for a moment.
"""

import asyncio
import logging
import mmap
import socket
from collections.abc import Callable

from mooring import telemetry

PAUSE = 0.001
"""Seconds for which a connection is left to those that have fewer."""
RETRY_SECONDS = 0.5
"""Pause after a connection could not be taken."""
GREETING_SECONDS = 1.0
"""How long it may take until a connection that was accepted is the server's."""
GONE = 2**32 - 1
"""What stands for a process that takes none."""
_WIDTH = 4


class Shares:
    """The connections of each process, by number from 0, in a file that all of them map."""

    def __init__(self, descriptor: int, count: int) -> None:
        self._memory = mmap.mmap(descriptor, count * _WIDTH)
        self._counts = memoryview(self._memory).cast("I")

    def say(self, number: int, connections: int) -> None:
        """So many connections has that process now."""
        self._counts[number] = connections

    def gone(self, number: int) -> None:
        """That process takes none any more, or not yet."""
        self._counts[number] = GONE

    def least(self) -> int:
        """The connections of the one that has the fewest."""
        return min(self._counts)

    def close(self) -> None:
        """Lets go of the memory."""
        self._counts.release()
        self._memory.close()


def size(count: int) -> int:
    """Bytes of the file for so many processes."""
    return count * _WIDTH


class Turns:
    """Accepts for process `own`, for as long as it is open."""

    def __init__(self, shares: Shares, own: int) -> None:
        self._shares = shares
        self._own = own
        self._loop = asyncio.get_running_loop()
        self._greetings: set[asyncio.Task[None]] = set()
        self._pause: asyncio.TimerHandle | None = None

    def open(
        self,
        sock: socket.socket,
        make: Callable[[], asyncio.Protocol],
        connections: Callable[[], int],
    ) -> None:
        """Begins; `make` gives a protocol, `connections` tells how many there are."""
        self._sock, self._make, self._connections = sock, make, connections
        sock.setblocking(False)
        self._say()
        self._listen()

    def close(self) -> None:
        """Accepts no more, and closes the socket."""
        if self._pause is not None:
            self._pause.cancel()
        self._loop.remove_reader(self._sock)
        self._sock.close()
        self._shares.gone(self._own)

    async def settled(self) -> None:
        """Returns when those that were accepted are connections of their server."""
        if self._greetings:
            await asyncio.wait(self._greetings, timeout=GREETING_SECONDS)

    def _listen(self) -> None:
        self._pause = None
        self._loop.add_reader(self._sock, self._somebody_comes)

    def _rest(self, seconds: float, then: Callable[[], None]) -> None:
        self._loop.remove_reader(self._sock)
        self._pause = self._loop.call_later(seconds, then)

    def _somebody_comes(self) -> None:
        if self._say() > self._shares.least():
            self._rest(PAUSE, self._after_all)
        else:
            self._take()

    def _after_all(self) -> None:
        self._listen()
        self._take()

    def _take(self) -> None:
        try:
            connection, _ = self._sock.accept()
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):
            return  # another one was quicker
        except OSError as error:  # too many open files, most likely
            telemetry.event("http.accept", logging.WARNING, error=error)
            self._rest(RETRY_SECONDS, self._listen)
            return
        connection.setblocking(False)
        greeting = self._loop.create_task(self._greet(connection))
        self._greetings.add(greeting)
        greeting.add_done_callback(self._greetings.discard)
        self._say()

    async def _greet(self, connection: socket.socket) -> None:
        try:
            await self._loop.connect_accepted_socket(self._make, connection)
        except OSError:
            connection.close()

    def _say(self) -> int:
        found = self._connections() + len(self._greetings)
        self._shares.say(self._own, found)
        return found
