"""Which requests may be sent twice."""

from typing import Any

import pytest

from mooring.core.repeating import repeatable, repeatable_call, safe_tools


@pytest.mark.parametrize("method", ["tools/list", "resources/read", "ping", "server/discover"])
def test_reading_may_be_repeated(method: str) -> None:
    assert repeatable(method, b"{}")


@pytest.mark.parametrize(
    "method", ["tools/call", "initialize", "notifications/initialized", "tasks/cancel", "", "x"]
)
def test_what_may_change_something_may_not(method: str) -> None:
    assert not repeatable(method, b"{}")


@pytest.mark.parametrize("member", [b'"inputResponses":{}', b'"requestState":"v1"'])
def test_the_answer_to_a_question_is_given_once(member: bytes) -> None:
    assert not repeatable("prompts/get", b'{"params":{' + member + b"}}")
    assert not repeatable_call("read", b'{"params":{' + member + b"}}", {"read"})


def test_a_call_may_be_repeated_where_its_tool_is_safe() -> None:
    assert repeatable_call("read", b"{}", ("read",))
    assert not repeatable_call("write", b"{}", ("read",))
    assert not repeatable_call(None, b"{}", ("read",))


def tool(name: Any, **annotations: Any) -> dict[str, Any]:
    return {"name": name, "annotations": annotations}


READ = tool("read", readOnlyHint=True)
SET = tool("set", idempotentHint=True, readOnlyHint=False)
TOOLS = [SET, tool("add"), READ, {"name": "bare"}, {"name": "odd", "annotations": "readOnlyHint"}]


@pytest.mark.parametrize(
    ("retry", "safe"),
    [("read-only", ("read",)), ("idempotent", ("read", "set")), ("never", ())],
)
def test_a_tool_is_safe_as_its_own_server_says(retry: Any, safe: tuple[str, ...]) -> None:
    assert safe_tools(TOOLS, retry) == safe


@pytest.mark.parametrize("hint", ["true", 1, None, False])
def test_only_a_plain_yes_counts(hint: Any) -> None:
    assert safe_tools([tool("read", readOnlyHint=hint)], "read-only") == ()


def test_a_name_that_is_listed_twice_must_be_safe_both_times() -> None:
    assert safe_tools([READ, tool("read")], "read-only") == ()
    assert safe_tools([READ, READ, tool(7, readOnlyHint=True)], "read-only") == ("read",)
