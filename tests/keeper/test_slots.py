"""Slots: put once, ended once, remembered until they are forgotten."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from support.keeping import StandInSpawner, spec

from mooring.core.keeping import SlotSpec, SlotState
from mooring.core.logline import parse
from mooring.errors import Conflict, NotFound, Unavailable
from mooring.keeper import child, slot, slots
from mooring.keeper.logfile import Logs
from mooring.keeper.slots import Slots
from mooring.testing.clock import FakeClock

Run = Callable[[Any], Any]


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waits that a test does not last."""
    monkeypatch.setattr(child, "VOLUNTARY", 0.02)
    monkeypatch.setattr(child, "AFTER_KILL", 0.02)
    monkeypatch.setattr(child, "AFTER_EXIT", 0.02)
    monkeypatch.setattr(slot, "MARGIN", 0.2)


class Bench:
    """Slots over stand-ins."""

    def __init__(self, spawner: StandInSpawner, tasks: asyncio.TaskGroup) -> None:
        self.spawner = spawner
        self.clock = FakeClock()
        self.logs = Logs(self.clock)
        self.slots = Slots(spawner, self.logs, self.clock, tasks)
        self.never: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def ended(self, uid: str) -> SlotState:
        """Waits, by the long poll, for a slot's end."""
        since = 0
        while True:
            changes = await self.slots.changes(since, 5, self.never)
            for state in changes.slots:
                if state.uid == uid and state.state == "exited":
                    return state
            since = changes.sequence


@asynccontextmanager
async def bench(failure: str = "", **options: Any) -> AsyncIterator[Bench]:
    spawner = StandInSpawner(failure, **options)
    async with asyncio.TaskGroup() as tasks:
        made = Bench(spawner, tasks)
        yield made
        await made.slots.end_all(0)
    await made.logs.close()
    spawner.close()


def http(*argv: str, **changes: Any) -> SlotSpec:
    return spec(*(argv or ("serve",)), transport="streamable-http", **changes)


def test_a_slot_runs_once_it_was_put(run: Run) -> None:
    async def story() -> None:
        async with bench() as b:
            state = await b.slots.put(http(uid="u1", path="/x"))
            assert (state.state, state.pid, state.path) == ("running", 1000, "/x")
            assert state.port == b.spawner.ports[0] > 0
            assert state.children == 1
            assert state.started_at == b.clock.now().timestamp()
            assert b.slots.state("u1") == state
            assert b.slots.states() == [state]

    run(story())


def test_putting_it_again_changes_nothing(run: Run) -> None:
    async def story() -> None:
        async with bench() as b:
            wanted = http(uid="u1")
            states = await asyncio.gather(*(b.slots.put(wanted) for _ in range(5)))
            assert len(b.spawner.made) == 1
            assert len(set(states)) == 1
            b.spawner.made[0].exit(3)
            await b.ended("u1")
            assert (await b.slots.put(wanted)).state == "exited"
            assert len(b.spawner.made) == 1

    run(story())


@pytest.mark.parametrize("transport", ["stdio", "streamable-http"])
def test_a_start_that_fails_is_an_exit_with_a_reason(run: Run, transport: str) -> None:
    async def story() -> None:
        async with bench(failure="command not found: foo") as b:
            state = await b.slots.put(spec("foo", uid="u1", transport=transport))
            assert state.state == "exited"
            assert state.exit is not None
            assert state.exit.reason == "command not found: foo"
            assert state.exit.at == b.clock.now().timestamp()
            assert state.children == 0

    run(story())


