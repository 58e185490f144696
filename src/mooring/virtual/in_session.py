"""The era of sessions: what a virtual server does with each message of a client's session.

It answers itself what is about itself. What is about a tool, a prompt or a resource goes to the
one backend that has it, under the name that this one knows, and comes back as it is.
"""

import json
from collections.abc import Awaitable, Callable
from importlib.metadata import version as installed
from typing import Any, Final

from mooring.core.aggregate import Exposed
from mooring.core.bridging import failure
from mooring.core.codes import INVALID_PARAMS, METHOD_NOT_FOUND
from mooring.core.era import SESSION_VERSIONS
from mooring.core.headers import NOSNIFF, SESSION_ID, prefers_events
from mooring.core.table import Entry
from mooring.sessions.open_sessions import Session
from mooring.transports.envelope import Envelope, splice
from mooring.transports.sse import encode
from mooring.transports.streams import EVENTS, JSON
from mooring.virtual.backends import Backends
from mooring.virtual.call import Call, Errand
from mooring.virtual.promises import Promises, understood, unpacked
from mooring.virtual.questions import inward
from mooring.virtual.room import UID, Room
from mooring.virtual.sharing import meet, note
from mooring.virtual.sight import LISTS, Sight
from mooring.virtual.splicing import quoted, renamed, replaced, value_at, without
from mooring.virtual.states import ClientState
from mooring.virtual.virtual_server import CALL_SECONDS, VirtualServer

VERSION: Final = installed("mooring")
LEVELS: Final = frozenset(
    {"debug", "info", "notice", "warning", "error", "critical", "alert", "emergency"}
)
RESOURCE_NOT_FOUND: Final = -32002
UNKNOWN: Final = "there is no such session, or it has ended; initialize again"
_TASK: Final = b'"task"'
_CURSOR: Final = b'"cursor"'

Handler = Callable[[Call, ClientState], Awaitable[None]]


