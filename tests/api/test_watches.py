"""Watches: nothing lost, nothing twice, and an end that can be told from a loss."""

from pathlib import Path
from typing import Any

from support.surface import Served, row, secret, served, server

from mooring.kinds.ref import Ref
from mooring.testing.clock import FakeClock

SERVERS = "/apis/mooring.dev/v1alpha1/namespaces/default/mcpservers"
INSTANCES = "/apis/view.mooring.dev/v1alpha1/namespaces/default/mcpinstances"


def told(event: Any) -> tuple[str, str]:
    return event["type"], event["object"]["metadata"]["name"]


def relabel(api: Served, name: str, **labels: str) -> None:
    held = api.get(Ref("MCPServer", "default", name))
    meta = held.metadata.model_copy(update={"labels": labels})
    api.put(held.model_copy(update={"metadata": meta}))


def test_a_watch_begins_with_everything_and_goes_on(api: Served) -> None:
    api.put(server("a"))
    api.put(server("b"))
    with api.events(f"{SERVERS}?watch=true") as event:
        assert [told(event()), told(event())] == [("ADDED", "a"), ("ADDED", "b")]
        api.put(server("c"))
        relabel(api, "a", x="y")
        api.run(api.store.delete(Ref("MCPServer", "default", "b")))
        api.put(server("elsewhere", namespace="other"))
        api.put(secret(token="x"))
        api.put(server("d"))
        assert [told(event()) for _ in range(4)] == [
            ("ADDED", "c"),
            ("MODIFIED", "a"),
            ("DELETED", "b"),
            ("ADDED", "d"),
        ]


def test_a_watch_from_a_version_tells_what_came_after(api: Served) -> None:
    api.put(server("a"))
    version = api.ask("GET", SERVERS).document["metadata"]["resourceVersion"]
    api.put(server("b"))
    with api.events(f"{SERVERS}?watch=1&resourceVersion={version}") as event:
        first = event()
        assert told(first) == ("ADDED", "b")
        later = first["object"]["metadata"]["resourceVersion"]
    api.put(server("c"))
    with api.events(f"{SERVERS}?watch=1&resourceVersion={later}") as event:
        assert told(event()) == ("ADDED", "c")


def test_a_selector_makes_objects_come_and_go(api: Served) -> None:
    api.put(server("a"))
    api.put(server("b", labels={"x": "y"}))
    with api.events(f"{SERVERS}?watch=true&labelSelector=x%3Dy") as event:
        assert told(event()) == ("ADDED", "b")
        relabel(api, "a", x="y")
        relabel(api, "a", x="y", more="z")
        relabel(api, "b")
        relabel(api, "b", more="z")
        api.run(api.store.delete(Ref("MCPServer", "default", "b")))
        api.run(api.store.delete(Ref("MCPServer", "default", "a")))
        assert [told(event()) for _ in range(4)] == [
            ("ADDED", "a"),
            ("MODIFIED", "a"),
            ("DELETED", "b"),
            ("DELETED", "a"),
        ]


def test_one_object_is_watched_by_its_name(api: Served) -> None:
    api.put(server("a"))
    with api.events(f"{SERVERS}?watch=true&fieldSelector=metadata.name%3Db") as event:
        api.put(server("b"))
        assert told(event()) == ("ADDED", "b")


def test_what_happens_to_others_is_not_told_as_an_end(api: Served) -> None:
    other = api.put(server("a"))
    version = api.put(server("b")).metadata.resource_version
    query = f"watch=true&fieldSelector=metadata.name%3Db&resourceVersion={version}"
    with api.events(f"{SERVERS}?{query}") as event:
        relabel(api, other.metadata.name, x="y")
        relabel(api, "b", x="y")
        assert told(event()) == ("MODIFIED", "b")


def test_a_version_that_is_too_old_is_told_as_expired(tmp_path: Path) -> None:
    with served(tmp_path / "a.sock", history=4) as api:
        api.put(server("a"))
        for number in range(12):
            relabel(api, "a", n=str(number))
        with api.events(f"{SERVERS}?watch=true&resourceVersion=1") as event:
            error = event()
            assert error["type"] == "ERROR"
            assert (error["object"]["code"], error["object"]["reason"]) == (410, "Expired")
            assert event() is None


