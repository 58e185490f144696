"""Putting another name into a request, and nothing else.

A virtual server calls things by names of its own. What goes to a backend is what the client
sent, byte for byte, but for the value that names the thing; where that value stands is found by
offset. `body` is always one that `transports/envelope.peek` has accepted.
"""

import json
import re
from functools import lru_cache
from typing import Any, Final

from mooring.core.headers import Headers
from mooring.core.mirroring import encoded
from mooring.transports.members import NotAnObject, NotJson, Span, spans

BACKEND_KEY: Final = "dev.mooring/backend"
"""In `_meta` of what a server asks of a client: which backend asks."""
_NAME_FIRST: Final = re.compile(
    rb'\{(?:"(?:jsonrpc|method)":"[^"\\]*",|"id":(?:"[^"\\]*"|-?[0-9]+),)*'
    rb'"params":\{"name":"([^"\\]*)"'
)
_OBJECT: Final = 0x7B


@lru_cache(maxsize=4096)  # the same few names, again and again
def quoted(text: str) -> bytes:
    """A text as JSON."""
    return json.dumps(text).encode()


def renamed(body: bytes, old: str, new: str) -> bytes:
    """The request with `params.name` changed.

    >>> renamed(b'{"params":{"name":"a_x","arguments":{"name":"a_x"}}}', "a_x", "x")
    b'{"params":{"name":"x","arguments":{"name":"a_x"}}}'
    """
    if old == new:
        return body
    found = _NAME_FIRST.match(body)
    if found is not None:
        start, end = found.span(1)
        if body[start - 1 : end + 1] == quoted(old):
            return b"%b%b%b" % (body[: start - 1], quoted(new), body[end + 1 :])
    return replaced(body, ("params", "name"), quoted(new))


def replaced(body: bytes, path: tuple[str, ...], value: bytes) -> bytes:
    """The message with the raw value at this place changed; as it is, where there is no such place.

    >>> replaced(b'{"params": {"ref": {"name": "b"}}}', ("params", "ref", "name"), b'"c"')
    b'{"params": {"ref": {"name": "c"}}}'
    """
    found = place(body, path)
    return body if found is None else body[: found[0]] + value + body[found[1] :]


def without(body: bytes, path: tuple[str, ...]) -> bytes:
    """The message without this member; as it is, where there is none.

    >>> without(b'{"params":{"task":{},"name":"x"}}', ("params", "task"))
    b'{"params":{"name":"x"}}'
    """
    outer = place(body, path[:-1])
    if outer is None:
        return body
    base, end = outer
    listed = _spans(body[base:end])
    for at, (key, _, stop) in enumerate(listed):
        if key != path[-1]:
            continue
        if at:
            return body[: base + listed[at - 1][2]] + body[base + stop :]
        rest = body[base + stop :].lstrip(b" \t\r\n").removeprefix(b",")
        return body[: body.index(b"{", base) + 1] + rest
    return body


def value_at(body: bytes, path: tuple[str, ...]) -> Any:
    """What stands at this place, decoded; None where nothing does."""
    found = place(body, path)
    if found is None:
        return None
    try:
        return json.loads(body[found[0] : found[1]])
    except (ValueError, RecursionError):
        return None


def place(body: bytes, path: tuple[str, ...]) -> tuple[int, int] | None:
    """From where to where a value stands."""
    start, end = 0, len(body)
    for wanted in path:
        inner = next(((a, b) for key, a, b in _spans(body[start:end]) if key == wanted), None)
        if inner is None:
            return None
        start, end = start + inner[0], start + inner[1]
    return start, end


def completed(answer: bytes) -> bytes:
    """An answer as the stateless era has it: its result says that it is all there is.

    >>> completed(b'{"id":1,"result":{"content":[]}}')
    b'{"id":1,"result":{"resultType":"complete","content":[]}}'
    """
    found = place(answer, ("result",))
    if found is None or answer[found[0] : found[0] + 1] != b"{":
        return answer
    if place(answer, ("result", "resultType")) is not None:
        return answer
    return _first(answer, found[0], b'"resultType":"complete"')


def named_backend(question: bytes, backend: str) -> bytes:
    """A server's question that says which backend asks.

    In `_meta`, and, where a person reads a message, in that message.
    """
    params = place(question, ("params",))
    if params is None or question[params[0]] != _OBJECT:
        return question
    told = b"%b:%b" % (quoted(BACKEND_KEY), quoted(backend))
    meta = place(question, ("params", "_meta"))
    if meta is not None and question[meta[0]] == _OBJECT:
        question = _first(question, meta[0], told)
    else:
        question = _first(question, params[0], b'"_meta":{%b}' % told)
    message = value_at(question, ("params", "message"))
    if isinstance(message, str):
        question = replaced(question, ("params", "message"), quoted(f"{backend}: {message}"))
    return question


def _first(body: bytes, opening: int, member: bytes) -> bytes:
    """The message with a member added at the beginning of the object that opens there."""
    rest = body[opening + 1 :]
    comma = b"" if rest.lstrip(b" \t\r\n").startswith(b"}") else b","
    return body[: opening + 1] + member + comma + rest


def _spans(raw: bytes) -> list[Span]:
    try:
        return spans(raw)
    except (NotJson, NotAnObject):
        return []


def renamed_header(headers: Headers, new: str) -> Headers:
    """The headers of a request of the stateless era with `Mcp-Name` changed."""
    return tuple((n, encoded(new) if n == b"mcp-name" else v) for n, v in headers)
