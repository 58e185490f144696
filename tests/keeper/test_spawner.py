"""Real children, on each rung that this machine has."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from support.keeping import (
    PATH,
    Family,
    children_of,
    eventually,
    gone,
    output,
    processes,
    shell,
    short_directory,
    skip_where_absent,
    spec,
    workshop,
)

from mooring.core.keeping import SlotSpec
from mooring.core.logline import parse
from mooring.errors import Unavailable
from mooring.keeper import child as ending
from mooring.keeper import spawner as spawning
from mooring.keeper.forking import Rung
from mooring.keeper.ladder import MARKER, RUNGS
from mooring.keeper.spawner import ForkSpawner

pytestmark = pytest.mark.process
Run = Callable[[Any], Any]


@pytest.fixture(params=RUNGS)
def rung(request: pytest.FixtureRequest) -> Rung:
    return request.param  # type: ignore[no-any-return]  # one of RUNGS


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody here minds SIGTERM, but where it is said."""
    monkeypatch.setattr(ending, "VOLUNTARY", 0.05)


@pytest.fixture
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Children leave by themselves, however slow the machine."""
    monkeypatch.setattr(ending, "VOLUNTARY", 10.0)


@pytest.fixture
def family() -> Iterator[Family]:
    with short_directory() as home:
        made = Family(home)
        yield made
        made.close()


@asynccontextmanager
async def spawner(rung: Rung | None = None) -> AsyncIterator[ForkSpawner]:
    try:
        async with workshop(rung) as made:
            yield made
    except Unavailable as error:
        if "cannot be held" in error.message:
            skip_where_absent(rung, error.message)
        raise


async def refusal(made: ForkSpawner, wanted: SlotSpec) -> str:
    with pytest.raises(Unavailable) as caught:
        await made.spawn(wanted, stdio=True)
    assert caught.value.reason == "CannotStart"
    return caught.value.message


def test_how_it_ended_comes_back_true(run: Run, rung: Rung) -> None:
    async def story() -> None:
        async with spawner(rung) as made:
            for script, code, number in (
                ("exit 0", 0, 0),
                ("exit 7", 7, 0),
                ("exit 143", 143, 0),
                ("kill -TERM $$", 0, 15),
                ("kill -KILL $$", 0, 9),
                ("kill -SEGV $$", 0, 11),
            ):
                exit = await (await made.spawn(shell(script), stdio=True)).wait()
                assert (exit.code, exit.signal) == (code, number), script

    run(story())


def test_its_end_is_noticed_at_once(run: Run, rung: Rung) -> None:
    async def story() -> None:
        loop = asyncio.get_running_loop()
        async with spawner(rung) as made:
            child = await made.spawn(spec("sleep", "1000"), stdio=True)
            os.kill(child.pid, 9)
            before = loop.time()
            await child.wait()
            assert loop.time() - before < 0.1

    run(story())


@pytest.mark.usefixtures("patience")
def test_it_talks_over_its_pipes(run: Run, rung: Rung) -> None:
    class Ear(asyncio.Protocol):
        def __init__(self) -> None:
            self.heard: asyncio.Queue[bytes] = asyncio.Queue()

        def data_received(self, data: bytes) -> None:
            self.heard.put_nowait(data)

    async def story() -> None:
        async with spawner(rung) as made:
            child = await made.spawn(spec("cat"), stdio=True)
            ear = Ear()
            writer = await child.connect(ear, asyncio.Protocol())
            writer.write(b"echo\n")
            assert await ear.heard.get() == b"echo\n"
            await child.end(grace=5)
            assert (await child.wait()).code == 0

    run(story())


def test_nothing_of_a_family_survives_its_end(run: Run, rung: Rung, family: Family) -> None:
    async def story() -> None:
        async with spawner(rung) as made:
            child = await made.spawn(shell(family.script), stdio=False)
            await asyncio.to_thread(family.wait)
            assert len(family.members()) >= 4
            await child.end(grace=5)
            assert (await child.wait()).signal == 15
            assert family.members() == []

    run(story())


def test_nothing_of_a_family_survives_the_exit_of_its_head(
    run: Run, rung: Rung, family: Family
) -> None:
    async def story() -> None:
        async with spawner(rung) as made:
            child = await made.spawn(shell(family.script), stdio=False)
            await asyncio.to_thread(family.wait)
            os.kill(child.pid, 9)
            assert (await child.wait()).signal == 9
            assert family.members() == []

    run(story())


def test_a_family_that_ignores_sigterm_is_killed(run: Run, rung: Rung) -> None:
    async def story() -> None:
        async with spawner(rung) as made:
            script = "trap '' TERM; sh -c 'sleep 1000' & echo up; while :; do sleep 1000; done"
            child = await made.spawn(shell(script), stdio=True)
            up = asyncio.StreamReader()
            await child.connect(asyncio.StreamReaderProtocol(up), asyncio.Protocol())
            assert await up.readline() == b"up\n"
            child._strike("term")
            await child.end(grace=0.05)
            assert (await child.wait()).signal == 9

    run(story())


def test_sigterm_reaches_the_whole_group(run: Run, rung: Rung, tmp_path: Path) -> None:
    async def story() -> None:
        async with spawner(rung) as made:
            log = tmp_path / "a.log"
            member = "trap 'echo got it >&2; exit 0' TERM; echo up; sleep 1000 & wait"
            script = f'sh -c "{member}" & sh -c "{member}" & trap \'wait; exit 5\' TERM; wait'
            child = await made.spawn(shell(script, log=str(log)), stdio=True)
            up = asyncio.StreamReader()
            await child.connect(asyncio.StreamReaderProtocol(up), asyncio.Protocol())
            assert await up.readline() == await up.readline() == b"up\n"
            await child.end(grace=5)
            assert (await child.wait()).code == 5
            await made._logs.file(str(log)).written()
            assert log.read_bytes().count(b"got it") == 2

    run(story())


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        (spec("no-such-command"), "command not found: no-such-command"),
        (spec("/no/such/file"), "command not found: /no/such/file"),
        (spec("/etc/passwd"), "not executable: /etc/passwd"),
        (spec("/etc"), "not executable: /etc"),
        (spec("true", cwd="/no/such"), "working directory not found: /no/such"),
        (spec("true", cwd="/etc/passwd"), "cannot enter working directory /etc/passwd: Not a"),
        (spec("true", env={"PATH": "/nowhere"}), "command not found: true"),
        (spec("tr\0ue"), "cannot start tr\0ue: Invalid argument"),
        (spec("true", env={"A": "nul\0"}), "cannot start true: Invalid argument"),
        (spec("true", "x" * 200_000), "cannot start true: Argument list too long"),
        (spec(), "no command was given"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_cannot_start_is_said(run: Run, wanted: SlotSpec, words: str) -> None:
    async def story() -> None:
        async with spawner() as made:
            assert (await refusal(made, wanted)).startswith(words)

    run(story())


def test_a_script_without_its_interpreter_is_told_from_a_missing_command(
    run: Run, tmp_path: Path
) -> None:
    script = tmp_path / "run"
    script.write_text("#!/no/such/interpreter\n")
    script.chmod(0o755)

    async def story() -> None:
        async with spawner() as made:
            message = await refusal(made, spec(str(script)))
            assert message.startswith(f"not executable: {script} (its interpreter is missing")

    run(story())


def test_what_cannot_start_leaves_no_descriptor_and_no_process(run: Run) -> None:
    async def story() -> None:
        async with spawner() as made:
            await refusal(made, spec("no-such-command"))
            before = sorted(os.listdir("/proc/self/fd"))
            for _ in range(20):
                await refusal(made, spec("no-such-command"))
            assert sorted(os.listdir("/proc/self/fd")) == before
            assert made._forker._process is not None
            inits = children_of(made._forker._process.pid)
            assert await asyncio.to_thread(gone, inits)

    run(story())


def test_the_environment_is_exact(run: Run, rung: Rung) -> None:
    async def story() -> None:
        async with spawner(rung) as made:
            given = PATH | {"NAME": "välue with = and\nnewline", "EMPTY": ""}
            script = "import os,json,sys; print(json.dumps(dict(os.environ)))"
            wanted = spec(sys.executable, "-c", script, env=given, uid="u1")
            found = json.loads(await output(await made.spawn(wanted, stdio=True)))
            assert found.pop(MARKER).split("/")[1] == "u1"
            found.pop("LC_CTYPE", None)
            assert found == given

    run(story())


def test_no_descriptor_and_no_signal_setting_is_inherited(run: Run, rung: Rung) -> None:
    async def story() -> None:
        async with spawner(rung) as made:
            leak = os.open("/dev/null", os.O_RDONLY)
            os.set_inheritable(leak, True)
            other = await made.spawn(spec("cat"), stdio=True)
            script = (
                "import os,signal; print(sorted(os.listdir('/proc/self/fd'))[:-1], "
                "[s for s in signal.Signals if signal.getsignal(s) is signal.SIG_IGN], "
                "signal.pthread_sigmask(signal.SIG_BLOCK, []), os.getcwd())"
            )
            child = await made.spawn(spec(sys.executable, "-S", "-c", script), stdio=True)
            python = "[<Signals.SIGPIPE: 13>, <Signals.SIGXFSZ: 25>]"
            assert (await output(child)).decode() == f"['0', '1', '2'] {python} set() /\n"
            os.close(leak)
            await other.end(0)

    run(story())


def test_it_leads_a_session_and_a_group_of_its_own(run: Run, rung: Rung) -> None:
    async def story() -> None:
        async with spawner(rung) as made:
            child = await made.spawn(spec("sleep", "1000"), stdio=True)
            assert os.getsid(child.pid) == os.getpgid(child.pid) == child.pid
            assert processes()[child.pid] == b"sleep\x001000\x00"
            await child.end(0)

    run(story())


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_it_runs_as_another_user_where_the_keeper_is_root(run: Run, rung: Rung) -> None:
    async def story() -> None:
        async with spawner(rung) as made:
            wanted = shell("id -u; id -g; id -G; cd /root && echo in", user=61234)
            child = await made.spawn(wanted, stdio=True)
            assert (await output(child)).split() == [b"61234"] * 3

    run(story())


@pytest.mark.skipif(os.geteuid() == 0, reason="root may become anybody")
def test_who_is_not_root_cannot_run_it_as_another_user(run: Run) -> None:
    async def story() -> None:
        async with spawner() as made:
            message = await refusal(made, spec("true", user=61234))
            assert message.startswith("cannot run true as uid 61234")

    run(story())


def test_an_http_child_knows_its_port_and_talks_to_the_log(run: Run, tmp_path: Path) -> None:
    async def story() -> None:
        async with spawner() as made:
            log = tmp_path / "a.log"
            wanted = shell("echo $0 $PORT $HOST; cat; echo last >&2; printf half", log=str(log))
            wanted = spec(*wanted.argv, "--port=$(PORT),$(PORT)", log=str(log))
            child = await made.spawn(wanted, stdio=False, port=4321)
            exit = await child.wait()
            assert exit.last_line == "half"
            await made._logs.file(str(log)).written()
            lines = [parse(line) for line in log.read_bytes().splitlines()]
            assert [line.text for line in lines if line] == [
                "--port=4321,4321 4321 127.0.0.1",
                "last",
                "half",
            ]

    run(story())


def test_the_last_words_of_one_that_dies_at_once_are_kept(run: Run) -> None:
    async def story() -> None:
        async with spawner() as made:
            for _ in range(10):
                child = await made.spawn(shell("echo why >&2; exit 3"), stdio=True)
                assert (await child.wait()).last_line == "why"

    run(story())


def test_a_flood_on_stderr_blocks_nobody(run: Run, tmp_path: Path) -> None:
    async def story() -> None:
        async with spawner() as made:
            log = tmp_path / "a.log"
            script = (
                "head -c 30000000 /dev/zero | tr '\\0' x | fold -w 99 >&2; echo >&2; echo done >&2"
            )
            child = await made.spawn(shell(script, log=str(log)), stdio=True)
            exit = await child.wait()
            assert (exit.code, exit.last_line) == (0, "done")

    run(story())
    assert 0 < sum(path.stat().st_size for path in tmp_path.iterdir()) < 40_000_000


@pytest.mark.usefixtures("patience")
def test_many_are_started_and_ended_at_once(run: Run, rung: Rung) -> None:
    async def story() -> None:
        async with spawner(rung) as made:
            spawning = (made.spawn(spec("cat"), stdio=True) for _ in range(30))
            children = await asyncio.gather(*spawning)
            assert len({child.pid for child in children}) == 30
            await asyncio.gather(*(child.end(grace=5) for child in children))
            exits = [child.exited.result() for child in children]
            assert {(exit.code, exit.signal) for exit in exits} == {(0, 0)}

    run(story())


@pytest.mark.usefixtures("patience")
def test_a_forker_that_was_killed_is_replaced_and_its_children_live_on(run: Run) -> None:
    async def story() -> None:
        async with spawner() as made:
            first = await made.spawn(spec("cat"), stdio=True)
            forker = made._forker._process
            assert forker is not None
            forker.kill()
            assert await asyncio.to_thread(gone, [forker.pid])
            second = await made.spawn(spec("cat"), stdio=True)
            assert not first.exited.done()
            await asyncio.gather(first.end(5), second.end(5))
            assert first.exited.result().code == second.exited.result().code == 0

    run(story())


def test_one_that_never_runs_is_given_up(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spawning, "BIRTH", 0.1)

    async def story() -> None:
        async with spawner() as made:
            child = await made.spawn(spec("cat"), stdio=True)
            forker = made._forker._process
            assert forker is not None
            forker.send_signal(signal.SIGSTOP)
            message = await refusal(made, spec("cat"))
            assert message == "cannot start cat: it did not run within 0.1 s"
            forker.send_signal(signal.SIGCONT)
            await child.end(0)

    run(story())


def test_one_that_was_lost_before_its_birth_is_born_again(run: Run) -> None:
    async def story() -> None:
        async with spawner() as made:
            await (await made.spawn(spec("true"), stdio=True)).wait()
            forker = made._forker._process
            assert forker is not None
            forker.send_signal(signal.SIGSTOP)
            async with asyncio.TaskGroup() as tasks:
                birth = tasks.create_task(made.spawn(spec("cat"), stdio=True))
                await eventually(lambda: made._forker._turn.locked() or bool(made._logs._files))
                forker.kill()
            await birth.result().end(0)

    run(story())


def test_an_init_that_was_killed_takes_its_child_along(
    run: Run, rung: Rung, family: Family
) -> None:
    async def story() -> None:
        async with spawner(rung) as made:
            child = await made.spawn(shell(family.script), stdio=False)
            await asyncio.to_thread(family.wait)
            members = family.members()
            assert made._forker._process is not None
            [init] = children_of(made._forker._process.pid)
            os.kill(init, 9)
            assert (await child.wait()).signal == 9
            assert await asyncio.to_thread(gone, members)

    run(story())
