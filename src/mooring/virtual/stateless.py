"""The stateless era: what a virtual server does with each request.

Every request stands alone. It is answered here where it is about the virtual server itself, and
goes to the one backend that it is for where it is about a tool, a prompt or a resource, in the
same era. The era is offered only while every backend can be spoken to in it; else clients are
told, as any server tells that knows sessions only, and fall back.
"""

import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from mooring.core.bridging import failure, status_of
from mooring.core.codes import (
    INVALID_PARAMS,
    INVALID_REQUEST,
    METHOD_NOT_FOUND,
    UNSUPPORTED_VERSION,
)
from mooring.core.era import STATELESS
from mooring.core.headers import NOSNIFF, Headers
from mooring.transports.envelope import Envelope
from mooring.transports.streams import JSON
from mooring.virtual.borrowing import Borrowing
from mooring.virtual.call import Call, Errand
from mooring.virtual.in_session import VERSION
from mooring.virtual.sight import LISTS, Sight
from mooring.virtual.splicing import quoted, renamed, renamed_header, replaced, value_at
from mooring.virtual.subscribing import Subscribing
from mooring.virtual.virtual_server import CALL_SECONDS, VirtualServer

META: Final = "io.modelcontextprotocol/"
TTL: Final = 0
_PARAMS: Final = ("params",)

Handler = Callable[[Call, Sight], Awaitable[None]]


