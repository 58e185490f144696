"""Long lists, read in pages."""

import pytest
from support.surface import Served, secret, server

from mooring.api.pages import KEPT

SERVERS = "/apis/mooring.dev/v1alpha1/namespaces/default/mcpservers"


def fill(api: Served, count: int) -> list[str]:
    names = [f"s{number:02}" for number in range(count)]
    for name in names:
        api.put(server(name, labels={"a": "b"}))
    return names


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 8])
def test_pages_together_are_the_list_as_it_was(api: Served, limit: int) -> None:
    names, found, token = fill(api, 7), [], ""
    while True:
        answer = api.ask("GET", f"{SERVERS}?limit={limit}&continue={token}").document
        api.put(server(f"later{len(found)}"))
        found += [each["metadata"]["name"] for each in answer["items"]]
        remaining = answer["metadata"].get("remainingItemCount", 0)
        assert remaining == len(names) - len(found)
        token = answer["metadata"].get("continue", "")
        if not token:
            break
    assert found == names


def test_a_page_may_be_read_again_until_the_last(api: Served) -> None:
    fill(api, 5)
    token = api.ask("GET", f"{SERVERS}?limit=2").document["metadata"]["continue"]
    once = api.ask("GET", f"{SERVERS}?limit=2&continue={token}").document
    assert api.ask("GET", f"{SERVERS}?limit=2&continue={token}").document == once
    rest = api.ask("GET", f"{SERVERS}?continue={token}").document
    assert len(rest["items"]) == 3
    gone = api.ask("GET", f"{SERVERS}?limit=2&continue={token}")
    assert (gone.status, gone.document["reason"]) == (410, "Expired")


def test_a_list_is_kept_for_so_many_readers(api: Served) -> None:
    fill(api, 3)
    tokens = [
        api.ask("GET", f"{SERVERS}?limit=1").document["metadata"]["continue"]
        for _ in range(KEPT + 1)
    ]
    states = [api.ask("GET", f"{SERVERS}?limit=1&continue={token}").status for token in tokens]
    assert states == [410] + [200] * KEPT


def test_who_goes_on_asks_for_the_same(api: Served) -> None:
    fill(api, 3)
    api.put(secret(token="x"))
    token = api.ask("GET", f"{SERVERS}?limit=1").document["metadata"]["continue"]
    secrets = "/api/v1/namespaces/default/secrets"
    assert api.ask("GET", f"{secrets}?limit=1&continue={token}").status == 410
    assert api.ask("GET", f"{SERVERS}?labelSelector=a&continue={token}").status == 410
    assert api.ask("GET", f"{SERVERS}?continue=nonsense").status == 400
    assert api.ask("GET", f"{SERVERS}?limit=-1").status == 400


def test_tables_come_in_pages_too(api: Served) -> None:
    fill(api, 3)
    headers = {"accept": "application/json;as=Table;v=v1;g=meta.k8s.io"}
    answer = api.ask("GET", f"{SERVERS}?limit=2&includeObject=Object", headers=headers).document
    assert answer["metadata"]["remainingItemCount"] == 1
    assert answer["rows"][0]["object"]["kind"] == "MCPServer"
    bare = api.ask("GET", f"{SERVERS}?includeObject=None", headers=headers).document
    assert bare["rows"][0]["object"] is None
    assert api.ask("GET", f"{SERVERS}?includeObject=Some", headers=headers).status == 400
