"""Opening a client session's own session at a backend.

When the first request of a session goes to a backend: the backend is initialized with what the
client said, as far as it is relayed, and then told what the client has set meanwhile, the log
level and what it subscribed to there. Unless another gateway has done all that already.
"""

import asyncio
import json
from collections.abc import Collection
from contextlib import suppress
from typing import Any, Final

from mooring.core.recovery import promised
from mooring.core.routing import Ask, Opening, Pinned, Reject
from mooring.core.table import Entry
from mooring.errors import Unavailable
from mooring.sessions.courier import Parcel
from mooring.sessions.open_sessions import Session
from mooring.virtual.conversing import SECONDS, Said, ask, own_headers, refusal
from mooring.virtual.room import Room
from mooring.virtual.sharing import adopt, enter, meet
from mooring.virtual.states import ClientState, Half

INITIALIZE_SECONDS: Final = 60.0
INITIALIZED: Final = b'{"jsonrpc":"2.0","method":"notifications/initialized"}'


async def open_half(
    room: Room, state: ClientState, half: Half, entry: Entry, relayed: Collection[str]
) -> None:
    """Opens it, unless somebody has meanwhile. Raises Denied "LoginNeeded", Unavailable."""
    if half.lock is None:
        half.lock = asyncio.Lock()
    async with half.lock:
        if half.ready and (not half.id or room.sessions.find(half.id) is not None):
            return
        before = half.id
        half.end()
        await meet(room, state)
        if half.ready:
            return
        promises = await _initialize(room, state, half, entry, relayed)
        await _introduce(room, state, half, entry)
        if half.session is not None:
            await _tell_others(room, state, half, entry, (before, promises))
        half.ready = True


async def _initialize(
    room: Room, state: ClientState, half: Half, entry: Entry, relayed: Collection[str]
) -> tuple[bytes, tuple[str, ...]]:
    """Returns the parameters that the backend was given, and what it promised."""
    params = {
        "protocolVersion": state.version,
        "capabilities": state.promises.told(relayed),
        "clientInfo": state.promises.client,
    }
    body = message("mooring-initialize", "initialize", params)
    headers = own_headers(room.via, b"", "", state.caller.told(half.backend))
    parcel = Parcel("POST", headers, body, False, INITIALIZE_SECONDS)
    said = await ask(room.courier, entry, Opening(), parcel)
    result = result_of(said)
    if result is None:
        raise refusal(said, half.backend, "initialize")
    able = result.get("capabilities")
    promises = promised(able if isinstance(able, dict) else {})
    half.version = str(result.get("protocolVersion", ""))
    half.capabilities = frozenset(each.partition(".")[0] for each in promises)
    if said.session is not None:
        opened = room.sessions.open(
            entry.ref, said.uid, said.session, half.version, state.identity, inner=True
        )
        half.id, half.session = opened.id, opened
    return json.dumps(params).encode(), promises


async def _introduce(room: Room, state: ClientState, half: Half, entry: Entry) -> None:
    """Tells the backend the rest."""
    await tell(room, state, half, entry, INITIALIZED)
    told: list[tuple[str, dict[str, Any]]] = []
    if state.level and "logging" in half.capabilities:
        told.append(("logging/setLevel", {"level": state.level}))
    for uri, backend in (state.subscriptions or {}).items():
        if backend == half.backend:
            told.append(("resources/subscribe", {"uri": uri}))
    for method, params in told:
        try:
            await tell(room, state, half, entry, message(f"mooring-{method}", method, params))
        except Unavailable:
            continue  # it goes on without


async def _tell_others(
    room: Room,
    state: ClientState,
    half: Half,
    entry: Entry,
    known: tuple[str, tuple[bytes, tuple[str, ...]]],
) -> None:
    """Writes down what recovery needs, and that this is the one session at this backend.

    `known`: the id of one that is over, what the backend was given, and what it promised.
    """
    session = half.session
    if session is None:
        return
    before, (params, promises) = known
    await room.books.enter(session, params, promises)
    for uri, backend in (state.subscriptions or {}).items():
        if backend == half.backend:
            body = message("mooring", "resources/subscribe", {"uri": uri})
            await noted(room, session, body)
    if state.level and "logging" in half.capabilities:
        body = message("mooring", "logging/setLevel", {"level": state.level})
        await noted(room, session, body)
    theirs = await enter(room, state, half, before)
    if theirs != half.id and await adopt(room, half, theirs):
        room.errands.start(dismiss(room, entry, session))


async def noted(room: Room, session: Session, body: bytes) -> None:
    """Has a new owner of a session hear this, too."""
    try:
        await room.books.note(session, body)
    except Unavailable:
        return


async def dismiss(room: Room, entry: Entry, session: Session) -> None:
    """Ends a session at a backend, and here."""
    told = session.sealed
    headers = own_headers(room.via, told.upstream_id, told.version)
    parcel = Parcel("DELETE", headers, b"", True, SECONDS)
    to = Pinned(told.server, told.uid, told.identity, told.identity)
    room.sessions.end(session)
    with suppress(Unavailable):  # it ends by its own idleness
        await room.books.end(session)
    sent = await room.courier.deliver(entry, to, parcel)
    if not isinstance(sent, Reject):
        sent.close()


async def tell(room: Room, state: ClientState, half: Half, entry: Entry, body: bytes) -> Said:
    """Sends a backend a message of ours in a client's session."""
    to, upstream_id = address(room, state, half)
    headers = own_headers(room.via, upstream_id, half.version, state.caller.told(half.backend))
    return await ask(room.courier, entry, to, Parcel("POST", headers, body, True, SECONDS))


def address(room: Room, state: ClientState, half: Half) -> tuple[Ask, bytes]:
    """Where a message of this session goes, and what the backend calls the session."""
    session = room.sessions.find(half.id) if half.id else None
    if session is None:
        return Opening(), b""
    told = session.sealed
    return Pinned(told.server, told.uid, told.identity, state.identity), told.upstream_id


def message(id: str, method: str, params: dict[str, Any]) -> bytes:
    """A request of ours."""
    told = {"jsonrpc": "2.0", "id": id, "method": method, "params": params}
    return json.dumps(told, separators=(",", ":")).encode()


def result_of(said: Said) -> dict[str, Any] | None:
    """The result in an answer; None where there is none."""
    if said.message is None or said.status >= 300:
        return None
    try:
        result = json.loads(said.message).get("result")
    except (ValueError, AttributeError, RecursionError):
        return None
    return result if isinstance(result, dict) else None
