"""What is known of a message without taking it apart."""

import json
import re
import sys
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mooring.core.codes import INVALID_REQUEST, PARSE_ERROR
from mooring.transports.envelope import VERSION_KEY, Envelope, Malformed, peek, peek_deep, splice

CALL = (
    b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo",'
    b'"arguments":{"text":"hi"},"_meta":{"progressToken":5}}}'
)
DEEP = "[" * 50_000 + '{"id":3}' + "]" * 50_000


def envelope(body: bytes | str) -> Envelope:
    found = peek(body.encode() if isinstance(body, str) else body)
    assert isinstance(found, Envelope), found
    return found


def refusal(body: bytes | str) -> Malformed:
    found = peek(body.encode() if isinstance(body, str) else body)
    assert isinstance(found, Malformed), found
    return found


# What is read.


def test_a_call_is_a_request_with_method_id_name_and_progress_token() -> None:
    assert peek(CALL) == Envelope("request", "tools/call", b"1", "echo", None, b"5", None, False)


def test_spaces_between_members_change_nothing() -> None:
    spaced = json.dumps(json.loads(CALL), indent=2).encode()
    assert peek(spaced) == peek(CALL)
    assert peek(b" \r\n\t" + CALL + b"\n") == peek(CALL)


def test_the_order_of_members_changes_nothing() -> None:
    message = json.loads(CALL)
    turned = dict(reversed(message.items()))
    turned["params"] = dict(reversed(message["params"].items()))
    assert peek(json.dumps(turned, separators=(",", ":")).encode()) == peek(CALL)


def test_a_stateless_call_tells_its_version() -> None:
    meta = {
        VERSION_KEY: "2026-07-28",
        "io.modelcontextprotocol/clientInfo": {"name": "mcp", "version": "0.1.0"},
        "io.modelcontextprotocol/clientCapabilities": {"elicitation": {"form": {}}},
    }
    message = {"jsonrpc": "2.0", "id": 4, "method": "tools/list", "params": {"_meta": meta}}
    for separators in ((",", ":"), (", ", ": ")):
        found = envelope(json.dumps(message, separators=separators))
        assert (found.version, found.name, found.progress_token) == ("2026-07-28", None, None)


def test_an_unknown_key_in_meta_is_no_obstacle() -> None:
    body = (
        '{"method":"a","params":{"_meta":{"traceparent":"00-1","progressToken":"t","'
        + VERSION_KEY
        + '":"2026-07-28"}}}'
    )
    assert envelope(body).progress_token == b'"t"'
    assert envelope(body).version == "2026-07-28"


def test_resources_are_named_by_their_uri() -> None:
    params = '"params":{"uri":"note://a","name":"x"}'
    assert envelope('{"id":1,"method":"resources/read",' + params + "}").name == "note://a"
    assert envelope('{"id":1,"method":"tools/call",' + params + "}").name == "x"


def test_a_name_is_decoded() -> None:
    assert envelope('{"method":"m","params":{"name":"a\\u0062\\n"}}').name == "ab\n"
    assert envelope('{"method":"m","params":{"name":"größe"}}').name == "größe"


def test_a_name_that_is_no_text_names_nothing() -> None:
    assert envelope('{"id":1,"method":"tools/call","params":{"name":5}}').name is None
    assert envelope('{"id":1,"method":"tools/call","params":[1]}').name is None


def test_progress_and_cancellation_carry_theirs_in_params() -> None:
    progress = envelope(
        '{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":"a",'
        '"progress":1}}'
    )
    assert (progress.type, progress.progress_token) == ("notification", b'"a"')
    cancelled = envelope(
        '{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId": 13}}'
    )
    assert (cancelled.type, cancelled.request_id) == ("notification", b"13")


def test_responses_are_told_by_result_or_error() -> None:
    assert envelope('{"jsonrpc":"2.0","id":"x","result":{}}') == Envelope(
        "response", "", b'"x"', None, None, None, None, False
    )
    assert envelope('{"error":{"code":1,"message":""},"id":0}').is_error
    assert envelope('{"error":{"code":1,"message":""},"id":null}').id is None
    assert envelope('{"error":{"code":1,"message":""}}').id is None


@pytest.mark.parametrize(
    "raw", ["0", "-1", "-0", "1" * 50, "-" + "9" * 50, '""', '"a"', '"\\u0061"', '"ä"']
)
def test_an_id_is_kept_as_it_is_written(raw: str) -> None:
    for body in (f'{{"id":{raw},"method":"m"}}', f'{{"method":"m", "id": {raw} }}'):
        assert envelope(body).id == raw.encode()
    assert envelope(f'{{"id":{raw},"result":1}}').id == raw.encode()


