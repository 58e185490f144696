"""What backends offer is read item by item, and passes as it came."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mooring.core.aggregate_items import Catalog, Item, Kind, Lists, catalog, described, splice

SCHEMA = {"type": "object", "properties": {"q": {"type": "string"}}}


def text(**members: Any) -> bytes:
    return json.dumps(members, ensure_ascii=False).encode()


def tools(*texts: bytes) -> Catalog:
    return catalog("time", Lists(tools=texts))


def only(found: Catalog) -> Item:
    (item,) = found.tools
    return item


def test_everything_but_the_name_passes_as_the_text_that_came() -> None:
    given = (
        b'{"inputSchema": {"type":"object", "$defs":{"a":{"const":1.0e5}},"x-mcp-header":"X"} , '
        b'"name":"now","_meta":{"big":12345678901234567890},"unknown":[1, 2],"icons":'
        b'[{"src":"data:,","theme":"dark"}],"outputSchema":{"type":"object"},'
        b'"annotations":{"readOnlyHint":true,"else":1},"title":"N\\u00f6w"}'
    )
    item = only(tools(given))
    expected = (
        b'{"inputSchema":{"type":"object", "$defs":{"a":{"const":1.0e5}},"x-mcp-header":"X"},'
        b'"name":"now","_meta":{"big":12345678901234567890},"unknown":[1, 2],"icons":'
        b'[{"src":"data:,","theme":"dark"}],"outputSchema":{"type":"object"},'
        b'"annotations":{"readOnlyHint":true,"else":1},"title":"N\\u00f6w"}'
    )
    assert item.raw == expected
    assert splice(item, "time_now") == expected.replace(b'"now"', b'"time_now"')
    assert splice(item, "now") is item.raw


def test_a_repeated_member_is_sent_once_as_it_was_read() -> None:
    item = only(tools(b'{"name":"a","inputSchema":{},"name":"b"}'))
    assert item.name == "b"
    assert item.raw == b'{"name":"b","inputSchema":{}}'


@pytest.mark.parametrize(
    ("given", "why"),
    [
        (b"5", "a tool of it cannot be read"),
        (b'{"name":"a"', "a tool of it cannot be read"),
        (b'{"name":"a","description":"\\ud800","inputSchema":{}}',
         "a tool of it cannot be read"),
        (b"[" * 100_000, "a tool of it cannot be read"),
        (text(inputSchema={}), "a tool of it has no name"),
        (text(name="", inputSchema={}), "a tool of it has no name"),
        (text(name=7, inputSchema={}), "a tool of it has no name"),
        (text(name="a"), "it has no inputSchema"),
        (text(name="a", inputSchema=None), "it has no inputSchema"),
        (text(name="a", inputSchema=[]), "inputSchema: Expected `object`"),
        (text(name="a", inputSchema={}, description=5), "description: Expected `str`"),
        (text(name="a", inputSchema={}, outputSchema="x"), "outputSchema: Expected `object`"),
        (text(name="a", inputSchema={}, annotations={"readOnlyHint": "yes"}), "annotations: "),
        (text(name="a", inputSchema={}, icons=[{"href": "x"}]), "icons: "),
        (text(name="a", inputSchema={}, _meta=1), "_meta: "),
    ],
)  # fmt: skip
def test_one_malformed_tool_is_dropped_and_not_the_list(given: bytes, why: str) -> None:
    found = tools(text(name="good", inputSchema=SCHEMA), given)
    assert [item.name for item in found.tools] == ["good"]
    (drop,) = found.dropped
    assert (drop.kind, drop.backend, drop.reason) == ("tool", "time", "Malformed")
    assert drop.message.startswith(why)


def test_null_counts_as_not_said() -> None:
    given: dict[str, Any] = {
        "name": "a",
        "description": None,
        "inputSchema": {},
        "title": None,
        "x": None,
    }
    hints = {"title": None, "readOnlyHint": True}
    item = only(tools(text(**given, annotations=hints)))
    assert json.loads(item.raw) == {
        "name": "a", "inputSchema": {}, "x": None, "annotations": {"readOnlyHint": True},
    }  # fmt: skip


def test_what_a_tool_says_of_tasks_is_taken_out() -> None:
    free = text(name="a", inputSchema={}, execution={"taskSupport": "optional"})
    assert json.loads(only(tools(free)).raw) == {"name": "a", "inputSchema": {}}
    more = text(name="a", inputSchema={}, execution={"taskSupport": "forbidden", "other": 1})
    assert json.loads(only(tools(more)).raw)["execution"] == {"other": 1}
    bound = tools(text(name="slow", inputSchema={}, execution={"taskSupport": "required"}))
    assert bound.tools == ()
    assert [(drop.name, drop.reason) for drop in bound.dropped] == [("slow", "NeedsTasks")]


def test_a_tool_that_is_listed_twice_counts_once_whichever_came_first() -> None:
    one = text(name="a", inputSchema={}, description="1")
    two = text(name="a", inputSchema={}, description="2")
    assert tools(one, two) == tools(two, one)
    assert len(tools(one, two).tools) == 1
    assert [drop.reason for drop in tools(one, two).dropped] == ["Repeated"]


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        ("prompts", text(name="p", arguments=[{"name": "x", "required": True}]),
         text(name="q", arguments=[{"required": True}])),
        ("resources", text(uri="a://b", name="b", size=5, annotations={"priority": 0.5}),
         text(uri="a://c")),
        ("templates", text(uriTemplate="a://{x}", name="t", mimeType="text/plain"),
         text(name="t")),
    ],
)  # fmt: skip
def test_other_lists_are_read_alike(kind: str, good: bytes, bad: bytes) -> None:
    found = catalog("time", Lists(**{kind: (good, bad)}))
    (item,) = getattr(found, kind)
    assert json.loads(item.raw) == json.loads(good)
    assert item.name in ("p", "a://b", "a://{x}")
    assert len(found.dropped) == 1


def test_what_only_tools_have_is_nothing_in_a_prompt() -> None:
    (item,) = catalog("time", Lists(prompts=[text(name="p", execution=5)])).prompts
    assert json.loads(item.raw)["execution"] == 5


def test_another_description_is_put_in_the_place_of_the_old_one() -> None:
    item = only(tools(text(name="a", description="old", inputSchema=SCHEMA, title="T")))
    made = described(item, 'new "one"')
    assert json.loads(made.raw)["description"] == 'new "one"'
    assert list(json.loads(made.raw)) == ["name", "description", "inputSchema", "title"]
    assert made.weight == item.weight + len(b'"new \\"one\\""') - len(b'"old"')
    assert json.loads(splice(made, "b"))["name"] == "b"
    bare = only(tools(text(name="a", inputSchema={})))
    assert json.loads(described(bare, "x").raw)["description"] == "x"


def test_words_of_a_server_are_printable_where_they_are_reported() -> None:
    found = tools(text(name="a\x1b[31m", inputSchema=5))
    assert "\x1b" not in found.dropped[0].name + found.dropped[0].message


def test_every_kind_is_told_apart_by_its_own_member() -> None:
    kinds: list[Kind] = ["tool", "prompt", "resource", "template"]
    empty = catalog("x", Lists([b"{}"], [b"{}"], [b"{}"], [b"{}"]))
    assert sorted(drop.kind for drop in empty.dropped) == sorted(kinds)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=10,
)
TOOL = st.dictionaries(
    st.sampled_from(
        ["name", "inputSchema", "description", "annotations", "icons", "execution", "_meta", "x"]
    ),
    JSON,
)


@given(st.lists(st.binary(max_size=40) | TOOL.map(lambda tool: json.dumps(tool).encode())))
def test_whatever_a_server_lists_is_shown_as_json_or_dropped_in_words(texts: list[bytes]) -> None:
    found = catalog("time", Lists(texts, texts, texts, texts))
    for item in (*found.tools, *found.prompts, *found.resources, *found.templates):
        told = json.loads(item.raw)
        assert item.name in (told.get("name"), told.get("uri"), told.get("uriTemplate"))
        assert json.loads(item.raw[item.start : item.end]) == item.name
    for drop in found.dropped:
        assert drop.message
        assert drop.message.isprintable()
