"""How what is written meets what is stored."""

from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from typing import Any

import pytest
from support.surface import secret, server

from mooring.api.complaints import Refused
from mooring.api.owners import Author
from mooring.api.writes import TRIES, Write, Writes, parsed
from mooring.errors import Conflict, Invalid, NotFound
from mooring.kinds.base import Object
from mooring.kinds.ref import Ref
from mooring.stores.memory import MemoryStore

Run = Callable[[Coroutine[Any, Any, None]], None]
TIME = Ref("MCPServer", "default", "time")
ME = Author("tester", datetime(2026, 1, 31, tzinfo=UTC))


def wanted(ref: Ref = TIME, replicas: int = 1, **more: Any) -> Write:
    document = {
        "metadata": {"name": ref.name},
        "spec": {"source": {"pypi": "mcp-server-time"}, "replicas": replicas},
    }
    return Write(ref, lambda _: document, ME, **more)


def test_a_document_is_read_as_what_its_path_says() -> None:
    made = parsed({"metadata": {"name": "time"}, "spec": {"source": {"url": "http://x"}}}, TIME)
    assert made.ref == TIME
    inside = parsed(
        {"metadata": {"name": "time"}, "spec": {"source": {"url": "http://x"}}},
        Ref("MCPServer", "team-a", ""),
    )
    assert inside.ref == Ref("MCPServer", "team-a", "time")
    with pytest.raises(Invalid) as caught:
        parsed({"kind": "MCPGroup", "metadata": {"name": "time"}}, TIME)
    assert caught.value.reason == "BadRequest"
    with pytest.raises(Refused):
        parsed({"metadata": "time"}, TIME)


def test_a_plan_writes_nothing_and_says_what_would_be(run: Run) -> None:
    async def story() -> None:
        store = MemoryStore()
        writes = Writes(store)
        with pytest.raises(NotFound):
            await writes.plan(wanted())
        assert (await writes.plan(wanted(creates=True))).verb == "created"
        assert await store.get(TIME) is None
        await writes.perform(wanted(creates=True))
        assert (await writes.plan(wanted())).verb == "unchanged"
        planned = await writes.plan(wanted(replicas=2))
        assert (planned.verb, planned.before) == ("configured", await store.get(TIME))
        assert (await writes.perform(wanted(replicas=2), dry_run=True)).verb == "configured"
        held: Any = await store.get(TIME)
        assert held.spec.replicas == 1

    run(story())


def test_what_is_unchanged_is_not_written(run: Run) -> None:
    async def story() -> None:
        store = MemoryStore()
        first = await Writes(store).perform(wanted(creates=True))
        again = await Writes(store).perform(wanted(creates=True, declarative=True))
        assert again.verb == "unchanged"
        assert again.after == first.after
        assert (await store.list("MCPServer")).version == "1"

    run(story())


class Contended(MemoryStore):
    """A store where somebody else is always a little faster."""

    faster = 0

    async def put(self, new: Any) -> Any:
        if self.faster > 0:
            self.faster -= 1
            held: Any = await self.get(new.ref)
            meta = held.metadata.model_copy(update={"labels": {"n": str(self.faster)}})
            await super().put(held.model_copy(update={"metadata": meta}))
        return await super().put(new)


def test_a_write_without_a_version_is_made_again_a_few_times(run: Run) -> None:
    async def story() -> None:
        store = Contended()
        await store.put(server())
        store.faster = TRIES - 1
        outcome = await Writes(store).perform(wanted(replicas=3))
        assert outcome.verb == "configured"
        store.faster = TRIES
        with pytest.raises(Conflict) as caught:
            await Writes(store).perform(wanted(replicas=4))
        assert caught.value.reason == "StaleVersion"

    run(story())


def test_a_write_with_a_version_is_made_once(run: Run) -> None:
    async def story() -> None:
        store = Contended()
        held = await store.put(server())
        document = held.document()
        document["spec"]["replicas"] = 3
        store.faster = 1
        with pytest.raises(Conflict) as caught:
            await Writes(store).perform(Write(TIME, lambda _: document, ME))
        assert caught.value.reason == "StaleVersion"
        now: Any = await store.get(TIME)
        assert now.spec.replicas == 1

    run(story())


def test_a_file_does_not_mind_which_version_it_was_made_from(run: Run) -> None:
    async def story() -> None:
        store = MemoryStore()
        held = await store.put(server())
        document = held.document()
        await Writes(store).perform(wanted(replicas=2))
        loose = Write(TIME, lambda _: document, ME, creates=True, declarative=True, versioned=False)
        outcome = await Writes(store).perform(loose)
        assert outcome.verb == "configured"
        await store.delete(TIME)
        assert (await Writes(store).perform(loose)).verb == "created"

    run(story())


def test_two_who_make_the_same_object_both_get_it(run: Run) -> None:
    async def story() -> None:
        store = MemoryStore()

        def offered(stored: Object | None) -> dict[str, Any]:
            return {"metadata": {"name": "time"}, "spec": {"source": {"pypi": "x"}}}

        class Late(Writes):
            async def plan(self, write: Write) -> Any:
                planned = await super().plan(write)
                if planned.verb == "created":
                    await store.put(server())
                return planned

        outcome = await Late(store).perform(Write(TIME, offered, ME, creates=True))
        assert outcome.verb == "configured"

    run(story())


def test_values_of_a_secret_are_kept_whoever_writes(run: Run) -> None:
    async def story() -> None:
        store = MemoryStore()
        held = await store.put(secret(token="s3cret", user="ada"))
        document = {"metadata": {"name": "creds"}, "data": {"token": ""}}
        outcome = await Writes(store).perform(Write(held.ref, lambda _: document, ME))
        assert dict(outcome.after.data) == {"token": held.data["token"]}  # type: ignore[attr-defined]  # a Secret

    run(story())
