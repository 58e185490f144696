"""Groups, as they are kept true."""

from collections.abc import Callable, Coroutine
from typing import Any

from mooring.controllers.groups import GroupReconciler
from mooring.kinds.group import MCPGroup
from mooring.kinds.ref import Ref
from mooring.stores.memory import MemoryStore
from mooring.testing.stage import Stage, server

Run = Callable[[Coroutine[Any, Any, None]], None]

CORE = Ref("MCPGroup", "default", "core")


def core() -> MCPGroup:
    return MCPGroup.model_validate({"metadata": {"name": "core"}})


async def status(store: MemoryStore) -> tuple[tuple[str, ...], int, int]:
    found = await store.get(CORE)
    assert isinstance(found, MCPGroup)
    return found.status.servers, found.status.server_count, found.status.ready_servers


def test_members_are_written_once(run: Run) -> None:
    async def story() -> None:
        store = MemoryStore()
        await store.put(core())
        members = [server("time", group="core"), server("files", group="core"), server("odd")]
        groups = GroupReconciler(store, lambda: members)
        await groups.reconcile(CORE)
        assert await status(store) == (("files", "time"), 2, 0)
        before = await store.get(CORE)
        await groups.reconcile(CORE)
        assert await store.get(CORE) == before

    run(story())


def test_a_group_that_is_not_there_is_nothing_to_do(run: Run) -> None:
    async def story() -> None:
        store = MemoryStore()
        await GroupReconciler(store, list).reconcile(CORE)
        assert await store.get(CORE) is None

    run(story())


def test_a_group_follows_its_servers(run: Run) -> None:
    async def story() -> None:
        stage = Stage()
        async with stage.at_work():
            await stage.apply("time", group="core")
            await stage.store.put(core())
            await stage.settle()
            assert await status(stage.store) == (("time",), 1, 1)
            await stage.apply("files", group="core")
            assert await status(stage.store) == (("files", "time"), 2, 2)
            await stage.apply("time", group="other")
            assert await status(stage.store) == (("files",), 1, 1)
            await stage.delete("files")
            await stage.wait(2)
            assert await status(stage.store) == ((), 0, 0)

    run(story())
