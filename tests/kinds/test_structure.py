"""Schemas and reference pages say what the models say."""

from typing import ClassVar, Literal

from pydantic import Field

from mooring.kinds.base import ObjectMeta, Part, RuledPart
from mooring.kinds.reference import reference
from mooring.kinds.server import MCPServer, ServerSpec
from mooring.kinds.shape import fields, inner, is_list, paths, piece_at
from mooring.kinds.structure import structural


class Row(Part):
    """A row."""

    key: str
    number: int = Field(default=1, ge=0, le=9)


class Table(RuledPart):
    """A table with
    rows."""

    exactly_one_of: ClassVar[tuple[str, ...]] = ("rows", "note")
    keyed: ClassVar[dict[str, str]] = {"rows": "key"}

    rows: tuple[Row, ...] | None = Field(default=None, min_length=1)
    note: str | None = Field(default=None, max_length=5, pattern="^x")
    """What to say."""
    words: tuple[Literal["a", "b"], ...] = ()
    only: Literal["one"] = "one"
    first: Row = Row(key="k")
    last: Row | None = None


def test_a_schema_stands_by_itself() -> None:
    row = {
        "type": "object",
        "description": "A row.",
        "required": ["key"],
        "properties": {
            "key": {"type": "string"},
            "number": {"type": "integer", "minimum": 0, "maximum": 9, "default": 1},
        },
    }
    assert structural(Table) == {
        "type": "object",
        "description": "A table with rows.",
        "oneOf": [{"required": ["rows"]}, {"required": ["note"]}],
        "properties": {
            "rows": {
                "type": "array",
                "minItems": 1,
                "items": row,
                "x-kubernetes-list-type": "map",
                "x-kubernetes-list-map-keys": ["key"],
            },
            "note": {
                "type": "string",
                "maxLength": 5,
                "pattern": "^x",
                "description": "What to say.",
            },
            "words": {
                "type": "array",
                "default": [],
                "items": {"type": "string", "enum": ["a", "b"]},
                "x-kubernetes-list-type": "atomic",
            },
            "only": {"type": "string", "enum": ["one"], "default": "one"},
            "first": {**row, "default": {"key": "k", "number": 1}},
            "last": row,
        },
    }


def test_a_schema_may_leave_defaults_out() -> None:
    without = structural(Table, defaults=False)
    assert "default" not in str(without)
    assert set(without["properties"]) == set(structural(Table)["properties"])


def test_the_shape_of_a_kind_can_be_walked() -> None:
    assert piece_at(MCPServer, ("spec",)) is ServerSpec
    assert piece_at(MCPServer, ()) is MCPServer
    assert piece_at(MCPServer, ("spec", "nothing", "x")) is None
    assert piece_at(MCPServer, ("spec", "args", 0)) is None
    env = piece_at(MCPServer, ("spec", "env", 3))
    assert env is not None
    assert set(fields(env)) == {"name", "value", "valueFrom"}
    known = set(paths(MCPServer))
    assert ("spec", "source", "with") in known
    assert ("spec", "env", "valueFrom", "secretKeyRef", "key") in known
    assert ("metadata", "labels") in known


def test_annotations_are_seen_through() -> None:
    assert inner(tuple[Row, ...] | None) is Row
    assert inner(dict[str, str]) is inner(str) is inner(None) is None
    assert is_list(tuple[Row, ...] | None)
    assert not is_list(Row | None)
    assert not is_list(dict[str, str])


def test_the_reference_lists_fields_with_type_default_limits_and_meaning() -> None:
    rows = set(reference().splitlines())
    assert "| `spec.replicas` | number | `1` | 0 to 100 | How many instances are wanted; " \
        "0 stops the server. |" in rows  # fmt: skip
    assert "| `spec.source` | object | required | exactly one of its parts | " \
        "Where the server comes from. |" in rows  # fmt: skip
    assert "| `spec.isolation` | text | `shared` | `shared` `session` | " \
        "stdio only: one child for all sessions, or one for each. |" in rows  # fmt: skip
    assert any(row.startswith("| `spec.env` | list of objects, by `name` |") for row in rows)
    assert any(row.startswith("| `spec.env[].valueFrom.env` | text |") for row in rows)
    assert any(row.startswith("| `metadata.creationTimestamp` | time |") for row in rows)
    assert any(row.startswith("| `metadata.labels` | map of text |") for row in rows)


def test_metadata_is_told_once() -> None:
    page = reference()
    assert page.count("`metadata.name`") == 1
    assert all(page.count(f"| `metadata.{name}` |") == 1 for name in fields(ObjectMeta))
