"""How things are deleted, one or many."""

from typing import Any

import pytest
from support.surface import Served, server

from mooring.kinds.base import FINALIZER
from mooring.kinds.ref import Ref

SERVERS = "/apis/mooring.dev/v1alpha1/namespaces/default/mcpservers"


@pytest.mark.parametrize(
    ("query", "options", "status"),
    [
        ("", {}, 200),
        ("?gracePeriodSeconds=0", {"gracePeriodSeconds": 0}, 200),
        ("?propagationPolicy=Foreground", {}, 200),
        ("", {"propagationPolicy": "Background", "orphanDependents": None}, 200),
        ("", {"propagationPolicy": "Sideways"}, 400),
        ("?propagationPolicy=Sideways", {}, 400),
        ("", {"preconditions": 3}, 400),
        ("", {"preconditions": {"uid": "other"}}, 409),
        ("", {"preconditions": {"resourceVersion": "999"}}, 409),
        ("", {"dryRun": ["Some"]}, 400),
        ("", {"dryRun": "All"}, 400),
        ("?dryRun=Some", {}, 400),
    ],
)
def test_options_are_minded_or_refused(
    api: Served, query: str, options: dict[str, Any], status: int
) -> None:
    held = api.put(server())
    assert api.ask("DELETE", f"{SERVERS}/time{query}", options).status == status
    assert (api.get(held.ref) is None) == (status == 200)


def test_what_the_selectors_choose_is_deleted(api: Served) -> None:
    for name, team in (("a", "x"), ("b", "y"), ("c", "x")):
        api.put(server(name, labels={"team": team}))
    api.put(server("d", "elsewhere", labels={"team": "x"}))
    dry = api.ask("DELETE", f"{SERVERS}?labelSelector=team=x&dryRun=All")
    assert [each["metadata"]["name"] for each in dry.document["items"]] == ["a", "c"]
    assert api.get(Ref("MCPServer", "default", "a")) is not None
    gone = api.ask("DELETE", f"{SERVERS}?labelSelector=team=x").document
    assert gone["kind"] == "MCPServerList"
    assert [each["metadata"]["name"] for each in gone["items"]] == ["a", "c"]
    left = api.ask("GET", "/apis/mooring.dev/v1alpha1/mcpservers").document["items"]
    assert [each["metadata"]["name"] for each in left] == ["b", "d"]


def test_what_is_held_is_marked(api: Served) -> None:
    document = server().document()
    document["metadata"]["finalizers"] = [FINALIZER]
    api.ask("POST", SERVERS, document)
    (marked,) = api.ask("DELETE", SERVERS).document["items"]
    assert marked["metadata"]["deletionTimestamp"]
