"""A way to a server on which connections are cut at random, in the middle of whatever they say."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress


class Cutting:
    """Passes bytes on; each connection ends after so many bytes of answer, as chance has it."""

    def __init__(self, port: int, chance: random.Random, fewest: int, most: int) -> None:
        self.cuts = 0
        self._port = port
        self._chance = chance
        self._span = fewest, most
        self._passing: dict[asyncio.Task[None], asyncio.StreamWriter] = {}

    def take(self, down: asyncio.StreamReader, out: asyncio.StreamWriter) -> None:
        """One connection. It is noted at once, so that none is left behind at the end."""
        task = asyncio.ensure_future(self._pass_on(down, out))
        self._passing[task] = out
        task.add_done_callback(lambda _: self._left(task))

    def _left(self, task: asyncio.Task[None]) -> None:
        self._passing.pop(task).transport.abort()  # nothing is lost if it was closed before
        if not task.cancelled():
            task.exception()

    async def _pass_on(self, down: asyncio.StreamReader, out: asyncio.StreamWriter) -> None:
        up, to_server = await asyncio.open_connection("127.0.0.1", self._port)
        asking = asyncio.ensure_future(_copy(down, to_server))
        try:
            await self._answer(up, out)
            if self._chance.random() < 0.5:
                out.transport.abort()
            out.close()
            with suppress(OSError):
                await out.wait_closed()
        finally:
            to_server.transport.abort()
            asking.cancel()
            await asyncio.wait([asking])

    async def end(self) -> None:
        """Ends what is still open, and returns when it is closed."""
        passing = dict(self._passing)
        for task in passing:
            task.cancel()
        if passing:
            await asyncio.wait(passing)
        for out in passing.values():
            with suppress(OSError):
                await out.wait_closed()

    async def _answer(self, up: asyncio.StreamReader, out: asyncio.StreamWriter) -> None:
        left = self._chance.randint(*self._span)
        with suppress(OSError):
            while left > 0 and (piece := await up.read(min(left, 4096))):
                left -= len(piece)
                out.write(piece)
                await out.drain()
        self.cuts += left <= 0


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while piece := await reader.read(4096):
            writer.write(piece)
            await writer.drain()
        writer.write_eof()


@asynccontextmanager
async def cutting(
    port: int, chance: random.Random, fewest: int, most: int
) -> AsyncIterator[tuple[int, Cutting]]:
    """The port to use instead of another one, and who cuts there."""
    found = Cutting(port, chance, fewest, most)
    server = await asyncio.start_server(found.take, "127.0.0.1", 0)
    async with server:
        try:
            yield server.sockets[0].getsockname()[1], found
        finally:
            server.close()
            await found.end()
