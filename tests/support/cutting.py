"""A way to a server on which connections are cut at random, in the middle of whatever they say."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any


class Cutting:
    """Passes bytes on; each connection ends after so many bytes of answer, as chance has it."""

    def __init__(self, port: int, chance: random.Random, fewest: int, most: int) -> None:
        self.cuts = 0
        self._port = port
        self._chance = chance
        self._span = fewest, most
        self._open: set[asyncio.Task[Any]] = set()

    async def pass_on(self, down: asyncio.StreamReader, out: asyncio.StreamWriter) -> None:
        """One connection, to its end."""
        mine = asyncio.current_task()
        assert mine is not None
        self._open.add(mine)
        up, to_server = await asyncio.open_connection("127.0.0.1", self._port)
        asking = asyncio.ensure_future(_copy(down, to_server))
        try:
            await self._answer(up, out)
        finally:
            asking.cancel()
            await asyncio.wait([asking])
            if self._chance.random() < 0.5:
                out.transport.abort()
            for writer in (out, to_server):
                writer.close()
                with suppress(OSError):
                    await writer.wait_closed()
            self._open.discard(mine)

    async def end(self) -> None:
        """Ends what is still open."""
        for task in self._open:
            task.cancel()
        if self._open:
            await asyncio.wait(self._open)

    async def _answer(self, up: asyncio.StreamReader, out: asyncio.StreamWriter) -> None:
        left = self._chance.randint(*self._span)
        with suppress(OSError, asyncio.CancelledError):
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
    server = await asyncio.start_server(found.pass_on, "127.0.0.1", 0)
    async with server:
        try:
            yield server.sockets[0].getsockname()[1], found
        finally:
            server.close()
            await found.end()