# What is refused.


@pytest.mark.parametrize("raw", ["1.0", "1e3", "null", "true", "[]", "{}", "-1.5"])
def test_an_id_of_another_type_is_refused(raw: str) -> None:
    assert refusal(f'{{"id":{raw},"method":"m"}}').code == INVALID_REQUEST
    assert refusal(f'{{"id" :{raw},"method":"m"}}').code == INVALID_REQUEST
    if raw != "null":
        assert refusal(f'{{"id":{raw},"result":1}}').code == INVALID_REQUEST


@pytest.mark.parametrize("body", ["[]", '[{"id":1,"method":"m"}]', " [1]\n"])
def test_batches_are_refused(body: str) -> None:
    assert refusal(body).code == INVALID_REQUEST
    assert "batch" in refusal(body).message


@pytest.mark.parametrize(
    "body", ["1", '"a"', "null", "{}", '{"jsonrpc":"2.0"}', '{"id":1}', '{"method":1}', '"\\ud800"']
)
def test_what_is_no_message_is_refused(body: str) -> None:
    assert refusal(body).code == INVALID_REQUEST


def test_a_message_cannot_be_request_and_response_at_once() -> None:
    assert refusal('{"id":1,"method":"m","result":1}').code == INVALID_REQUEST
    assert refusal('{"id":1,"method":"m","error":1}') == Malformed(
        INVALID_REQUEST, "both a request and a response", b"1"
    )


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b'{"method":"m"',
        b'{"method":"m",}',
        b'{"method":"m"}x',
        b'{"method":"m"}{}',
        b'{"method":"a\xff"}',
        b'{"method":"m","params":{"a":"\xff"}}',
        b'{"method":"m","params":{"a":"\xed\xa0\x80"}}',
        b'{"method":"m","\xff":1}',
        b'\xef\xbb\xbf{"method":"m"}',
        b'{"method":"m","params":{"a":NaN}}',
        b'{"method":"m","params":{"a":-Infinity,"b":"\\ud800"}}',
        b'{"method":"m","params":{"a":"\\ud800","b":01}}',
        b'{"method":"m","params":{"a":"\\ud800"}',
        b'{"method":"m","params":{"a":"\n"}}',
        b'{"method":"m",params:{}}',
        b'"\\ud800" 1',
    ],
)
def test_what_is_not_json_in_utf8_is_a_parse_error(body: bytes) -> None:
    assert refusal(body).code == PARSE_ERROR


@pytest.mark.parametrize("opening", [b"[", b'{"a":', b'["\\ud800",'])
def test_nesting_without_end_is_a_parse_error(opening: bytes) -> None:
    assert refusal(b'{"method":"m","params":{"a":' + opening * 100_000).code == PARSE_ERROR


def test_reasonable_nesting_is_forwarded() -> None:
    deep = b"[" * 200 + b"]" * 200
    assert envelope(b'{"id":1,"method":"m","params":{"a":' + deep + b"}}").method == "m"


@pytest.mark.parametrize(
    "message",
    [
        '{"id":1,"method":"tools/call","params":{"name":"a","x":<>,"_meta":{"progressToken":5}}}',
        '{ "params" : {"_meta": {"y": <>}, "requestId": 1}, "method":"notifications/cancelled"}',
        '{"result":<>,"id":"\\u0031"}',
        '{"id":1,"Id":<>,"method":"a"}',
        '{"id":[<>],"result":1}',
    ],
)
def test_what_a_server_wrote_may_be_nested_at_any_depth(message: str) -> None:
    deep = message.replace("<>", DEEP)
    flat = message.replace("<>", "[[]]")
    assert peek_deep(flat.encode()) == peek(flat.encode())
    assert peek_deep(deep.encode()) == peek(flat.encode())
    assert refusal(deep).code == PARSE_ERROR
    if isinstance(peek(flat.encode()), Envelope):
        new = {"id": b'"N"', "progress_token": b'"T"', "request_id": b'"R"'}
        changed = splice(deep.encode(), **new).decode()
        assert changed.replace(DEEP, "[[]]").encode() == splice(flat.encode(), **new)


# What two readers might understand differently.


