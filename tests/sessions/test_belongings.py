"""What belongs to an instance is found and replaced, and the rest of a message is left as it is."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mooring.sessions.belongings import (
    in_request,
    parameters,
    replaced,
    replaced_in_event,
    spliced,
    tasks_of,
)
from mooring.transports.sse import EventSplitter

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=12), inner, max_size=3)
    ),
    max_leaves=8,
)


def mark(what: str, raw: bytes) -> bytes:
    return b'"<%b of %b>"' % (what.encode(), raw.strip(b'"'))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (
            b'{"id":1,"result":{"requestState":"a b","resultType":"input_required"}}',
            b'{"id":1,"result":{"requestState":"<requestState of a b>",'
            b'"resultType":"input_required"}}',
        ),
        (
            b'{"result" : { "x": "\xc3\xa9", "taskId" : "t" } ,"id":1}',
            b'{"result" : { "x": "\xc3\xa9", "taskId" : "<taskId of t>" } ,"id":1}',
        ),
        (
            b'{"method":"notifications/tasks","params":{"taskId":"t","status":"done"}}',
            b'{"method":"notifications/tasks","params":{"taskId":"<taskId of t>","status":"done"}}',
        ),
    ],
)
def test_what_an_answer_gives_out_is_replaced_in_its_place(before: bytes, after: bytes) -> None:
    assert replaced(before, mark) == after


@pytest.mark.parametrize(
    "message",
    [
        b'{"id":1,"result":{"content":[{"requestState":"x"}]}}',
        b'{"id":1,"result":{"content":[{"text":"\\"requestState\\":\\"x\\""}]}}',
        b'{"id":1,"requestState":"x","taskId":"y","result":{}}',
        b'{"id":1,"result":{"requestState":null}}',
        b'{"id":1,"result":["requestState"]}',
        b'{"id":1,"error":{"code":1,"message":"m","data":{"taskId":"x"}}}',
        b'{"method":"notifications/progress","params":{"taskId":"t"}}',
        b'not json but "requestState":"x"',
    ],
)
def test_what_only_looks_like_it_is_left_alone(message: bytes) -> None:
    assert replaced(message, mark) == message


@given(st.dictionaries(st.text(max_size=12), JSON, max_size=4), st.text(max_size=10), st.booleans())
def test_nothing_else_of_a_message_changes(
    members: dict[str, Any], state: str, ascii: bool
) -> None:
    result = {**members, "requestState": state}
    text = json.dumps({"id": 1, "result": result}, ensure_ascii=ascii).encode("utf-8", "replace")
    told = json.loads(replaced(text, lambda _, raw: b'"new"'))
    assert told["result"].pop("requestState") == "new"
    assert told["result"] == {
        k: v for k, v in json.loads(text)["result"].items() if k != "requestState"
    }


@pytest.mark.parametrize(
    "raw",
    [
        b'event: message\r\ndata: {"id":1,"result":{"requestState":"s"}}\r\n\r\n',
        b'data:{"id":1,"result":{"requestState":"s"}}\n\n',
        b'data: {"id":1,\ndata: "result":{"requestState":"s"}}\n\n',
        b': note\nretry: 7\ndata: {"id":1,"result":{"requestState":"s"}}\n\n',
    ],
)
def test_in_an_event_only_the_message_is_touched(raw: bytes) -> None:
    (event,) = EventSplitter().feed(raw)
    (after,) = EventSplitter().feed(replaced_in_event(event, mark))
    assert json.loads(after.data) == {"id": 1, "result": {"requestState": "<requestState of s>"}}
    assert (after.event, after.id) == (event.event, event.id)


def test_an_event_without_any_is_the_same_bytes() -> None:
    (event,) = EventSplitter().feed(b'data: {"id":1,\ndata: "result":{}}\n\n')
    assert replaced_in_event(event, mark) is event.raw


def test_requests_tell_what_they_bring_back_and_where() -> None:
    body = b'{"id":1,"params":{"name":"x","arguments":{"requestState":"no"},"requestState":"yes"}}'
    (named,) = in_request(body)
    assert (named.type, body[named.start : named.end]) == ("requestState", b'"yes"')
    assert json.loads(spliced(body, named, b'"own"'))["params"]["requestState"] == "own"
    assert json.loads(parameters(body))["name"] == "x"


def test_one_that_is_named_twice_is_told_twice() -> None:
    assert len(in_request(b'{"params":{"taskId":"a","taskId":"b"}}')) == 2


def test_the_tasks_that_a_listener_names_are_found() -> None:
    body = b'{"params":{"notifications":{"taskIds":["a","b"],"toolsListChanged":true}}}'
    place = tasks_of(body)
    assert place is not None
    assert body[slice(*place)] == b'["a","b"]'
    assert json.loads(spliced(body, place, b"[]"))["params"]["notifications"]["taskIds"] == []


@pytest.mark.parametrize(
    "body", [b'{"params":{"taskIds":["a"]}}', b'{"params":{"notifications":{"taskIds":7}}}', b"{}"]
)
def test_elsewhere_there_are_none(body: bytes) -> None:
    assert tasks_of(body) is None
