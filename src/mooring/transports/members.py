"""The members of a JSON object: every key, duplicates too, and the raw text of its value.

msgspec lists them where it can. It refuses some JSON that others accept (lone surrogates);
that is listed by the standard library's parser, which also tells where the values are.
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


class NotJson(ValueError):
    """No JSON, or nested too deeply to be read; the argument says why."""


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
    """All members, in order. Raises NotJson, NotAnObject."""
    try:
        return [(key.text, bytes(value)) for key, value in _decode(raw).items()]
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return [(key, raw[start:end]) for key, start, end in spans(raw)]
    except RecursionError:
        raise NotJson("nested too deeply") from None


def spans(raw: bytes) -> list[Span]:
    """All members, in order, with offsets into `raw`. Raises NotJson, NotAnObject."""
    try:
        text = raw.decode()
        found = list(_walk(text))
    except UnicodeDecodeError:
        raise NotJson("not UTF-8") from None
    except RecursionError:
        raise NotJson("nested too deeply") from None
    except json.JSONDecodeError as error:
        raise NotJson(f"not JSON: {error}") from None
    if len(text) == len(raw):
        return found
    return [(key, len(text[:a].encode()), len(text[:b].encode())) for key, a, b in found]


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