class InSession:
    """Sessions with one virtual server."""

    def __init__(self, server: VirtualServer) -> None:
        self._server = server
        self._room: Room = server.room
        self._backends = Backends(server)
        self._handlers: dict[str, Handler] = {
            "ping": self._ping,
            "tools/call": self._call_tool,
            "prompts/get": self._get_prompt,
            "resources/read": self._read,
            "resources/subscribe": self._subscribe,
            "resources/unsubscribe": self._subscribe,
            "completion/complete": self._complete,
            "logging/setLevel": self._set_level,
            **dict.fromkeys(LISTS, self._list),
        }

    # -- sessions ---------------------------------------------------------------------------

    async def answer(self, call: Call) -> None:
        """A request of this era."""
        given = call.headers.get(SESSION_ID)
        message = call.message
        if message is not None and message.method == "initialize" and message.type == "request":
            await self._open(call)
            return
        if given is None:
            call.refuse(400, "BadRequest", "Missing session ID: initialize first")
            return
        id = given.decode("latin-1")
        state = self._room.states.get(id)
        session = self._room.sessions.find(id)
        if session is None:
            state = None
        elif state is None or not self._is_known(state, session, call):
            state = await self._find(session, call)
        if state is None or session is None:
            call.refuse(404, "SessionLost", UNKNOWN)
            return
        state.caller = self._server.declared.caller(call.headers)
        stated = call.headers.get(b"mcp-protocol-version")
        if stated is not None and stated not in SESSION_VERSIONS:
            call.refuse(400, "BadRequest", "unknown protocol version in the header")
        elif message is not None:
            session.calls += 1
            try:
                handler = self._handlers.get(message.method)
                if handler is None or message.type != "request":
                    await self._otherwise(call, state, message)
                else:
                    await handler(call, state)
            finally:
                session.calls -= 1
                session.used_at = self._room.clock.monotonic()
        elif call.request.method == "DELETE":
            await self.end(state)
            call.respond(200, (NOSNIFF,))
        else:
            await self._backends.listen(call, state)

    def swift(self, call: Call) -> Errand | None:
        """What becomes of a call of a tool that has nothing to wait for; None for any other."""
        message, given = call.message, call.headers.get(SESSION_ID)
        if message is None or given is None or message.method != "tools/call":
            return None
        id = given.decode("latin-1")
        state = self._room.states.get(id)
        if state is None or call.era != "session" or message.type != "request":
            return None
        session = self._room.sessions.find(id)
        stated = call.headers.get(b"mcp-protocol-version")
        if session is None or not self._is_known(state, session, call):
            return None
        if stated is not None and stated not in SESSION_VERSIONS:
            return None
        state.caller = self._server.declared.caller(call.headers)
        name, body = message.name or "", call.request.body
        found = self._server.own(state).view.tools.get(name)
        if found is None or _TASK in body:
            return None
        half = self._backends.at_hand(state, found.backend)
        if half is None:
            return None
        body = renamed(body, name, found.original)
        return self._backends.errand(state, half, body, found.original)

    def judge(self, call: Call, entry: Entry) -> None:
        """Heeds what such a call tells of its backend."""
        self._server.shields.judge(call, entry)

    def _is_known(self, state: ClientState, session: Session, call: Call) -> bool:
        """Whether nothing about the session needs to be found out."""
        who = session.sealed.identity
        return (
            state.session is session
            and state.server is self._server.ref
            and session.looked
            and (who is call.identity or who == call.identity)
        )

    async def _find(self, session: Session, call: Call) -> ClientState | None:
        """What is known of a session, made anew where this gateway never saw it."""
        told, ref = session.sealed, self._server.ref
        ours = told.uid == UID and told.server.name == ref.name
        if not ours or told.server.namespace != ref.namespace or told.identity != call.identity:
            return None
        state = self._room.states.get(session.id)
        if state is None or state.session is not session:
            state = self._remember(session, unpacked(told.upstream_id))
        state.server = ref
        if not session.looked:
            await meet(self._room, state)
            if self._room.sessions.has_ended(session):
                return None
        return state

    def _remember(self, session: Session, promises: Promises) -> ClientState:
        before = self._room.states.get(session.id)
        if before is not None:
            before.session = session
            return before
        state = ClientState(self._server.ref, session, promises)
        self._room.states[session.id] = state
        return state

    async def _open(self, call: Call) -> None:
        caller = self._server.declared.caller(call.headers)
        sight = await self._server.sight("session", caller)
        self._room.sessions.admit(call.identity)
        version, promises = understood(call.request.body)
        ref = self._server.ref
        session = self._room.sessions.open(ref, UID, promises.packed, version, call.identity)
        state = self._remember(session, promises)
        state.caller, state.told = caller, sight
        result: dict[str, Any] = {
            "protocolVersion": version,
            "capabilities": sight.capabilities(),
            "serverInfo": {"name": ref.name, "version": VERSION},
        }
        instructions = sight.instructions()
        if instructions:
            result["instructions"] = instructions
        body = json.dumps(result, separators=(",", ":")).encode()
        call.respond(200, (*JSON, (SESSION_ID, session.id.encode())), _result(call, body))

    async def end(self, state: ClientState) -> None:
        """Ends a session, with what it has at backends."""
        await self._backends.end(state)

    # -- messages ---------------------------------------------------------------------------

    async def _otherwise(self, call: Call, state: ClientState, message: Envelope) -> None:
        """What is no request, or none that we know."""
        if message.type == "request":
            say_no(call, METHOD_NOT_FOUND, "Method not found")
            return
        if message.type == "response":
            await self._answered(call, state, message)
        else:
            await self._noted(call, state, message)
        if not call.exchange.started:
            call.respond(202, (NOSNIFF,))

    async def _ping(self, call: Call, state: ClientState) -> None:
        say(call, b"{}")

    async def _list(self, call: Call, state: ClientState) -> None:
        message = call.message
        assert message is not None
        await self._server.sight("session", state.caller)
        sight = state.told = self._server.own(state)
        cursor = None
        if _CURSOR in call.request.body:
            cursor = value_at(call.request.body, ("params", "cursor"))
        whose = self._server.whose(call.identity, state.caller)
        text = sight.listed(message.method, cursor, self._room.cursors, whose, {})
        if text is None:
            say_no(call, INVALID_PARAMS, "the cursor is not one of this list")
            return
        say(call, text + b"}")

    async def _call_tool(self, call: Call, state: ClientState) -> None:
        message = call.message
        assert message is not None
        name = message.name or ""
        found = self._server.own(state).view.tools.get(name)
        if found is None:
            found = (await self._better(state)).view.tools.get(name)
        if found is None:
            self._unknown(call, state, "tool", name)
            return
        body = call.request.body
        if _TASK in body:
            body = without(body, ("params", "task"))
        original = found.original
        body = renamed(body, name, original)
        await self._backends.forward(call, state, found.backend, body, original)

    async def _get_prompt(self, call: Call, state: ClientState) -> None:
        message = call.message
        assert message is not None
        name = message.name or ""
        found = self._server.own(state).view.prompts.get(name)
        if found is None:
            found = (await self._better(state)).view.prompts.get(name)
        if found is None:
            self._unknown(call, state, "prompt", name)
            return
        body = renamed(call.request.body, name, found.original)
        await self._backends.forward(call, state, found.backend, body, found.original)

    async def _read(self, call: Call, state: ClientState) -> None:
        backend = await self._reader(call, state)
        if backend is not None:
            await self._backends.forward(call, state, backend, call.request.body)

    async def _subscribe(self, call: Call, state: ClientState) -> None:
        message = call.message
        assert message is not None
        backend = await self._reader(call, state)
        if backend is None:
            return
        await self._backends.forward(call, state, backend, call.request.body)
        uri = message.name or ""
        if call.outcome != "answered":
            return
        if message.method == "resources/subscribe":
            state.subscriptions = {**(state.subscriptions or {}), uri: backend}
        elif state.subscriptions is not None:
            state.subscriptions.pop(uri, None)
        await note(self._room, state)

    async def _complete(self, call: Call, state: ClientState) -> None:
        body = call.request.body
        ref = value_at(body, ("params", "ref"))
        ref = ref if isinstance(ref, dict) else {}
        if ref.get("type") == "ref/prompt":
            name = str(ref.get("name", ""))
            found = self._server.own(state).view.prompts.get(name)
            if found is None:
                found = (await self._better(state)).view.prompts.get(name)
            if found is None:
                self._unknown(call, state, "prompt", name)
                return
            body = replaced(body, ("params", "ref", "name"), quoted(found.original))
            await self._backends.forward(call, state, found.backend, body)
            return
        uri = str(ref.get("uri", ""))
        exposed = _of_uri(self._server.own(state), uri)
        if exposed is None:
            exposed = _of_uri(await self._better(state), uri)
        if exposed is None:
            self._unknown(call, state, "resource template", uri)
            return
        await self._backends.forward(call, state, exposed.backend, body)

    async def _set_level(self, call: Call, state: ClientState) -> None:
        params = value_at(call.request.body, ("params",))
        level = params.get("level") if isinstance(params, dict) else None
        if level not in LEVELS:
            say_no(call, INVALID_PARAMS, f"no log level: {level!a}")
            return
        state.level = str(level)
        await self._backends.set_level(state)
        say(call, b"{}")

    async def _answered(self, call: Call, state: ClientState, message: Envelope) -> None:
        """The client's answer to a question goes to the backend that asked."""
        origin = inward(message.id)
        if origin is not None:
            await self._backends.answered(call, state, origin)

    async def _noted(self, call: Call, state: ClientState, message: Envelope) -> None:
        body = call.request.body
        if message.method == "notifications/cancelled":
            await self._cancelled(state, message, body)
        elif message.method == "notifications/progress":
            origin = inward(message.progress_token)
            if origin is not None and self._backends.waits(state, origin):
                body = splice(body, progress_token=origin.id)
                await self._backends.note(state, [origin.backend], body)
        elif message.method == "notifications/roots/list_changed":
            able = [b for b in self._backends.open(state) if "roots" in self._server.relayed(b)]
            await self._backends.note(state, able, body)

    async def _cancelled(self, state: ClientState, message: Envelope, body: bytes) -> None:
        """To the backend that answers the request; where that is not known here, to all."""
        id = message.request_id or b""
        known = state.running.get(id) if state.running else None
        if known is not None and self._backends.take_back(state, known, id):
            return
        backends = self._backends.open(state) if known is None else [known]
        await self._backends.note(state, backends, body)

    # -- whose it is ------------------------------------------------------------------------

    async def _better(self, state: ClientState) -> Sight:
        """What the client sees, when all backends have been heard or given up, and those that it
        has a session at and that are being started again."""
        await self._server.back(state.halves, CALL_SECONDS)
        await self._server.sight("session", state.caller, CALL_SECONDS)
        return self._server.own(state)

    async def _reader(self, call: Call, state: ClientState) -> str | None:
        """The backend that a resource is read from; None where the client was answered."""
        uri = call.message.name if call.message is not None else None
        uri = uri or ""
        seen = state.seen.get(uri) if state.seen else None
        sight = self._server.own(state)
        if seen is not None and seen in sight.backends:
            return seen
        readers = sight.view.readers(uri)
        if not readers:
            sight = await self._better(state)
            readers = sight.view.readers(uri) or sight.able("resources")
            if len(readers) != 1:
                told = f"Resource not found: {uri}"
                body = failure(_id(call), RESOURCE_NOT_FOUND, told, uri=uri)
                call.outcome = "refused"
                call.respond(200, JSON, body)
                return None
        if len(readers) > 1:
            told = f"several backends may have this resource: {', '.join(readers)}"
            say_no(call, INVALID_PARAMS, told)
            return None
        return readers[0]

    def _unknown(self, call: Call, state: ClientState, kind: str, name: str) -> None:
        missing = self._server.own(state).missing
        why = f"; not heard of yet: {', '.join(sorted(missing))}" if missing else ""
        away = self._server.away(state.halves)
        why += f"; away now: {', '.join(away)}" if away else ""
        say_no(call, INVALID_PARAMS, f"Unknown {kind}: {name}{why}")


def _of_uri(sight: Sight, uri: str) -> Exposed | None:
    return sight.view.templates.get(uri) or sight.view.resources.get(uri)


def say(call: Call, result: bytes) -> None:
    """The result of a request; as a stream, where the client names that first."""
    body = _result(call, result)
    if prefers_events(call.headers.get(b"accept", b"")):
        call.respond(200, EVENTS, encode(body))
    else:
        call.respond(200, JSON, body)


def _result(call: Call, result: bytes) -> bytes:
    return b'{"jsonrpc":"2.0","id":%b,"result":%b}' % (_id(call) or b"null", result)


def _id(call: Call) -> bytes | None:
    return call.message.id if call.message is not None else None


def say_no(call: Call, code: int, words: str) -> None:
    """An error of ours that the client is at fault for."""
    call.outcome = "refused"
    call.respond(200, JSON, failure(_id(call), code, words))