class Stateless:
    """Requests of the era to one virtual server."""

    def __init__(self, server: VirtualServer) -> None:
        self._server = server
        self._room = server.room
        self._subscribing = Subscribing(server)
        self._borrowing = Borrowing(server)
        self._handlers: dict[str, Handler] = {
            "server/discover": self._discover,
            "tools/call": self._call_tool,
            "prompts/get": self._get_prompt,
            "resources/read": self._read,
            "completion/complete": self._complete,
            "subscriptions/listen": self._listen,
            **dict.fromkeys(LISTS, self._list),
        }

    async def answer(self, call: Call) -> None:
        """A request of this era."""
        message = call.message
        if message is None:
            call.refuse(
                405, "MethodNotAllowed", "requests are POSTed", headers=((b"allow", b"POST"),)
            )
            return
        if message.type != "request":
            self._aside(call, message)
            return
        caller = self._server.declared.caller(call.headers)
        sight = await self._server.sight("stateless", caller)
        if not self._server.speaks_stateless(caller):
            words = "Method not found: a backend of this server serves sessions only"
            call.refuse(404, "SessionsOnly", words)
            return
        if not _is_well_formed(call, message):
            return
        handler = self._handlers.get(message.method)
        if handler is None:
            say_no(call, METHOD_NOT_FOUND, "Method not found")
            return
        await handler(call, sight)

    def _aside(self, call: Call, message: Envelope) -> None:
        if message.type == "notification":
            call.respond(202, (NOSNIFF,))
        else:
            say_no(call, INVALID_REQUEST, "in this era a client sends requests only")

    # -- about the virtual server itself ----------------------------------------------------

    async def _discover(self, call: Call, sight: Sight) -> None:
        result: dict[str, Any] = {
            "supportedVersions": [STATELESS.decode()],
            "capabilities": sight.capabilities(),
            **self._hints(call, sight),
        }
        result["capabilities"].pop("logging", None)
        instructions = sight.instructions()
        if instructions:
            result["instructions"] = instructions
        self._say(call, json.dumps(result, separators=(",", ":")).encode()[:-1])

    async def _list(self, call: Call, sight: Sight) -> None:
        message = call.message
        assert message is not None
        cursor = value_at(call.request.body, ("params", "cursor"))
        whose = self._server.whose(call.identity, self._server.declared.caller(call.headers))
        text = sight.listed(message.method, cursor, self._room.cursors, whose, self._about)
        if text is None:
            say_no(call, INVALID_PARAMS, "the cursor is not one of this list")
            return
        hints = json.dumps(self._hints(call, sight), separators=(",", ":")).encode()
        self._respond(call, text + b"," + hints[1:])

    async def _listen(self, call: Call, sight: Sight) -> None:
        await self._subscribing.listen(call, sight)

    # -- about something of a backend -------------------------------------------------------

    async def _call_tool(self, call: Call, sight: Sight) -> None:
        await self._named(call, sight, "tools")

    async def _get_prompt(self, call: Call, sight: Sight) -> None:
        await self._named(call, sight, "prompts")

    async def _named(self, call: Call, sight: Sight, kind: str) -> None:
        name = (call.message.name if call.message is not None else None) or ""
        known: Mapping[str, Any] = getattr(sight.view, kind)
        found = known.get(name)
        if found is None:
            caller = self._server.declared.caller(call.headers)
            sight = await self._server.sight("stateless", caller, CALL_SECONDS)
            found = getattr(sight.view, kind).get(name)
        if found is None:
            say_no(call, INVALID_PARAMS, f"Unknown {kind[:-1]}: {name}")
            return
        body = renamed(call.request.body, name, found.original)
        headers = call.request.headers
        if found.original != name:
            headers = renamed_header(headers, found.original)
        await self._forward(call, sight, found.backend, body, headers)

    async def _read(self, call: Call, sight: Sight) -> None:
        uri = (call.message.name if call.message is not None else None) or ""
        readers = sight.view.readers(uri) or sight.able("resources")
        if len(readers) > 1 and sight.view.readers(uri):
            told = f"several backends may have this resource: {', '.join(readers)}"
            say_no(call, INVALID_PARAMS, told)
        elif len(readers) != 1:
            say_no(call, INVALID_PARAMS, f"Resource not found: {uri}", uri=uri)
        else:
            await self._forward(call, sight, readers[0], call.request.body)

    async def _complete(self, call: Call, sight: Sight) -> None:
        body = call.request.body
        ref = value_at(body, ("params", "ref"))
        ref = ref if isinstance(ref, dict) else {}
        view = sight.view
        if ref.get("type") == "ref/prompt":
            found = view.prompts.get(str(ref.get("name", "")))
            if found is not None:
                body = replaced(body, ("params", "ref", "name"), quoted(found.original))
        else:
            uri = str(ref.get("uri", ""))
            found = view.templates.get(uri) or view.resources.get(uri)
        if found is None:
            say_no(call, INVALID_PARAMS, "there is nothing of that name to complete")
            return
        await self._forward(call, sight, found.backend, body)

    async def _forward(
        self, call: Call, sight: Sight, backend: str, body: bytes, headers: Headers | None = None
    ) -> None:
        caller = self._server.declared.caller(call.headers)
        if self._server.lends(backend, caller):
            await self._borrowing.forward(call, caller, backend, body)
            return
        told = caller.told(backend)
        entry = sight.backends[backend].entry
        errand = Errand(entry, body, headers=told, instead=headers)
        with self._server.shields.around(call, entry) as admitted:
            if admitted:
                await self._room.gate.forward_alone(call, errand)

    # -- how it is said ---------------------------------------------------------------------

    @property
    def _about(self) -> dict[str, Any]:
        """What every result says of us."""
        return {f"{META}serverInfo": {"name": self._server.ref.name, "version": VERSION}}

    def _hints(self, call: Call, sight: Sight) -> dict[str, Any]:
        """How long a result may be kept, and whether by whom it was asked for only."""
        private = sight.private or bool(self._server.declared.forwarding)
        return {
            "resultType": "complete",
            "ttlMs": 0 if sight.missing else sight.ttl,
            "cacheScope": "private" if private else "public",
        }

    def _say(self, call: Call, open_result: bytes) -> None:
        """A result, given without its closing brace, that says who we are."""
        about = json.dumps({"_meta": self._about}, separators=(",", ":")).encode()
        self._respond(call, open_result + b"," + about[1:])

    def _respond(self, call: Call, result: bytes) -> None:
        id = call.message.id if call.message is not None else None
        body = b'{"jsonrpc":"2.0","id":%b,"result":%b}' % (id or b"null", result)
        call.respond(200, JSON, body)


def _is_well_formed(call: Call, message: Envelope) -> bool:
    """Whether the request says what every request of the era must; False where it was refused."""
    meta = value_at(call.request.body, ("params", "_meta"))
    needed = (f"{META}protocolVersion", f"{META}clientCapabilities")
    if not isinstance(meta, dict) or not all(key in meta for key in needed):
        words = f"params._meta must be an object that has {' and '.join(needed)}"
        say_no(call, INVALID_PARAMS, words)
        return False
    if message.version != STATELESS.decode():
        words = "Unsupported protocol version"
        ours = [STATELESS.decode()]
        say_no(call, UNSUPPORTED_VERSION, words, supported=ours, requested=message.version)
        return False
    return True


def say_no(call: Call, code: int, words: str, **more: Any) -> None:
    """An error of ours, under the status that it has in this era."""
    call.outcome = "refused"
    id = call.message.id if call.message is not None else None
    call.respond(status_of(code), JSON, failure(id, code, words, **more))