@pytest.mark.parametrize(
    "body",
    [
        '{"id":1,"method":"a","method":"b"}',
        '{"id":1,"method":"a","method":"a"}',
        '{"id":1,"id":1,"method":"a"}',
        '{"id":1,"method":"a","params":{},"params":{}}',
        '{"id":1,"method":"a","Method":"b"}',
        '{"id":1,"METHOD":"b","result":1}',
        '{"ID":1,"method":"a"}',
        '{"method":"a","param\u017f":{"name":"b"},"params":{"name":"a"}}',
        '{"method":"a","m\\u0065thod":"b"}',
        '{"method":"a","\\u0069d":1,"id":2}',
        '{"method":"a","params":{"name":"a","name":"b"}}',
        '{"method":"a","params":{"name":"a","arguments":{"x":1},"Name":"b"}}',
        '{"method":"a","params":{"uri":"a","\\u0075ri":"b"}}',
        '{"method":"a","params":{"URI":"a"}}',
        '{"method":"a","params":{"_meta":{},"_meta":{"progressToken":1}}}',
        '{"method":"a","name":"b","Name":"c"}',
        '{"method":"a","params":{"a":"\\ud800","name":"a","name":"b"}}',
    ],
)
def test_a_second_way_to_read_a_routed_key_is_refused(body: str) -> None:
    found = refusal(body)
    assert found.code == INVALID_REQUEST
    assert "more than one way" in found.message


@pytest.mark.parametrize(
    "body",
    [
        '{"id":1,"method":"a","params":{"arguments":{"name":1,"Name":2,"name":3}}}',
        '{"id":1,"method":"a","params":{"x":{"id":1},"y":{"method":"q"},"id":5,"ID":6}}',
        '{"id":1,"method":"a","extra":1,"extra":2}',
        '{"id":1,"method":"a","params":{"_meta":{"x":1,"x":2}}}',
        '{"id":1,"result":{"method":"a","method":"b","id":3}}',
    ],
)
def test_other_keys_may_come_as_they_like(body: str) -> None:
    assert envelope(body).id == b"1"


def test_lone_surrogates_are_forwarded_and_names_with_them_match_nothing() -> None:
    body = '{"id":1,"method":"tools/call","params":{"name":"a\\ud800","arguments":{"b":"\\udfff"}}}'
    found = envelope(body)
    assert (found.id, found.name) == (b"1", "a?")
    assert envelope('{"id":2,"result":"\\udc00"}').id == b"2"


# Replacing.


def test_ids_and_tokens_are_replaced_and_nothing_else() -> None:
    assert splice(CALL, id=b'"7:1"', progress_token=b"99") == CALL.replace(
        b'"id":1', b'"id":"7:1"'
    ).replace(b'"progressToken":5', b'"progressToken":99')
    assert splice(CALL) == CALL


@pytest.mark.parametrize(
    "body",
    [
        '{"id":<1>,"method":"a"}',
        '{"jsonrpc":"2.0","method":"a","id":<"x">,"params":{"id":1}}',
        '{"result":{"id":5},"jsonrpc":"2.0","id":<1>}',
        '{"result":{"id":5},"id":<"1">,"jsonrpc":"2.0"}',
        '{"result":",\\"id\\":5}","id":<1>}',
        '{"id":<null>,"error":{"id":1}}',
        '{"error":{"id":1},"id":<null>}',
        '{ "id" : <"a\\"b"> , "result":1}\n',
        '{"jsonrpc":"2.0","\\u0069d":<3>,"method":"a"}',
        '{"params":{"id":1},"method":"a"}',
        '{"é":"ü","id":<1>,"result":"ö"}',
        '{"id":<1>,"result":"\\ud800"}',
    ],
)
def test_the_message_s_own_id_is_found(body: str) -> None:
    plain = body.replace("<", "").replace(">", "")
    assert splice(plain.encode(), id=b"N") == re.sub("<.*?>", "N", body).encode()


@pytest.mark.parametrize(
    "params",
    [
        '{"_meta":{"progressToken":<5>}}',
        '{"progressToken":<"a">,"progress":1}',
        '{"progressToken":<5>,"_meta":{"progressToken":<5>}}',
        '{"arguments":{"progressToken":5}}',
        '{"arguments":{"progressToken":5},"_meta":{"progressToken":<5>}}',
        '{"arguments":{"progressToken":5},"_meta":{"progress\\u0054oken":<5>}}',
        '{"arguments":{"x\\"progressToken":5},"_meta":{"progressToken" : <5>}}',
        '{"_meta":{"progressToken": <5>}}',
        '{"arguments":{"progressToken":5},"_meta":{"progressToken" :<5>}}',
        '{"a":"\\ud800","_meta":{"progressToken":<5>}}',
        '{"requestId":<5>,"reason":"\\"requestId\\":5"}',
        '{"requestId":<"x">,"progressToken":<1>}',
        '{"a":{"requestId":"x"}}',
        "[5]",
        '{"_meta":5}',
    ],
)
def test_tokens_are_found_where_they_count(params: str) -> None:
    body = '{"method":"a","params":' + params + "}"
    plain = body.replace("<", "").replace(">", "")
    assert splice(plain.encode(), progress_token=b"N", request_id=b"N") == (
        re.sub("<.*?>", "N", body).encode()
    )


