"""What the gateway must know of a JSON-RPC message, without taking it apart.

A body is looked at once and forwarded as the bytes that came. Three ways of looking, each
taken when the one before it cannot vouch for its answer:

1. msgspec decodes the few members that matter and skips the rest. It keeps the last of two
   equal keys and is silent about others, so the answer counts only if the lengths of the known
   members add up to the length of the body: then there is nothing else in it.
2. All members of the message and of its `params` are listed, whatever the spacing.
3. What msgspec refuses (lone surrogates) is listed by the standard library's parser.

What is nested too deeply for all three is refused from a client. From a server it is not ours
to refuse: `peek_deep` finds the ends of its members and looks no further.

A duplicate or a case-variant of a key that routing reads is refused, because the server
behind us may choose the other one. Ids and tokens are replaced by offset.
"""

import json
import re
from collections.abc import Callable, Iterator
from typing import Final, Literal

import msgspec
from msgspec import UNSET, Raw, UnsetType

from mooring.core.codes import INVALID_REQUEST, PARSE_ERROR
from mooring.transports.members import (
    Member,
    NotAnObject,
    NotJson,
    Span,
    TooDeep,
    members,
    shallow,
    spans,
)

_PREFIX: Final = "io.modelcontextprotocol/"
VERSION_KEY: Final = _PREFIX + "protocolVersion"


class Envelope(msgspec.Struct, frozen=True, gc=False):
    """One JSON-RPC message from outside."""

    type: Literal["request", "notification", "response"]
    method: str
    """Empty for a response."""
    id: bytes | None
    """Raw JSON text (`1`, `"a"`); None when absent, and for a response with `null`."""
    name: str | None
    """What is called: `params.name`, or `params.uri` of the resources methods."""
    version: str | None
    """The revision that the message itself claims, in `params._meta`."""
    progress_token: bytes | None
    """Raw JSON text: of `params._meta`, or of `params` in notifications/progress."""
    request_id: bytes | None
    """Raw JSON text of `params.requestId`, in notifications/cancelled."""
    is_error: bool
    """A response that carries `error`."""


class Malformed(msgspec.Struct, frozen=True, gc=False):
    """A body that is no message; what to answer."""

    code: int
    message: str
    id: bytes | None = None


_NONE: Final = Raw()


# Of the keys below, those that matter and those that most messages have besides. What is absent
# is empty; what is empty does not add up, below, and is looked at carefully.


class _Meta(msgspec.Struct, gc=False):
    progressToken: Raw = _NONE
    version: str = msgspec.field(default="", name=VERSION_KEY)
    client: Raw = msgspec.field(default=_NONE, name=_PREFIX + "clientInfo")
    can: Raw = msgspec.field(default=_NONE, name=_PREFIX + "clientCapabilities")


class _Params(msgspec.Struct, gc=False):
    name: str = ""
    arguments: Raw = _NONE
    meta: _Meta | None = msgspec.field(default=None, name="_meta")
    uri: str = ""


class _Message(msgspec.Struct, gc=False):
    jsonrpc: str = ""
    id: Raw = _NONE
    method: str = ""
    params: _Params | None = None
    result: Raw = _NONE
    error: Raw = _NONE


_decode_message: Final = msgspec.json.Decoder(_Message).decode
_REFUSALS: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)

_TOP: Final = frozenset({"method", "id", "params", "name", "uri"})
_INNER: Final = frozenset({"name", "uri", "_meta"})
_INTEGER: Final = re.compile(rb"-?[0-9]+")


def peek(body: bytes) -> Envelope | Malformed:
    """What kind of message this is, and the few values that routing reads."""
    try:
        message = _decode_message(body)
    except _REFUSALS:
        return _peek_at_members(body)
    raw = bytes(message.id)
    answer = _trust(message, raw, len(body))
    if answer is None or not body.isascii() or not (raw.isdigit() or not raw or _is_id(raw)):
        return _peek_at_members(body)
    return answer


def peek_deep(message: bytes) -> Envelope | Malformed:
    """The same of what a server wrote, however deeply it is nested.

    What is in the values of such a message is not looked at: it passes as it is.
    """
    return _peek_at_members(message, _members_at_any_depth)


def _members_at_any_depth(raw: bytes) -> list[Member]:
    try:
        return members(raw)
    except TooDeep:
        return [(key, raw[start:end]) for key, start, end in shallow(raw)]


