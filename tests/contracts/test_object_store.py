"""What every object store does."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from typing import Any

import pytest
from support.real_cluster import OUR_SORTS

from mooring.core.ports import Change, ObjectStore
from mooring.errors import Conflict, Invalid, MooringError, NotFound
from mooring.kinds.base import FINALIZER, ObjectMeta
from mooring.kinds.event import Event, Involved
from mooring.kinds.group import GroupSpec, MCPGroup
from mooring.kinds.ref import Ref
from mooring.kinds.secret import Secret
from mooring.kinds.server import MCPServer, ServerSpec, ServerStatus, Source
from mooring.testing.clock import START, FakeClock

Run = Callable[[Coroutine[Any, Any, None]], None]
Test = Callable[[ObjectStore], Coroutine[Any, Any, None]]


on_our_clock = pytest.mark.parametrize("open_store", OUR_SORTS, indirect=True)
"""Asks about time, or about how much is remembered, which a real cluster decides for itself."""


@pytest.fixture
def on_store(open_store: Any, run: Run) -> Callable[[Test], None]:
    """Runs a test on a store of each sort."""

    async def opened(test: Test) -> None:
        async with open_store() as store:
            await test(store)

    return lambda test: run(opened(test))


def server(name: str = "time", replicas: int = 1, **metadata: Any) -> MCPServer:
    spec = ServerSpec(source=Source(pypi="mcp-server-time"), replicas=replicas)
    return MCPServer(metadata=ObjectMeta(name=name, **metadata), spec=spec)


def saying(message: str, of: Any) -> Any:
    return of.model_copy(update={"status": ServerStatus(message=message)})


def wanting(replicas: int, of: Any) -> Any:
    return of.model_copy(update={"spec": of.spec.model_copy(update={"replicas": replicas})})


def with_metadata(of: Any, **fields: Any) -> Any:
    return of.model_copy(update={"metadata": of.metadata.model_copy(update=fields)})


async def version(store: ObjectStore, kind: str = "MCPServer") -> str:
    return (await store.list(kind)).version


async def take(count: int, changes: AsyncIterator[Change]) -> list[Change]:
    return [await anext(changes) for _ in range(count)]


def told(changes: Sequence[Change]) -> list[tuple[str, str]]:
    return [(change.type, change.object.metadata.name) for change in changes]


async def refused(work: Any, family: type[MooringError], reason: str) -> None:
    with pytest.raises(family) as caught:
        await work
    assert caught.value.reason == reason


# put


@on_our_clock
def test_a_new_object_is_given_a_uid_a_version_and_a_birthday(on_store: Any) -> None:
    async def test(store: ObjectStore) -> None:
        made = await store.put(server())
        metadata = made.metadata
        assert (bool(metadata.uid), metadata.generation) == (True, 1)
        assert metadata.creation_timestamp == START
        assert metadata.resource_version == await version(store)
        assert await store.get(made.ref) == made

    on_store(test)


def test_a_new_object_starts_without_status_and_undeleted(on_store: Any) -> None:
    async def test(store: ObjectStore) -> None:
        claimed = saying("Ready", server(uid="mine", generation=7, deletion_timestamp=START))
        made = await store.put(claimed)
        assert made.status == ServerStatus()
        assert made.metadata.uid not in ("", "mine")
        assert made.metadata.generation == 1
        assert made.metadata.deletion_timestamp is None

    on_store(test)


def test_what_exists_is_not_made_again(on_store: Any) -> None:
    async def test(store: ObjectStore) -> None:
        made = await store.put(server())
        await refused(store.put(server(replicas=2)), Conflict, "AlreadyExists")
        assert await store.get(made.ref) == made

    on_store(test)


def test_one_name_may_be_used_by_each_kind_and_namespace(on_store: Any) -> None:
    async def test(store: ObjectStore) -> None:
        await store.put(server("a"))
        await store.put(server("a", namespace="team"))
        await store.put(MCPGroup(metadata=ObjectMeta(name="a")))
        assert len((await store.list("MCPServer")).items) == 2
        assert len((await store.list("MCPGroup")).items) == 1

    on_store(test)


def test_a_stale_write_is_refused(on_store: Any) -> None:
    async def test(store: ObjectStore) -> None:
        first = await store.put(server())
        second = await store.put(wanting(2, first))
        await refused(store.put(wanting(3, first)), Conflict, "StaleVersion")
        await refused(store.report(saying("x", first)), Conflict, "StaleVersion")
        assert await store.get(first.ref) == second

    on_store(test)


def test_of_writes_on_one_version_one_wins(on_store: Any) -> None:
    async def test(store: ObjectStore) -> None:
        first = await store.put(server())
        attempts = (store.put(wanting(n, first)) for n in range(2, 12))
        results = await asyncio.gather(*attempts, return_exceptions=True)
        won = [each for each in results if isinstance(each, MCPServer)]
        lost = [each for each in results if isinstance(each, Conflict)]
        assert (len(won), len(lost)) == (1, 9)
        assert await store.get(first.ref) == won[0]

    on_store(test)


def test_writes_on_what_is_not_there_are_refused(on_store: Any) -> None:
    async def test(store: ObjectStore) -> None:
        ghost = server(resource_version="1")
        await refused(store.put(ghost), NotFound, "NotFound")
        await refused(store.report(ghost), NotFound, "NotFound")
        await refused(store.delete(ghost.ref), NotFound, "NotFound")
        assert await store.get(ghost.ref) is None

    on_store(test)


def test_writes_on_the_heir_of_a_name_are_refused(on_store: Any) -> None:
    async def test(store: ObjectStore) -> None:
        old = await store.put(server())
        await store.delete(old.ref)
        heir = await store.put(server())
        mistaken = with_metadata(old, resource_version=heir.metadata.resource_version)
        await refused(store.put(wanting(2, mistaken)), Conflict, "Conflict")
        await refused(store.report(saying("x", mistaken)), Conflict, "Conflict")

    on_store(test)


def test_a_put_that_changes_nothing_writes_nothing(on_store: Any) -> None:
    async def test(store: ObjectStore) -> None:
        made = await store.put(server(labels={"a": "b"}))
        before = await version(store)
        assert await store.put(made) == made
        assert await version(store) == before

    on_store(test)


def test_a_put_never_touches_the_status(on_store: Any) -> None:
    async def test(store: ObjectStore) -> None:
        made = await store.put(server())
        reported = await store.report(saying("Ready 1/1", made))
        changed = await store.put(saying("nonsense", wanting(2, reported)))
        assert changed.status == ServerStatus(message="Ready 1/1")
        assert await store.put(saying("nonsense", changed)) == changed

    on_store(test)


def test_generation_counts_changes_of_the_spec_and_nothing_else(on_store: Any) -> None:
    async def test(store: ObjectStore) -> None:
        made = await store.put(server())
        labelled = await store.put(with_metadata(made, labels={"team": "a"}))
        reported = await store.report(saying("x", labelled))
        assert reported.metadata.generation == 1
        scaled = await store.put(wanting(2, reported))
        assert scaled.metadata.generation == 2
        assert (await store.put(scaled)).metadata.generation == 2

    on_store(test)


@on_our_clock
def test_what_only_the_store_knows_cannot_be_put(on_store: Any) -> None:
    async def test(store: ObjectStore) -> None:
        made = await store.put(server())
        forged = with_metadata(
            wanting(2, made), generation=40, creation_timestamp=None, deletion_timestamp=START
        )
        kept = (await store.put(forged)).metadata
        assert (kept.generation, kept.creation_timestamp) == (2, START)
        assert kept.deletion_timestamp is None

    on_store(test)


def test_kinds_without_spec_are_written_whole(on_store: Any) -> None:
    async def test(store: ObjectStore) -> None:
        secret = await store.put(Secret(metadata=ObjectMeta(name="a.b"), string_data={"k": "v"}))
        assert (secret.value("k"), secret.metadata.generation) == ("v", 0)
        other = await store.put(secret.model_copy(update={"data": {"k": "dw=="}}))
        assert (other.value("k"), other.metadata.generation) == ("w", 0)
        event = Event(
            metadata=ObjectMeta(name="time.17a3b"), involved_object=Involved(), reason="Started"
        )
        told = await store.put(event)
        again = await store.put(told.model_copy(update={"count": 2}))
        assert (await store.get(again.ref), again.count) == (again, 2)

    on_store(test)


def test_an_immutable_secret_keeps_its_values(on_store: Any) -> None:
    async def test(store: ObjectStore) -> None:
        fixed = Secret(metadata=ObjectMeta(name="a"), immutable=True, data={"k": "dg=="})
        made = await store.put(fixed)
        other = made.model_copy(update={"data": {"k": "dw=="}})
        await refused(store.put(other), Conflict, "Conflict")

    on_store(test)


# report


def test_a_report_writes_the_status_and_nothing_else(on_store: Any) -> None:
    async def test(store: ObjectStore) -> None:
        made = await store.put(server(labels={"a": "b"}))
        odd = with_metadata(saying("Ready", wanting(9, made)), labels={}, finalizers=("x/y",))
        reported = await store.report(odd)
        assert reported.spec == made.spec
        assert reported.status == ServerStatus(message="Ready")
        assert reported.metadata == made.metadata.model_copy(
            update={"resource_version": reported.metadata.resource_version}
        )
        assert await store.get(made.ref) == reported

    on_store(test)


def test_the_same_report_again_writes_nothing(on_store: Any) -> None:
    async def test(store: ObjectStore) -> None:
        reported = await store.report(saying("Ready", await store.put(server())))
        before = await version(store)
        assert await store.report(saying("Ready", reported)) == reported
        assert await version(store) == before

    on_store(test)


def test_a_report_says_what_it_is_about(on_store: Any) -> None:
    async def test(store: ObjectStore) -> None:
        await store.put(server())
        await refused(store.report(server()), Invalid, "BadRequest")
        secret = await store.put(Secret(metadata=ObjectMeta(name="a")))
        await refused(store.report(secret), Invalid, "BadRequest")

    on_store(test)


# delete


def test_an_object_without_finalizers_goes_at_once(on_store: Any) -> None:
    async def test(store: ObjectStore) -> None:
        made = await store.put(server())
        gone = await store.delete(made.ref)
        assert int(gone.metadata.resource_version) > int(made.metadata.resource_version)
        assert await store.get(made.ref) is None
        assert (await store.list("MCPServer")).items == ()
        assert (await store.put(server())).metadata.uid not in ("", made.metadata.uid)

    on_store(test)


@on_our_clock
def test_an_object_with_finalizers_is_marked_and_stays(on_store: Any, clock: FakeClock) -> None:
    async def test(store: ObjectStore) -> None:
        made = await store.put(server(finalizers=(FINALIZER,)))
        await clock.advance(5)
        marked = await store.delete(made.ref)
        assert marked.metadata.deletion_timestamp == clock.now()
        assert marked.metadata.generation == 1
        assert await store.get(made.ref) == marked
        await clock.advance(5)
        assert await store.delete(made.ref) == marked

    on_store(test)


def test_taking_the_last_finalizer_off_a_marked_object_removes_it(on_store: Any) -> None:
    async def test(store: ObjectStore) -> None:
        made = await store.put(server(finalizers=("a/b", FINALIZER)))
        marked = await store.delete(made.ref)
        fewer = await store.put(with_metadata(marked, finalizers=(FINALIZER,)))
        assert await store.get(made.ref) == fewer
        gone = await store.put(with_metadata(fewer, finalizers=()))
        assert await store.get(made.ref) is None
        assert int(gone.metadata.resource_version) > int(fewer.metadata.resource_version)

    on_store(test)


def test_a_finalizer_off_an_unmarked_object_removes_nothing(on_store: Any) -> None:
    async def test(store: ObjectStore) -> None:
        made = await store.put(server(finalizers=(FINALIZER,)))
        freed = await store.put(with_metadata(made, finalizers=()))
        assert await store.get(made.ref) == freed

    on_store(test)


def test_a_marked_object_takes_reports_and_no_new_finalizer(on_store: Any) -> None:
    async def test(store: ObjectStore) -> None:
        made = await store.put(server(finalizers=(FINALIZER,)))
        marked = await store.delete(made.ref)
        reported = await store.report(saying("stopping", marked))
        more = with_metadata(reported, finalizers=(FINALIZER, "a/b"))
        await refused(store.put(more), Conflict, "Conflict")
        await refused(store.put(server()), Conflict, "AlreadyExists")

    on_store(test)


def test_a_deletion_may_say_which_object_and_which_version(on_store: Any) -> None:
    async def test(store: ObjectStore) -> None:
        made = await store.put(server())
        newer = await store.put(wanting(2, made))
        await refused(store.delete(made.ref, uid="uid-0"), Conflict, "Conflict")
        stale = made.metadata.resource_version
        await refused(store.delete(made.ref, version=stale), Conflict, "StaleVersion")
        assert await store.get(made.ref) == newer
        await store.delete(
            made.ref, uid=newer.metadata.uid, version=newer.metadata.resource_version
        )
        assert await store.get(made.ref) is None

    on_store(test)


# list


def test_lists_are_sorted_and_of_one_namespace_or_all(on_store: Any) -> None:
    async def test(store: ObjectStore) -> None:
        for namespace, name in [("team", "b"), ("default", "c"), ("team", "a"), ("default", "b")]:
            await store.put(server(name, namespace=namespace))
        await store.put(MCPGroup(metadata=ObjectMeta(name="a")))
        everywhere = [item.ref for item in (await store.list("MCPServer")).items]
        assert everywhere == sorted(everywhere)
        assert len(everywhere) == 4
        team = (await store.list("MCPServer", "team")).items
        assert [item.metadata.name for item in team] == ["a", "b"]
        assert (await store.list("Secret")).items == ()

    on_store(test)


def test_versions_grow_with_every_write_over_all_kinds(on_store: Any) -> None:
    async def test(store: ObjectStore) -> None:
        versions = [int(await version(store))]
        made = await store.put(server())
        versions.append(int(made.metadata.resource_version))
        group = await store.put(MCPGroup(metadata=ObjectMeta(name="g")))
        versions.append(int(group.metadata.resource_version))
        versions.append(int((await store.report(saying("x", made))).metadata.resource_version))
        versions.append(int((await store.delete(made.ref)).metadata.resource_version))
        assert versions == sorted(set(versions))
        assert await version(store) == await version(store, "Secret") == str(versions[-1])

    on_store(test)


# watch


def test_a_watch_tells_every_change_once_and_in_order(on_store: Any) -> None:
    async def test(store: ObjectStore) -> None:
        start = await version(store)
        made = await store.put(server(finalizers=(FINALIZER,)))
        reported = await store.report(saying("x", made))
        marked = await store.delete(reported.ref)
        gone = await store.put(with_metadata(marked, finalizers=()))
        changes = await take(4, store.watch("MCPServer", start))
        assert changes == [
            Change("ADDED", made),
            Change("MODIFIED", reported),
            Change("MODIFIED", marked),
            Change("DELETED", gone),
        ]

    on_store(test)


def test_a_watch_begins_after_the_version_it_is_given(on_store: Any) -> None:
    async def test(store: ObjectStore) -> None:
        await store.put(server("a"))
        between = await version(store)
        await store.put(server("b"))
        await store.put(server("c"))
        seen = await take(2, store.watch("MCPServer", between))
        assert told(seen) == [("ADDED", "b"), ("ADDED", "c")]

    on_store(test)


def test_a_watch_goes_on_while_writes_go_on(on_store: Any) -> None:
    async def test(store: ObjectStore) -> None:
        await store.put(server("first"))
        start = await version(store)
        async with asyncio.TaskGroup() as tasks:
            early = tasks.create_task(take(30, store.watch("MCPServer", start)))
            for number in range(30):
                made = await store.put(server(f"s{number}"))
                if number == 24:
                    since = made.metadata.resource_version
                    late = tasks.create_task(take(5, store.watch("MCPServer", since)))
        names = [f"s{number}" for number in range(30)]
        assert [change.object.metadata.name for change in early.result()] == names
        assert [change.object.metadata.name for change in late.result()] == names[25:]

    on_store(test)


def test_several_watches_are_told_the_same(on_store: Any) -> None:
    async def test(store: ObjectStore) -> None:
        start = await version(store)
        async with asyncio.TaskGroup() as tasks:
            watches = [
                tasks.create_task(take(3, store.watch("MCPServer", start))) for _ in range(4)
            ]
            await asyncio.gather(*(store.put(server(name)) for name in "abc"))
        assert [told(each.result()) for each in watches] == [
            [("ADDED", "a"), ("ADDED", "b"), ("ADDED", "c")]
        ] * 4

    on_store(test)


def test_a_watch_tells_of_its_kind_and_namespace_only(on_store: Any) -> None:
    async def test(store: ObjectStore) -> None:
        start = await version(store)
        await store.put(server("a"))
        await store.put(MCPGroup(metadata=ObjectMeta(name="g", namespace="team")))
        await store.put(server("b", namespace="team"))
        await store.put(server("c"))
        await store.put(server("d", namespace="team"))
        seen = await take(2, store.watch("MCPServer", start, "team"))
        assert told(seen) == [("ADDED", "b"), ("ADDED", "d")]

    on_store(test)


def test_a_list_and_a_watch_from_it_miss_nothing(on_store: Any) -> None:
    async def test(store: ObjectStore) -> None:
        async def write() -> None:
            for number in range(20):
                made = await store.put(server(f"s{number:02}"))
                if number % 2:
                    await store.delete(made.ref)

        async def mirror() -> list[str]:
            listing = await store.list("MCPServer")
            names = {item.metadata.name for item in listing.items}
            changes = store.watch("MCPServer", listing.version)
            while "s18" not in names:
                change = await anext(changes)
                name = change.object.metadata.name
                assert (name in names) == (change.type != "ADDED")
                (names.discard if change.type == "DELETED" else names.add)(name)
            return sorted(names)

        async with asyncio.TaskGroup() as tasks:
            seen = [tasks.create_task(mirror()) for _ in range(3)]
            tasks.create_task(write())
        assert [each.result() for each in seen] == [[f"s{n:02}" for n in range(0, 20, 2)]] * 3

    on_store(test)


@on_our_clock
def test_what_is_no_longer_kept_has_expired(on_store: Any) -> None:
    async def test(store: ObjectStore) -> None:
        start = await version(store)
        made = await store.put(server())
        for number in range(100):
            made = await store.put(wanting(number % 9 + 2, made))
        with pytest.raises(Conflict) as caught:
            await anext(store.watch("MCPServer", start))
        assert (caught.value.reason, caught.value.status) == ("Expired", 410)
        recent = str(int(made.metadata.resource_version) - 3)
        assert len(await take(3, store.watch("MCPServer", recent))) == 3

    on_store(test)


def test_a_slow_watch_misses_nothing_or_is_told_that_it_did(on_store: Any) -> None:
    async def test(store: ObjectStore) -> None:
        start = await version(store)
        made = await store.put(server())
        slow = store.watch("MCPServer", start)
        assert (await anext(slow)).type == "ADDED"
        for number in range(100):
            made = await store.put(wanting(number % 9 + 2, made))
        try:
            outcome: Any = told(await take(100, slow))
        except Conflict as conflict:
            outcome = conflict.reason
        assert outcome in ("Expired", [("MODIFIED", "time")] * 100)

    on_store(test)


def test_changes_of_other_kinds_expire_no_watch(on_store: Any) -> None:
    async def test(store: ObjectStore) -> None:
        await store.put(server("a"))
        start = await version(store)
        group = await store.put(MCPGroup(metadata=ObjectMeta(name="g")))
        for number in range(100):
            described = GroupSpec(description=str(number))
            group = await store.put(group.model_copy(update={"spec": described}))
        changes = store.watch("MCPServer", start)
        await store.put(server("b"))
        assert told(await take(1, changes)) == [("ADDED", "b")]

    on_store(test)


@on_our_clock
def test_versions_that_never_were_are_refused(on_store: Any) -> None:
    async def test(store: ObjectStore) -> None:
        await refused(_first(store, "99"), Conflict, "Expired")
        for nonsense in ("", "x", "-1", "1.5", "²"):
            await refused(_first(store, nonsense), Invalid, "BadRequest")

    on_store(test)


async def _first(store: ObjectStore, since: str) -> Change:
    return await anext(store.watch("MCPServer", since))


def test_a_watch_that_is_given_up_disturbs_nobody(on_store: Any) -> None:
    async def test(store: ObjectStore) -> None:
        start = await version(store)
        waiting = asyncio.ensure_future(take(1, store.watch("MCPServer", start)))
        await store.put(MCPGroup(metadata=ObjectMeta(name="g")))
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        await store.put(server("a"))
        assert told(await take(1, store.watch("MCPServer", start))) == [("ADDED", "a")]

    on_store(test)


def test_a_writer_that_is_given_up_disturbs_nobody(on_store: Any) -> None:
    async def test(store: ObjectStore) -> None:
        hasty = asyncio.ensure_future(store.put(server("a")))
        patient = asyncio.ensure_future(store.put(server("b")))
        await store.get(Ref("MCPServer", "default", "a"))
        hasty.cancel()
        await patient
        await asyncio.gather(hasty, return_exceptions=True)
        await store.put(server("c"))
        names = {item.metadata.name for item in (await store.list("MCPServer")).items}
        assert {"b", "c"} <= names

    on_store(test)


# what outlives the store


def test_everything_is_there_after_opening_again(open_persistent: Any, run: Run) -> None:
    async def test() -> None:
        async with open_persistent() as store:
            made = await store.report(saying("Ready", await store.put(server(labels={"a": "b"}))))
            group = await store.put(MCPGroup(metadata=ObjectMeta(name="g")))
            secret = await store.put(Secret(metadata=ObjectMeta(name="s"), string_data={"k": "v"}))
            await store.put(server("gone"))
            await store.delete(Ref("MCPServer", "default", "gone"))
            before = await version(store)
        async with open_persistent() as store:
            assert (await store.list("MCPServer")).items == (made,)
            assert await store.get(group.ref) == group
            assert await store.get(secret.ref) == secret
            assert await version(store) == before
            assert int((await store.put(server("n"))).metadata.resource_version) > int(before)

    run(test())


def test_a_watch_goes_on_after_opening_again(open_persistent: Any, run: Run) -> None:
    async def test() -> None:
        async with open_persistent() as store:
            older = await version(store)
            await store.put(server("a"))
            start = await version(store)
        async with open_persistent() as store:
            await store.put(server("b"))
            assert told(await take(1, store.watch("MCPServer", start))) == [("ADDED", "b")]
            await refused(_first(store, older), Conflict, "Expired")

    run(test())


def test_a_store_that_closes_finishes_its_writes_and_ends_its_watches(
    open_persistent: Any, run: Run
) -> None:
    async def test() -> None:
        async with open_persistent() as store:
            changes = store.watch("MCPServer", await version(store))
            writes = [asyncio.ensure_future(store.put(server(name))) for name in "abc"]
            await anext(changes)
        await asyncio.gather(*writes)
        with pytest.raises(MooringError) as caught:
            await take(3, changes)
        assert caught.value.reason == "StoreUnavailable"
        await refused(store.put(server("late")), MooringError, "StoreUnavailable")

    run(test())
