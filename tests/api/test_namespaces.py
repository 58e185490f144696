"""Namespaces come and go with what is in them."""

from support.surface import Served, secret, server

from mooring.kinds.ref import Ref

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


def test_namespaces_cannot_be_watched(api: Served) -> None:
    with api.events(f"{PATH}?watch=true&resourceVersion=1") as following:
        event = following()
    assert (event["type"], event["object"]["code"]) == ("ERROR", 405)
