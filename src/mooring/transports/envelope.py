"""What the gateway must know of a JSON-RPC message, without taking it apart.

A body is looked at once and forwarded as the bytes that came. Three ways of looking, each
taken when the one before it cannot vouch for its answer:

1. msgspec decodes the few members that matter and skips the rest. It keeps the last of two
   equal keys and is silent about others, so the answer counts only if the lengths of the known
   members add up to the length of the body: then there is nothing else in it.
2. All members of the message and of its `params` are listed, whatever the spacing.
3. What msgspec refuses (lone surrogates) is listed by the standard library's parser.

A duplicate or a case-variant of a key that routing reads is refused, because the server
behind us may choose the other one. Ids and tokens are replaced by offset.
"""

import json
import re
from collections.abc import Callable, Iterator
from typing import Any, Final, Literal, NoReturn

import msgspec
from msgspec import UNSET, Raw, UnsetType

PARSE_ERROR: Final = -32700
INVALID_REQUEST: Final = -32600
VERSION_KEY: Final = "io.modelcontextprotocol/protocolVersion"

Member = tuple[str, bytes]
"""A key, decoded, and the raw JSON text of its value."""
Members = Callable[[bytes], list[Member]]
"""Lists the members of an object; raises _Unreadable for what is not one."""


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


class _Meta(msgspec.Struct, gc=False):
    progressToken: Raw | UnsetType = UNSET
    version: str | UnsetType = msgspec.field(default=UNSET, name=VERSION_KEY)


class _Params(msgspec.Struct, gc=False):
    name: str | UnsetType = UNSET
    arguments: Raw | UnsetType = UNSET
    meta: Raw | UnsetType = msgspec.field(default=UNSET, name="_meta")
    uri: str | UnsetType = UNSET


class _Message(msgspec.Struct, gc=False):
    jsonrpc: Raw | UnsetType = UNSET
    id: Raw | UnsetType = UNSET
    method: str | UnsetType = UNSET
    params: _Params | UnsetType = UNSET
    result: Raw | UnsetType = UNSET
    error: Raw | UnsetType = UNSET


_decode_message: Final = msgspec.json.Decoder(_Message).decode
_decode_meta: Final = msgspec.json.Decoder(_Meta).decode

_TOP: Final = frozenset({"method", "id", "params", "name", "uri"})
_INNER: Final = frozenset({"name", "uri", "_meta"})
_INTEGER: Final = re.compile(rb"-?[0-9]+")


