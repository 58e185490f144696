"""One virtual server: what its clients see, and that they hear when it changes.

What is seen is put together when a backend or the declaration changes, not when somebody looks.
A session whose own upstream has other lists than everybody's sees those instead.
"""

from collections.abc import Callable, Iterable
from typing import Final

from mooring.core.aggregate import merge
from mooring.core.aggregate_items import Catalog
from mooring.core.era import Era
from mooring.core.identity import Identity
from mooring.core.table import Entry
from mooring.kinds.ref import Ref
from mooring.virtual.catalogs import Watch, settled
from mooring.virtual.cursors import Whose
from mooring.virtual.declared import NOBODY, Caller, Declared
from mooring.virtual.room import Room
from mooring.virtual.shielding import Shields
from mooring.virtual.sight import Backend, Sight
from mooring.virtual.states import ClientState

LIST_SECONDS: Final = 0.8
"""How long a list waits for backends that have never answered."""
CALL_SECONDS: Final = 10.0
"""How long a request waits for them that may be for one of them."""
LOOK_AGAIN: Final = 0.05
"""Seconds between two looks whether a backend is back."""
SIGHTS: Final = 1000
"""Callers with credentials of their own for whom it is kept what they see."""
COALESCE: Final = 0.2
"""Seconds in which several changes are told as one."""
NOTES: Final = {
    kind: b'{"jsonrpc":"2.0","method":"notifications/%b/list_changed"}' % kind.encode()
    for kind in ("tools", "prompts", "resources")
}