def _trust(message: _Message, raw: bytes, length: int) -> Envelope | None:
    """The envelope, if the message is made of known members and nothing else.

    Every member takes its key, its value, and four signs: two quotes, a colon, and a comma or
    the closing brace. So lengths that add up leave room for no space, escape or other member.
    """
    length -= 7 + len(raw) if raw else 1
    if message.jsonrpc:
        length -= 13 + len(message.jsonrpc)
    method = message.method
    if not method:
        return _trust_response(message, raw, length)
    length -= 12 + len(method)
    params = message.params
    name = version = token = None
    if params is not None:
        name = (params.uri if method.startswith("resources/") else params.name) or None
        size = 1
        if params.name:
            size += 10 + len(params.name)
        if params.arguments:
            size += 13 + len(params.arguments)
        if params.uri:
            size += 9 + len(params.uri)
        if params.meta is not None:
            version, token, rest = _read_meta(params.meta)
            size += 9 + rest
        length -= 12 if size == 1 else 10 + size
    if length:
        return None
    if raw:
        return Envelope("request", method, raw, name, version, token, None, False)
    return Envelope("notification", method, None, name, version, token, None, False)


def _read_meta(meta: _Meta) -> tuple[str | None, bytes | None, int]:
    """Version, progress token, and how long it is, were it made of its known members."""
    size = 1
    token = None
    if meta.progressToken:
        token = bytes(meta.progressToken)
        size += 17 + len(token)
    if meta.version:
        size += 6 + len(VERSION_KEY) + len(meta.version)
    if meta.client:
        size += 14 + len(_PREFIX) + len(meta.client)
    if meta.can:
        size += 22 + len(_PREFIX) + len(meta.can)
    return meta.version or None, token, max(size, 2)


def _trust_response(message: _Message, raw: bytes, length: int) -> Envelope | None:
    failed = len(message.error) > 0
    if message.result:
        length -= 10 + len(message.result)
    if failed:
        length -= 9 + len(message.error)
    if length or not raw or not (failed or message.result):
        return None
    return Envelope("response", "", raw, None, None, None, None, failed)


def _is_id(raw: bytes) -> bool:
    return raw[:1] == b'"' or _INTEGER.fullmatch(raw) is not None


def _bad_id() -> Malformed:
    return Malformed(INVALID_REQUEST, "the id must be a string or an integer")


# The careful way.


def _peek_at_members(
    body: bytes, listed: Callable[[bytes], list[Member]] = members
) -> Envelope | Malformed:
    try:
        if not body.isascii():
            body.decode()  # msgspec does not look into strings that it skips
        top = listed(body)
        inner = _inner(top, "params", listed)
        meta = dict(_inner(inner, "_meta", listed))
    except UnicodeDecodeError:
        return Malformed(PARSE_ERROR, "not UTF-8")
    except NotJson as error:
        return Malformed(PARSE_ERROR, str(error))
    except NotAnObject as error:
        return Malformed(INVALID_REQUEST, f"one message at a time is accepted; this is {error}")
    return _doubt(top, _TOP) or _doubt(inner, _INNER) or _judge(dict(top), dict(inner), meta)


def _inner(outer: list[Member], key: str, listed: Callable[[bytes], list[Member]]) -> list[Member]:
    """The members of the first member of that name; empty where it is no object."""
    return next((listed(raw) for name, raw in outer if name == key and _is_object(raw)), [])


def _is_object(raw: bytes) -> bool:
    return raw[:1] == b"{"


def _doubt(listed: list[Member], keys: frozenset[str]) -> Malformed | None:
    """Refuses a second, or differently written, form of a key that routing reads."""
    seen = set()
    for key, _ in listed:
        folded = key.casefold()
        if folded in keys:
            if key != folded or key in seen:
                return Malformed(INVALID_REQUEST, f"more than one way to read {folded!r}")
            seen.add(key)
    return None


def _judge(
    top: dict[str, bytes], inner: dict[str, bytes], meta: dict[str, bytes]
) -> Envelope | Malformed:
    raw = top.get("id")
    answered = "result" in top or "error" in top
    if "method" not in top and answered and raw == b"null":
        raw = None
    if raw is not None and not _is_id(raw):
        return _bad_id()
    if "method" not in top:
        if answered:
            return Envelope("response", "", raw, None, None, None, None, "error" in top)
        return Malformed(INVALID_REQUEST, "neither a request nor a response", raw)
    method = _text(top["method"])
    if method is None:
        return Malformed(INVALID_REQUEST, "the method must be a string", raw)
    if answered:
        return Malformed(INVALID_REQUEST, "both a request and a response", raw)
    return _describe(method, raw, inner, meta)


def _describe(
    method: str, raw: bytes | None, inner: dict[str, bytes], meta: dict[str, bytes]
) -> Envelope:
    """The envelope of a request or notification with these params."""
    token = meta.get("progressToken")
    if token is None and method == "notifications/progress":
        token = inner.get("progressToken")
    return Envelope(
        "notification" if raw is None else "request",
        method,
        raw,
        _text(inner.get("uri" if method.startswith("resources/") else "name")),
        _text(meta.get(VERSION_KEY)),
        token,
        inner.get("requestId") if method == "notifications/cancelled" else None,
        False,
    )


