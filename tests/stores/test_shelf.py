"""What is kept in memory stays bounded, and closes when asked to."""

import asyncio
import gc
import weakref
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from mooring.core.ports import Change
from mooring.errors import Unavailable
from mooring.kinds.base import ObjectMeta
from mooring.kinds.group import MCPGroup
from mooring.stores.shelf import Shelf

Run = Callable[[Coroutine[Any, Any, None]], None]


def group(version: int) -> MCPGroup:
    return MCPGroup(metadata=ObjectMeta(name="g", resource_version=str(version)))


def test_old_changes_are_forgotten(run: Run) -> None:
    async def test() -> None:
        shelf = Shelf(history=10)
        kept: list[weakref.ref[MCPGroup]] = []
        for version in range(1, 1001):
            new = group(version)
            kept.append(weakref.ref(new))
            shelf.publish(Change("MODIFIED", new))
            del new
        gc.collect()
        alive = sum(each() is not None for each in kept)
        assert 10 <= alive <= 13

    run(test())


def test_as_many_changes_as_promised_are_kept(run: Run) -> None:
    async def test() -> None:
        shelf = Shelf(history=10)
        for version in range(1, 200):
            shelf.publish(Change("MODIFIED", group(version)))
            since = max(0, version - 10)
            changes = shelf.watch("MCPGroup", str(since), None)
            assert [
                (await anext(changes)).object.metadata.resource_version
                for _ in range(version - since)
            ] == [str(number) for number in range(since + 1, version + 1)]

    run(test())


def test_a_shelf_starts_with_what_it_is_given() -> None:
    held = group(7)
    shelf = Shelf([held], version=9)
    assert shelf.get(held.ref) is held
    assert shelf.list("MCPGroup", None).version == "9"


def test_closing_ends_watches_that_wait_and_those_to_come(run: Run) -> None:
    async def test() -> None:
        shelf = Shelf()
        waiting = asyncio.ensure_future(anext(shelf.watch("MCPGroup", "0", None)))
        await asyncio.wait([waiting], timeout=0.01)
        shelf.close("the store was closed")
        with pytest.raises(Unavailable, match="the store was closed"):
            await waiting
        with pytest.raises(Unavailable):
            await anext(shelf.watch("MCPGroup", "0", None))

    run(test())
