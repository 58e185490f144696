"""Objects as an API serves them: to be looked at by those who have no store of their own.

Lists and watches in the Kubernetes dialect, over the pool of connections, so that the control
API of another process answers as well as one behind TLS. A watch that ends is begun again
where it ended; one that was cut is the reader's to begin again. Version 0 means "whatever there
is" in that dialect: a watch from there tells what exists as added.
"""

import asyncio
import json
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import aclosing
from typing import Any
from urllib.parse import urlencode

from mooring import telemetry
from mooring.core.address import Address
from mooring.core.naming import BY_KIND
from mooring.core.ports import Change, Listing
from mooring.errors import Conflict, Unavailable
from mooring.kinds.base import Object
from mooring.kinds.validation import parse
from mooring.transports.http_upstream import Headers, Pool, Reply

SECONDS = 30.0
"""Until a list, or the beginning of a watch, is given up."""
SILENCE = 150.0
"""Seconds without a word on a watch after which it is cut: bookmarks come every minute."""
LIMIT = 256 * 1024 * 1024
"""Bytes of a list."""
LINE = 16 * 1024 * 1024
"""Bytes of one event of a watch."""


def nobody() -> Headers:
    """No need to say who asks: on a Unix socket the kernel does."""
    return ()


class ServedObjects:
    """Satisfies `mooring.core.ports.ObjectReader`; `who` gives headers that say who asks."""

    def __init__(self, pool: Pool, address: Address, who: Callable[[], Headers] = nobody) -> None:
        self._pool = pool
        self._address = address
        self._who = who

    async def list(self, kind: str, namespace: str | None = None) -> Listing:
        """All objects of a kind; raises Unavailable."""
        reply = await self._ask(_path(kind, namespace))
        document = _document(await reply.read(LIMIT, SECONDS))
        if reply.status != 200:
            raise _refusal(document)
        heads = {"apiVersion": document.get("apiVersion"), "kind": kind}
        found = [_object({**heads, **item}) for item in document.get("items", ())]
        items = sorted((each for each in found if each is not None), key=lambda each: each.ref)
        return Listing(tuple(items), str(document["metadata"]["resourceVersion"]))

    async def watch(
        self, kind: str, since: str, namespace: str | None = None
    ) -> AsyncIterator[Change]:
        """Every change after a version, for ever; raises Conflict "Expired", and Unavailable."""
        while True:
            query = {"watch": "true", "allowWatchBookmarks": "true", "resourceVersion": since}
            reply = await self._ask(f"{_path(kind, namespace)}?{urlencode(query)}")
            told: Mapping[str, Any] = {}
            try:
                if reply.status != 200:
                    raise _refusal(_document(await reply.read(LIMIT, SECONDS)))
                async with aclosing(_events(reply)) as events:
                    async for event in events:
                        told = event.get("object") or {}
                        if event.get("type") == "ERROR":
                            raise _refusal(told)
                        since = str(told["metadata"]["resourceVersion"])
                        changed = None if event["type"] == "BOOKMARK" else _object(told)
                        if changed is not None:
                            yield Change(event["type"], changed)
            finally:
                reply.abort()
            if not told:
                raise Unavailable("UpstreamReset", "a watch ended before it told anything")

    async def _ask(self, path: str) -> Reply:
        headers = ((b"accept", b"application/json"), *self._who())
        return await self._pool.send(self._address, "GET", headers, path=path, seconds=SECONDS)


def _path(kind: str, namespace: str | None) -> str:
    naming = BY_KIND[kind]
    inside = f"/namespaces/{namespace}" if namespace is not None else ""
    return f"{naming.path}{inside}/{naming.plural}"


async def _events(reply: Reply) -> AsyncGenerator[Mapping[str, Any], None]:
    """The lines of a watch, until it ends."""
    rest = b""
    chunks = reply.chunks()
    while True:
        try:
            async with asyncio.timeout(SILENCE):
                chunk = await anext(chunks, b"")
        except TimeoutError:
            what = f"a watch was silent for {SILENCE:g} s"
            raise Unavailable("UpstreamTimeout", what) from None
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            yield _document(line)
        if not chunk:
            return
        if len(rest) > LINE:
            raise Unavailable("UpstreamTooLarge", f"an event of a watch is over {LINE} bytes")


def _document(text: bytes) -> Mapping[str, Any]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Unavailable("UpstreamMalformed", f"the API's answer is no JSON: {error}") from None
    if not isinstance(found, dict):
        raise Unavailable("UpstreamMalformed", "the API's answer is no JSON object")
    return found


def _object(document: Mapping[str, Any]) -> Object | None:
    """An object that was served; one that this version does not understand is left out."""
    made = parse(document)
    if isinstance(made, Object):
        return made
    metadata = document.get("metadata")
    telemetry.event(
        "store.not_understood", logging.WARNING, object=metadata, why="; ".join(map(str, made))
    )
    return None


def _refusal(status: Mapping[str, Any]) -> Conflict | Unavailable:
    message = str(status.get("message") or "it does not say why")
    if status.get("code") == 410:
        return Conflict("Expired", message)
    return Unavailable("StoreUnavailable", f"the API refuses: {message}")
