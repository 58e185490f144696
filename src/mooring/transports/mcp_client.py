"""Mooring's own questions to MCP servers: who are you, what can you do, do this.

A small client of both eras, over the same connections that traffic takes. It asks one thing at
a time, declares no capabilities, and refuses whatever a server asks in return. Which era a
server speaks is found out as clients do: `server/discover` first, else `initialize`.
"""

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any, Literal, NoReturn

from mooring.core.address import Address
from mooring.core.aggregate_items import Lists
from mooring.core.bridging import failure, knows_stateless
from mooring.core.codes import HEADER_MISMATCH, INVALID_PARAMS, INVALID_REQUEST, METHOD_NOT_FOUND
from mooring.core.era import STATELESS, Era
from mooring.core.headers import BOTH, SESSION_ID, Headers, media_type
from mooring.core.loss import suspicious
from mooring.core.mirroring import parameters, standard
from mooring.errors import Denied, Invalid, MooringError, NotFound, Unavailable
from mooring.kinds.server import Eras
from mooring.transports.http_upstream import Pool, Reply
from mooring.transports.sse import EventSplitter

SESSION_VERSION = "2025-11-25"
ANSWER_LIMIT = 64 * 1024 * 1024
"""Bytes of one answer."""
PAGES = 1000
"""Of one list."""
CLOSE_SECONDS = 2.0
TAKE_BACK_SECONDS = 0.5

_TYPE = (b"content-type", b"application/json")
_CLIENT = {"name": "mooring", "version": version("mooring")}
_META = "io.modelcontextprotocol/"
_LISTS = {
    "tools": ("tools", "tools", "tools/list"),
    "prompts": ("prompts", "prompts", "prompts/list"),
    "resources": ("resources", "resources", "resources/list"),
    "templates": ("resources", "resourceTemplates", "resources/templates/list"),
}
"""Each list: the capability that says that there is one, its key in a page, its method."""
_UNDECLARED = ("resources/templates/list",)
"""Methods that a server with the capability may still not know."""
_FAULTS = (INVALID_REQUEST, METHOD_NOT_FOUND, INVALID_PARAMS)

Message = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Handshake:
    """What a server says of itself."""

    era: Era
    version: str = ""
    server_name: str = ""
    server_version: str = ""
    capabilities: Mapping[str, Any] = field(default_factory=dict)
    needs_login: bool = False
    """It answers only callers that it knows; nothing else was learned."""


@dataclass(frozen=True, slots=True)
class _Said:
    """What came back: a JSON-RPC response, or words on what came instead."""

    status: int
    message: Message | None = None
    words: str = ""
    challenge: bool = False
    session: bytes | None = None
    lost: bool = False
    """It may mean that the session is forgotten."""