class VirtualServer:
    """What is behind one path."""

    def __init__(self, declared: Declared, room: Room) -> None:
        self.declared = declared
        self.room = room
        self.shields = Shields(room.clock, lambda: self.declared.virtual.health)
        self._sights: dict[tuple[Era, bytes], Sight] = {}
        """By era, and fingerprint of what backends are told of the caller."""
        self._announcing = False
        self._said: set[str] = set()
        """Kinds of lists of which a backend said that they have changed."""
        self.on_change: Callable[[Iterable[str]], None] | None = None
        """Is told when clients of the stateless era may see something else, and what was said."""

    @property
    def ref(self) -> Ref:
        return self.declared.virtual.ref

    def become(self, declared: Declared) -> None:
        """From now on it is declared like this."""
        before, self.declared = self.declared, declared
        if not declared.same(before):
            self.changed()

    def concerns(self, backend: str) -> bool:
        """Whether a server is one of its backends."""
        return backend in self.declared.backends

    def changed(self, said: Iterable[str] = ()) -> None:
        """What its clients see may be something else now; `said`: so says a backend, of what."""
        self._sights.clear()
        self._said.update(said)
        if not self._announcing:
            self._announcing = self.room.errands.start(self._announce()) is not None

    def begin(self) -> None:
        """Has its backends asked what they offer before a client wants to know.

        In the era of sessions, which most clients speak; where credentials are sent on, when
        there are some.
        """
        for entry in self.declared.visible(NOBODY):
            era: Era = "stateless" if entry.eras == "stateless" else "session"
            self._watch(entry, era, NOBODY)

    async def sight(
        self, era: Era, caller: Caller = NOBODY, seconds: float = LIST_SECONDS
    ) -> Sight:
        """What a caller sees; waits for backends that were never heard, but not for long."""
        found = self._sights.get((era, caller.credentials))
        if found is not None and not found.missing:
            return found
        until = self.room.clock.monotonic() + seconds
        for _ in range(2):  # where one era is refused, the other one may not be known yet
            waiting = [w for w in self._watches(era, caller) if not w.settled.is_set()]
            if waiting:
                await settled(waiting, max(until - self.room.clock.monotonic(), 0))
        return self.seen(era, caller)

    async def back(self, backends: Iterable[str], seconds: float) -> None:
        """Returns when none of these is on its way back any more, or after so many seconds."""
        clock = self.room.clock
        until = clock.monotonic() + seconds
        while clock.monotonic() < until and any(map(self._returns, backends)):
            await clock.sleep(LOOK_AGAIN)

    def away(self, backends: Iterable[str]) -> list[str]:
        """Those of them that clients see nothing of now, though they are in the group."""
        declared = self.declared
        group = declared.virtual.backends
        return sorted(b for b in backends if b in group and b not in declared.backends)

    def _returns(self, backend: str) -> bool:
        """Whether an instance of it is starting, and none has answered yet."""
        judged = self.declared.virtual.judgement.backends
        return any(each.name == backend and each.word == "unknown" for each in judged)

    def seen(self, era: Era, caller: Caller = NOBODY) -> Sight:
        """What a caller sees now."""
        key = era, caller.credentials
        found = self._sights.get(key)
        if found is None:
            if len(self._sights) >= SIGHTS:
                self._sights.clear()
            found = self._sights[key] = self._look(self._watches(era, caller), {})
        return found

    def speaks_stateless(self, caller: Caller) -> bool:
        """Whether every backend can be spoken to in the stateless era."""
        return all(
            watch.offer is not None or watch.denied for watch in self._watches("stateless", caller)
        )

    def own(self, state: ClientState) -> Sight:
        """What one client sees, whose backends may have told it other things than everybody."""
        shared = self.seen("session", state.caller)
        if not state.private:
            return shared
        if state.own is None or state.own[0] is not shared:
            watches = self._watches("session", state.caller)
            state.own = shared, self._look(watches, state.private)
        return state.own[1]

    def relayed(self, backend: str) -> tuple[str, ...]:
        """What a backend may ask of clients."""
        return self.declared.virtual.relayed.get(backend, ())

    def whose(self, identity: Identity, caller: Caller) -> Whose:
        """Whose lists a caller's cursors are for."""
        return Whose(self.ref, identity, caller.credentials)

    def states(self) -> Iterable[ClientState]:
        """Sessions of its clients."""
        ref = self.ref
        return [state for state in self.room.states.values() if state.server == ref]

    def lends(self, backend: str, caller: Caller) -> bool:
        """Whether requests that stand alone need a session of ours at a backend."""
        entry = self.declared.backends[backend]
        return self._watch(entry, "stateless", caller).key.era == "session"

    def _watches(self, era: Era, caller: Caller) -> list[Watch]:
        return [self._watch(entry, era, caller) for entry in self.declared.visible(caller)]

    def _watch(self, entry: Entry, era: Era, caller: Caller) -> Watch:
        """The watch of a backend in this era; of one that keeps no state, in the era it knows."""
        told = caller.told(entry.ref.name)
        watch = self.room.catalogs.watch(entry, era, told)
        if era == "session" or entry.stateful or watch.denied:
            return watch
        other = self.room.catalogs.watch(entry, "session", told)
        return other if watch.settled.is_set() and watch.offer is None else watch

    def _look(self, watches: Iterable[Watch], private: dict[str, Catalog]) -> Sight:
        backends: dict[str, Backend] = {}
        catalogs: list[Catalog] = []
        missing: dict[str, str] = {}
        for watch in watches:
            name = watch.key.server.name
            if watch.catalog is None or watch.offer is None:
                if not watch.denied:
                    missing[name] = watch.problem
                continue
            catalogs.append(private.get(name, watch.catalog))
            offer = watch.offer
            backends[name] = Backend(
                watch.entry, offer.capabilities, offer.instructions, offer.ttl, offer.private
            )
        return Sight(merge(catalogs, self.declared.virtual.aggregation), backends, missing)

    async def _announce(self) -> None:
        """Tells every client whose lists are not what they were."""
        await self.room.clock.sleep(COALESCE)
        self._announcing = False
        said, self._said = self._said, set()
        for state in self.states():
            if state.told is None:
                continue
            if state.private:
                _shared_again(state, self._watches("session", state.caller))
            self.tell(state, said)
        if self.on_change is not None:
            self.on_change(said)

    def tell(self, state: ClientState, said: Iterable[str] = ()) -> None:
        """Has a client hear how what it sees differs from what it was told last."""
        before, state.told = state.told, self.own(state)
        if before is not None:
            tell_changes(state, {*state.told.differs(before), *said})


def _shared_again(state: ClientState, watches: Iterable[Watch]) -> None:
    """What everybody is told by now is nothing of a session's own."""
    known = {watch.key.server.name: watch.catalog for watch in watches}
    state.private = {n: own for n, own in (state.private or {}).items() if known.get(n) != own}
    state.own = None


def tell_changes(state: ClientState, kinds: Iterable[str]) -> None:
    """Has a client hear that these lists have changed, now or when it listens."""
    state.changed.update(kinds)
    stream = state.stream
    if stream is None or not stream.open:
        return
    if stream.full:
        stream.cut()  # its client does not read; what changed is told on the next one
        return
    for kind in sorted(state.changed):
        stream.put(NOTES[kind])
    state.changed.clear()
