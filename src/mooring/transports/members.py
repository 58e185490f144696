"""The members of a JSON object: every key, duplicates too, and the raw text of its value.

msgspec lists them where it can. It refuses some JSON that others accept (lone surrogates);
that is listed by the standard library's parser, which also tells where the values are. Both
end where JSON is nested more than about a thousand deep. What is deeper, and has to pass all
the same, is listed by `shallow`, which looks for nothing but the ends of values.
"""

import json
import re
from collections.abc import Iterator
from typing import Final, NoReturn

import msgspec

Member = tuple[str, bytes]
"""A key, decoded, and the raw text of its value."""
Span = tuple[str, int, int]
"""A key, decoded, and where the raw text of its value begins and ends."""

_SPACE: Final = re.compile(r"[ \t\n\r]*")
_OPEN: Final = re.compile(r"[ \t\n\r]*\{[ \t\n\r]*(\}?)")
_KEY: Final = re.compile(r'[ \t\n\r]*(?=")')
_COLON: Final = re.compile(r"[ \t\n\r]*:[ \t\n\r]*")
_NEXT: Final = re.compile(r"[ \t\n\r]*([,}])")

# Bytes, and without recursion: for what is nested too deeply for the parsers.
_WHITE: Final = re.compile(rb"[ \t\n\r]*")
_STRING: Final = re.compile(rb'"(?:[^"\\]++|\\.)*+"', re.DOTALL)
_SCALAR: Final = re.compile(rb"[-+.0-9A-Za-z]+")
_BRACKETS: Final = re.compile(
    rb'(?:[-+.,:0-9A-Za-z \t\n\r]++|"(?:[^"\\]++|\\.)*+")*+([\[{]+|[\]}]+)', re.DOTALL
)
"""The next opening or closing brackets in a row, past all that is none."""
_CLOSING: Final = bytes.maketrans(b"[{", b"]}")
_PATIENCE: Final = 1_000_000
"""Rows of brackets in one value that are looked at: about half a second."""


class NotJson(ValueError):
    """No JSON, or none that can be read; the argument says why."""


class TooDeep(NotJson):
    """Nested too deeply for the parsers; `shallow` may still list it."""

    def __init__(self) -> None:
        super().__init__("nested too deeply")


class NotAnObject(ValueError):
    """JSON, but something else than an object; the argument says what."""


class _Key:
    """A key that is equal to no other, so that a dict keeps duplicates."""

    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        self.text = text


_decode: Final = msgspec.json.Decoder(
    dict[_Key, msgspec.Raw], dec_hook=lambda _, text: _Key(text)
).decode


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON value")


_scan: Final = json.JSONDecoder(
    parse_int=str, parse_float=str, parse_constant=_no_constant
).raw_decode


def members(raw: bytes) -> list[Member]:
    """All members, in order. Raises NotJson (TooDeep), NotAnObject."""
    try:
        return [(key.text, bytes(value)) for key, value in _decode(raw).items()]
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return [(key, raw[start:end]) for key, start, end in spans(raw)]
    except RecursionError:
        raise TooDeep from None


def spans(raw: bytes) -> list[Span]:
    """All members, in order, with offsets into `raw`. Raises NotJson (TooDeep), NotAnObject."""
    try:
        text = raw.decode()
        found = list(_walk(text))
    except UnicodeDecodeError:
        raise NotJson("not UTF-8") from None
    except RecursionError:
        raise TooDeep from None
    except json.JSONDecodeError as error:
        raise NotJson(f"not JSON: {error}") from None
    if len(text) == len(raw):
        return found
    return [(key, len(text[:a].encode()), len(text[:b].encode())) for key, a, b in found]


def shallow(raw: bytes) -> list[Span]:
    """All members, as `spans` lists them, however deep their values are nested.

    The values are not checked but for their brackets. Raises NotJson, NotAnObject; TooDeep for
    one that would take too long.
    """
    at = _space(raw, 0)
    if raw[at : at + 1] != b"{":
        raise NotAnObject("not an object")
    found: list[Span] = []
    at = _space(raw, at + 1)
    if raw[at : at + 1] != b"}":
        while True:
            end = _past(_STRING, raw, at)
            key = _text(raw[at:end])
            start = _space(raw, _sign(raw, _space(raw, end), b":"))
            end = _past_value(raw, start)
            found.append((key, start, end))
            at = _space(raw, end)
            if raw[at : at + 1] != b",":
                break
            at = _space(raw, at + 1)
    end = _sign(raw, at, b"}")
    if _space(raw, end) != len(raw):
        raise NotJson("not JSON: something follows")
    return found


def _text(raw: bytes) -> str:
    """A key, decoded."""
    try:
        return str(json.loads(raw))
    except ValueError as error:
        raise NotJson(f"not JSON: {error}") from None


def _space(raw: bytes, at: int) -> int:
    """Where white space at this place ends."""
    found = _WHITE.match(raw, at)
    return found.end() if found is not None else at


def _sign(raw: bytes, at: int, sign: bytes) -> int:
    """Past this sign."""
    if raw[at : at + 1] != sign:
        raise NotJson("not JSON: something else was expected")
    return at + 1


def _past(pattern: re.Pattern[bytes], raw: bytes, at: int) -> int:
    found = pattern.match(raw, at)
    if found is None:
        raise NotJson("not JSON: something else was expected")
    return found.end()


def _past_value(raw: bytes, at: int) -> int:
    """Where the value ends that begins here."""
    first = raw[at : at + 1]
    if first not in (b"{", b"["):
        return _past(_STRING if first == b'"' else _SCALAR, raw, at)
    awaited = bytearray()
    for _ in range(_PATIENCE):
        found = _BRACKETS.match(raw, at)
        if found is None:
            raise NotJson("not JSON: it ends too early")
        row = found[1]
        at = found.end()
        if row[0] in b"[{":
            awaited += row.translate(_CLOSING)
            continue
        count = min(len(row), len(awaited))
        if awaited[-count:][::-1] != row[:count]:
            raise NotJson("not JSON: its brackets do not match")
        del awaited[-count:]
        if not awaited:
            return at - len(row) + count
    raise TooDeep


def _walk(text: str) -> Iterator[Span]:
    opened = _OPEN.match(text)
    if opened is None:
        _, at = _read(text, 0)
        _check_end(text, at)
        raise NotAnObject("a batch" if text.lstrip().startswith("[") else "not an object")
    at = opened.end()
    more = not opened[1]
    while more:
        key, at = _read(text, _match(_KEY, text, at).end())
        start = _match(_COLON, text, at).end()
        _, at = _read(text, start)
        yield str(key), start, at
        sign = _match(_NEXT, text, at)
        at = sign.end()
        more = sign[1] == ","
    _check_end(text, at)


def _read(text: str, at: int) -> tuple[object, int]:
    """One value, and where it ends."""
    try:
        value, end = _scan(text, _match(_SPACE, text, at).end())
    except json.JSONDecodeError:
        raise
    except ValueError as error:
        raise json.JSONDecodeError(str(error), text, at) from None
    return value, end


def _match(pattern: re.Pattern[str], text: str, at: int) -> re.Match[str]:
    found = pattern.match(text, at)
    if found is None:
        raise json.JSONDecodeError("something else was expected", text, at)
    return found


def _check_end(text: str, at: int) -> None:
    end = _match(_SPACE, text, at).end()
    if end != len(text):
        raise json.JSONDecodeError("something follows", text, end)
