"""Looking at a kind: one object, a list, a watch; as documents or as a table."""

import asyncio
from collections.abc import Mapping
from typing import Any, Literal

from starlette.requests import Request
from starlette.responses import Response

from mooring.api.answers import Included, answer, listing, table, wants_table
from mooring.api.feeds import Feed
from mooring.api.pages import Pages
from mooring.api.streams import Stream, Write
from mooring.api.watches import LONGEST_SECONDS, Scope, Watch
from mooring.clock import Clock
from mooring.core import selectors
from mooring.errors import Conflict, Invalid

Document = Mapping[str, Any]


class Looking:
    """Answers everyone who looks, until the API ends."""

    def __init__(self, clock: Clock, ending: asyncio.Event) -> None:
        self._clock = clock
        self._ending = ending
        self._pages = Pages()

    async def single(self, request: Request, feed: Feed) -> Response:
        """One object."""
        given = request.path_params
        document = await feed.get(given.get("namespace", ""), given["name"])
        return answer(self._one(request, feed, document))

    async def collection(self, request: Request, feed: Feed) -> Response:
        """A list, or a watch."""
        scope = _scope(request, feed)
        if truth(request, "watch"):
            return self._watch(request, feed, scope)
        token, limit = request.query_params.get("continue", ""), int(number(request, "limit") or 0)
        if token:
            page = self._pages.next(request, token, limit)
        else:
            found = await feed.list(scope.namespace)
            _wanted_version(request, found.version)
            documents = [each for each in found.documents if scope.matches(feed, each)]
            page = self._pages.first(request, documents, found.version, limit)
        metadata: dict[str, Any] = {"resourceVersion": page.version}
        if page.token:
            metadata |= {"continue": page.token, "remainingItemCount": page.remaining}
        if wants_table(request):
            now, kind = self._clock.now(), feed.naming.kind
            return answer(table(kind, page.documents, metadata, now, _included(request)))
        return answer(listing(feed.naming.kind, feed.api_version, page.documents, metadata))

    async def chosen(self, request: Request, feed: Feed) -> tuple[list[Document], str]:
        """What the selectors of a request choose, and the version at which they do."""
        scope = _scope(request, feed)
        found = await feed.list(scope.namespace)
        return [each for each in found.documents if scope.matches(feed, each)], found.version

    def _watch(self, request: Request, feed: Feed, scope: Scope) -> Response:
        watch = Watch(
            feed,
            scope,
            request.query_params.get("resourceVersion", ""),
            lambda document: self._one(request, feed, document),
            tells_all=truth(request, "sendInitialEvents"),
        )
        seconds = min(number(request, "timeoutSeconds") or LONGEST_SECONDS, LONGEST_SECONDS)
        others = [self._after(seconds), self._at_the_end]
        if truth(request, "allowWatchBookmarks"):
            others.append(lambda write: watch.bookmarks(write, self._clock))
        return Stream(watch.lines, *others, media_type="application/json", eager=True)

    def _one(self, request: Request, feed: Feed, document: Document) -> Document:
        if not wants_table(request):
            return document
        metadata = {"resourceVersion": document["metadata"].get("resourceVersion", "")}
        now, kind = self._clock.now(), feed.naming.kind
        return table(kind, [document], metadata, now, _included(request))

    def _after(self, seconds: float) -> Any:
        async def sleep(_: Write) -> None:
            await self._clock.sleep(seconds)

        return sleep

    async def _at_the_end(self, _: Write) -> None:
        await self._ending.wait()

    def stream(self, source: Any, media_type: str) -> Response:
        """Something else that goes on until the API ends."""
        return Stream(source, self._at_the_end, media_type=media_type)


def _included(request: Request) -> Included:
    """What of each object comes with a row of a table."""
    given = request.query_params.get("includeObject", "")
    known: dict[str, Included] = {"": "Metadata", "Object": "Object", "None": "None"}
    if given not in (*known, "Metadata"):
        raise Invalid("BadRequest", f"includeObject: expected Metadata, Object or None: {given!r}")
    return known.get(given, "Metadata")


def truth(request: Request, name: str) -> bool:
    """A switch of the query."""
    return request.query_params.get(name, "").lower() in ("true", "1")


def flag(request: Request) -> bool:
    """Whether nothing is to be written: `dryRun=All`."""
    given = request.query_params.get("dryRun", "")
    if given not in ("", "All"):
        raise Invalid("BadRequest", f"dryRun: expected All, found {given!r}")
    return given == "All"


def validation(request: Request) -> Literal["Strict", "Warn", "Ignore"]:
    """What becomes of unknown fields: `fieldValidation`; refused, where nothing is said."""
    given = request.query_params.get("fieldValidation", "")
    match given:
        case "" | "Strict":
            return "Strict"
        case "Warn" | "Ignore":
            return given
    raise Invalid("BadRequest", f"fieldValidation: expected Strict, Warn or Ignore: {given!r}")


def number(request: Request, name: str) -> float | None:
    """A number of the query, not negative; None where there is none."""
    given = request.query_params.get(name, "")
    if not given:
        return None
    try:
        found = float(given)
    except ValueError:
        found = -1.0
    if not 0 <= found < float("inf"):
        raise Invalid("BadRequest", f"{name}: expected a number, found {given!r}")
    return found


def _wanted_version(request: Request, present: str) -> None:
    """Refuses a list that has to be of another version than the present one."""
    wanted = request.query_params.get("resourceVersion", "")
    match = request.query_params.get("resourceVersionMatch", "")
    if match not in ("", "Exact", "NotOlderThan"):
        raise Invalid(
            "BadRequest", f"resourceVersionMatch: expected Exact or NotOlderThan, found {match!r}"
        )
    if not wanted or (wanted == "0" and match != "Exact"):
        return
    if not (wanted.isascii() and wanted.isdigit()):
        raise Invalid("BadRequest", f"resourceVersion: expected a version, found {wanted!r}")
    if int(wanted) > int(present) or (match == "Exact" and wanted != present):
        raise Conflict("Expired", f"the list is of version {present}, not {wanted}; list again")


def _scope(request: Request, feed: Feed) -> Scope:
    query = request.query_params
    known = feed.fields(_SAMPLE)
    try:
        return Scope(
            request.path_params.get("namespace"),
            selectors.labels(query.get("labelSelector", "")),
            selectors.fields(query.get("fieldSelector", ""), known),
        )
    except ValueError as error:
        raise Invalid("BadRequest", str(error)) from None


_SAMPLE: Document = {"metadata": {"name": "", "namespace": ""}, "spec": {"server": ""}}
"""Tells which fields there are to select by."""
