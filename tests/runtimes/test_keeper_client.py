"""Questions to a keeper, which answers on the same loop."""

import asyncio
import socket
from collections.abc import Callable, Coroutine
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from support.keeper_here import KeeperHere, keeper_here

from mooring.core.keeping import SlotSpec
from mooring.errors import Conflict, Invalid, MooringError, NotFound, Unavailable
from mooring.runtimes.keeper_client import KeeperClient
from mooring.transports.http_upstream import Pool

Run = Callable[[Coroutine[Any, Any, None]], None]
Story = Callable[[KeeperClient, KeeperHere], Coroutine[Any, Any, None]]
SPEC = SlotSpec(
    uid="u1",
    instance="default/a-0",
    server="default/a",
    checksum="c",
    argv=("a",),
    env={"TOKEN": "secret"},
    transport="streamable-http",
)


@pytest.fixture
def with_keeper(run: Run, short: Path) -> Callable[[Story], None]:
    async def opened(story: Story) -> None:
        pool = Pool()
        async with keeper_here(short / "k.sock") as keeper:
            await story(KeeperClient(pool, keeper.path), keeper)
            await pool.close()

    return lambda story: run(opened(story))


WithKeeper = Callable[[Story], None]


def test_a_keeper_says_who_it_is(with_keeper: WithKeeper) -> None:
    async def story(client: KeeperClient, keeper: KeeperHere) -> None:
        assert await client.state() == keeper.about

    with_keeper(story)


def test_a_slot_is_put_stopped_and_forgotten(with_keeper: WithKeeper) -> None:
    async def story(client: KeeperClient, keeper: KeeperHere) -> None:
        state = await client.put(SPEC)
        assert (state.uid, state.state) == ("u1", "running")
        assert state.port > 0
        assert await client.put(SPEC) == state
        assert await client.slots() == (state,)
        with pytest.raises(Conflict):
            await client.forget("u1")
        await client.stop("u1", 1)
        since = 0
        while (await client.slots())[0].state != "exited":
            since = (await client.changes(since)).sequence
        await client.forget("u1")
        assert await client.slots() == ()
        assert len(keeper.spawner.made) == 1

    with_keeper(story)


def test_what_is_not_there_is_not_found(with_keeper: WithKeeper) -> None:
    async def story(client: KeeperClient, keeper: KeeperHere) -> None:
        with pytest.raises(NotFound, match="no slot u9"):
            await client.stop("u9", 1)
        with pytest.raises(NotFound):
            await client.forget("u9")

    with_keeper(story)


def test_changes_are_told_as_they_happen(with_keeper: WithKeeper) -> None:
    async def story(client: KeeperClient, keeper: KeeperHere) -> None:
        before = await client.changes(0, wait=0)
        async with asyncio.TaskGroup() as tasks:
            news = tasks.create_task(client.changes(before.sequence))
            await client.put(SPEC)
        assert [state.uid for state in news.result().slots] == ["u1"]
        nothing = await client.changes((await client.changes(0, wait=0)).sequence, wait=0)
        assert nothing.slots == ()

    with_keeper(story)


def test_an_end_is_asked_for_with_its_grace(with_keeper: WithKeeper) -> None:
    async def story(client: KeeperClient, keeper: KeeperHere) -> None:
        await client.shutdown(2.5)
        assert keeper.shut_down == [2.5]

    with_keeper(story)


def test_the_listening_socket_is_lent_again_and_again(with_keeper: WithKeeper) -> None:
    async def story(client: KeeperClient, keeper: KeeperHere) -> None:
        first = await client.listener("127.0.0.1", 0)
        place = first.getsockname()
        first.close()
        with closing(await client.listener("127.0.0.1", 0)) as second:
            assert second.getsockname() == place
            assert second.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN) == 1
            assert second.getblocking() is False
            assert second.get_inheritable() is False

    with_keeper(story)


def test_a_port_in_use_is_told(with_keeper: WithKeeper) -> None:
    async def story(client: KeeperClient, keeper: KeeperHere) -> None:
        with closing(socket.create_server(("127.0.0.1", 0))) as taken:
            with pytest.raises(Conflict, match="in use by another program") as caught:
                await client.listener("127.0.0.1", taken.getsockname()[1])
            assert caught.value.reason == "PortInUse"
        with pytest.raises(Invalid, match="cannot listen on"):
            await client.listener("no.such.host.invalid", 1)

    with_keeper(story)


@pytest.mark.parametrize("question", ["state", "listener"])
def test_where_no_keeper_is_that_is_said(run: Run, short: Path, question: str) -> None:
    async def story() -> None:
        pool = Pool()
        client = KeeperClient(pool, short / "k.sock")
        with pytest.raises(Unavailable) as caught:
            await (client.state() if question == "state" else client.listener("127.0.0.1", 0))
        assert caught.value.reason == "KeeperGone"
        assert str(short / "k.sock") in caught.value.message
        await pool.close()

    run(story())


def test_an_answer_that_makes_no_sense_is_the_keepers_fault(
    with_keeper: WithKeeper, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story(client: KeeperClient, keeper: KeeperHere) -> None:
        async def nonsense(exchange: Any) -> None:
            exchange.respond(500, (), b"<html>")

        monkeypatch.setattr("mooring.keeper.control.Control.handle", lambda _, e: nonsense(e))
        for question in (client.state(), client.listener("127.0.0.1", 0)):
            with pytest.raises(MooringError) as caught:
                await question
            assert caught.value.reason == "KeeperGone"

    with_keeper(story)
