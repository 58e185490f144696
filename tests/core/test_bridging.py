"""What the bridge says in the name of a child."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mooring.core.bridging import (
    Welcome,
    answered_id,
    batch,
    ending,
    error_code,
    failure,
    knows_stateless,
    negotiated,
    renumbered,
    requested_version,
    resubscribed,
    status_of,
    subscription_of,
    updated_uri,
)
from mooring.core.era import SESSION_VERSIONS
from mooring.core.keeping import Exit

VERSIONS = sorted(version.decode() for version in SESSION_VERSIONS)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
IDS = st.integers() | st.text()
RUBBISH = [b"", b"{", b"[]", b'{"params":1}', b'{"result":[]}', b'{"error":3}', b"[" * 100_000]


def raw(value: Any) -> bytes:
    return json.dumps(value).encode()


@given(st.sampled_from(VERSIONS), st.sampled_from([*VERSIONS, "", "2026-07-28", "x", "\ud800"]))
def test_a_session_gets_a_version_that_the_child_speaks(child: str, asked: str) -> None:
    given = negotiated(asked, child)
    assert given in VERSIONS
    assert given <= child
    assert given == asked or asked not in VERSIONS or asked > child


@given(IDS, st.dictionaries(st.text(), JSON, max_size=4))
def test_a_welcome_says_what_the_child_said(id: Any, members: dict[str, Any]) -> None:
    result = members | {"protocolVersion": "2025-11-25"}
    welcome = Welcome(raw({"jsonrpc": "2.0", "id": 1, "result": result}))
    assert welcome.version == "2025-11-25"
    answer = json.loads(welcome.answer(raw(id), "2025-06-18"))
    assert answer["id"] == id
    assert answer["result"] == members | {"protocolVersion": "2025-06-18"}


def test_a_welcome_keeps_numbers_and_text_exactly() -> None:
    exact = '"capabilities":{"n":1.50,"big":' + "9" * 40 + ',"half":"\\ud800"}'
    reply = '{"id":1,"result":{"protocolVersion":"2025-11-25",' + exact + "}}"
    answer = json.loads(Welcome(reply.encode()).answer(b"0", "2025-11-25"))
    assert answer["result"] == json.loads(reply)["result"]
    whole = reply.replace("\\ud800", "x")
    assert exact.replace("\\ud800", "x").encode() in Welcome(whole.encode()).answer(b"0", "v")


@pytest.mark.parametrize("reply", [*RUBBISH[:-1], b'{"error":{}}', b'{"result":{}}'])
def test_what_is_no_welcome_is_an_error(reply: bytes) -> None:
    with pytest.raises(ValueError, match="not an InitializeResult"):
        Welcome(reply)


@pytest.mark.parametrize("text", RUBBISH)
def test_rubbish_says_nothing(text: bytes) -> None:
    assert requested_version(text) == ""
    assert updated_uri(text) == ""
    assert error_code(text) == 0
    assert not knows_stateless(text)
    assert batch(text) == []


def test_what_messages_say() -> None:
    assert requested_version(raw({"params": {"protocolVersion": "2025-06-18"}})) == "2025-06-18"
    assert requested_version(raw({"params": {"protocolVersion": 7}})) == ""
    assert updated_uri(raw({"params": {"uri": "note://a"}})) == "note://a"
    assert updated_uri(raw({"params": {"uri": None}})) == ""
    assert error_code(raw({"error": {"code": -32601}})) == -32601
    assert error_code(raw({"error": {"code": "x"}})) == 0


@pytest.mark.parametrize(
    ("reply", "stateless"),
    [
        ({"result": {"supportedVersions": ["2026-07-28"]}}, True),
        ({"result": {"supportedVersions": ["2025-11-25", "2027-01-01"]}}, True),
        ({"result": {"supportedVersions": ["2025-11-25"]}}, False),
        ({"result": {"supportedVersions": [1]}}, False),
        ({"result": {}}, False),
        ({"error": {"code": -32020}}, True),
        ({"error": {"code": -32021}}, True),
        ({"error": {"code": -32022}}, True),
        ({"error": {"code": -32601}}, False),
        ({"error": {"code": -32602}}, False),
        ({"error": {"code": [1]}}, False),
    ],
)
def test_who_knows_the_stateless_era(reply: dict[str, Any], stateless: bool) -> None:
    assert knows_stateless(raw(reply)) is stateless


@pytest.mark.parametrize(
    ("code", "status"),
    [(-32601, 404), (-32602, 400), (-32022, 400), (-32700, 400), (-32603, 200), (1, 200), (0, 200)],
)
def test_statuses_of_the_stateless_era(code: int, status: int) -> None:
    assert status_of(code) == status


@given(IDS, IDS, st.dictionaries(st.text(), JSON, max_size=3), st.booleans(), st.booleans())
def test_a_message_gets_another_id_and_nothing_else_changes(
    held: Any, own: Any, result: Any, last: bool, spaced: bool
) -> None:
    head, tail = {"jsonrpc": "2.0", "id": held}, {"result": result}
    message = tail | head if last else head | tail
    text = json.dumps(message, separators=(", ", ": ") if spaced else (",", ":")).encode()
    changed = renumbered(text, raw(held), raw(own))
    if changed is None:
        assert (last, held) == (True, "id")
    else:
        assert json.loads(changed) == message | {"id": own}


def test_ids_in_odd_places_are_left_to_others() -> None:
    for text in (
        b'{"id":7,"jsonrpc":"2.0","result":{}}',
        b'{"jsonrpc":"2.0",\n"id":7,"result":{}}',
        b'{"jsonrpc":"2.0","id":77,"result":{}}',
        b'{"jsonrpc":"2.0","id":"7","result":{}}',
    ):
        assert renumbered(text, b"7", b"0") is None


@pytest.mark.parametrize(
    ("line", "id"),
    [
        (b'{"jsonrpc":"2.0","id":7,"result":{"text":"\xe9"', b"7"),
        (b'{"jsonrpc": "2.0", "id": "a\\"", "error": {}', b'"a\\""'),
        (b'{"result":{"text":"\xe9"},"jsonrpc":"2.0","id":7}', b"7"),
        (b'{"jsonrpc":"2.0","result":{"text":"\xe9"},"id":7}', b"7"),
        (b'{"jsonrpc":"2.0","id":7,"method":"\xe9"}', None),
        (b'{"method":"\xe9","jsonrpc":"2.0","id":7}', None),
        (b'{"result":{"text":"\xe9"}}', None),
        (b"noise", None),
        (b"", None),
    ],
)
def test_whose_answer_a_broken_line_is(line: bytes, id: bytes | None) -> None:
    assert answered_id(line) == id


def test_an_id_inside_of_a_message_is_not_taken_for_its_own() -> None:
    for text in (
        rb'{"id":7,"result":{"jsonrpc":"2.0","id":7}}',
        rb'{"id":7,"result":",\"id\":7}"}',
        rb'{"id":7,"a,\"id":7}',
        rb'{"id":7,"result":{"id":7} }',
        rb'{"id":7,"result":[{"id":7}]}',
    ):
        assert renumbered(text, b"7", b"0") is None


@given(IDS, st.integers(1, 99))
def test_subscriptions_are_renamed_both_as_number_and_as_text(own: Any, number: int) -> None:
    for held in (number, str(number)):
        meta = {"io.modelcontextprotocol/subscriptionId": held, "other": "x"}
        line = raw({"params": {"_meta": meta, "text": '"io.x/subscriptionId":7'}})
        assert subscription_of(line) == raw(held)
        renamed = json.loads(resubscribed(line, raw(held), raw(own)))
        assert renamed["params"]["_meta"] == meta | {"io.modelcontextprotocol/subscriptionId": own}
        assert resubscribed(line, b"0", raw(own)) == line
    assert subscription_of(b"{}") is None


@given(st.lists(st.dictionaries(st.text(), JSON, max_size=2)))
def test_a_batch_is_taken_apart(messages: list[Any]) -> None:
    assert [json.loads(m) for m in batch(raw(messages))] == messages


def test_failures_and_endings_are_told() -> None:
    assert json.loads(failure(None, -1, "no", reason="R")) == {
        "jsonrpc": "2.0",
        "id": None,
        "error": {"code": -1, "message": "no", "data": {"reason": "R"}},
    }
    assert "data" not in json.loads(failure(b"0", -1, "no"))["error"]
    assert ending(Exit(code=3)) == "the server's process exited with code 3"
    assert ending(Exit(signal=9)) == "the server's process was ended by signal 9"
    assert ending(Exit(reason="why", last_line="words")) == "why: words"