class McpClient:
    """A client of one server."""

    def __init__(self, pool: Pool, address: Address, headers: Headers = ()) -> None:
        self._pool = pool
        self._address = address
        self._headers = headers
        self._ids = itertools.count(1)
        self._era: Literal["session", "stateless"] = "session"
        self._version = ""
        self._session: bytes | None = None
        self._open: int | None = None
        """The request that is not answered yet."""

    async def handshake(self, seconds: float, eras: Eras = "auto") -> Handshake:
        """Finds out which era the server speaks, and opens a session where it has them.

        A session that was open before is ended first.

        Raises Unavailable: "UpstreamRefused", "UpstreamReset", "UpstreamTimeout" where that says
        nothing about the server; "UpstreamError", "UpstreamUnreadable" with its own words.
        """
        await self.close()
        async with _within(seconds):
            if eras != "session":
                found = await self._discover(seconds, certain=eras == "stateless")
                if found is not None:
                    return found
            return await self._initialize(seconds)

    async def list_tools(self, seconds: float) -> list[Message]:
        """All tools, of all pages. Raises NotFound "SessionLost", or as `call_tool` does."""
        async with self._patience(seconds):
            return await self._all("tools", "tools/list", seconds)

    async def lists(self, able: Mapping[str, Any], seconds: float) -> Lists:
        """Everything that a server with these capabilities offers. Raises as `list_tools` does."""
        found: dict[str, list[bytes]] = {}
        async with self._patience(seconds):
            for name, (capability, key, method) in _LISTS.items():
                items = await self._all(key, method, seconds) if capability in able else []
                found[name] = [_text(item) for item in items]
        return Lists(**found)

    async def _all(self, key: str, method: str, seconds: float) -> list[Message]:
        items: list[Message] = []
        cursor: Any = None
        for _ in range(PAGES):
            params = {} if cursor is None else {"cursor": cursor}
            said = await self._ask(method, params, seconds)
            if _code(said) == METHOD_NOT_FOUND and method in _UNDECLARED:
                return []
            page = self._result(said)
            items += page.get(key) or ()
            cursor = page.get("nextCursor")
            if cursor is None:
                return items
        raise Unavailable("UpstreamError", f"{method} does not end after {PAGES} pages")

    async def call_tool(self, name: str, arguments: Message, seconds: float) -> Message:
        """The result of a call, as the server gave it; `isError` is the caller's to look at.

        Raises Invalid "UpstreamRejected" or Unavailable "UpstreamError" for a JSON-RPC error,
        with the server's message verbatim; NotFound "SessionLost" where the server has forgotten
        the session.
        """
        params = {"name": name, "arguments": arguments}
        async with self._patience(seconds):
            said = await self._ask("tools/call", params, seconds)
            if _code(said) == HEADER_MISMATCH:  # nothing ran: it wants arguments in headers
                tools = await self.list_tools(seconds)
                schema = next((t.get("inputSchema") for t in tools if t.get("name") == name), None)
                extra = parameters(schema, arguments)
                said = await self._ask("tools/call", params, seconds, extra)
            return self._result(said)

    async def ping(self, seconds: float) -> None:
        """Asks whether it is there; stateless servers have no ping. Raises as `call_tool` does."""
        method = "ping" if self._era == "session" else "server/discover"
        async with self._patience(seconds):
            self._result(await self._ask(method, {}, seconds))

    async def close(self) -> None:
        """Ends the session, if there is one; what the server makes of it does not matter."""
        if self._session is None:
            return
        try:
            reply = await self._send("DELETE", b"", CLOSE_SECONDS)
            reply.abort()
        except MooringError:
            pass
        self._session = None

    @asynccontextmanager
    async def _patience(self, seconds: float) -> AsyncIterator[None]:
        """So long, and then the server is told that nobody waits any more."""
        try:
            async with _within(seconds):
                yield
        except Unavailable as error:
            if error.reason == "UpstreamTimeout":
                await self._take_back()
            raise
        finally:
            self._open = None

    async def _take_back(self) -> None:
        """Cancels the request that was not answered in time, where it is of a session."""
        if self._open is None or self._era != "session":
            return
        params = {"requestId": self._open, "reason": "timed out"}
        note = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": params}
        try:
            async with asyncio.timeout(TAKE_BACK_SECONDS):
                reply = await self._send("POST", json.dumps(note).encode(), TAKE_BACK_SECONDS)
                reply.abort()
        except (TimeoutError, MooringError):
            return

    async def _discover(self, seconds: float, *, certain: bool) -> Handshake | None:
        """None where the server speaks of sessions only."""
        self._era, self._version = "stateless", STATELESS.decode()
        said = await self._ask("server/discover", {}, seconds)
        if said.challenge:
            return Handshake("session", needs_login=True)
        message = said.message
        if message is not None and knows_stateless(json.dumps(message).encode()):
            result = message.get("result") or {}
            server = (result.get("_meta") or {}).get(f"{_META}serverInfo")
            return _handshake("stateless", self._version, server, result)
        if certain:
            _result(said)
            raise Unavailable("UpstreamError", "the server does not speak MCP 2026-07-28")
        self._era, self._version = "session", ""
        return None

    async def _initialize(self, seconds: float) -> Handshake:
        params = {"protocolVersion": SESSION_VERSION, "capabilities": {}, "clientInfo": _CLIENT}
        said = await self._ask("initialize", params, seconds)
        if said.challenge:
            return Handshake("session", needs_login=True)
        result = _result(said)
        self._session = said.session
        self._version = str(result.get("protocolVersion", ""))
        note = {"jsonrpc": "2.0", "method": "notifications/initialized"}
        reply = await self._send("POST", json.dumps(note).encode(), seconds)
        reply.abort()
        return _handshake("session", self._version, result.get("serverInfo"), result)

    async def _ask(
        self, method: str, params: Message, seconds: float, extra: Headers = ()
    ) -> _Said:
        """Sends a request and waits for its answer."""
        id = next(self._ids)
        if self._era == "stateless":
            meta = {
                f"{_META}protocolVersion": self._version,
                f"{_META}clientInfo": _CLIENT,
                f"{_META}clientCapabilities": {},
            }
            params = params | {"_meta": meta}
            extra = (*standard(method, params), *extra)
        asked = {"jsonrpc": "2.0", "id": id, "method": method, "params": params}
        self._open = id
        reply = await self._send("POST", json.dumps(asked).encode(), seconds, extra)
        try:
            said = await self._answer(reply, id, seconds)
        finally:
            reply.abort()
        self._open = None
        return said

    async def _send(self, method: str, body: bytes, seconds: float, extra: Headers = ()) -> Reply:
        headers: Headers = (BOTH, _TYPE, *self._headers, *extra)
        if self._era == "session" and self._version:
            headers = (*headers, (b"mcp-protocol-version", self._version.encode()))
        if self._session is not None:
            headers = (*headers, (SESSION_ID, self._session))
        return await self._pool.send(
            self._address, method, headers, body, repeatable=False, seconds=seconds
        )

    async def _answer(self, reply: Reply, id: int, seconds: float) -> _Said:
        kind = media_type(reply.header(b"content-type"))
        status = reply.status
        denied = status == 401 or (status == 403 and reply.header(b"www-authenticate") is not None)
        message: Message | None = None
        lost = False
        words = f"it answered with HTTP {status} ({kind.decode('latin-1') or 'no content type'})"
        if kind == b"text/event-stream":
            message = await self._follow(reply, id, seconds)
        elif kind == b"application/json":
            body = await reply.read(ANSWER_LIMIT, seconds)
            message, lost = _parsed(body), suspicious(status, body)
        elif 300 <= status < 400:
            where = (reply.header(b"location") or b"").decode("latin-1")
            words = f"it redirects (HTTP {status}) to {where}; redirects are not followed"
        lost = self._session is not None and (lost or status == 404)
        return _Said(status, message, words, denied, reply.header(SESSION_ID), lost)

    def _result(self, said: _Said) -> Message:
        """As `_result` does, in a session: NotFound "SessionLost" where that is forgotten."""
        if said.lost and _code(said) != METHOD_NOT_FOUND:
            if said.status == 404:  # else it may be there, and is ended before the next one
                self._session = None
            raise NotFound("SessionLost", "the server has forgotten the session")
        return _result(said)

    async def _follow(self, reply: Reply, id: int, seconds: float) -> Message:
        """The response in a stream; what else the server says is refused or not of interest."""
        splitter = EventSplitter(ANSWER_LIMIT)
        async for chunk in reply.chunks():
            for event in splitter.feed(chunk):
                message = _parsed(event.data)
                if message is None:
                    continue
                if "method" in message and "id" in message:
                    await self._decline(message, seconds)
                elif message.get("id") == id:
                    return message
        raise Unavailable("UpstreamReset", "the stream ended without an answer")

    async def _decline(self, question: Message, seconds: float) -> None:
        id = json.dumps(question["id"]).encode()
        if question["method"] == "ping":
            body = b'{"jsonrpc":"2.0","id":%b,"result":{}}' % id
        else:
            body = failure(id, METHOD_NOT_FOUND, "Mooring answers no questions")
        reply = await self._send("POST", body, seconds)
        reply.abort()


