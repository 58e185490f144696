"""Long lists in pages: `limit`, and `continue` from where the last answer ended.

All pages are of one moment: what was listed first is kept until it was read to its end, or
until others have begun to read theirs.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any

from starlette.requests import Request

from mooring.errors import Conflict, Invalid

KEPT = 4
"""Lists that may be read in pages at once."""

Documents = Sequence[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Page:
    """A part of a list, and how to get the next."""

    documents: Documents
    version: str
    token: str = ""
    remaining: int = 0


@dataclass(frozen=True, slots=True)
class _Kept:
    asked: tuple[str, ...]
    """Path and selectors: who goes on must ask for the same."""
    documents: Documents
    version: str


class Pages:
    """Lists that are being read."""

    def __init__(self) -> None:
        self._kept: dict[str, _Kept] = {}
        self._numbers = count(1)

    def first(self, request: Request, found: Documents, version: str, limit: int) -> Page:
        """The beginning of a list; all of it where there is no limit, or it is short."""
        if not limit or len(found) <= limit:
            return Page(found, version)
        key = f"{version}-{next(self._numbers)}"
        while len(self._kept) >= KEPT:
            del self._kept[next(iter(self._kept))]
        self._kept[key] = _Kept(_asked(request), found, version)
        return self._page(key, 0, limit)

    def next(self, request: Request, token: str, limit: int) -> Page:
        """The part after the one that came with this token; Conflict "Expired" if it is lost."""
        key, _, start = token.rpartition("-")
        kept = self._kept.get(key)
        if not (start.isascii() and start.isdigit()):
            raise Invalid("BadRequest", "continue: this is not what an answer ended with")
        if kept is None or kept.asked != _asked(request):
            raise Conflict("Expired", "continue: that list is not kept any more; list again")
        return self._page(key, int(start), limit or len(kept.documents))

    def _page(self, key: str, start: int, limit: int) -> Page:
        kept = self._kept[key]
        end = start + limit
        remaining = max(len(kept.documents) - end, 0)
        if not remaining:
            del self._kept[key]
        token = f"{key}-{end}" if remaining else ""
        return Page(kept.documents[start:end], kept.version, token, remaining)


def _asked(request: Request) -> tuple[str, ...]:
    query = request.query_params
    return request.url.path, query.get("labelSelector", ""), query.get("fieldSelector", "")
