"""Answers that go on: until their source ends, their reader leaves, or the API does."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from mooring.errors import MooringError

Write = Callable[[bytes], Awaitable[None]]
Work = Callable[[Write], Coroutine[Any, Any, None]]


async def first(*works: Coroutine[Any, Any, None]) -> None:
    """Runs all of them; as soon as one ends the others are cancelled."""
    async with asyncio.TaskGroup() as tasks:
        running = [tasks.create_task(work) for work in works]
        await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
        for task in running:
            task.cancel()


class Stream(Response):
    """Sends what its source writes, each piece at once.

    The source is cancelled when one of the others (a deadline, the API's end) returns, or when
    the reader leaves. An error before the first piece becomes an ordinary answer; one after it
    cuts the answer, so that a reader sees that it is not whole. The head of an `eager` answer
    is sent at once, of any other with the first piece.
    """

    def __init__(self, source: Work, *others: Work, media_type: str, eager: bool = False) -> None:
        super().__init__(media_type=media_type)
        self._eager = eager
        del self.headers["content-length"]
        self._works = (source, *others)
        self._failure: MooringError | None = None
        self._started = False
        self._gone = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def write(piece: bytes) -> None:
            await self._begin(send)
            await send({"type": "http.response.body", "body": piece, "more_body": True})

        if self._eager:
            await self._begin(send)
        works = [self._caught(work(write)) for work in self._works]
        await first(*works, self._until_gone(receive))
        if self._failure is not None:
            raise self._failure
        if not self._gone:
            await self._begin(send)
            await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _begin(self, send: Send) -> None:
        if not self._started:
            self._started = True
            head = {"status": self.status_code, "headers": self.raw_headers}
            await send({"type": "http.response.start", **head})

    async def _caught(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except MooringError as error:
            self._failure = error

    async def _until_gone(self, receive: Receive) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        self._gone = True
