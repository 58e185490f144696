"""A client's session, used through several gateways.

Its record says which sessions it has at backends, and what the client has set, so that another
gateway goes on with them instead of opening its own. It is written when one of them is opened;
who comes second takes the one that is there. Without a store each gateway goes on by itself.
"""

from typing import Final

from msgspec.structs import replace

from mooring.core.session_record import SessionRecord
from mooring.errors import Conflict, Unavailable
from mooring.sessions.books import Ended, Page
from mooring.sessions.open_sessions import Session
from mooring.virtual.room import Room
from mooring.virtual.states import ClientState, Half

TRIES: Final = 5
"""Times that a record is written anew because another gateway wrote it meanwhile."""


async def meet(room: Room, state: ClientState) -> None:
    """Takes over what other gateways have of a session."""
    state.session.looked = True
    try:
        found = await room.books.read(state.session.key)
        if isinstance(found, Ended):
            room.sessions.end(state.session)
        elif found is not None:
            await _take_over(room, state, found.record)
    except Unavailable:
        return  # what is needed is opened anew


async def enter(room: Room, state: ClientState, half: Half, before: str = "") -> str:
    """Tells other gateways of a session that was opened at a backend; `before`: one that is over.

    Returns the id of the one to use: another gateway may have been faster.
    """
    try:
        for _ in range(TRIES):
            page = await room.books.read(state.session.key)
            if isinstance(page, Ended):
                return half.id
            held = _halves(page.record) if page is not None else {}
            theirs = held.get(half.backend, "")
            if theirs not in ("", before, half.id):
                return theirs
            if await _written(room, state, page, held | {half.backend: half.id}):
                return half.id
    except Unavailable:
        return half.id
    return half.id


async def note(room: Room, state: ClientState) -> None:
    """Tells other gateways what the client has set."""
    try:
        for _ in range(TRIES):
            page = await room.books.read(state.session.key)
            held = _halves(page.record) if isinstance(page, Page) else {}
            if isinstance(page, Ended) or await _written(room, state, page, held):
                return
    except Unavailable:
        return


async def _written(
    room: Room, state: ClientState, page: Page | None, halves: dict[str, str]
) -> bool:
    told = tuple(f"{backend} {id}" for backend, id in sorted(halves.items()))
    session = state.session
    if page is None:
        try:
            await room.books.enter(session, state.promises.packed, told)
        except Conflict:
            return False
        return not state.level and not state.subscriptions  # else once more, with the rest
    record = replace(
        page.record,
        capabilities=told,
        log_level=state.level,
        subscriptions=tuple(f"{b} {uri}" for uri, b in (state.subscriptions or {}).items()),
    )
    if record == page.record:
        return True
    return await room.books.write(session.key, page, record) is not None


async def _take_over(room: Room, state: ClientState, record: SessionRecord) -> None:
    state.level = record.log_level or state.level
    for each in record.subscriptions:
        backend, _, uri = each.partition(" ")
        state.subscriptions = {**(state.subscriptions or {}), uri: backend}
    for backend, id in _halves(record).items():
        half = state.half(backend)
        if not half.ready:
            await adopt(room, half, id)


async def adopt(room: Room, half: Half, id: str) -> bool:
    """Goes on with a session that another gateway has opened; False where it is over."""
    session = room.sessions.find(id)
    if session is None:
        return False
    half.id, half.session = id, session
    half.version = session.sealed.version
    half.capabilities = await _promises(room, session)
    half.ready = True
    return True


async def _promises(room: Room, session: Session) -> frozenset[str]:
    try:
        found = await room.books.read(session.key)
    except Unavailable:
        return frozenset()
    promised = found.record.capabilities if isinstance(found, Page) else ()
    return frozenset(each.partition(".")[0] for each in promised)


def _halves(record: SessionRecord) -> dict[str, str]:
    """Ids of the sessions at backends, by backend."""
    return {b: id for b, _, id in (each.partition(" ") for each in record.capabilities)}
