"""Lines to and from a process."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mooring.clock import SystemClock
from mooring.errors import Unavailable
from mooring.transports.stdio import BACKLOG, CUT, END, UNSENT, LineSplitter, PipeChannel, one_line

CLOCK = SystemClock()
LINES = st.lists(
    st.binary(max_size=12).map(lambda b: b.replace(b"\n", b"").replace(b"\r", b"")).filter(len)
)


class Far:
    """The other side of a channel: what a process has."""

    def __init__(self, stdin: int, stdout: int) -> None:
        self.stdin, self.stdout = stdin, stdout

    def write(self, text: bytes) -> int:
        return os.write(self.stdout, text)

    def read(self) -> bytes:
        """Everything that waits in the pipe."""
        text = b""
        try:
            while chunk := os.read(self.stdin, 1 << 20):
                text += chunk
        except BlockingIOError:
            pass
        return text

    def close(self, *names: str) -> None:
        for name in names or ("stdin", "stdout"):
            if getattr(self, name) >= 0:
                os.close(getattr(self, name))
                setattr(self, name, -1)


@asynccontextmanager
async def channel(limit: int = 1 << 26, patience: float = 5) -> AsyncIterator[tuple[Any, Far]]:
    loop = asyncio.get_running_loop()
    theirs_in, ours_out = os.pipe()
    ours_in, theirs_out = os.pipe()
    for descriptor in (theirs_in, ours_out, ours_in, theirs_out):
        os.set_blocking(descriptor, False)
    pipes = PipeChannel(limit, patience)
    reader, _ = await loop.connect_read_pipe(lambda: pipes.reading, os.fdopen(ours_in, "rb", 0))
    writer, _ = await loop.connect_write_pipe(lambda: pipes.writing, os.fdopen(ours_out, "wb", 0))
    pipes.attach(writer)
    far = Far(theirs_in, theirs_out)
    try:
        yield pipes, far
    finally:
        far.close()
        reader.close()
        if not writer.is_closing():
            writer.abort()
        for _ in range(3):
            await CLOCK.sleep(0)


async def turns(count: int = 5) -> None:
    for _ in range(count):
        await CLOCK.sleep(0)


@given(LINES, st.lists(st.integers(1, 9)), st.sampled_from([b"\n", b"\r\n"]), st.booleans())
def test_the_cuts_of_the_stream_do_not_matter(
    lines: list[bytes], cuts: list[int], end: bytes, marked: bool
) -> None:
    stream = b"\xef\xbb\xbf" * marked + b"".join(line + end for line in lines)
    whole, pieces, found = LineSplitter(), LineSplitter(), []
    at = 0
    for cut in [*cuts, len(stream)]:
        found += pieces.feed(stream[at : at + cut])
        at += cut
    found += pieces.feed(stream[at:])
    expected = [line.removeprefix(b"\xef\xbb\xbf") if not marked and n == 0 else line
                for n, line in enumerate(lines)]  # fmt: skip
    assert found == [one_line(line) for line in expected if line]
    assert [*whole.feed(stream)] == found
    assert whole.rest() == pieces.rest() == []


@given(st.lists(st.integers(0, 20), max_size=9), st.integers(1, 30))
def test_only_a_line_that_is_too_long_is_cut(sizes: list[int], step: int) -> None:
    stream = b"".join(b"x" * size + b"\n" for size in sizes)
    splitter = LineSplitter(10)
    found = [
        line for at in range(0, len(stream), step) for line in splitter.feed(stream[at : at + step])
    ]
    for size, line in zip([size for size in sizes if size], found, strict=True):
        assert line == b"x" * size if size <= 10 else CUT in line


def test_a_line_that_is_too_long_takes_no_memory() -> None:
    splitter = LineSplitter(2000)
    assert splitter.feed(b'{"id":1,') == []
    for _ in range(1000):
        assert splitter.feed(b"x" * 1000) == []
        assert sum(map(len, splitter._parts)) <= 2100
    assert splitter.feed(b'"end"}\n{}\n') == [
        b'{"id":1,' + b"x" * (END - 8) + CUT + b"x" * (END - 6) + b'"end"}',
        b"{}",
    ]


def test_what_has_no_end_is_the_rest() -> None:
    splitter = LineSplitter()
    assert splitter.feed(b'{"a":1}\n{"b"') == [b'{"a":1}']
    assert splitter.rest() == [b'{"b"']
    assert splitter.rest() == []
    assert LineSplitter().feed(b"\xef\xbb") == []


@given(st.binary())
def test_a_message_is_one_line(message: bytes) -> None:
    line = one_line(message)
    assert len(line) == len(message)
    assert not {10, 13} & set(line)


def test_lines_pass_in_both_directions(run: Any) -> None:
    async def story() -> None:
        async with channel() as (pipes, far):
            await pipes.send(b'{"a":\n1}')
            assert pipes.offer(b"{}")
            await turns()
            assert far.read() == b'{"a": 1}\n{}\n'
            far.write(b'{"x":1}\r\n\n{"y')
            assert await pipes.receive() == [b'{"x":1}']
            far.write(b'":2}\n{"z":3}\nend')
            assert await pipes.receive() == [b'{"y":2}', b'{"z":3}']
            far.close("stdout")
            assert await pipes.receive() == [b"end"]
            assert await pipes.receive() == []
            assert await pipes.receive() == []

    run(story())


def test_reading_pauses_while_nobody_takes_the_lines(run: Any) -> None:
    async def story() -> None:
        async with channel() as (pipes, far):
            written = 0
            for _ in range(1000):
                try:
                    written += far.write((b"x" * 999 + b"\n") * 4)
                except BlockingIOError:
                    await turns(2)
            assert written < 2 * BACKLOG + (1 << 17)
            taken = 0
            while taken < written // 1000 * 1000:
                taken += sum(len(line) + 1 for line in await pipes.receive())
            await turns()
            assert far.write(b"\n") == 1

    run(story())


def test_a_long_line_does_not_stop_the_next(run: Any) -> None:
    async def story() -> None:
        async with channel(limit=1000) as (pipes, far):
            far.write(b"x" * 5000 + b'\n{"a":1}\n')
            assert await pipes.receive() == [b"x" * END + CUT + b"x" * END, b'{"a":1}']

    run(story())


def test_a_sender_waits_while_the_other_side_does_not_read(run: Any) -> None:
    async def story() -> None:
        async with channel() as (pipes, far):
            for _ in range(3):
                await pipes.send(b"x" * UNSENT)
                await turns(1)
                if not pipes.offer(b"first"):
                    break
            assert not pipes.offer(b"second")
            async with asyncio.TaskGroup() as tasks:
                sending = tasks.create_task(pipes.send(b"last"))
                await turns()
                assert not sending.done()
                text = b""
                while not sending.done():
                    text += far.read()
                    await CLOCK.sleep(0.001)
            while not text.endswith(b"last\n"):
                text += far.read()
                await CLOCK.sleep(0.001)
            assert b"second" not in text

    run(story())


def test_nobody_waits_for_ever(run: Any) -> None:
    async def story() -> None:
        async with channel(patience=0.02) as (pipes, _):
            await pipes.send(b"x" * (2 * UNSENT))
            with pytest.raises(Unavailable) as caught:
                await pipes.send(b"y")
            assert caught.value.reason == "ChildSilent"

    run(story())


def test_many_lines_of_one_turn_are_no_reason_to_wait(run: Any) -> None:
    async def story() -> None:
        async with channel(patience=2) as (pipes, far), asyncio.TaskGroup() as tasks:
            for _ in range(40):
                tasks.create_task(pipes.send(b"x" * (UNSENT // 20)))
            count = 0
            while count < 40 * (UNSENT // 20 + 1):
                count += len(far.read())
                await CLOCK.sleep(0.001)

    run(story())


def test_a_side_that_has_closed_is_not_written_to(run: Any) -> None:
    async def story() -> None:
        async with channel() as (pipes, far):
            far.close("stdin")

            async def send_on() -> None:
                while True:
                    await pipes.send(b"x")
                    await CLOCK.sleep(0.001)

            with pytest.raises(Unavailable) as caught:
                await asyncio.wait_for(send_on(), 5)
            assert caught.value.reason == "ChildExited"

    run(story())


def test_closing_ends_the_reading_after_what_has_come(run: Any) -> None:
    async def story() -> None:
        async with channel() as (pipes, far):
            far.write(b"a\nb")
            async with asyncio.timeout(5):
                assert await pipes.receive() == [b"a"]
            pipes.close()
            far.write(b"c\n")
            await turns()
            assert await pipes.receive() == [b"b"]
            assert await pipes.receive() == []

    run(story())