def peek(body: bytes) -> Envelope | Malformed:
    """What kind of message this is, and the few values that routing reads."""
    try:
        message = _decode_message(body)
        fits = _length(message) == len(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        fits = False
    if not fits or not body.isascii():
        return _peek_at_members(body)
    method, params, ident = message.method, message.params, message.id
    if method is UNSET or message.result is not UNSET or message.error is not UNSET:
        return _peek_at_members(body)
    raw = None if ident is UNSET else bytes(ident)
    if raw is not None and not _is_id(raw):
        return _bad_id()
    name = version = token = None
    if params is not UNSET:
        named = params.uri if method.startswith("resources/") else params.name
        name = None if named is UNSET else named
        if params.meta is not UNSET:
            version, token = _read_meta(bytes(params.meta))
    return Envelope(
        "notification" if raw is None else "request", method, raw, name, version, token, None, False
    )


def _length(message: _Message) -> int:
    """How long the message would be, were it made of its known members and no spaces."""
    size = 1
    if message.jsonrpc is not UNSET:
        size += 11 + len(message.jsonrpc)
    if message.id is not UNSET:
        size += 6 + len(message.id)
    if message.method is not UNSET:
        size += 12 + len(message.method)
    params = message.params
    if params is not UNSET:
        size += 10 + _params_length(params)
    if message.result is not UNSET:
        size += 10 + len(message.result)
    if message.error is not UNSET:
        size += 9 + len(message.error)
    return size


def _params_length(params: _Params) -> int:
    size = 1
    if params.name is not UNSET:
        size += 10 + len(params.name)
    if params.arguments is not UNSET:
        size += 13 + len(params.arguments)
    if params.meta is not UNSET:
        size += 9 + len(params.meta)
    if params.uri is not UNSET:
        size += 9 + len(params.uri)
    return max(size, 2)


def _is_id(raw: bytes) -> bool:
    return raw[0] == 0x22 or raw.isdigit() or _INTEGER.fullmatch(raw) is not None


def _bad_id() -> Malformed:
    return Malformed(INVALID_REQUEST, "the id must be a string or an integer")


def _read_meta(raw: bytes) -> tuple[str | None, bytes | None]:
    """Version and progress token."""
    try:
        meta = _decode_meta(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return _read_meta_members(dict(_list(raw)))
    version, token = meta.version, meta.progressToken
    return (None if version is UNSET else version, None if token is UNSET else bytes(token))


def _read_meta_members(meta: dict[str, bytes]) -> tuple[str | None, bytes | None]:
    return _text(meta.get(VERSION_KEY)), meta.get("progressToken")


# The careful ways.


class _Unreadable(Exception):
    """Not JSON, or not an object; the argument is the code to answer with."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.answer = Malformed(code, message)


class _Key:
    """A key that is equal to no other, so that a dict keeps duplicates."""

    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        self.text = text


_decode_members: Final = msgspec.json.Decoder(
    dict[_Key, Raw], dec_hook=lambda _, text: _Key(text)
).decode


def _list(raw: bytes) -> list[Member]:
    """All members of an object, in order, duplicates too."""
    try:
        return [(key.text, bytes(value)) for key, value in _decode_members(raw).items()]
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return [(key, raw[start:end]) for key, start, end in _spans(raw)]
    except RecursionError:
        raise _Unreadable(PARSE_ERROR, "nested too deeply") from None


def _peek_at_members(body: bytes) -> Envelope | Malformed:
    try:
        if not body.isascii():
            body.decode()
        top = _list(body)
        inner = _inner(top)
    except UnicodeDecodeError:
        return Malformed(PARSE_ERROR, "not UTF-8")
    except _Unreadable as unreadable:
        return unreadable.answer
    return _doubt(top, _TOP) or _doubt(inner, _INNER) or _judge(dict(top), dict(inner))


def _inner(top: list[Member]) -> list[Member]:
    """The members of `params`; none where it is something else than an object."""
    for key, raw in top:
        if key == "params" and raw[:1] == b"{":
            return _list(raw)
    return []


def _doubt(members: list[Member], keys: frozenset[str]) -> Malformed | None:
    """Refuses a second, or differently written, form of a key that routing reads."""
    seen = set()
    for key, _ in members:
        folded = key.casefold()
        if folded in keys:
            if key != folded or key in seen:
                return Malformed(INVALID_REQUEST, f"more than one way to read {folded!r}")
            seen.add(key)
    return None


def _judge(top: dict[str, bytes], inner: dict[str, bytes]) -> Envelope | Malformed:
    raw = top.get("id")
    answered = "result" in top or "error" in top
    if "method" not in top:
        return _judge_response(top) if answered else _neither()
    method = _text(top["method"])
    if method is None:
        return Malformed(INVALID_REQUEST, "the method must be a string", raw)
    if answered:
        return Malformed(INVALID_REQUEST, "both a request and a response")
    if raw is not None and not _is_id(raw):
        return _bad_id()
    version, token = None, None
    if inner.get("_meta", b"")[:1] == b"{":
        version, token = _read_meta_members(dict(_list(inner["_meta"])))
    if token is None and method == "notifications/progress":
        token = inner.get("progressToken")
    return Envelope(
        "notification" if raw is None else "request",
        method,
        raw,
        _text(inner.get("uri" if method.startswith("resources/") else "name")),
        version,
        token,
        inner.get("requestId"),
        False,
    )


def _judge_response(top: dict[str, bytes]) -> Envelope | Malformed:
    raw = top.get("id")
    if raw == b"null":
        raw = None
    if raw is not None and not _is_id(raw):
        return _bad_id()
    return Envelope("response", "", raw, None, None, None, None, "error" in top)


def _neither() -> Malformed:
    return Malformed(INVALID_REQUEST, "neither a request nor a response")


def _text(raw: bytes | None) -> str | None:
    """A raw JSON string, decoded; None for anything else."""
    if raw is None or raw[:1] != b'"':
        return None
    return str(json.loads(raw))


# Offsets.


def _no_constant(_: str) -> NoReturn:
    raise ValueError("not a JSON value")


_scan: Final[Callable[[str, int], tuple[Any, int]]] = json.JSONDecoder(
    parse_int=str, parse_float=str, parse_constant=_no_constant
).raw_decode
_KEY: Final = re.compile(r'[ \t\n\r]*(?=")')
_COLON: Final = re.compile(r"[ \t\n\r]*:[ \t\n\r]*")
_NEXT: Final = re.compile(r"[ \t\n\r]*([,}])")
_OPEN: Final = re.compile(r"[ \t\n\r]*\{[ \t\n\r]*(\}?)")
_SPACE: Final = re.compile(r"[ \t\n\r]*")

Span = tuple[str, int, int]
"""A key, decoded, and where the raw text of its value begins and ends."""


def _spans(body: bytes) -> list[Span]:
    """Where the values of an object's members are, by the standard library's parser."""
    text = body.decode()
    try:
        spans = list(_walk(text))
    except RecursionError:
        raise _Unreadable(PARSE_ERROR, "nested too deeply") from None
    except (ValueError, StopIteration, RuntimeError):
        raise _Unreadable(PARSE_ERROR, "not JSON") from None
    if len(text) == len(body):
        return spans
    return [(key, len(text[:a].encode()), len(text[:b].encode())) for key, a, b in spans]


def _walk(text: str) -> Iterator[Span]:
    opened = _OPEN.match(text)
    if opened is None:
        _scan_to_end(text)
        kind = "batches are" if text.lstrip(" \t\n\r").startswith("[") else "only objects are"
        raise _Unreadable(
            INVALID_REQUEST, f"{kind} accepted".replace("batches are", "no batches are")
        )
    at = opened.end()
    more = not opened[1]
    while more:
        key, at = _scan(text, _must(_KEY.match(text, at)))
        start = _must(_COLON.match(text, at))
        _, at = _scan(text, start)
        yield key, start, at
        following = _NEXT.match(text, at)
        at = _must(following)
        more = following is not None and following[1] == ","
    if _must(_SPACE.match(text, at)) != len(text):
        raise ValueError("something follows")


def _must(found: "re.Match[str] | None") -> int:
    if found is None:
        raise ValueError("not JSON")
    return found.end()


def _scan_to_end(text: str) -> None:
    _, at = _scan(text, _must(_SPACE.match(text)))
    if _must(_SPACE.match(text, at)) != len(text):
        raise ValueError("something follows")


def splice(
    body: bytes,
    *,
    id: bytes | None = None,
    progress_token: bytes | None = None,
    request_id: bytes | None = None,
) -> bytes:
    """The message with these raw values put in the place of its own; the rest byte for byte.

    A value that the message does not have is not added. The progress token is that of
    `params._meta`, and of `params` (notifications/progress).
    """
    changes: list[tuple[int, int, bytes]] = []
    for key, start, end in _spans(body):
        if key == "id" and id is not None:
            changes.append((start, end, id))
        elif key == "params" and body[start] == 0x7B:
            changes += _changes_in_params(body, start, end, progress_token, request_id)
    for start, end, value in reversed(changes):
        body = body[:start] + value + body[end:]
    return body


def _changes_in_params(
    body: bytes, start: int, end: int, token: bytes | None, request_id: bytes | None
) -> Iterator[tuple[int, int, bytes]]:
    for key, a, b in _spans(body[start:end]):
        at = start + a
        if key == "requestId" and request_id is not None:
            yield at, start + b, request_id
        elif key == "progressToken" and token is not None:
            yield at, start + b, token
        elif key == "_meta" and token is not None and body[at] == 0x7B:
            for inner, c, d in _spans(body[at : start + b]):
                if inner == "progressToken":
                    yield at + c, at + d, token
