"""Objects looked at through an API: the real one, and ones that behave badly."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from support.surface import Served, served, server

from mooring.core.address import Address
from mooring.errors import Conflict, Unavailable
from mooring.kinds.ref import Ref
from mooring.stores import served as module
from mooring.stores.served import ServedObjects
from mooring.transports.http_server import Exchange, HttpServer
from mooring.transports.http_upstream import Pool

Run = Callable[[Coroutine[Any, Any, None]], None]
KIND = "MCPServer"


@asynccontextmanager
async def reader(path: Path) -> AsyncIterator[ServedObjects]:
    pool = Pool()
    try:
        yield ServedObjects(pool, Address("", 0, "/", socket=str(path)))
    finally:
        await pool.close()


def test_what_is_listed_is_what_is_stored(tmp_path: Path, run: Run) -> None:
    async def story(api: Served) -> None:
        async with reader(api.path) as objects:
            assert (await objects.list(KIND)).items == ()
            for name, namespace in (("b", "default"), ("a", "team"), ("c", "default")):
                api.put(server(name, namespace))
            api.report(server("b"), phase="Ready", message="all is well")
            listing = await objects.list(KIND)
            assert listing == api.run(api.store.list(KIND))
            assert [each.ref.name for each in (await objects.list(KIND, "team")).items] == ["a"]

    with served(tmp_path / "a.sock") as api:
        run(story(api))


def test_every_change_is_told_in_order(tmp_path: Path, run: Run) -> None:
    async def story(api: Served) -> None:
        async with reader(api.path) as objects:
            api.put(server("z"))
            since = (await objects.list(KIND)).version
            api.put(server("a"))
            api.report(server("a"), phase="Ready")
            api.run(api.store.delete(Ref(KIND, "default", "a")))
            async with aclosing(objects.watch(KIND, since)) as changes:  # type: ignore[type-var]
                seen = [await anext(changes) for _ in range(3)]
                assert [change.type for change in seen] == ["ADDED", "MODIFIED", "DELETED"]
                api.put(server("b", "team"))
                assert (await anext(changes)).object.ref == Ref(KIND, "team", "b")
            stored = api.run(api.store.list(KIND)).items
            assert stored == (await objects.list(KIND)).items

    with served(tmp_path / "a.sock") as api:
        run(story(api))


def test_a_version_that_is_too_old_is_a_conflict(tmp_path: Path, run: Run) -> None:
    async def story(api: Served) -> None:
        for name in "abcd":
            api.put(server(name))
        async with reader(api.path) as objects:
            with pytest.raises(Conflict) as refused:
                await anext(objects.watch(KIND, "1"))
            assert refused.value.reason == "Expired"

    with served(tmp_path / "a.sock", history=2) as api:
        run(story(api))


def test_an_api_that_is_not_there_is_unavailable(tmp_path: Path, run: Run) -> None:
    async def story() -> None:
        async with reader(tmp_path / "nobody.sock") as objects:
            with pytest.raises(Unavailable):
                await objects.list(KIND)
            with pytest.raises(Unavailable):
                await anext(objects.watch(KIND, "1"))

    run(story())


def test_an_api_that_ends_cuts_the_watch(tmp_path: Path, run: Run) -> None:
    async def story(api: Served) -> None:
        async with reader(api.path) as objects:
            since = (await objects.list(KIND)).version
            watch = objects.watch(KIND, since)
            api.put(server("a"))
            assert (await anext(watch)).object.ref.name == "a"
            api.stop()
            with pytest.raises(Unavailable):
                await anext(watch)

    with served(tmp_path / "a.sock") as api:
        run(story(api))


Handler = Callable[[Exchange], Awaitable[None]]


@asynccontextmanager
async def scripted(path: Path, handler: Handler) -> AsyncIterator[ServedObjects]:
    """A reader of an API that answers as a test wants it."""
    door = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    door.bind(str(path))
    host = HttpServer(handler)
    try:
        await host.listen(door)
        async with reader(path) as objects:
            yield objects
    finally:
        await host.close()


def line(type: str, name: str, version: str) -> bytes:
    document = server(name).document()
    document["metadata"]["resourceVersion"] = version
    return json.dumps({"type": type, "object": document}).encode() + b"\n"


def test_a_watch_that_ends_goes_on_where_it_ended(tmp_path: Path, run: Run) -> None:
    asked: list[str] = []

    async def answer(exchange: Exchange) -> None:
        asked.append(exchange.request.query)
        exchange.start(200)
        if len(asked) == 1:
            whole = line("ADDED", "a", "7")
            await exchange.write(whole[:20])  # lines may come in any pieces
            await exchange.write(whole[20:] + line("BOOKMARK", "x", "9"))
        else:
            await exchange.write(line("DELETED", "a", "12"))
        exchange.finish()

    async def story() -> None:
        async with scripted(tmp_path / "a.sock", answer) as objects:
            watch = objects.watch(KIND, "5")
            assert [(await anext(watch)).type for _ in range(2)] == ["ADDED", "DELETED"]
            assert "resourceVersion=5" in asked[0]
            assert "resourceVersion=9" in asked[1]

    run(story())


@pytest.mark.parametrize(
    "body",
    [b"", b"no json\n", b"[]\n", b'{"type": "ERROR", "object": {"code": 500}}\n'],
    ids=["nothing", "no json", "no object", "an error"],
)
def test_a_watch_that_tells_nothing_sensible_is_unavailable(
    tmp_path: Path, run: Run, body: bytes
) -> None:
    async def answer(exchange: Exchange) -> None:
        exchange.respond(200, (), body)

    async def story() -> None:
        async with scripted(tmp_path / "a.sock", answer) as objects:
            with pytest.raises(Unavailable):
                await anext(objects.watch(KIND, "5"))

    run(story())


def test_a_silent_watch_is_given_up(
    tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SILENCE", 0.05)

    async def answer(exchange: Exchange) -> None:
        exchange.start(200)
        await exchange.write(b"")
        await asyncio.Event().wait()

    async def story() -> None:
        async with scripted(tmp_path / "a.sock", answer) as objects:
            with pytest.raises(Unavailable) as silent:
                await anext(objects.watch(KIND, "5"))
            assert silent.value.reason == "UpstreamTimeout"

    run(story())


def test_an_object_that_is_not_understood_hides_no_other(tmp_path: Path, run: Run) -> None:
    async def answer(exchange: Exchange) -> None:
        newer = server("newer").document()
        newer["spec"]["invented"] = 1
        found = {"metadata": {"resourceVersion": "3"}, "items": [newer, server("a").document()]}
        exchange.respond(200, (), json.dumps(found | {"apiVersion": newer["apiVersion"]}).encode())

    async def story() -> None:
        async with scripted(tmp_path / "a.sock", answer) as objects:
            assert [each.ref.name for each in (await objects.list(KIND)).items] == ["a"]

    run(story())


def test_a_refused_list_is_unavailable_in_words(tmp_path: Path, run: Run) -> None:
    async def answer(exchange: Exchange) -> None:
        exchange.respond(503, (), b'{"message": "the store is busy", "code": 503}')

    async def story() -> None:
        async with scripted(tmp_path / "a.sock", answer) as objects:
            with pytest.raises(Unavailable, match="the store is busy"):
                await objects.list(KIND)

    run(story())
