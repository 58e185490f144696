"""The backends of a virtual server, as one client's session uses them.

A session at a backend is opened by the first request that goes there, and kept. While the client
listens, every backend that it has a session with is listened to for it.
"""

import asyncio
from collections.abc import Iterable
from contextlib import suppress
from typing import Final

from mooring.core.aggregate_items import catalog
from mooring.core.headers import LAST_EVENT_ID, Headers
from mooring.core.questions import shown
from mooring.core.routing import Reject
from mooring.core.table import Entry
from mooring.errors import Denied, MooringError, NotFound, Unavailable
from mooring.sessions.courier import Parcel, Sent
from mooring.sessions.open_sessions import Session
from mooring.sessions.recovery import Moved
from mooring.transports.envelope import splice
from mooring.transports.sse import EventSplitter
from mooring.transports.streams import Stream
from mooring.virtual.call import Call, Errand
from mooring.virtual.conversing import SECONDS, SSE, declined, own_headers
from mooring.virtual.exploring import Conversation, Joined
from mooring.virtual.hearing import Hearing
from mooring.virtual.opening import address, dismiss, message, noted, open_half, tell
from mooring.virtual.questions import Origin
from mooring.virtual.sharing import meet, note
from mooring.virtual.states import ClientState, Half
from mooring.virtual.virtual_server import VirtualServer, tell_changes

AGAIN: Final = 1.0
"""Seconds until a backend's stream that ended is opened again."""
SLOW: Final = 30.0
"""Seconds that a client may take to read on, before its stream is cut."""
LOOK_AGAIN: Final = 0.2
"""Seconds in which several changes that a backend tells one session count as one."""
NO_STREAM: Final = (405, 501)


