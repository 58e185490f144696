"""All slots of a keeper, by uid.

A slot is put once and then only ends: putting it again changes nothing, stopping it again is
harmless. One that has exited stays, with how it ended, until it is forgotten.
"""

import asyncio
import contextlib

from mooring.clock import Clock
from mooring.core.keeping import Changes, SlotSpec, SlotState, secrets
from mooring.errors import Conflict, NotFound, Unavailable
from mooring.keeper.child import Spawner
from mooring.keeper.logfile import Logs
from mooring.keeper.news import News
from mooring.keeper.ports import Ports
from mooring.keeper.slot import Occupant, Slot, Surroundings

START = 12.0
"""Seconds that a put waits for the slot to run."""


class Slots:
    """The slots, and what is new about them."""

    def __init__(
        self, spawner: Spawner, logs: Logs, clock: Clock, tasks: asyncio.TaskGroup
    ) -> None:
        self._news = News(int(clock.now().timestamp() * 1000))
        self._around = Surroundings(spawner, Ports(), clock, self._news.changed)
        self._logs = logs
        self._tasks = tasks
        self._slots: dict[str, Slot] = {}
        self.ending = False
        """Nothing more is started."""

    async def put(self, spec: SlotSpec) -> SlotState:
        """Starts a slot, unless there is one of that uid; returns once it runs or never will.

        A start that fails is no error here: the slot has exited, and says why. One that takes
        longer than `START` goes on.
        """
        slot = self._slots.get(spec.uid)
        if slot is None:
            if self.ending:
                raise Unavailable("KeeperGone", "the keeper is ending and starts nothing more")
            slot = self._slots[spec.uid] = Slot(
                spec, self._logs.file(spec.log, secrets(spec)), self._around
            )
            self._news.changed(spec.uid)
            self._tasks.create_task(slot.hold())
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(START):
                await slot.settled.wait()
        return slot.state

    def state(self, uid: str) -> SlotState:
        """Raises NotFound."""
        return self._get(uid).state

    def states(self) -> list[SlotState]:
        """All of them, sorted by instance, then uid."""
        states = [slot.state for slot in self._slots.values()]
        return sorted(states, key=lambda state: (state.instance, state.uid))

    def occupant(self, uid: str) -> Occupant:
        """Who answers for the slot. Raises NotFound where nobody does any more."""
        slot = self._slots.get(uid)
        occupant = slot.occupant if slot else None
        if occupant is None:
            raise NotFound("NotFound", f"no instance of uid {uid} runs here")
        return occupant

    def stop(self, uid: str, grace: float) -> None:
        """Begins to end a slot. Raises NotFound."""
        slot = self._get(uid)
        if not slot.over.is_set():
            slot.mark_stopping()
            self._tasks.create_task(slot.stop(grace))

    def forget(self, uid: str) -> None:
        """Drops what is known of a slot that has exited. Raises NotFound, Conflict."""
        if not self._get(uid).over.is_set():
            raise Conflict("Conflict", f"slot {uid} has not exited; stop it first")
        del self._slots[uid]
        self._news.gone(uid)

    async def changes(self, since: int, seconds: float, gone: asyncio.Future[None]) -> Changes:
        """What changed after number `since`; waits for that at most so long."""
        await self._news.wait(since, seconds, gone)
        changed, forgotten = self._news.since(since)
        return Changes(
            sequence=self._news.sequence,
            slots=tuple(self._slots[uid].state for uid in changed),
            gone=tuple(forgotten),
        )

    def mark_ending(self) -> None:
        """From now on the end of all slots is wanted, and no new one."""
        self.ending = True
        for slot in self._slots.values():
            slot.mark_stopping()

    async def end_all(self, grace: float) -> None:
        """Ends all slots at once, and takes no new ones."""
        self.mark_ending()
        async with asyncio.TaskGroup() as ends:
            for slot in self._slots.values():
                if not slot.over.is_set():
                    ends.create_task(slot.stop(grace))

    def _get(self, uid: str) -> Slot:
        try:
            return self._slots[uid]
        except KeyError:
            raise NotFound("NotFound", f"there is no slot {uid}") from None