# Against a slow judge.

KEYS = st.sampled_from(
    ["jsonrpc", "id", "method", "params", "result", "error", "name", "uri", "_meta", "arguments",
     "progressToken", "requestId", VERSION_KEY, "Id", "NAME", "Method", "extra", "param\u017f", "é"]
)  # fmt: skip
TEXTS = st.sampled_from(
    ["2.0", "a", "tools/call", "resources/read", "notifications/progress",
     "notifications/cancelled", "", "é", "\n", '"', "\\", "\ud800", "\u017f",
     '"id":1}', ',"progressToken":5']
)  # fmt: skip
LEAVES = st.one_of(
    TEXTS,
    st.integers(-2, 3),
    st.sampled_from([10**50, -(10**50), None, True, 1.5]),
)


class Pairs(list[tuple[str, Any]]):
    """An object, duplicates and all."""


def objects(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Pairs]:
    return st.lists(st.tuples(KEYS, values), max_size=6).map(Pairs)


VALUES = st.recursive(LEAVES, lambda inner: objects(inner) | st.lists(inner, max_size=3))
USUAL = st.fixed_dictionaries(
    {},
    optional={
        "jsonrpc": st.just("2.0"),
        "id": st.one_of(st.integers(0, 9), TEXTS),
        "method": TEXTS,
        "params": st.fixed_dictionaries(
            {},
            optional={
                "name": TEXTS,
                "uri": TEXTS,
                "arguments": VALUES,
                "requestId": st.integers(0, 9),
                "progressToken": st.integers(0, 9),
                "_meta": st.fixed_dictionaries(
                    {},
                    optional={"progressToken": st.integers(0, 9), VERSION_KEY: TEXTS, "x": VALUES},
                ),
            },
        ),
        "result": VALUES,
        "error": VALUES,
    },
)


@st.composite
def texts(draw: st.DrawFn) -> str:
    """A JSON text of a message, usual or not, spaced and escaped in any way."""
    message = draw(st.one_of(USUAL, objects(VALUES), VALUES))
    space = draw(st.sampled_from(["", "", "", " ", "\n\t"]))
    escape = draw(st.booleans())
    return write(message, space, escape)


def write(value: Any, space: str, escape: bool) -> str:
    if isinstance(value, dict):
        value = Pairs(value.items())
    if isinstance(value, Pairs):
        members = [
            f"{text(key, escape)}{space}:{space}{write(inner, space, escape)}"
            for key, inner in value
        ]
        return "{" + space + f"{space},{space}".join(members) + space + "}"
    if isinstance(value, list):
        return "[" + f",{space}".join(write(inner, space, escape) for inner in value) + "]"
    return text(value, escape) if isinstance(value, str) else json.dumps(value)


def text(value: str, escape: bool) -> str:
    if escape or "\ud800" in value:
        return json.dumps(value)
    return json.dumps(value, ensure_ascii=False)


def judged(body: str) -> tuple[Any, ...] | int:
    """What `peek` should say, from the rules, by way of a tree."""
    tree = json.loads(body, object_pairs_hook=Pairs)
    if not isinstance(tree, Pairs):
        return INVALID_REQUEST
    top = dict(tree)
    params = top.get("params")
    inner = params if isinstance(params, Pairs) else Pairs()
    if doubtful(tree, {"method", "id", "params", "name", "uri"}):
        return INVALID_REQUEST
    if doubtful(inner, {"name", "uri", "_meta"}):
        return INVALID_REQUEST
    answered = "result" in top or "error" in top
    ident = top.get("id", ...)
    if ident is None and answered and "method" not in top:
        ident = ...
    if ident is not ... and (isinstance(ident, bool) or not isinstance(ident, str | int)):
        return INVALID_REQUEST
    if "method" not in top:
        return (
            ("response", "", ident, None, None, ..., ..., "error" in top)
            if answered
            else INVALID_REQUEST
        )
    method = top["method"]
    if not isinstance(method, str) or answered:
        return INVALID_REQUEST
    values = dict(inner)
    meta = dict(values["_meta"]) if isinstance(values.get("_meta"), Pairs) else {}
    token = meta.get("progressToken", ...)
    if token is ... and method == "notifications/progress":
        token = values.get("progressToken", ...)
    request = values.get("requestId", ...) if method == "notifications/cancelled" else ...
    name = values.get("uri" if method.startswith("resources/") else "name")
    kind = "notification" if ident is ... else "request"
    return (
        kind,
        shown(method),
        ident,
        shown(name),
        shown(meta.get(VERSION_KEY)),
        token,
        request,
        False,
    )


