"""Which URIs a template may stand for (RFC 6570).

An expression such as `{id}` stands for text without `/`, `?` and `#`; `{+path}`, `{/path*}` and
the other kinds for any text. Nothing is computed from what stood there. The time it takes is
bounded by the lengths of both, because both come from others: a regular expression would not be.
"""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from functools import lru_cache

LONGEST = 2048
"""Characters of a URI, or of a template, beyond which nothing matches."""
EXPRESSIONS = 20
"""Expressions of a template, beyond which nothing matches."""

_EXPRESSION = re.compile(r"\{([^{}]*)\}")
_BORDER = re.compile(r"[/?#]")
_ANY = ("+", "#", "/", "?", "&", ";", ".")

Piece = tuple[bool, str]
"""Whether an expression stands for any text, or for some without `/?#`; and what follows it."""


def matches(template: str, uri: str) -> bool:
    """Whether the template can stand for this URI.

    >>> matches("note://{id}", "note://7"), matches("note://{id}", "note://7/8")
    (True, False)
    """
    first, pieces = _pieces(template)
    if not uri.startswith(first) or len(pieces) > EXPRESSIONS or len(uri) > LONGEST:
        return False
    borders = [found.start() for found in _BORDER.finditer(uri)]
    ends = [len(first)]
    for anything, literal in pieces:
        ends = list(_after(uri, ends, literal, None if anything else borders))
        if not ends:
            return False
    return ends[-1] == len(uri)


def _after(uri: str, ends: list[int], literal: str, borders: list[int] | None) -> Iterator[int]:
    """Where `literal` can end, if an expression begins at one of `ends` and it comes behind.

    With borders the expression stands for at least one character, and none of those.
    """
    at = uri.find(literal, ends[0])
    while at >= 0:
        before = bisect_right(ends, at if borders is None else at - 1)
        if before and (borders is None or not _between(borders, ends[before - 1], at)):
            yield at + len(literal)
        at = uri.find(literal, at + 1)


def _between(borders: list[int], start: int, end: int) -> bool:
    """Whether a border is in `start <= border < end`."""
    return bisect_left(borders, start) < bisect_left(borders, end)


@lru_cache(maxsize=1024)
def _pieces(template: str) -> tuple[str, tuple[Piece, ...]]:
    """What stands before the first expression, and the expressions, each with what follows it.

    Expressions with nothing between them count as one.
    """
    first, *rest = _EXPRESSION.split(template)
    pieces: list[Piece] = []
    for inside, literal in zip(rest[::2], rest[1::2], strict=True):
        anything = inside.startswith(_ANY)
        if pieces and not pieces[-1][1]:
            anything = pieces.pop()[0] or anything
        pieces.append((anything, literal))
    return first, tuple(pieces)
