"""The CRDs keep the rules of structural schemas, and say what our own API says.

Rules: Kubernetes, "Specifying a structural schema" and the validation of
CustomResourceDefinitions (apiextensions.k8s.io/v1).
"""

import re
from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest

from mooring.kinds.base import Object, ObjectMeta
from mooring.kinds.crd import definition, own_kinds
from mooring.kinds.registry import GROUP, SERVER
from mooring.kinds.server import MCPServer, ServerSpec, Source
from mooring.kinds.validation import parse

ALLOWED = {
    "type", "description", "properties", "items", "additionalProperties", "required", "enum",
    "default", "pattern", "format", "minimum", "maximum", "minLength", "maxLength", "minItems",
    "maxItems", "oneOf", "x-kubernetes-list-type", "x-kubernetes-list-map-keys",
    "x-kubernetes-preserve-unknown-fields",
}  # fmt: skip
TYPES = {"object", "array", "string", "integer", "number", "boolean"}
Node = tuple[str, dict[str, Any]]


def schema(of: Any) -> dict[str, Any]:
    (version,) = definition(of)["spec"]["versions"]
    found: dict[str, Any] = version["schema"]["openAPIV3Schema"]
    return found


def below(node: dict[str, Any], path: str = "") -> Iterator[Node]:
    yield path, node
    for name, field in node.get("properties", {}).items():
        yield from below(field, f"{path}.{name}")
    if "items" in node:
        yield from below(node["items"], f"{path}[]")
    if "additionalProperties" in node:
        yield from below(node["additionalProperties"], f"{path}{{}}")


NODES = [
    pytest.param(node, id=f"{kind.name}{path}")
    for kind in own_kinds()
    for path, node in below(schema(kind))
]


@pytest.mark.parametrize("node", NODES)
def test_every_schema_is_structural(node: dict[str, Any]) -> None:
    assert node["type"] in TYPES
    assert set(node) <= ALLOWED
    assert not {"properties", "additionalProperties"} <= set(node)
    assert ("items" in node) == (node["type"] == "array")
    for junctor in node.get("oneOf", ()):
        assert set(junctor) == {"required"}
        assert set(junctor["required"]) <= set(node["properties"])
    assert set(node.get("required", ())) <= set(node.get("properties", ()))
    assert isinstance(node.get("description", ""), str)
    if "default" in node:
        jsonschema.validate(node["default"], node)
    if "pattern" in node:
        re.compile(node["pattern"])


@pytest.mark.parametrize("node", [n for n in NODES if n.values[0].get("type") == "array"])
def test_every_list_says_how_it_is_merged(node: dict[str, Any]) -> None:
    if node["x-kubernetes-list-type"] == "atomic":
        assert "x-kubernetes-list-map-keys" not in node
        return
    assert node["x-kubernetes-list-type"] == "map"
    (key,) = node["x-kubernetes-list-map-keys"]
    assert node["items"]["type"] == "object"
    assert key in node["items"]["required"]
    assert node["items"]["properties"][key]["type"] == "string"


def test_lists_are_merged_by_the_field_that_tells_entries_apart() -> None:
    keys = {
        path: node.get("x-kubernetes-list-map-keys")
        for path, node in below(schema(SERVER))
        if node["type"] == "array"
    }
    assert keys[".spec.env[]".removesuffix("[]")] == ["name"]
    assert keys[".status.conditions"] == ["type"]
    assert keys[".status.instances"] == ["name"]
    assert keys[".spec.args"] is keys[".spec.source.command"] is None


def test_metadata_is_left_to_kubernetes_but_for_the_name() -> None:
    for kind in own_kinds():
        metadata = schema(kind)["properties"]["metadata"]
        assert metadata["type"] == "object"
        assert set(metadata["properties"]) == {"name"}
        assert schema(kind)["properties"]["kind"] == {"type": "string"}


def test_no_status_is_made_up_by_defaults() -> None:
    for kind in own_kinds():
        status = schema(kind)["properties"]["status"]
        assert [path for path, node in below(status) if "default" in node] == []


def test_names_and_columns() -> None:
    crd = definition(SERVER)
    assert crd["metadata"]["name"] == "mcpservers.mooring.dev"
    assert crd["spec"]["names"]["shortNames"] == ["mcps"]
    assert crd["spec"]["scope"] == "Namespaced"
    (version,) = crd["spec"]["versions"]
    assert version["subresources"] == {"status": {}}
    columns = [each["name"] for each in version["additionalPrinterColumns"]]
    assert columns[:4] == ["Ready", "Wanted", "Status", "Age"]
    for kind in own_kinds():
        paths = {path for path, _ in below(schema(kind))} | {".metadata.creationTimestamp"}
        (version,) = definition(kind)["spec"]["versions"]
        assert {each["jsonPath"] for each in version["additionalPrinterColumns"]} <= paths


def spec(**fields: Any) -> dict[str, Any]:
    return {
        "apiVersion": "mooring.dev/v1alpha1",
        "kind": "MCPServer",
        "metadata": {"name": "time"},
        "spec": {"source": {"pypi": "x"}, **fields},
    }


ENV = {"name": "A", "valueFrom": {"secretKeyRef": {"name": "creds.v1", "key": "k"}}}
BOTH = {"name": "A", "value": "x", "valueFrom": {"env": "A"}}


@pytest.mark.parametrize(
    "document",
    [
        spec(), spec(replicas=0), spec(replicas=100), spec(replicas=101), spec(replicas="3"),
        spec(env=[ENV]), spec(env=[BOTH]), spec(env=[{"name": "A"}]), spec(env=[{"name": "1"}]),
        spec(env=[{"value": "x"}]), spec(args=["a"]), spec(args="a"), spec(args=[1]),
        spec(transport="stdio"), spec(transport="carrier-pigeon"), spec(path="mcp"),
        spec(port=0), spec(port=65535), spec(group="Team"), spec(isolation=None) | {"spec": {}},
        spec(source={}), spec(source={"pypi": "x", "npm": "y"}), spec(source={"command": []}),
        spec(source={"url": "ftp://x"}), spec(source={"url": "https://x/mcp?a=b"}),
        spec(healthCheck={}), spec(healthCheck={"tool": "whoami", "arguments": {"a": [{"b": 1}]}}),
        spec(healthCheck={"timeoutSeconds": 0.05}), spec(healthCheck={"timeoutSeconds": 0}),
        spec(healthCheck={"intervalSeconds": 0}), spec(healthCheck={"failureThreshold": "3"}),
        spec() | {"metadata": {"name": "A"}}, spec() | {"metadata": {"name": "a" * 41}},
        spec() | {"metadata": {"name": "a.b"}}, spec() | {"status": {"phase": "Odd"}},
    ],
)  # fmt: skip
def test_a_cluster_accepts_what_our_own_api_accepts(document: dict[str, Any]) -> None:
    checker = jsonschema.Draft202012Validator(schema(SERVER))
    assert checker.is_valid(document) == isinstance(parse(document), Object)


def test_what_we_write_is_valid_in_a_cluster() -> None:
    server = MCPServer(
        metadata=ObjectMeta(name="time"), spec=ServerSpec(source=Source(command=("a", "b")))
    )
    jsonschema.validate(server.document(), schema(SERVER))
    group = {"kind": "MCPGroup", "apiVersion": "mooring.dev/v1alpha1", "metadata": {"name": "g"}}
    made = parse(group)
    assert isinstance(made, Object)
    jsonschema.validate(made.document(), schema(GROUP))