def doubtful(pairs: Pairs, keys: set[str]) -> bool:
    folded = [key.casefold() for key, _ in pairs if key.casefold() in keys]
    variants = [key for key, _ in pairs if key.casefold() in keys and key not in keys]
    return bool(variants) or len(set(folded)) != len(folded)


def shown(value: Any) -> str | None:
    return value.encode(errors="replace").decode() if isinstance(value, str) else None


def value_of(raw: bytes | None) -> Any:
    return ... if raw is None else json.loads(raw, object_pairs_hook=Pairs)


@settings(max_examples=150, deadline=None)
@given(texts())
@example('{"id":1,"method":"m","params":{"_meta":{"progressToken":null}}}')
@example('{"id":null,"result":1,"method":"m"}')
def test_peek_says_what_a_slow_reader_says(body: str) -> None:
    expected = judged(body)
    found = peek(body.encode())
    if isinstance(found, Malformed):
        assert found.code == expected
        return
    assert (
        found.type,
        found.method,
        value_of(found.id),
        found.name,
        found.version,
        value_of(found.progress_token),
        value_of(found.request_id),
        found.is_error,
    ) == expected


def replaced(value: Any, **new: Any) -> Any:
    """A message with id and tokens replaced, as a tree."""
    if not isinstance(value, Pairs):
        return value
    out = Pairs()
    for key, inner in value:
        if key == "id":
            inner = new["id"]
        elif key == "params" and isinstance(inner, Pairs):
            inner = Pairs((k, replaced_in(k, v, new)) for k, v in inner)
        out.append((key, inner))
    return out


def replaced_in(key: str, value: Any, new: dict[str, Any]) -> Any:
    if key == "progressToken":
        return new["token"]
    if key == "requestId":
        return new["request"]
    if key == "_meta" and isinstance(value, Pairs):
        return Pairs((k, new["token"] if k == "progressToken" else v) for k, v in value)
    return value


@settings(max_examples=150, deadline=None)
@given(texts())
def test_splice_changes_what_it_should_and_no_byte_more(body: str) -> None:
    if isinstance(peek(body.encode()), Malformed):
        return
    raw = body.encode()
    changed = splice(raw, id=b'"~I~"', progress_token=b'"~T~"', request_id=b'"~R~"')
    tree = json.loads(body, object_pairs_hook=Pairs)
    assert json.loads(changed, object_pairs_hook=Pairs) == replaced(
        tree, id="~I~", token="~T~", request="~R~"
    )
    pieces = re.split(b'"~[ITR]~"', changed)
    assert is_left_of(pieces, raw)


def is_left_of(pieces: list[bytes], raw: bytes) -> bool:
    """Whether `pieces` stand in `raw` in this order, from its beginning to its end."""
    at = len(pieces[0])
    if not raw.startswith(pieces[0]) or not raw.endswith(pieces[-1]):
        return False
    for piece in pieces[1:]:
        at = raw.find(piece, at)
        if at < 0:
            return False
        at += len(piece)
    return True


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=60), st.integers(0, 200))
def test_broken_messages_are_answered_not_raised(noise: bytes, cut: int) -> None:
    for body in (noise, CALL[:cut] + noise, CALL[:cut] + noise + CALL[cut:]):
        found = peek(body)
        assert isinstance(found, Envelope | Malformed)
        if isinstance(found, Envelope):
            json.loads(body)


@settings(max_examples=60, deadline=None)
@given(texts())
def test_a_changed_message_changes_back(body: str) -> None:
    found = peek(body.encode())
    if isinstance(found, Malformed) or found.id is None:
        return
    raw = body.encode()
    assert splice(splice(raw, id=b"123"), id=found.id) == raw


def test_a_long_integer_is_no_danger() -> None:
    digits = "7" * (sys.get_int_max_str_digits() + 1)
    assert envelope(f'{{"id":{digits},"method":"m"}}').id == digits.encode()
    assert envelope(f'{{"id":{digits},"method":"m","params":"\\ud800"}}').id == digits.encode()