def _text(raw: bytes | None) -> str | None:
    """A raw JSON string, decoded; None for anything else."""
    if raw is None or raw[:1] != b'"':
        return None
    text = str(json.loads(raw))
    return text if text.isascii() else text.encode(errors="replace").decode()


# Replacing.


class _TokenMeta(msgspec.Struct, gc=False):
    progressToken: Raw | UnsetType = UNSET


class _TokenParams(msgspec.Struct, gc=False):
    progressToken: Raw | UnsetType = UNSET
    requestId: Raw | UnsetType = UNSET
    meta: _TokenMeta | UnsetType = msgspec.field(default=UNSET, name="_meta")


class _TokenMessage(msgspec.Struct, gc=False):
    params: _TokenParams | UnsetType = UNSET


_decode_tokens: Final = msgspec.json.Decoder(_TokenMessage).decode
_ID: Final = rb'"id":("[^"\\]*"|-?[0-9]+)'
_ID_FIRST: Final = re.compile(rb'\{(?:"(?:jsonrpc|method)":"[^"\\]*",)*' + _ID + rb"[,}]")
_ID_LAST: Final = re.compile(rb"," + _ID + rb"\}")

Change = tuple[int, int, bytes]
"""From where to where, and what to put there."""


def splice(
    body: bytes,
    *,
    id: bytes | None = None,
    progress_token: bytes | None = None,
    request_id: bytes | None = None,
) -> bytes:
    """The message with these raw values in the place of its own; the rest byte for byte.

    `body` is one that `peek` accepted. What it does not have is not added. The progress token
    is that of `params._meta`, and that of `params` (notifications/progress).
    """
    changes = _quick_changes(body, id, progress_token, request_id)
    if changes is None:
        changes = list(_changes(body, id, progress_token, request_id))
    for start, end, value in sorted(changes, reverse=True):
        body = b"".join((body[:start], value, body[end:]))
    return body


def _quick_changes(
    body: bytes, id: bytes | None, token: bytes | None, request_id: bytes | None
) -> list[Change] | None:
    """What to change, where that can be told without parsing it all; else None."""
    changes: list[Change] = []
    if id is not None:
        found = _ID_FIRST.match(body) or _ID_LAST.fullmatch(body, max(body.rfind(b',"id":'), 0))
        if found is None:
            return None
        changes.append((found.start(1), found.end(1), id))
    if token is None and request_id is None:
        return changes
    try:
        params = _decode_tokens(body).params
    except _REFUSALS:
        return None
    if params is UNSET:
        return changes
    owner = params if params.meta is UNSET or params.meta.progressToken is UNSET else params.meta
    for key, old, new in (
        (b"progressToken", owner.progressToken, token),
        (b"requestId", params.requestId, request_id),
    ):
        if new is not None and old is not UNSET:
            start = _only(body, key)
            if start is None or not body.startswith(bytes(old), start):
                return None
            changes.append((start, start + len(old), new))
    return changes


def _only(body: bytes, key: bytes) -> int | None:
    """Where the value of the only key of that name begins, wherever in the message it is.

    An unescaped quote in valid JSON begins or ends a string, so that what looks like the key is
    one; and no other can be in disguise if there is neither a space before a colon nor a
    `\\u` escape.
    """
    at = body.find(key + b'":')
    if at < 1 or body[at - 1] != 0x22 or body.count(key + b'"') != 1 or b"\\u" in body:
        return None
    return at + len(key) + 2


def _changes(
    body: bytes, id: bytes | None, token: bytes | None, request_id: bytes | None
) -> Iterator[Change]:
    for key, start, end in _spans(body):
        if key == "id" and id is not None:
            yield start, end, id
        elif key == "params" and body[start] == 0x7B:
            new = {"progressToken": token, "requestId": request_id}
            yield from _changes_within(body, start, end, new)


def _spans(raw: bytes) -> list[Span]:
    try:
        return spans(raw)
    except TooDeep:
        return shallow(raw)


def _changes_within(
    body: bytes, start: int, end: int, new: dict[str, bytes | None]
) -> Iterator[Change]:
    for key, a, b in _spans(body[start:end]):
        value = new.get(key)
        if value is not None:
            yield start + a, start + b, value
        elif key == "_meta" and body[start + a] == 0x7B:
            token = {"progressToken": new.get("progressToken")}
            yield from _changes_within(body, start + a, start + b, token)
