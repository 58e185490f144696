"""Namespaces come and go with what is in them."""

import asyncio
from typing import Any

import pytest
from support.surface import Served, secret, server

from mooring.api.namespaces import NamespaceFeed
from mooring.errors import Conflict
from mooring.kinds.ref import Ref
from mooring.stores.memory import MemoryStore

PATH = "/api/v1/namespaces"


def names(api: Served, query: str = "") -> list[str]:
    return [each["metadata"]["name"] for each in api.ask("GET", PATH + query).document["items"]]


def test_default_is_always_there(api: Served) -> None:
    assert names(api) == ["default"]
    found = api.ask("GET", f"{PATH}/default").document
    assert (found["kind"], found["status"]) == ("Namespace", {"phase": "Active"})


def test_a_namespace_is_there_while_something_is_in_it(api: Served) -> None:
    held = api.put(server("time", "team-a"))
    assert names(api) == ["default", "team-a"]
    found = api.ask("GET", f"{PATH}/team-a").document["metadata"]
    made = held.document()["metadata"]["creationTimestamp"]
    assert found["creationTimestamp"] == made
    assert names(api, "?fieldSelector=metadata.name=team-a") == ["team-a"]
    api.run(api.store.delete(Ref("MCPServer", "team-a", "time")))
    assert names(api) == ["default"]
    assert api.ask("GET", f"{PATH}/team-a").status == 404


def test_namespaces_have_a_table(api: Served) -> None:
    api.put(secret(token="x"))
    headers = {"accept": "application/json;as=Table;v=v1;g=meta.k8s.io"}
    answer = api.ask("GET", PATH, headers=headers).document
    assert [row["cells"][:2] for row in answer["rows"]] == [["default", "Active"]]


def told(event: dict[str, Any]) -> tuple[str, str]:
    return event["type"], event["object"]["metadata"]["name"]


def test_a_watch_tells_which_there_are_and_then_which_come_and_go(api: Served) -> None:
    api.put(server("time", "team-a"))
    with api.events(f"{PATH}?watch=true") as following:
        assert [told(following()) for _ in range(2)] == [("ADDED", "default"), ("ADDED", "team-a")]
        api.put(server("git", "team-a"))
        api.put(server("time"))
        api.put(server("one", "team-b"))
        api.put(server("two", "team-b"))
        assert told(following()) == ("ADDED", "team-b")
        for name in ("one", "two"):
            last = api.run(api.store.delete(Ref("MCPServer", "team-b", name)))
        gone = following()
        assert told(gone) == ("DELETED", "team-b")
        assert gone["object"]["metadata"]["resourceVersion"] == last.metadata.resource_version
        api.run(api.store.delete(Ref("MCPServer", "default", "time")))
        api.put(server("time", "team-c"))
        assert told(following()) == ("ADDED", "team-c")


def test_a_watch_goes_on_from_a_list_whatever_was_written_since(api: Served) -> None:
    for place in ("stays", "changes", "goes", "moves"):
        api.put(server("time", place))
    version = api.ask("GET", PATH).document["metadata"]["resourceVersion"]
    api.report(api.get(Ref("MCPServer", "changes", "time")), message="changed")
    api.put(server("git", "new"))
    api.put(server("git", "moves"))
    for place in ("goes", "moves"):
        api.report(api.get(Ref("MCPServer", place, "time")), message="changed")
        api.run(api.store.delete(Ref("MCPServer", place, "time")))
    api.put(server("git", "brief"))
    api.run(api.store.delete(Ref("MCPServer", "brief", "git")))
    with api.events(f"{PATH}?watch=true&resourceVersion={version}") as following:
        assert [told(following()) for _ in range(5)] == [
            ("ADDED", "new"), ("ADDED", "moves"), ("DELETED", "goes"),
            ("ADDED", "brief"), ("DELETED", "brief"),
        ]  # fmt: skip
        api.put(server("git", "goes"))
        assert told(following()) == ("ADDED", "goes")
        api.run(api.store.delete(Ref("MCPServer", "changes", "time")))
        assert told(following()) == ("DELETED", "changes")


@pytest.mark.parametrize(("version", "code"), [("nonsense", 400), ("999999", 410)])
def test_a_version_that_never_was_is_refused(api: Served, version: str, code: int) -> None:
    with api.events(f"{PATH}?watch=true&resourceVersion={version}") as following:
        assert following()["object"]["code"] == code


def test_a_watch_ends_when_a_kind_cannot_be_watched_any_more() -> None:
    class Forgetful(MemoryStore):
        def watch(self, kind: str, since: str, namespace: str | None = None) -> Any:
            if kind != "Secret":
                return super().watch(kind, since, namespace)
            raise Conflict("Expired", "gone")

    async def story() -> None:
        async with asyncio.timeout(5):
            with pytest.raises(Conflict):
                await anext(NamespaceFeed(Forgetful()).watch("0", None))

    asyncio.run(story())
