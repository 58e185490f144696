"""A picture kept by listing and watching is the truth, whatever happened meanwhile."""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import aclosing
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.surface import row, server

from mooring.api.exposed import BY_KIND_EXPOSED, EXPOSED
from mooring.api.feeds import Feed, InstanceFeed, StoredFeed
from mooring.core.naming import NAMINGS
from mooring.errors import Conflict, NotFound
from mooring.kinds.ref import Ref
from mooring.kinds.registry import KINDS
from mooring.kinds.server import ServerStatus
from mooring.stores.memory import MemoryStore

Run = Callable[[Coroutine[Any, Any, None]], None]

STEPS = st.lists(
    st.tuples(
        st.sampled_from(["put", "report", "delete"]),
        st.sampled_from(["a", "b"]),
        st.lists(st.sampled_from(["Ready", "Starting"]), max_size=3),
    ),
    max_size=12,
)


async def step(store: MemoryStore, verb: str, name: str, states: list[str]) -> None:
    ref = Ref("MCPServer", "default", name)
    held: Any = await store.get(ref)
    if verb == "delete" and held is not None:
        await store.delete(ref)
    elif verb == "put" and held is None:
        await store.put(server(name))
    elif verb == "report" and held is not None:
        rows = tuple(row(f"{name}-{n}", state) for n, state in enumerate(states))
        await store.report(held.model_copy(update={"status": ServerStatus(instances=rows)}))


async def picture(feed: Feed, store: MemoryStore, steps: list[Any], joins: int) -> None:
    for given_step in steps[:joins]:
        await step(store, *given_step)
    found = await feed.list(None)
    held = {each["metadata"]["name"]: each for each in found.documents}
    for given_step in steps[joins:]:
        await step(store, *given_step)
    await store.put(server("last"))
    last = (
        (await store.list("MCPServer"))
        .items[-1]
        .model_copy(update={"status": ServerStatus(instances=(row("last-0"),))})
    )
    await store.report(last)
    async with aclosing(feed.watch(found.version, None, found.documents)) as changes:  # type: ignore[type-var]  # a generator
        async for happened, document in changes:
            name = document["metadata"]["name"]
            assert (name in held) is (happened != "ADDED")
            held[name] = document
            if happened == "DELETED":
                del held[name]
            if name.startswith("last") and document["status"].get("instances", True):
                break
    truth = {each["metadata"]["name"]: each for each in (await feed.list(None)).documents}
    assert {n: d["status"] for n, d in held.items()} == {n: d["status"] for n, d in truth.items()}


@settings(max_examples=40, deadline=None)
@given(STEPS, st.integers(0, 12))
@pytest.mark.parametrize("kind", ["MCPServer", "MCPInstance"])
def test_listing_and_watching_lose_nothing(kind: str, steps: list[Any], joins: int) -> None:
    store = MemoryStore()
    stored = StoredFeed(store, BY_KIND_EXPOSED["MCPServer"])
    feed: Feed = stored if kind == "MCPServer" else InstanceFeed(store, lambda ref, uid: None)
    asyncio.run(picture(feed, store, steps, joins))


def test_every_kind_is_fed() -> None:
    assert {exposed.model for exposed in EXPOSED} == {kind.model for kind in KINDS}
    assert {exposed.naming for exposed in EXPOSED} < set(NAMINGS)
    for exposed in EXPOSED:
        assert exposed.api_version == exposed.model.model_fields["api_version"].default


def test_what_is_not_there_is_named(run: Run) -> None:
    async def story() -> None:
        store = MemoryStore()
        for feed, words in (
            (StoredFeed(store, BY_KIND_EXPOSED["Secret"]), "secret/x does not exist"),
            (InstanceFeed(store, lambda ref, uid: None), "instance/x does not exist"),
        ):
            with pytest.raises(NotFound, match=words):
                await feed.get("default", "x")

    run(story())


def test_a_view_without_a_base_begins_at_the_present(run: Run) -> None:
    async def story() -> None:
        store = MemoryStore()
        await store.put(server("a"))
        with pytest.raises(Conflict, match="version 0 is past"):
            await anext(InstanceFeed(store, lambda ref, uid: None).watch("0", None))

    run(story())