@asynccontextmanager
async def _within(seconds: float) -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError:
        raise Unavailable("UpstreamTimeout", f"timed out after {seconds:g} s") from None


def _text(item: Any) -> bytes:
    """What was read, as JSON; half a surrogate pair makes bytes that nobody takes for text."""
    return json.dumps(item, ensure_ascii=False).encode("utf-8", "surrogatepass")


def _parsed(text: bytes) -> Message | None:
    try:
        message = json.loads(text) if text else None
    except (ValueError, RecursionError):
        return None
    return message if isinstance(message, dict) else None


def _handshake(era: Era, version: str, server: Any, result: Message) -> Handshake:
    who = server if isinstance(server, dict) else {}
    able = result.get("capabilities")
    return Handshake(
        era,
        version,
        str(who.get("name", "")),
        str(who.get("version", "")),
        able if isinstance(able, dict) else {},
    )


def _code(said: _Said) -> Any:
    error = (said.message or {}).get("error")
    return error.get("code") if isinstance(error, dict) else None


def _result(said: _Said) -> Message:
    """The result of an answer, or an error with the words of whoever gave it."""
    message = said.message or {}
    result = message.get("result")
    if isinstance(result, dict) and said.status < 300:
        return result
    _complain(said, message.get("error"))


def _complain(said: _Said, error: Any) -> NoReturn:
    words = error.get("message") if isinstance(error, dict) else None
    if said.challenge:
        raise Denied("LoginNeeded", str(words or "the server wants to know who calls"))
    if said.status == 429:
        raise Unavailable("UpstreamBusy", words if isinstance(words, str) else said.words)
    if not isinstance(words, str):
        raise Unavailable("UpstreamUnreadable", said.words)
    if said.status == 404 and _code(said) != METHOD_NOT_FOUND:
        raise NotFound("NotFound", words)
    if _code(said) in _FAULTS:
        raise Invalid("UpstreamRejected", words)
    raise Unavailable("UpstreamError", words)