class Backends:
    """Those of one virtual server."""

    def __init__(self, server: VirtualServer) -> None:
        self._server = server
        self._room = server.room

    def open(self, state: ClientState) -> list[str]:
        """Where a client has a session."""
        return [name for name, half in state.halves.items() if half.ready]

    async def forward(
        self, call: Call, state: ClientState, backend: str, body: bytes, name: str | None = None
    ) -> None:
        """Takes a request to a backend, and its answer to the client.

        `name`: what the backend calls what is called.
        """
        entry = self._server.declared.backends.get(backend)
        if entry is None:
            call.refuse(503, "NoReadyInstance", f"backend {backend} cannot be asked now")
            return
        with self._server.shields.around(call, entry) as admitted:
            if not admitted:
                return
            try:
                await self._forward(call, state, entry, body, name)
            except (Denied, NotFound) as error:
                if call.exchange.started:
                    raise
                told = state.caller.told(backend)  # else it is not the client who is at fault
                status = error.status if told and isinstance(error, Denied) else 503
                call.refuse(status, error.reason, error.message)

    async def _forward(
        self, call: Call, state: ClientState, entry: Entry, body: bytes, name: str | None
    ) -> None:
        backend = entry.ref.name
        half = state.half(backend)
        session = self._room.sessions.find(half.id) if half.id else None
        if session is None or state.stream is not None:
            session = await self._ready(state, half, entry)
        half.session = session
        errand = self.errand(state, half, body, name, entry)
        id = call.message.id if call.message is not None else None
        if id is None:
            await self._room.gate.forward(call, errand)
            return
        state.begun(id, backend)
        try:
            await self._room.gate.forward(call, errand)
        finally:
            state.ended(id)

    def at_hand(self, state: ClientState, backend: str) -> Half | None:
        """The session at a backend, where nothing needs to be waited for."""
        half = state.halves.get(backend)
        entry = self._server.declared.backends.get(backend)
        if half is None or entry is None or not half.ready or not half.id:
            return None
        if state.stream is not None and half.listener is None and not half.deaf:
            return None
        half.session = self._room.sessions.find(half.id)
        if half.session is None or not self._server.shields.is_calm(entry):
            return None
        return half

    def errand(
        self,
        state: ClientState,
        half: Half,
        body: bytes,
        name: str | None,
        entry: Entry | None = None,
    ) -> Errand:
        """A request on its way to the session that was found last at a backend."""
        backend, session = half.backend, half.session
        hearing = self._hearing(state, half, session)
        told = state.caller.told(backend)
        return Errand(
            entry or self._server.declared.backends[backend],
            body, session, half.version, name, told, None, hearing.event, hearing.answer,
        )  # fmt: skip

    async def answered(self, call: Call, state: ClientState, origin: Origin) -> None:
        """Takes the client's answer to the backend that asked, if that still waits for it."""
        if not self.waits(state, origin):
            return
        half = state.halves[origin.backend]
        session = self._room.sessions.find(half.id) if half.id else None
        generation = session.generation if session is not None else 0
        id = shown(generation, origin.id) if generation else origin.id
        await self.forward(call, state, origin.backend, splice(call.request.body, id=id))

    def waits(self, state: ClientState, origin: Origin) -> bool:
        """Whether whoever asked this is still the one that the client has a session with."""
        half = state.halves.get(origin.backend)
        session = self._room.sessions.find(half.id) if half is not None and half.id else None
        return half is not None and mark(session) == origin.mark

    def take_back(self, state: ClientState, backend: str, id: bytes) -> bool:
        """The client cancels a request; whether that still waited to be sent to this backend."""
        half = state.halves.get(backend)
        session = self._room.sessions.find(half.id) if half is not None and half.id else None
        if session is None:
            return False
        withdrawn = self._room.recovery.withdraw(session, id)
        return self._room.courier.take_back(session.key, id) or withdrawn

    async def note(self, state: ClientState, backends: Iterable[str], body: bytes) -> None:
        """Sends a notification to some of those where a session is open."""
        for backend in backends:
            half, entry = state.halves.get(backend), self._server.declared.backends.get(backend)
            if half is not None and entry is not None and half.ready:
                await self._tell(state, half, entry, body)

    async def set_level(self, state: ClientState) -> None:
        """Has all that log hear of the client's level."""
        able = [b for b in self.open(state) if "logging" in state.halves[b].capabilities]
        body = message("mooring-level", "logging/setLevel", {"level": state.level})
        async with asyncio.TaskGroup() as tasks:
            for backend in able:
                tasks.create_task(self._level(state, backend, body))
        await note(self._room, state)

    async def _level(self, state: ClientState, backend: str, body: bytes) -> None:
        await self.note(state, [backend], body)
        session = state.halves[backend].session
        if session is not None:
            await noted(self._room, session, body)

    async def end(self, state: ClientState) -> None:
        """Ends a client's session everywhere."""
        await meet(self._room, state)
        self._room.sessions.end(state.session)
        self._room.states.pop(state.session.id, None)
        with suppress(Unavailable):  # it ends by its own idleness
            await self._room.books.end(state.session)
        if state.stream is not None:
            state.stream.end()
        for half in state.halves.values():
            self._end(half)

    async def listen(self, call: Call, state: ClientState) -> None:
        """A client's GET: it listens, or comes back for what a backend was telling it."""
        given = call.headers.get(LAST_EVENT_ID)
        if given:
            await self._resume(call, state, given)
            return
        if state.stream is not None and state.stream.open:
            words = "Conflict: Only one SSE stream is allowed per session"
            call.refuse(409, "Conflict", words)
            return
        stream = Stream(call.exchange, self._room.clock.monotonic())
        state.stream = stream
        self._room.streams.add(stream)
        state.session.streams += 1
        tell_changes(state, ())
        for half in state.halves.values():
            self._listen_to(state, half)
        try:
            await stream.serve()
        finally:
            state.session.streams -= 1
            self._room.streams.discard(stream)
            if state.stream is stream:
                state.stream = None
                for half in state.halves.values():
                    half.deafen()

    # -- sessions ---------------------------------------------------------------------------

    async def _ready(self, state: ClientState, half: Half, entry: Entry) -> Session | None:
        """The session at a backend, opened where there is none; None where it has none."""
        session = self._room.sessions.find(half.id) if half.id else None
        if not half.ready or (half.id and session is None):
            relayed = self._server.relayed(half.backend)
            await open_half(self._room, state, half, entry, relayed)
            session = self._room.sessions.find(half.id) if half.id else None
        half.session = session
        if state.stream is not None and half.listener is None:
            self._listen_to(state, half)
        return session

    def _end(self, half: Half) -> None:
        session = self._room.sessions.find(half.id) if half.id else None
        entry = self._server.declared.virtual.backends.get(half.backend)
        if session is not None and entry is not None:
            self._room.errands.start(dismiss(self._room, entry, session))
        half.end()

    # -- what backends say ------------------------------------------------------------------

    def _hearing(self, state: ClientState, half: Half, session: Session | None) -> Hearing:
        generation = session.generation if session is not None else 0
        kept = half.hearing
        if kept is not None and kept[0] is session and kept[1] == generation:
            known: Hearing = kept[2]
            return known
        relayed = self._server.relayed(half.backend)
        hearing = Hearing(self, state, half, mark(session), relayed)
        half.hearing = session, generation, hearing
        return hearing

    def decline(self, state: ClientState, half: Half, id: bytes, method: str) -> None:
        """See `hearing.Behalf`."""
        entry = self._server.declared.backends.get(half.backend)
        if entry is not None:
            work = self._tell(state, half, entry, declined(id, method))
            self._room.errands.start(work)

    def changed(self, state: ClientState, half: Half) -> None:
        """See `hearing.Behalf`."""
        entry = self._server.declared.backends.get(half.backend)
        if entry is not None and not half.looking:
            half.looking = True
            self._room.errands.start(self._look_again(state, half, entry))

    async def _look_again(self, state: ClientState, half: Half, entry: Entry) -> None:
        """The backend has told this session that its lists have changed."""
        room = self._room
        room.catalogs.again(entry.ref)
        await room.clock.sleep(LOOK_AGAIN)
        half.looking = False
        session = room.sessions.find(half.id) if half.id else None
        if session is None:
            return
        told = session.sealed
        joined = Joined(told.uid, told.upstream_id, half.version, half.capabilities)
        talk = Conversation(
            room.courier, room.via, entry, "session", state.caller.told(half.backend), joined
        )
        try:
            async with asyncio.timeout(SECONDS):
                found = catalog(half.backend, (await talk.offer()).lists)
        except TimeoutError:
            return
        state.told = state.told or self._server.own(state)
        state.private = {**(state.private or {}), half.backend: found}
        state.own = None
        self._server.tell(state)

    async def _tell(self, state: ClientState, half: Half, entry: Entry, body: bytes) -> None:
        try:
            await tell(self._room, state, half, entry, body)
        except MooringError:
            return

    def _listen_to(self, state: ClientState, half: Half) -> None:
        entry = self._server.declared.backends.get(half.backend)
        if entry is not None and half.id and not half.deaf:
            half.listener = self._room.errands.start(self._listen(state, half))

    async def _listen(self, state: ClientState, half: Half) -> None:
        """Tells a client that listens what a backend says unasked."""
        last = b""
        try:
            while (stream := state.stream) is not None and stream.open:
                session = self._room.sessions.find(half.id) if half.id else None
                if session is None:
                    return
                entry = self._server.declared.backends.get(half.backend)
                if entry is not None:  # else it is away, and may come back
                    session.streams += 1
                    try:
                        last = await self._hear_out(state, half, session, entry, last)
                    finally:
                        session.streams -= 1
                await self._room.clock.sleep(AGAIN)
        except MooringError:
            return
        finally:
            half.listener = None

    async def _hear_out(
        self, state: ClientState, half: Half, session: Session, entry: Entry, last: bytes
    ) -> bytes:
        """One stream of a backend, to its end; returns the id of the last event.

        Raises Unavailable where there will be no other one.
        """
        hearing = self._hearing(state, half, session)
        generation = session.generation
        headers = self._own_headers(state, half, session)
        more = ((LAST_EVENT_ID, last),) if last else ()
        to, _ = address(self._room, state, half)
        parcel = Parcel("GET", headers + more, b"", True, SECONDS)
        sent = await self._room.courier.deliver(entry, to, parcel)
        if isinstance(sent, Reject):
            lost = sent.reason == "SessionLost"
            return await self._moved(entry, session, generation, headers if lost else None)
        try:
            if sent.reply.status == 404 and await self._room.recovery.confirms(
                session, generation, sent.upstream
            ):
                sent.close()
                return await self._moved(entry, session, generation, headers)
            half.deaf = sent.reply.status in NO_STREAM or not _is_stream(sent)
            if half.deaf:
                raise Unavailable("UpstreamError", f"{half.backend} has no stream")
            return await self._hear(state, hearing, sent, last)
        finally:
            sent.close()

    async def _moved(
        self, entry: Entry, session: Session, generation: int, headers: Headers | None
    ) -> bytes:
        """Has a lost session move, if it may; its stream begins anew.

        Without headers it is not lost, only out of reach. Raises Unavailable where it did not move.
        """
        if headers is not None and entry.recovery != "fail":
            outcome = await self._room.recovery.recover(session, generation, headers, None)
            if isinstance(outcome, Moved):
                return b""
        raise Unavailable("RecoveryFailed", f"the session at {entry.ref.name} is over")

    async def _hear(self, state: ClientState, hearing: Hearing, sent: Sent, last: bytes) -> bytes:
        splitter = EventSplitter()
        try:
            async for chunk in sent.reply.chunks():
                for event in splitter.feed(chunk):
                    last = event.id or last
                    if event.data:
                        await _pass_on(state, hearing.message(event.data))
        except Unavailable:
            return last  # it was cut
        except ValueError as error:
            raise Unavailable("UpstreamTooLarge", str(error)) from None
        return last

    def _own_headers(self, state: ClientState, half: Half, session: Session) -> Headers:
        told = state.caller.told(half.backend)
        return own_headers(self._room.via, session.sealed.upstream_id, half.version, told)

    async def _resume(self, call: Call, state: ClientState, given: bytes) -> None:
        """A client comes back for the answer to a call whose stream it lost."""
        for half in state.halves.values():
            entry = self._server.declared.backends.get(half.backend)
            session = self._room.sessions.find(half.id) if half.id else None
            if entry is None or session is None:
                continue
            hearing = self._hearing(state, half, session)
            told = state.caller.told(half.backend)
            errand = Errand(entry, b"", session, half.version, headers=told, event=hearing.event)
            if self._room.gate.knows(call, errand, given):
                await self._room.gate.resume(call, errand)
                return
        call.refuse(400, "BadRequest", "Last-Event-ID: this session has no such event")


def mark(session: Session | None) -> str:
    """Tells a session at a backend, and each of its owners, from others."""
    return f"{session.key.hex()[:6]}{session.generation:x}" if session is not None else "0"


def _is_stream(sent: Sent) -> bool:
    return (sent.reply.header(b"content-type") or b"").startswith(SSE)


async def _pass_on(state: ClientState, text: bytes) -> None:
    stream = state.stream
    if text and stream is not None:
        stream.put(text)
        await stream.room(SLOW)
