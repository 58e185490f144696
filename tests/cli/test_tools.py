"""`moor tools` and `moor call`."""

import json
from typing import Any

import pytest
from support.surface import Served

Moor = Any

TOOLS = [
    {
        "name": "now",
        "description": "Tells the time.\nIn any timezone.",
        "inputSchema": {
            "type": "object",
            "properties": {"timezone": {"type": "string"}, "digits": {"type": "integer"}},
            "required": ["timezone"],
            "additionalProperties": False,
        },
    },
    {"name": "ping"},
]


def text(*said: str, **more: Any) -> dict[str, Any]:
    return {"content": [{"type": "text", "text": each} for each in said], **more}


@pytest.fixture
def asked(fleet: Served) -> Served:
    fleet.script.tools_of["time"] = TOOLS
    fleet.script.results["now"] = text("12:00")
    return fleet


def test_tools_in_a_table(asked: Served, moor: Moor) -> None:
    assert moor("tools", "time").out == "NAME   DESCRIPTION\nnow    Tells the time.\nping\n"
    assert moor("tools", "server/time", "-o", "wide").lines == [
        "NAME   ARGUMENTS          DESCRIPTION",
        "now    timezone*,digits   Tells the time.",
        "ping   <none>",
    ]
    assert moor("tools", "time", "-o", "name").out == "now\nping\n"
    assert json.loads(moor("tools", "time", "-o", "json").out) == TOOLS
    assert "name: ping" in moor("tools", "time", "-o", "yaml").out


def test_a_server_without_tools(asked: Served, moor: Moor) -> None:
    said = moor("tools", "gitea")
    assert (said.code, said.out, said.err) == (0, "", "server/gitea has no tools.\n")
    assert moor("tools", "gitea", "-o", "json").out == "[]\n"
    assert moor("tools", "nobody").code == 3


def test_a_call_is_typed_by_the_tools_schema(asked: Served, moor: Moor) -> None:
    said = moor("call", "time", "now", "timezone=Etc/GMT=0", "digits=3")
    assert (said.code, said.out, said.err) == (0, "12:00\n", "")
    ((ref, tool, arguments),) = asked.script.calls
    assert (str(ref), tool) == ("server/time", "now")
    assert arguments == {"timezone": "Etc/GMT=0", "digits": 3}


def test_a_call_takes_json_as_it_is(asked: Served, moor: Moor) -> None:
    assert moor("call", "time", "now", "--json", '{"x": [1, null]}').code == 0
    assert asked.script.calls[0][2] == {"x": [1, None]}


def test_what_goes_over_the_wire_is_shown_on_request(asked: Served, moor: Moor) -> None:
    said = moor("call", "time", "now", "timezone=UTC", "-v")
    assert said.out == "12:00\n"
    sent, answered, took = said.err.splitlines()
    assert json.loads(sent.removeprefix("--> ")) == {
        "method": "tools/call",
        "params": {"name": "now", "arguments": {"timezone": "UTC"}},
    }
    assert json.loads(answered.removeprefix("<-- ")) == {"result": text("12:00")}
    assert took.endswith(" ms")


@pytest.mark.parametrize(
    ("result", "out"),
    [
        (text("a", "b"), "a\nb\n"),
        ({"content": []}, ""),
        ({"content": [], "structuredContent": {"a": 1}}, '{\n  "a": 1\n}\n'),
        (
            {"content": [{"type": "image", "mimeType": "image/png", "data": "AAAA"}]},
            "[image image/png, 3 bytes; -o json shows it]\n",
        ),
        ({"content": [{"type": "resource_link", "uri": "file:///x"}]}, "[link file:///x]\n"),
        ({"content": [{"type": "resource", "resource": {"uri": "u", "text": "t"}}]}, "t\n"),
        (
            {"content": [{"type": "resource", "resource": {"uri": "u", "blob": "AA=="}}]},
            "[u; -o json shows it]\n",
        ),
        ({"content": [{"type": "novel", "x": 1}]}, '{"type": "novel", "x": 1}\n'),
    ],
)
def test_results_are_shown_for_people(
    asked: Served, moor: Moor, result: dict[str, Any], out: str
) -> None:
    asked.script.results["now"] = result
    assert moor("call", "time", "now", "--json", "{}").out == out
    whole = moor("call", "time", "now", "--json", "{}", "-o", "json")
    assert json.loads(whole.out) == result


def test_a_result_that_is_an_error_ends_with_1(asked: Served, moor: Moor) -> None:
    asked.script.results["now"] = text("no such timezone", isError=True)
    said = moor("call", "time", "now", "timezone=Mars")
    assert (said.code, said.out) == (1, "")
    assert said.err == "Error: tool now of server/time: no such timezone\n"


def test_an_error_of_the_server_keeps_its_words(asked: Served, moor: Moor) -> None:
    said = moor("call", "time", "ping")
    assert (said.code, said.err) == (1, "Error: Unknown tool: ping\n")


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["time", "nwo"], 3, "server/time has no tool 'nwo'. Did you mean now?"),
        (["time", "now"], 2, "timezone: is required (string)"),
        (["time", "now", "timezone"], 2, "arguments are key=value; 'timezone' is none"),
        (["time", "now", "timezone=UTC", "digits=x"], 2, "digits: expected integer, found 'x'"),
        (["time", "now", "timezon=UTC"], 2, "Did you mean timezone?"),
        (["time", "now", "--json", "{"], 2, "--json:"),
        (["time", "now", "--json", "[]"], 2, "expected an object"),
        (["time", "now", "a=b", "--json", "{}"], 2, "not both"),
        (["nobody", "now"], 3, "server/nobody does not exist"),
        (["secret/x", "now"], 2, "is no server"),
    ],
)
def test_a_call_that_makes_no_sense_is_not_made(
    asked: Served, moor: Moor, arguments: list[str], code: int, words: str
) -> None:
    said = moor("call", *arguments)
    assert said.code == code
    assert words in said.err
    assert asked.script.calls == []
