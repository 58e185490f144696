"""Looking at a kind: one object, a list, a watch; as documents or as a table."""

import asyncio
from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from mooring.api.answers import answer, listing, table, wants_table
from mooring.api.feeds import Feed
from mooring.api.streams import Stream, Write
from mooring.api.watches import LONGEST_SECONDS, Scope, Watch
from mooring.clock import Clock
from mooring.core import selectors
from mooring.errors import Invalid

Document = Mapping[str, Any]


class Looking:
    """Answers everyone who looks, until the API ends."""

    def __init__(self, clock: Clock, ending: asyncio.Event) -> None:
        self._clock = clock
        self._ending = ending

    async def single(self, request: Request, feed: Feed) -> Response:
        """One object."""
        given = request.path_params
        document = await feed.get(given["namespace"], given["name"])
        return answer(self._one(request, feed, document))

    async def collection(self, request: Request, feed: Feed) -> Response:
        """A list, or a watch."""
        scope = _scope(request, feed)
        if truth(request, "watch"):
            return self._watch(request, feed, scope)
        found = await feed.list(scope.namespace)
        documents = [each for each in found.documents if scope.matches(feed, each)]
        if wants_table(request):
            now = self._clock.now()
            return answer(table(feed.naming.kind, documents, found.version, now))
        return answer(listing(feed.naming.kind, feed.api_version, documents, found.version))

    def _watch(self, request: Request, feed: Feed, scope: Scope) -> Response:
        watch = Watch(
            feed,
            scope,
            request.query_params.get("resourceVersion", ""),
            lambda document: self._one(request, feed, document),
        )
        seconds = min(number(request, "timeoutSeconds") or LONGEST_SECONDS, LONGEST_SECONDS)
        others = [self._after(seconds), self._at_the_end]
        if truth(request, "allowWatchBookmarks"):
            others.append(lambda write: watch.bookmarks(write, self._clock))
        return Stream(watch.lines, *others, media_type="application/json", eager=True)

    def _one(self, request: Request, feed: Feed, document: Document) -> Document:
        if not wants_table(request):
            return document
        version = document["metadata"].get("resourceVersion", "")
        return table(feed.naming.kind, [document], version, self._clock.now())

    def _after(self, seconds: float) -> Any:
        async def sleep(_: Write) -> None:
            await self._clock.sleep(seconds)

        return sleep

    async def _at_the_end(self, _: Write) -> None:
        await self._ending.wait()

    def stream(self, source: Any, media_type: str) -> Response:
        """Something else that goes on until the API ends."""
        return Stream(source, self._at_the_end, media_type=media_type)


def truth(request: Request, name: str) -> bool:
    """A switch of the query."""
    return request.query_params.get(name, "").lower() in ("true", "1")


def flag(request: Request) -> bool:
    """Whether nothing is to be written: `dryRun=All`."""
    given = request.query_params.get("dryRun", "")
    if given not in ("", "All"):
        raise Invalid("BadRequest", f"dryRun: expected All, found {given!r}")
    return given == "All"


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
