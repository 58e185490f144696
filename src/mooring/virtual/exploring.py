"""Finding out what a backend offers.

One conversation with one instance, in the name of nobody, or of a caller whose credentials the
backend is to be given: who are you, what can you do, and every page of every list, the four
lists at once. It is kept for hearing when they change.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any, Final, NamedTuple

import msgspec

from mooring.core.aggregate_items import Lists
from mooring.core.bridging import LATEST, error_code, knows_stateless
from mooring.core.codes import METHOD_NOT_FOUND
from mooring.core.era import STATELESS, Era
from mooring.core.headers import Headers, media_type
from mooring.core.identity import ANONYMOUS
from mooring.core.mirroring import standard
from mooring.core.routing import Alone, Ask, Opening, Pinned, Reject
from mooring.core.table import Entry
from mooring.errors import MooringError, NotFound, Unavailable
from mooring.sessions.courier import Courier, Parcel, Sent
from mooring.transports.envelope import Envelope, peek
from mooring.transports.sse import EventSplitter
from mooring.virtual.conversing import SECONDS, SSE, Said, ask, declined, own_headers, refusal
from mooring.virtual.hearing import CHANGES

PAGES: Final = 1000
"""Of one list."""
ITEMS: Final = 20_000
"""Of one list."""
ENDLESS: Final = 24 * 3600.0
_META: Final = "io.modelcontextprotocol/"
_CLIENT: Final = {"name": "mooring", "version": version("mooring")}
METHODS: Final = {
    "tools": "tools/list",
    "prompts": "prompts/list",
    "resources": "resources/list",
    "templates": "resources/templates/list",
}
"""How each list is asked for."""


class _Result(msgspec.Struct):
    tools: list[msgspec.Raw] = []
    prompts: list[msgspec.Raw] = []
    resources: list[msgspec.Raw] = []
    resourceTemplates: list[msgspec.Raw] = []
    nextCursor: str | None = None
    ttlMs: int | float | None = None
    cacheScope: str = "private"


class _Page(msgspec.Struct):
    result: _Result | None = None


_DECODE: Final = msgspec.json.Decoder(_Page).decode


@dataclass(frozen=True, slots=True)
class Offer:
    """What a backend offers."""

    lists: Lists
    capabilities: Mapping[str, Any] = field(default_factory=dict)
    instructions: str = ""
    ttl: int = 0
    """Milliseconds for which all of it may be kept; the least of all pages."""
    private: bool = True
    """It is for one caller."""


class Joined(NamedTuple):
    """A session that somebody else has opened."""

    uid: str
    session: bytes
    version: str
    capabilities: frozenset[str]


class Conversation:
    """With one instance of a backend."""

    def __init__(
        self,
        courier: Courier,
        via: bytes,
        entry: Entry,
        era: Era,
        more: Headers = (),
        joined: Joined | None = None,
    ) -> None:
        """`joined`: a session that somebody else has opened."""
        self.entry = entry
        self.uid = ""
        """Of the instance; empty before it has answered."""
        self._courier = courier
        self._via = via
        self._era = era
        self._more = more
        self._session = b""
        self._version = ""
        self._capabilities: Mapping[str, Any] = {}
        if joined is not None:
            self.uid, self._session, self._version = joined[:3]
            self._capabilities = dict.fromkeys(joined.capabilities)
        self._instructions = ""
        self._ttls: list[float] = []
        self._private = False

    async def begin(self) -> None:
        """Introduces us. Raises Denied "LoginNeeded", Unavailable."""
        if self._era == "stateless":
            said = await self._ask("server/discover", {})
            if said.message is None or not knows_stateless(said.message):
                raise refusal(said, self.entry.ref.name, "server/discover")
        else:
            params = {"protocolVersion": LATEST, "capabilities": {}, "clientInfo": _CLIENT}
            said = await self._ask("initialize", params)
        result = _result(said)
        if result is None:
            raise refusal(said, self.entry.ref.name, "initialize")
        self.uid = said.uid
        self._session = said.session or b""
        self._version = str(result.get("protocolVersion", ""))
        able = result.get("capabilities")
        self._capabilities = able if isinstance(able, dict) else {}
        self._instructions = str(result.get("instructions") or "")
        self._heed(result.get("ttlMs"), str(result.get("cacheScope", "private")))
        if self._era == "session":
            await self._send(b'{"jsonrpc":"2.0","method":"notifications/initialized"}')

    async def offer(self) -> Offer:
        """Everything on its lists, now. Raises what the first one to fail did."""
        self._ttls.clear()
        self._private = False
        wanted = [n for n in METHODS if ("resources" if n == "templates" else n) in self._able]
        try:
            async with asyncio.TaskGroup() as tasks:
                asked = {name: tasks.create_task(self._list(name)) for name in wanted}
        except ExceptionGroup as errors:
            raise _first(errors) from None
        lists = Lists(**{name: tuple(task.result()) for name, task in asked.items()})
        ttl = int(min(self._ttls, default=0))
        return Offer(lists, self._capabilities, self._instructions, ttl, self._private)

    @property
    def _able(self) -> Mapping[str, Any]:
        return self._capabilities

    async def changes(self) -> AsyncIterator[str]:
        """Each kind of list that has changed, as the backend says so; ends when it says no more.

        Raises Unavailable "UpstreamError" where it has no such stream, NotFound "SessionLost".
        """
        wanted = {f"{kind}ListChanged": True for kind in ("tools", "prompts", "resources")}
        async for note in self.notes(wanted):
            message = peek(note)
            if isinstance(message, Envelope) and message.method in CHANGES:
                yield CHANGES[message.method]

    async def notes(self, wanted: Mapping[str, Any]) -> AsyncIterator[bytes]:
        """What the backend says unasked, of what is wanted where it is to be told that."""
        sent = await self._listening(wanted)
        try:
            if sent.reply.status == 404 and self._session:
                raise NotFound("SessionLost", "the backend has forgotten our session")
            kind = media_type(sent.reply.header(b"content-type"))
            if sent.reply.status != 200 or kind != SSE:
                raise Unavailable("UpstreamError", "the backend has no stream for changes")
            splitter = EventSplitter()
            async for chunk in sent.reply.chunks():
                for event in splitter.feed(chunk):
                    message = peek(event.data) if event.data else None
                    if not isinstance(message, Envelope):
                        continue
                    if message.type == "notification":
                        yield event.data
                    elif message.type == "request" and message.id is not None:
                        await self._send(declined(message.id, message.method))
        finally:
            sent.close()

    async def end(self) -> None:
        """Ends it, best effort."""
        if not self._session:
            return
        session, self._session = self._session, b""
        upstream = self.entry.upstreams.get(self.uid)
        if upstream is None:
            return
        parcel = Parcel("DELETE", self._headers(session), b"", True, SECONDS)
        try:
            sent = await self._courier.send(upstream, parcel)
        except MooringError:
            return
        sent.close()

    @property
    def _to(self) -> Ask:
        if self._era == "session" and not self.uid:
            return Opening()
        if not self.uid or not self._session:
            return Alone()
        return Pinned(self.entry.ref, self.uid, ANONYMOUS, ANONYMOUS)

    def _headers(self, session: bytes) -> Headers:
        return own_headers(self._via, session, self._version, self._more)

    async def _listening(self, wanted: Mapping[str, Any]) -> Sent:
        if self._era == "stateless":
            body, more = self._worded("subscriptions/listen", {"notifications": wanted})
            parcel = Parcel("POST", (*self._headers(b""), *more), body, True, SECONDS)
        else:
            parcel = Parcel("GET", self._headers(self._session), b"", True, SECONDS)
        sent = await self._courier.deliver(self.entry, self._to, parcel)
        if isinstance(sent, Reject):
            raise Unavailable("NoReadyInstance", sent.message)
        return sent

    async def _list(self, name: str) -> list[bytes]:
        """All pages of one list; empty where the backend does not know it."""
        items: list[bytes] = []
        cursor: str | None = None
        for _ in range(PAGES):
            said = await self._ask(METHODS[name], {} if cursor is None else {"cursor": cursor})
            if said.message is not None and error_code(said.message) == METHOD_NOT_FOUND:
                return items
            page = _page(said)
            if page is None:
                raise refusal(said, self.entry.ref.name, METHODS[name])
            self._heed(page.ttlMs, page.cacheScope)
            items += map(bytes, getattr(page, "resourceTemplates" if name == "templates" else name))
            cursor = page.nextCursor
            if cursor is None:
                return items
            if len(items) > ITEMS:
                break
        raise Unavailable("UpstreamError", f"{METHODS[name]} of {self.entry.ref.name} has no end")

    def _heed(self, ttl: Any, scope: str) -> None:
        self._ttls.append(ttl if isinstance(ttl, int | float) and ttl >= 0 else 0)
        self._private = self._private or scope != "public"

    async def _ask(self, method: str, params: dict[str, Any]) -> Said:
        body, more = self._worded(method, params)
        return await self._send(body, more)

    async def _send(self, body: bytes, more: Headers = ()) -> Said:
        headers = (*self._headers(self._session), *more)
        parcel = Parcel("POST", headers, body, True, SECONDS)
        return await ask(self._courier, self.entry, self._to, parcel)

    def _worded(self, method: str, params: dict[str, Any]) -> tuple[bytes, Headers]:
        """A request of the era, and the headers that repeat it."""
        more: Headers = ()
        if self._era == "stateless":
            meta = {
                f"{_META}protocolVersion": STATELESS.decode(),
                f"{_META}clientInfo": _CLIENT,
                f"{_META}clientCapabilities": {},
            }
            params = params | {"_meta": meta}
            more = standard(method, params)
        told = {"jsonrpc": "2.0", "id": f"mooring-{method}", "method": method, "params": params}
        return json.dumps(told, separators=(",", ":")).encode(), more


def _first(group: ExceptionGroup[Exception]) -> Exception:
    error = group.exceptions[0]
    return _first(error) if isinstance(error, ExceptionGroup) else error


Converse = Callable[[Entry, Era, Headers], Conversation]


def _result(said: Said) -> dict[str, Any] | None:
    if said.message is None or said.status >= 300:
        return None
    try:
        result = json.loads(said.message).get("result")
    except (ValueError, AttributeError, RecursionError):
        return None
    return result if isinstance(result, dict) else None


def _page(said: Said) -> _Result | None:
    if said.message is None or said.status >= 300:
        return None
    try:
        return _DECODE(said.message).result
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return _slowly(said.message)


def _slowly(message: bytes) -> _Result | None:
    """A page that msgspec refuses, item by item: one bad item does not take the others along."""
    try:
        result = json.loads(message)["result"]
        page = _Result()
        for name in ("tools", "prompts", "resources", "resourceTemplates"):
            items = [msgspec.Raw(json.dumps(item).encode()) for item in result.get(name) or ()]
            setattr(page, name, items)
        cursor = result.get("nextCursor")
        page.nextCursor = cursor if isinstance(cursor, str) else None
        return page
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return None