def test_a_watch_ends_after_the_time_it_was_given(api: Served) -> None:
    with api.events(f"{SERVERS}?watch=true&timeoutSeconds=0.05") as event:
        assert event() is None


def test_bookmarks_tell_how_far_a_watch_is(tmp_path: Path) -> None:
    clock = FakeClock()
    with served(tmp_path / "a.sock", clock=clock) as api:
        api.put(server("a"))
        with api.events(f"{SERVERS}?watch=true&allowWatchBookmarks=true") as event:
            assert told(event()) == ("ADDED", "a")
            api.run(clock.advance(60))
            mark = event()
            assert mark["type"] == "BOOKMARK"
            assert mark["object"]["metadata"]["resourceVersion"] == "1"
            assert mark["object"]["kind"] == "MCPServer"


def test_the_end_of_the_api_ends_its_watches_in_order(api: Served) -> None:
    with api.events(f"{SERVERS}?watch=true") as event:
        api.put(server("a"))
        assert told(event()) == ("ADDED", "a")
        api.stop()
        assert event() is None


def test_a_watcher_that_leaves_is_let_go(api: Served) -> None:
    for _ in range(5):
        with api.events(f"{SERVERS}?watch=true") as event:
            api.put(server(f"s{api.run(api.store.list('MCPServer')).version}"))
            event()
    api.stop()


def test_tables_are_watched_as_tables(api: Served) -> None:
    api.put(server("a"))
    with api.connection() as connection:
        connection.request(
            "GET", f"{SERVERS}?watch=true&timeoutSeconds=0.05",
            headers={"accept": "application/json;as=Table;v=v1;g=meta.k8s.io"},
        )  # fmt: skip
        body = connection.getresponse().read()
    assert b'"kind":"Table"' in body
    assert b'"cells":["a","0/1"' in body


def test_secrets_are_watched_without_values(api: Served) -> None:
    api.put(secret(token="s3cret"))
    coded = api.get(Ref("Secret", "default", "creds")).data["token"]
    with api.connection() as connection:
        connection.request("GET", "/api/v1/secrets?watch=true&timeoutSeconds=0.05")
        body = connection.getresponse().read()
    assert b'"token":""' in body
    assert coded.encode() not in body


def test_instances_are_watched_as_their_server_tells_of_them(api: Served) -> None:
    time = api.put(server("time", replicas=2))
    api.report(time, instances=(row("time-0", "Starting"),))
    with api.events(f"{INSTANCES}?watch=true") as event:
        assert told(event()) == ("ADDED", "time-0")
        api.report(time, instances=(row("time-0"), row("time-1", "Starting")))
        assert [told(event()), told(event())] == [("MODIFIED", "time-0"), ("ADDED", "time-1")]
        relabel(api, "time", team="core")
        assert [told(event()), told(event())] == [("MODIFIED", "time-0"), ("MODIFIED", "time-1")]
        held = api.get(time.ref)
        spec = held.spec.model_copy(update={"replicas": 3})
        api.put(held.model_copy(update={"spec": spec}))  # says nothing of the instances
        api.report(time, instances=(row("time-0"),))
        gone = event()
        assert told(gone) == ("DELETED", "time-1")
        assert gone["object"]["metadata"]["resourceVersion"] == "6"
        api.run(api.store.delete(time.ref))
        assert told(event()) == ("DELETED", "time-0")


def test_a_view_is_watched_from_now_on_only(api: Served) -> None:
    time = api.put(server("time"))
    listed = api.ask("GET", INSTANCES).document["metadata"]["resourceVersion"]
    with api.events(f"{INSTANCES}?watch=true&resourceVersion={listed}") as event:
        api.report(time, instances=(row("time-0"),))
        assert told(event()) == ("ADDED", "time-0")
    with api.events(f"{INSTANCES}?watch=true&resourceVersion={listed}") as event:
        assert event()["object"]["code"] == 410


def test_a_watch_may_begin_with_everything_and_say_when_that_was_all(api: Served) -> None:
    api.put(server())
    query = "?watch=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan"
    with api.events(f"{SERVERS}{query}&allowWatchBookmarks=true") as following:
        assert following()["type"] == "ADDED"
        mark = following()
        assert mark["type"] == "BOOKMARK"
        assert mark["object"]["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}
        api.put(server("later"))
        assert following()["object"]["metadata"]["name"] == "later"
