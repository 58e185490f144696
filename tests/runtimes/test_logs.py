"""Reading logs while they are written and rotated."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from mooring.core.logline import mark, stamp
from mooring.errors import NotFound
from mooring.runtimes.logs import BATCH, POLL, LogReader, Part
from mooring.testing.clock import START, FakeClock

Run = Callable[[Coroutine[Any, Any, Any]], Any]


class Log:
    """A log file, written as the keeper writes it."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / "default" / "time-0.log"
        self.path.parent.mkdir(parents=True)
        self.clock = FakeClock()
        self.reader = LogReader(directory, self.clock)

    def write(self, *lines: str, at: float = 0) -> None:
        moment = stamp(START + timedelta(seconds=at)) + b" "
        self._append(b"".join(moment + line.encode() + b"\n" for line in lines))

    def mark(self, *words: object) -> None:
        self._append(mark(START, *words))

    def rotate(self) -> None:
        older = self.path.with_name("time-0.log.1")
        if older.exists():
            older.rename(self.path.with_name("time-0.log.2"))
        self.path.rename(older)

    def read(self, **part: Any) -> AsyncIterator[bytes]:
        return self.reader.read("default", "time-0", Part(**part))

    def _append(self, text: bytes) -> None:
        with self.path.open("ab") as file:
            file.write(text)


@pytest.fixture
def log(tmp_path: Path) -> Log:
    return Log(tmp_path)


@pytest.fixture
def lines(run: Run, log: Log) -> Callable[..., list[str]]:
    async def all_lines(part: dict[str, Any]) -> list[str]:
        return [line.decode().removesuffix("\n") async for line in log.read(**part)]

    def read(**part: Any) -> list[str]:
        found: list[str] = run(all_lines(part))
        return found

    return read


Lines = Callable[..., list[str]]


def test_the_lines_of_the_last_start_are_shown(log: Log, lines: Lines) -> None:
    log.mark("started", "u1")
    log.write("old")
    log.mark("ended", "u1", "code", 1)
    log.mark("started", "u2")
    log.write("new", "  indented: ü")
    assert lines() == ["new", "  indented: ü"]


def test_the_start_before_is_shown_on_request(log: Log, lines: Lines) -> None:
    for uid in ("u1", "u2", "u3"):
        log.mark("started", uid)
        log.write(f"of {uid}")
        log.mark("ended", uid, "signal", 9)
    assert lines(previous=True) == ["of u2", "[ended: signal 9]"]


def test_where_there_was_no_start_before_that_is_said(log: Log, lines: Lines) -> None:
    log.mark("started", "u1")
    with pytest.raises(NotFound, match="started only once"):
        lines(previous=True)


def test_a_start_whose_beginning_was_rotated_away_is_shown_from_what_is_left(
    log: Log, lines: Lines
) -> None:
    log.write("of u1")
    assert lines() == ["of u1"]
    with pytest.raises(NotFound, match="no earlier start"):
        lines(previous=True)
    log.mark("started", "u2")
    assert lines(previous=True) == ["of u1"]


def test_remarks_of_the_keeper_are_in_brackets(log: Log, lines: Lines) -> None:
    log.mark("started", "u1")
    log.mark("dropped", 12, "lines")
    log.mark("ended", "u1", "command not found: x")
    assert lines() == ["[dropped 12 lines]", "[ended: command not found: x]"]


def test_rotated_files_are_read_in_order(log: Log, lines: Lines) -> None:
    log.mark("started", "u1")
    for word in ("first", "second"):
        log.write(word)
        log.rotate()
    log.write("third")
    assert lines() == ["first", "second", "third"]


def test_the_tail_is_the_last_lines(log: Log, lines: Lines) -> None:
    log.write(*(f"line {n}" for n in range(3 * BATCH)))
    assert lines(tail=2) == [f"line {3 * BATCH - 2}", f"line {3 * BATCH - 1}"]
    assert lines(tail=0) == []
    assert len(lines()) == 3 * BATCH


def test_lines_since_a_while_are_those_that_came_in_it(log: Log, lines: Lines) -> None:
    log.write("early", at=-100)
    log.write("late", at=-5)
    assert lines(since=10) == ["late"]
    assert lines(since=1000) == ["early", "late"]


def test_a_line_that_is_not_whole_yet_is_not_shown(log: Log, lines: Lines) -> None:
    log.write("whole")
    log._append(stamp(START) + b" par")
    assert lines() == ["whole"]


@pytest.mark.parametrize(
    "name", [("default", "time-9"), ("../..", "x"), ("default", "../time-0"), ("", "")]
)
def test_a_log_that_is_not_there_is_not_found(run: Run, log: Log, name: tuple[str, str]) -> None:
    async def story() -> None:
        with pytest.raises(NotFound):
            await anext(log.reader.read(*name, Part()))

    run(story())


def test_a_follower_sees_what_is_written_from_now_on(run: Run, log: Log) -> None:
    async def story() -> None:
        log.write("before")
        async with _following(log) as follow:
            assert await follow.next() == b"before\n"
            waiting = follow.ask()
            await follow.idle()
            log.write("after", "and more")
            await log.clock.advance(POLL)
            assert await waiting == b"after\n"
            assert await follow.next() == b"and more\n"

    run(story())


def test_a_follower_misses_nothing_of_a_rotation(run: Run, log: Log) -> None:
    async def story() -> None:
        log.write("one")
        async with _following(log) as follow:
            assert await follow.next() == b"one\n"
            waiting = follow.ask()
            await follow.idle()
            log.write("two")
            log.rotate()
            log.write("three")
            await log.clock.advance(POLL)
            assert await waiting == b"two\n"
            assert await follow.next() == b"three\n"

    run(story())


def test_a_follower_survives_a_file_that_was_cut(run: Run, log: Log) -> None:
    async def story() -> None:
        log.write("one")
        size = log.path.stat().st_size
        log.write("two")
        async with _following(log) as follow:
            assert [await follow.next(), await follow.next()] == [b"one\n", b"two\n"]
            waiting = follow.ask()
            await follow.idle()
            with log.path.open("ab") as file:
                file.truncate(size)
            await log.clock.advance(POLL)
            await follow.idle()
            log.write("three")
            await log.clock.advance(POLL)
            assert await waiting == b"three\n"

    run(story())


def test_a_previous_start_is_not_followed(log: Log, lines: Lines) -> None:
    log.mark("started", "u1")
    log.write("old")
    log.mark("started", "u2")
    assert lines(previous=True, follow=True) == ["old"]


class _following:
    """A follower that asks for one line at a time."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._lines = log.read(follow=True)
        self._tasks = asyncio.TaskGroup()

    async def __aenter__(self) -> "_following":
        await self._tasks.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._tasks.__aexit__(None, None, None)
        await self._lines.aclose()  # type: ignore[attr-defined]  # a generator in fact

    async def next(self) -> bytes:
        return await anext(self._lines)

    def ask(self) -> "asyncio.Task[bytes]":
        return self._tasks.create_task(self.next())

    async def idle(self) -> None:
        """Returns once it sleeps."""
        for _ in range(10_000):
            await asyncio.to_thread(lambda: None)
            if self._log.clock.sleepers:
                return
        raise AssertionError("it never slept")