def test_a_failure_of_our_own_ends_its_slot_and_no_other(
    run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    async def story() -> None:
        async with bench() as b:
            await b.slots.put(http(uid="good"))

            async def broken(*_: Any, **__: Any) -> Any:
                raise ZeroDivisionError

            b.spawner.spawn = broken  # type: ignore[method-assign]  # a bug of ours
            state = await b.slots.put(http(uid="bad"))
            assert state.exit is not None
            assert "ZeroDivisionError" in state.exit.reason
            assert b.slots.state("good").state == "running"

    run(story())
    assert "slot.failed" in caplog.text


def test_a_child_that_exits_ends_its_slot(run: Run) -> None:
    async def story() -> None:
        async with bench() as b:
            await b.slots.put(http(uid="u1"))
            b.spawner.made[0].exit(7)
            state = await b.ended("u1")
            assert state.exit is not None
            assert (state.exit.code, state.exit.last_line) == (7, "bye")
            with pytest.raises(NotFound):
                b.slots.occupant("u1")

    run(story())


def test_a_stdio_child_that_exits_ends_its_slot(run: Run) -> None:
    async def story() -> None:
        async with bench() as b:
            state = await b.slots.put(spec("server", uid="u1"))
            assert (state.state, state.pid, state.port) == ("running", 1000, 0)
            b.spawner.made[0].exit(signal=11)
            b.spawner.made[0].close()
            state = await b.ended("u1")
            assert state.exit is not None
            assert state.exit.signal == 11

    run(story())


def test_a_slot_that_is_stopped_says_so_and_ends(run: Run) -> None:
    async def story() -> None:
        async with bench() as b:
            await b.slots.put(http(uid="u1"))
            b.slots.stop("u1", grace=5)
            assert b.slots.state("u1").state == "stopping"
            b.slots.stop("u1", grace=5)
            state = await b.ended("u1")
            assert state.exit is not None
            assert state.exit.signal == 15
            b.slots.stop("u1", grace=5)

    run(story())


def test_a_child_that_ignores_sigterm_is_killed(run: Run) -> None:
    async def story() -> None:
        async with bench(dies_of="kill") as b:
            await b.slots.put(http(uid="u1"))
            b.slots.stop("u1", grace=0.01)
            state = await b.ended("u1")
            assert state.exit is not None
            assert state.exit.signal == 9
            assert b.spawner.made[0].blows == ["term", "kill"]

    run(story())


def test_a_slot_can_be_stopped_while_it_starts(run: Run) -> None:
    async def story() -> None:
        async with bench() as b:
            b.slots._tasks.create_task(b.slots.put(http(uid="u1")))
            await asyncio.wait([b.never], timeout=0)
            b.slots.stop("u1", grace=5)
            assert (await b.ended("u1")).exit is not None

    run(story())


def test_a_fixed_port_in_use_is_an_exit_with_a_reason(run: Run) -> None:
    async def story() -> None:
        async with bench() as b:
            first = await b.slots.put(http(uid="u1"))
            second = await b.slots.put(http(uid="u2", port=first.port))
            assert second.exit is not None
            assert second.exit.reason == f"port {first.port} is in use"
            b.slots.stop("u1", grace=5)
            await b.ended("u1")
            assert (await b.slots.put(http(uid="u3", port=first.port))).state == "running"

    run(story())


def test_a_start_that_takes_too_long_goes_on(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slots, "START", 0.01)

    async def story() -> None:
        async with bench() as b:
            gate, spawn = asyncio.Event(), b.spawner.spawn

            async def slow(*words: Any, **options: Any) -> Any:
                await gate.wait()
                return await spawn(*words, **options)

            b.spawner.spawn = slow  # type: ignore[method-assign]  # a hanging file system
            assert (await b.slots.put(http(uid="u1"))).pid == 0
            seen = (await b.slots.changes(0, 0, b.never)).sequence
            gate.set()
            changes = await b.slots.changes(seen, 5, b.never)
            assert [(state.state, state.pid) for state in changes.slots] == [("running", 1000)]

    run(story())


def test_an_exited_slot_is_remembered_until_it_is_forgotten(run: Run) -> None:
    async def story() -> None:
        async with bench() as b:
            await b.slots.put(http(uid="u1"))
            with pytest.raises(Conflict, match="stop it first"):
                b.slots.forget("u1")
            b.slots.stop("u1", grace=5)
            sequence = (await b.ended("u1"), b.slots._news.sequence)[1]
            b.slots.forget("u1")
            assert b.slots.states() == []
            changes = await b.slots.changes(sequence, 0, b.never)
            assert (changes.slots, changes.gone) == ((), ("u1",))
            for ask in (b.slots.state, b.slots.forget, b.slots.occupant):
                with pytest.raises(NotFound):
                    ask("u1")
            with pytest.raises(NotFound):
                b.slots.stop("u1", grace=1)

    run(story())


def test_no_secret_stays_with_an_exited_slot(run: Run) -> None:
    async def story() -> None:
        async with bench() as b:
            await b.slots.put(http(uid="u1", env={"TOKEN": "hush"}))
            b.slots.stop("u1", grace=5)
            await b.ended("u1")
            assert b.slots._slots["u1"].spec.env == {}

    run(story())


def test_states_are_sorted_by_instance(run: Run) -> None:
    async def story() -> None:
        async with bench() as b:
            for name in ("c", "a", "b"):
                await b.slots.put(http(uid=f"u-{name}", instance=f"default/{name}-0"))
            names = [state.instance for state in b.slots.states()]
            assert names == ["default/a-0", "default/b-0", "default/c-0"]

    run(story())


def test_changes_tell_each_state_once(run: Run) -> None:
    async def story() -> None:
        async with bench() as b:
            empty = await b.slots.changes(0, 5, b.never)
            assert empty.slots == ()
            await b.slots.put(http(uid="u1"))
            first = await b.slots.changes(empty.sequence, 5, b.never)
            assert [(s.uid, s.state) for s in first.slots] == [("u1", "running")]
            nothing = await b.slots.changes(first.sequence, 0.01, b.never)
            assert (nothing.sequence, nothing.slots) == (first.sequence, ())
            b.spawner.made[0].exit()
            assert [s.state for s in (await b.slots.changes(first.sequence, 5, b.never)).slots]

    run(story())


def test_ending_all_ends_them_at_once_and_starts_nothing_more(run: Run) -> None:
    async def story() -> None:
        async with bench(dies_of="kill") as b:
            for number in range(20):
                await b.slots.put(http(uid=f"u{number}"))
            before = asyncio.get_running_loop().time()
            await b.slots.end_all(grace=0.1)
            assert asyncio.get_running_loop().time() - before < 1.0
            assert {state.state for state in b.slots.states()} == {"exited"}
            with pytest.raises(Unavailable, match="ending"):
                await b.slots.put(http(uid="late"))

    run(story())


def test_an_occupant_that_does_not_stop_has_its_children_killed(
    run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    class Stuck:
        def __init__(self) -> None:
            self.exited = asyncio.get_running_loop().create_future()

        sessions = children = 0

        async def start(self) -> None:
            self.exited.set_result(None)
            self.exited = asyncio.get_running_loop().create_future()

        async def handle(self, exchange: Any) -> None: ...

        async def stop(self, grace: float) -> None:
            await asyncio.get_running_loop().create_future()

    async def story() -> None:
        async with bench() as b:
            await b.slots.put(http(uid="u1"))
            held = b.slots._slots["u1"]
            held._occupant = Stuck()
            await held.stop(grace=0.01)
            assert (await b.ended("u1")).exit is not None
            assert b.spawner.made[0].blows == ["term"]

    run(story())
    assert "slot.stop_failed" in caplog.text


def test_the_log_tells_of_start_and_end(run: Run, tmp_path: Path) -> None:
    log = tmp_path / "a-0.log"

    async def story() -> None:
        async with bench() as b:
            await b.slots.put(http(uid="u1", log=str(log)))
            b.spawner.made[0].exit(7)
            await b.ended("u1")
            await b.slots.put(http(uid="u2", log=str(log)))
            b.slots.stop("u2", grace=5)
            await b.ended("u2")

    run(story())
    lines = [parse(line) for line in log.read_bytes().splitlines()]
    assert all(line and line.mark for line in lines)
    assert [line.text for line in lines if line] == [
        "started u1",
        "ended u1 code 7",
        "started u2",
        "ended u2 signal 15",
    ]


def test_the_pid_is_that_of_the_oldest_child_alive(run: Run) -> None:
    async def story() -> None:
        async with bench() as b:
            wanted = spec("server", uid="u1", isolation="session", spares=2)
            assert (await b.slots.put(wanted)).pid == 1000
            b.spawner.made[0].exit(1)
            b.spawner.made[0].close()
            await asyncio.wait([b.never], timeout=0.05)
            assert b.slots.state("u1").pid == 1001

    run(story())
