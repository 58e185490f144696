"""What may be said of a virtual server."""

from typing import Any

import jsonschema
import pytest

from mooring.kinds.crd import definition
from mooring.kinds.reference import reference
from mooring.kinds.registry import VIRTUAL
from mooring.kinds.server import MCPServer
from mooring.kinds.shape import known
from mooring.kinds.validation import known_part, parse
from mooring.kinds.virtual import Aggregation, VirtualMCPServer

FULL: dict[str, Any] = {
    "strategy": "manual",
    "priorityOrder": ["github", "time"],
    "manual": {"search": {"server": "github", "tool": "search_issues"}},
    "tools": {
        "github": {
            "filter": ["search_*"],
            "overrides": {"list": {"name": "list_it", "description": "Lists."}},
        },
        "time": {"excludeAll": True},
    },
    "defaultToolVisibility": "deny",
    "tokenBudget": 8000,
}


def document(aggregation: dict[str, Any] | None = None, **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "mooring.dev/v1alpha1",
        "kind": "VirtualMCPServer",
        "metadata": {"name": "team"},
        "spec": {"group": "tools", **({"aggregation": aggregation} if aggregation else {}), **spec},
    }


def said(aggregation: dict[str, Any], **spec: Any) -> list[str]:
    found = parse(document(aggregation, **spec))
    assert isinstance(found, tuple), found
    return [str(complaint) for complaint in found]


def test_a_group_is_all_that_has_to_be_said() -> None:
    made = parse(document())
    assert isinstance(made, VirtualMCPServer)
    assert made.spec.aggregation == Aggregation()
    assert made.spec.aggregation.strategy == "prefix"


def test_everything_that_may_be_said_comes_back_as_it_was_said() -> None:
    made = parse(document(FULL))
    assert isinstance(made, VirtualMCPServer), made
    told = made.document()["spec"]["aggregation"]
    assert told | {"tools": FULL["tools"]} == FULL
    assert told["tools"]["github"] | FULL["tools"]["github"] == told["tools"]["github"]
    assert parse(made.document()) == made


@pytest.mark.parametrize(
    ("aggregation", "complaint"),
    [
        ({"strategy": "prefixed"},
         "spec.aggregation.strategy: must be one of prefix, priority, manual, none; "
         "found prefixed (did you mean prefix?)"),
        ({"strategy": "priority"},
         "spec.aggregation.priorityOrder: is required with strategy: priority"),
        ({"manual": {"a": {"server": "s", "tool": "t"}}},
         "spec.aggregation.manual: is read with strategy: manual only"),
        ({"tools": {"time": {"filters": ["a"]}}},
         "spec.aggregation.tools.time.filters: unknown field (did you mean filter?)"),
        ({"tools": {"time": {"overrides": {"now": {"nam": "x"}}}}},
         "spec.aggregation.tools.time.overrides.now.nam: unknown field (did you mean name?)"),
        ({"tools": {"time": {"overrides": {"now": {"name": "a b"}}}}},
         "spec.aggregation.tools.time.overrides.now.name: must be letters, digits, '-' and '_'"),
        ({"tools": {"Time": {}}},
         "spec.aggregation.tools.Time: must be lower-case letters, digits and '-' (in Secrets and "
         "Events also '.'), with a letter or digit at both ends; found Time"),
        ({"tools": []}, "spec.aggregation.tools: must be a mapping, found a list"),
        ({"tools": {"time": []}}, "spec.aggregation.tools.time: must be a mapping, found a list"),
        ({"tokenBudget": 0}, "spec.aggregation.tokenBudget: must be at least 1, found 0"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_at_its_place(aggregation: dict[str, Any], complaint: str) -> None:
    (found,) = said(aggregation)
    if "Time" in complaint:
        assert found.startswith("spec.aggregation.tools.Time: must be ")
    else:
        assert found == complaint


def test_null_counts_as_not_given_inside_a_map_too() -> None:
    made = parse(
        document({"tools": {"time": {"filter": None, "overrides": {"a": {"name": None}}}}})
    )
    assert isinstance(made, VirtualMCPServer), made


def test_the_crd_takes_what_we_take() -> None:
    (version,) = definition(VIRTUAL)["spec"]["versions"]
    schema = version["schema"]["openAPIV3Schema"]
    jsonschema.validate(document(FULL), schema)
    broken = document({"tools": {"time": {"filter": 5}}})
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(broken, schema)
    aggregation = schema["properties"]["spec"]["properties"]["aggregation"]["properties"]
    assert aggregation["priorityOrder"]["x-kubernetes-list-type"] == "atomic"
    per_server = aggregation["tools"]["additionalProperties"]["properties"]
    assert per_server["overrides"]["additionalProperties"]["properties"].keys() == {
        "name",
        "description",
    }


def test_fields_below_a_maps_keys_are_in_the_reference() -> None:
    page = reference()
    assert "| `spec.aggregation.tools` | map of objects |" in page
    assert "| `spec.aggregation.tools.*.overrides.*.name` | text |" in page


def test_unknown_fields_below_a_maps_keys_can_be_left_out() -> None:
    given = document({"tools": {"time": {"filter": ["a"], "colour": "red"}}})
    kept, unknown = known_part(given, "VirtualMCPServer")
    assert [each.path for each in unknown] == ["spec.aggregation.tools.time.colour"]
    assert kept["spec"]["aggregation"]["tools"] == {"time": {"filter": ["a"]}}
    assert known(VirtualMCPServer, given)["spec"]["aggregation"]["tools"] == {
        "time": {"filter": ["a"]}
    }


@pytest.mark.parametrize("name", ["Cookie", "mcp-session-id", "Host", "X-Forwarded-For", "Via"])
def test_headers_of_the_way_are_never_forwarded(name: str) -> None:
    server = {
        "apiVersion": "mooring.dev/v1alpha1",
        "kind": "MCPServer",
        "metadata": {"name": "time"},
        "spec": {"source": {"url": "https://example.com/mcp"}, "auth": {"forward": [name]}},
    }
    found = parse(server)
    assert isinstance(found, tuple)
    assert [str(each) for each in found] == [
        f"spec.auth.forward[0]: {name.lower()} is never forwarded"
    ]
    server["spec"] |= {"auth": {"forward": ["Authorization", "X-Api-Key"]}, "stateful": False}
    made = parse(server)
    assert isinstance(made, MCPServer)
    assert made.spec.auth.forward == ("Authorization", "X-Api-Key")
