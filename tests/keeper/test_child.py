"""A child over plain pipes: its wires, and the steps of its end."""

import asyncio
import os
from collections.abc import Callable
from typing import Any

import pytest
from support.keeping import StandIn

from mooring.core.keeping import Exit
from mooring.keeper import child as module

Run = Callable[[Any], Any]


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waits that a test does not last."""
    monkeypatch.setattr(module, "VOLUNTARY", 0.05)
    monkeypatch.setattr(module, "AFTER_KILL", 0.05)
    monkeypatch.setattr(module, "AFTER_EXIT", 0.05)


class Ear(asyncio.Protocol):
    """Hears what comes, and when nothing comes any more."""

    def __init__(self) -> None:
        self.heard = b""
        self.closed = asyncio.Event()

    def data_received(self, data: bytes) -> None:
        self.heard += data

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed.set()


def descriptors() -> set[str]:
    return set(os.listdir("/proc/self/fd"))


def test_what_it_writes_is_heard_to_its_end(run: Run) -> None:
    async def story() -> None:
        stand_in, ear = StandIn(), Ear()
        await stand_in.child.connect(ear, asyncio.BaseProtocol())
        os.write(stand_in.stdout, b"one\ntwo")
        stand_in.exit(0)
        os.write(stand_in.stdout, b" and the last words\n")
        stand_in.close()
        await ear.closed.wait()
        assert ear.heard == b"one\ntwo and the last words\n"

    run(story())


def test_what_is_written_reaches_it(run: Run) -> None:
    async def story() -> None:
        stand_in, ear = StandIn(), Ear()
        writer = await stand_in.child.connect(ear, asyncio.BaseProtocol())
        writer.write(b"hello\n")
        assert os.read(stand_in.stdin, 100) == b"hello\n"
        stand_in.exit()
        stand_in.close()
        await ear.closed.wait()

    run(story())


def test_its_stdout_is_given_up_when_somebody_else_keeps_it_open(run: Run) -> None:
    async def story() -> None:
        stand_in, ear = StandIn(), Ear()
        await stand_in.child.connect(ear, asyncio.BaseProtocol())
        stand_in.exit()
        await ear.closed.wait()
        stand_in.close()

    run(story())


def test_one_that_ended_before_it_was_connected_is_read_all_the_same(run: Run) -> None:
    async def story() -> None:
        stand_in, ear = StandIn(), Ear()
        os.write(stand_in.stdout, b"x")
        connecting = stand_in.child.connect(ear, asyncio.BaseProtocol())
        stand_in.exit(3)
        await connecting
        await ear.closed.wait()
        assert ear.heard == b"x"
        stand_in.close()

    run(story())


def test_waiting_for_its_end_may_be_given_up(run: Run) -> None:
    async def story() -> None:
        stand_in = StandIn(stdio=False)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await stand_in.child.wait()
        stand_in.exit(4)
        assert (await stand_in.child.wait()).code == 4

    run(story())


def test_one_that_leaves_when_stdin_closes_is_not_struck(run: Run) -> None:
    async def story() -> None:
        stand_in = StandIn()
        loop = asyncio.get_running_loop()
        loop.add_reader(stand_in.stdin, stand_in.exit)
        await stand_in.child.end(grace=5)
        loop.remove_reader(stand_in.stdin)
        assert stand_in.blows == []
        assert os.read(stand_in.stdin, 10) == b""
        stand_in.close()

    run(story())


def test_a_connected_one_sees_its_stdin_close_too(run: Run) -> None:
    async def story() -> None:
        stand_in = StandIn()
        await stand_in.child.connect(asyncio.Protocol(), asyncio.BaseProtocol())
        loop = asyncio.get_running_loop()
        loop.add_reader(stand_in.stdin, stand_in.exit)
        await stand_in.child.end(grace=5)
        loop.remove_reader(stand_in.stdin)
        assert stand_in.blows == []
        stand_in.close()

    run(story())


def test_one_that_stays_gets_sigterm(run: Run) -> None:
    async def story() -> None:
        stand_in = StandIn(dies_of="term")
        await stand_in.child.end(grace=5)
        assert stand_in.blows == ["term"]
        assert (await stand_in.child.wait()).signal == 15
        stand_in.close()

    run(story())


def test_one_that_ignores_sigterm_is_killed_after_its_grace(run: Run) -> None:
    async def story() -> None:
        stand_in = StandIn(dies_of="kill")
        await stand_in.child.end(grace=0.02)
        assert stand_in.blows == ["term", "kill"]
        stand_in.close()

    run(story())


def test_one_without_stdin_gets_sigterm_at_once(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "VOLUNTARY", 3600.0)

    async def story() -> None:
        stand_in = StandIn(stdio=False)
        await stand_in.child.end(grace=5)
        assert stand_in.blows == ["term"]

    run(story())


def test_one_that_nothing_ends_counts_as_ended(run: Run) -> None:
    async def story() -> None:
        stand_in = StandIn(dies_of=None, stdio=False)
        stand_in.exit = lambda *_, **__: None  # type: ignore[method-assign]  # not even SIGKILL
        await stand_in.child.end(grace=0)
        assert stand_in.child.exited.result() == Exit(signal=9)

    run(story())


def test_ending_it_again_with_less_grace_hastens_its_end(run: Run) -> None:
    async def story() -> None:
        stand_in = StandIn(dies_of="kill", stdio=False)
        async with asyncio.timeout(5), asyncio.TaskGroup() as ends:
            ends.create_task(stand_in.child.end(grace=3600))
            ends.create_task(stand_in.child.end(grace=0.01))
        assert stand_in.blows[-1] == "kill"

    run(story())


def test_ending_one_that_has_ended_does_nothing(run: Run) -> None:
    async def story() -> None:
        stand_in = StandIn()
        stand_in.exit(1)
        await stand_in.child.end(grace=5)
        await stand_in.child.end(grace=5)
        assert stand_in.blows == []
        assert (await stand_in.child.wait()).code == 1
        stand_in.close()

    run(story())


@pytest.mark.parametrize("connected", [False, True])
def test_no_descriptor_is_left(run: Run, connected: bool) -> None:
    async def story() -> None:
        before = descriptors()
        stand_in, ear, stdin = StandIn(), Ear(), Ear()
        if connected:
            await stand_in.child.connect(ear, stdin)
        await stand_in.child.end(grace=5)
        stand_in.close()
        if connected:
            await ear.closed.wait()
            await stdin.closed.wait()
        assert descriptors() == before

    run(story())
