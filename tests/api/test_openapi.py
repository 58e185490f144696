"""The OpenAPI documents: true, whole, and in the forms that clients ask for."""

from collections.abc import Iterator
from typing import Any

import pytest
from starlette.routing import Route
from support.surface import Served

from mooring.api import openapi, openapi_protobuf
from mooring.api.definitions import definitions
from mooring.api.operations import operations
from mooring.core.protobuf import decoded
from mooring.core.reporting import REPORTS
from mooring.kinds.registry import KINDS

GROUPS = list(openapi.GROUPS)
INDEXES = {"/api", "/apis", "/apis/mooring.dev", "/apis/view.mooring.dev"} | {
    f"/{group}" for group in GROUPS
}


def references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        for key, value in node.items():
            if key == "$ref":
                yield value
            else:
                yield from references(value)
    elif isinstance(node, list):
        for each in node:
            yield from references(each)


def test_every_door_is_described_and_nothing_else(api: Served) -> None:
    doors = {
        (route.path, method.lower())
        for route in api.app.routes
        if isinstance(route, Route) and "{name:path}" not in route.path
        for method in (route.methods or ()) - {"HEAD"}
    }
    described = {(each.path, each.method) for each in operations()}
    assert described - doors == set()
    apart = {path for path, _ in doors - described if path != REPORTS}
    assert apart == {"/version", "/healthz", "/openapi/v2", "/openapi/v3"} | INDEXES


@pytest.mark.parametrize("name", GROUPS)
def test_a_group_has_every_schema_that_it_refers_to(name: str) -> None:
    document = openapi.v3(name)
    known = {f"#/components/schemas/{key}" for key in document["components"]["schemas"]}
    assert set(references(document)) <= known
    assert document["openapi"] == "3.0.0"


def test_version_two_has_every_schema_that_it_refers_to() -> None:
    document = openapi.v2()
    assert set(references(document)) <= {f"#/definitions/{key}" for key in document["definitions"]}
    assert "oneOf" not in str(document)


def test_every_kind_is_named_as_clients_look_for_it() -> None:
    named = {
        (each["group"], each["version"], each["kind"])
        for schema in definitions().values()
        for each in schema.get("x-kubernetes-group-version-kind", ())
    }
    assert {(kind.group, kind.version, kind.name) for kind in KINDS} <= named


def test_no_two_operations_have_one_name() -> None:
    names = [
        operation["operationId"]
        for item in openapi.v2()["paths"].values()
        for method, operation in item.items()
        if method != "parameters"
    ]
    assert len(names) == len(set(names))


def test_the_index_leads_to_each_group(api: Served) -> None:
    paths = api.ask("GET", "/openapi/v3").document["paths"]
    assert set(paths) == set(GROUPS)
    for name, entry in paths.items():
        assert api.ask("GET", entry["serverRelativeURL"]).document == openapi.v3(name)
    assert api.ask("GET", "/openapi/v3/apis/none").status == 404


def test_version_two_is_json_or_protobuf(api: Served) -> None:
    plain = api.ask("GET", "/openapi/v2")
    assert plain.document == openapi.v2()
    asked = {"accept": openapi_protobuf.ASKED}
    packed = api.ask("GET", "/openapi/v2", headers=asked)
    assert packed.headers["content-type"] == openapi_protobuf.ANSWERED
    assert "@" not in packed.headers["content-type"]
    assert packed.body == openapi_protobuf.document()


def test_the_packed_document_says_the_same() -> None:
    whole = dict(decoded(openapi_protobuf.document()))
    assert whole[1] == b"2.0"
    names = [dict(decoded(entry))[1].decode() for _, entry in decoded(whole[9])]
    assert names == list(openapi.v2()["definitions"])
    paths = [dict(decoded(entry))[1].decode() for _, entry in decoded(whole[8])]
    assert paths == list(openapi.v2()["paths"])
