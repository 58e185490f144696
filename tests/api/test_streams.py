"""Answers that go on, and the ways in which they end."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from mooring.api.streams import Stream, Write, first
from mooring.errors import NotFound

Run = Callable[[Coroutine[Any, Any, None]], None]


class Reader:
    """The other end of an answer."""

    def __init__(self) -> None:
        self.sent: list[dict[str, Any]] = []
        self.leaves = asyncio.Event()
        self._asked = False

    async def send(self, message: Any) -> None:
        self.sent.append(dict(message))

    async def receive(self) -> dict[str, Any]:
        if not self._asked:
            self._asked = True
            return {"type": "http.request", "body": b"", "more_body": False}
        await self.leaves.wait()
        return {"type": "http.disconnect"}

    async def read(self, stream: Stream) -> None:
        await stream({"type": "http"}, self.receive, self.send)  # type: ignore[arg-type]  # a fake

    @property
    def pieces(self) -> list[bytes]:
        return [m["body"] for m in self.sent if m["type"] == "http.response.body"]

    @property
    def ended(self) -> bool:
        return bool(self.sent) and self.sent[-1].get("more_body") is False


async def forever(_: Write) -> None:
    await asyncio.Event().wait()


async def two(write: Write) -> None:
    await write(b"one")
    await write(b"two")


def test_the_first_to_end_ends_the_others(run: Run) -> None:
    cancelled: list[str] = []

    async def waits(name: str) -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.append(name)
            raise

    async def ends() -> None:
        return

    async def story() -> None:
        await first(waits("a"), ends(), waits("b"))

    run(story())
    assert sorted(cancelled) == ["a", "b"]


def test_what_is_written_is_sent_and_ended(run: Run) -> None:
    async def story() -> None:
        reader = Reader()
        await reader.read(Stream(two, forever, media_type="text/plain", eager=True))
        assert reader.pieces == [b"one", b"two", b""]
        assert reader.ended

    run(story())


def test_another_may_end_it(run: Run) -> None:
    async def ends(_: Write) -> None:
        return

    async def story() -> None:
        reader = Reader()
        await reader.read(Stream(forever, ends, media_type="text/plain"))
        assert reader.pieces == [b""]
        assert reader.sent[0]["status"] == 200

    run(story())


def test_an_error_before_the_first_piece_is_raised_for_an_ordinary_answer(run: Run) -> None:
    async def fails(_: Write) -> None:
        raise NotFound("NotFound", "nothing there")

    async def story() -> None:
        reader = Reader()
        with pytest.raises(NotFound):
            await reader.read(Stream(fails, media_type="text/plain"))
        assert reader.sent == []

    run(story())


def test_an_error_after_it_cuts_the_answer(run: Run) -> None:
    async def breaks(write: Write) -> None:
        await write(b"one")
        raise NotFound("NotFound", "gone")

    async def story() -> None:
        reader = Reader()
        with pytest.raises(NotFound):
            await reader.read(Stream(breaks, media_type="text/plain"))
        assert reader.pieces == [b"one"]
        assert not reader.ended

    run(story())


def test_a_reader_who_leaves_cancels_the_source(run: Run) -> None:
    async def story() -> None:
        reader, stopped = Reader(), asyncio.Event()

        async def source(write: Write) -> None:
            await write(b"one")
            reader.leaves.set()
            try:
                await asyncio.Event().wait()
            finally:
                stopped.set()

        await reader.read(Stream(source, media_type="text/plain"))
        assert stopped.is_set()
        assert not reader.ended

    run(story())
