"""Logs of children: their form, their limits, and that they hold nobody up."""

import asyncio
import errno
import fcntl
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mooring.core.logline import parse
from mooring.keeper import logfile
from mooring.keeper.logfile import BUFFER, LINE, Drain, LogFile, Logs
from mooring.testing.clock import FakeClock

Run = Callable[[Any], Any]


def texts(path: Path) -> list[str]:
    """What the lines of a log say, remarks in brackets."""
    lines = [parse(line) for line in path.read_bytes().splitlines(keepends=True)]
    assert None not in lines
    return [f"[{line.text}]" if line.mark else line.text for line in lines if line]


class Desk:
    """Logs with one file on it."""

    def __init__(self, path: Path, size: int = logfile.SIZE) -> None:
        self.clock = FakeClock()
        self.logs = Logs(self.clock, size)
        self.path = path
        self.file: LogFile = self.logs.file(str(path))

    async def __aenter__(self) -> "Desk":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.logs.close()

    async def written(self) -> list[str]:
        await self.file.written()
        return texts(self.path)


def test_lines_are_stamped_and_appended(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "new" / "a.log"

    async def story() -> None:
        async with Desk(path) as desk:
            desk.file.mark("started", "u1")
            desk.file.stream().feed(b"one\ntwo\r\n\nfour\n")
            assert await desk.written() == ["[started u1]", "one", "two", "", "four"]
        async with Desk(path) as desk:
            desk.file.line(b"later")
            assert (await desk.written())[-2:] == ["four", "later"]

    run(story())
    assert path.read_bytes().startswith(b"2026-01-01T00:00:00.000Z#started u1\n")
    assert path.stat().st_mode & 0o777 == 0o600


def test_pieces_become_lines(run: Run, tmp_path: Path) -> None:
    async def story() -> None:
        async with Desk(tmp_path / "a.log") as desk:
            stream = desk.file.stream()
            for piece in (b"on", b"e\ntw", b"o", b"\n", b"half"):
                stream.feed(piece)
            assert await desk.written() == ["one", "two"]
            stream.flush()
            assert await desk.written() == ["one", "two", "half"]

    run(story())


def test_two_streams_never_mix_within_a_line(run: Run, tmp_path: Path) -> None:
    async def story() -> None:
        async with Desk(tmp_path / "a.log") as desk:
            left, right = desk.file.stream(), desk.file.stream()
            left.feed(b"le")
            right.feed(b"rig")
            left.feed(b"ft\n")
            right.feed(b"ht\n")
            assert await desk.written() == ["left", "right"]

    run(story())


def test_a_line_without_end_is_cut(run: Run, tmp_path: Path) -> None:
    async def story() -> None:
        async with Desk(tmp_path / "a.log") as desk:
            stream = desk.file.stream()
            for _ in range(5):
                stream.feed(b"x" * (LINE // 2))
            stream.flush()
            lines = await desk.written()
            assert "".join(lines) == "x" * (LINE // 2 * 5)
            assert len(lines) == 2

    run(story())


@pytest.mark.parametrize(
    ("said", "last"),
    [
        (b"", ""),
        (b"\n\n", ""),
        (b"one\ntwo\n", "two"),
        (b"one\n  two  \n\n \n", "two"),
        (b"one\nhalf", "half"),
        (b"\xff\xfe\n", "\ufffd\ufffd"),
        (b"z" * 10_000 + b"\n", "z" * 2048),
    ],
)
def test_the_last_line_is_remembered(run: Run, tmp_path: Path, said: bytes, last: str) -> None:
    async def story() -> None:
        async with Desk(tmp_path / "a.log") as desk:
            stream = desk.file.stream()
            for at in range(0, len(said), 700):
                stream.feed(said[at : at + 700])
            assert stream.last_line == last

    run(story())


def test_a_log_without_a_file_keeps_the_last_line_only(run: Run) -> None:
    async def story() -> None:
        logs = Logs(FakeClock())
        stream = logs.file("").stream()
        stream.feed(b"only this\n")
        assert stream.last_line == "only this"
        await logs.close()

    run(story())


def test_what_is_hidden_is_covered_in_lines_and_in_the_last_one(run: Run, tmp_path: Path) -> None:
    async def story() -> None:
        async with Desk(tmp_path / "a.log") as desk:
            desk.logs.file(str(desk.path), ["s3cret"])
            desk.logs.file(str(desk.path), ["t0ken"])
            stream = desk.file.stream()
            stream.feed(b"with s3c")
            stream.feed(b"ret\nwith t0ken")
            stream.flush()
            assert await desk.written() == ["with ***", "with ***"]
            assert stream.last_line == "with ***"

    run(story())


def test_the_same_path_is_the_same_log(run: Run, tmp_path: Path) -> None:
    async def story() -> None:
        async with Desk(tmp_path / "a.log") as desk:
            assert desk.logs.file(str(desk.path)) is desk.file
            assert desk.logs.file(str(tmp_path / "b.log")) is not desk.file

    run(story())


def test_a_full_file_gives_way_to_a_new_one_and_the_oldest_goes(run: Run, tmp_path: Path) -> None:
    async def story() -> None:
        async with Desk(tmp_path / "a.log", size=300) as desk:
            for number in range(40):
                desk.file.line(b"%d " % number + b"x" * 50)
                await desk.file.written()

    run(story())
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["a.log", "a.log.1", "a.log.2"]
    assert all(path.stat().st_size <= 300 for path in tmp_path.iterdir())
    kept = [texts(tmp_path / name)[0].split()[0] for name in reversed(names)]
    assert kept == sorted(kept, key=int)
    assert texts(tmp_path / "a.log")[-1].startswith("39 ")


def test_a_batch_larger_than_a_file_is_written_whole(run: Run, tmp_path: Path) -> None:
    async def story() -> None:
        async with Desk(tmp_path / "a.log", size=100) as desk:
            desk.file.line(b"x" * 1000)
            desk.file.line(b"y")
            assert await desk.written() == ["y"]
            assert texts(tmp_path / "a.log.1") == ["x" * 1000]

    run(story())


class Jam:
    """A disk that hangs, or fails, until it is told to work again."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.error: OSError | None = None
        self.free = threading.Event()
        self.tries = 0
        self._write = os.write
        monkeypatch.setattr(logfile.os, "write", self._try)

    def _try(self, descriptor: int, content: Any) -> int:
        self.tries += 1
        assert self.free.wait(20)
        if self.error:
            half = self._write(descriptor, bytes(content[: len(content) // 2]))
            assert half >= 0
            raise self.error
        return self._write(descriptor, content)


def test_a_hanging_disk_holds_nobody_up_and_what_was_lost_is_counted(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    jam = Jam(monkeypatch)

    async def story() -> None:
        async with Desk(tmp_path / "a.log") as desk:
            desk.file.line(b"first")
            stream = desk.file.stream()
            flood = b"x" * 99 + b"\n"
            for _ in range(2 * BUFFER // (60_000)):
                stream.feed(flood * 600)
            assert len(desk.file._waiting) <= BUFFER
            jam.free.set()
            lines = await desk.written()
            lost = 2 * BUFFER // 60_000 * 600 - lines.count("x" * 99)
            assert lost > 0
            assert lines[0] == "first"
            assert lines[-1] == f"[dropped {lost} lines]"

    run(story())


def test_a_full_disk_stops_nothing_and_what_was_lost_is_counted(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    jam = Jam(monkeypatch)
    jam.free.set()

    async def story() -> None:
        async with Desk(tmp_path / "a.log") as desk:
            desk.file.line(b"before")
            await desk.file.written()
            jam.error = OSError(errno.ENOSPC, "No space left on device")
            for _ in range(3):
                desk.file.line(b"lost\nlost too")
                await desk.file.written()
            assert await desk.written() == ["before"]
            jam.error = None
            desk.file.line(b"after")
            assert await desk.written() == ["before", "after", "[dropped 6 lines]"]

    run(story())
    assert [record.message.split()[0] for record in caplog.records] == ["log.lost"]


def test_a_directory_that_cannot_be_made_is_no_failure(run: Run, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")

    async def story() -> None:
        async with Desk(tmp_path / "file" / "a.log") as desk:
            desk.file.line(b"nowhere to go")
            await desk.file.written()

    run(story())


def test_a_drain_reads_to_the_end(run: Run, tmp_path: Path) -> None:
    async def story() -> None:
        async with Desk(tmp_path / "a.log") as desk:
            read, write = os.pipe2(os.O_NONBLOCK)
            drain = Drain(read, desk.file.stream())
            os.write(write, b"one\nhalf")
            os.close(write)
            await drain.ended
            assert await desk.written() == ["one", "half"]
            assert drain.last_line == "half"
            with pytest.raises(OSError, match="Bad file descriptor"):
                os.fstat(read)

    run(story())


def test_a_drain_can_be_closed_while_others_still_write(run: Run, tmp_path: Path) -> None:
    async def story() -> None:
        async with Desk(tmp_path / "a.log") as desk:
            read, write = os.pipe2(os.O_NONBLOCK)
            drain = Drain(read, desk.file.stream())
            drain.close()
            drain.close()
            assert drain.ended.done()
            os.close(write)

    run(story())


def test_a_flood_leaves_turns_to_others(run: Run, tmp_path: Path) -> None:
    async def story() -> None:
        async with Desk(tmp_path / "a.log") as desk:
            read, write = os.pipe2(os.O_NONBLOCK)
            fcntl.fcntl(write, fcntl.F_SETPIPE_SZ, 2**20)
            os.write(write, b"x" * (2**20 - 1) + b"\n")
            os.close(write)
            drain, turns = Drain(read, desk.file.stream()), 0
            loop = asyncio.get_running_loop()

            def turn() -> None:
                nonlocal turns
                turns += 1
                if not drain.ended.done():
                    loop.call_soon(turn)

            turn()
            await drain.ended
            assert turns >= 2**20 // (64 * 1024)

    run(story())
