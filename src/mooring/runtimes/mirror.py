"""What the keeper holds, as this process knows it.

Accounts overtake each other: the answer to a start may be read before or after the news (the
long poll) that its instance was begun, runs, or has exited. A slot lives in one direction, so
the account that is further on holds (`core/slots.newer`).
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from msgspec.structs import replace

from mooring import telemetry
from mooring.clock import Clock
from mooring.core import slots
from mooring.core.keeping import Changes, KeeperState, SlotState
from mooring.errors import Conflict, MooringError, NotFound, Unavailable
from mooring.kinds.ref import Ref
from mooring.runtimes.feed import Feed
from mooring.runtimes.keeper_client import KeeperClient

PAUSE = 1.0
"""Seconds after the first failure to reach the keeper; doubled for each further one."""
LONGEST = 30.0


class Mirror:
    """The slots of the keeper."""

    def __init__(
        self,
        keeper: KeeperClient,
        clock: Clock,
        revive: Callable[[], Awaitable[object]],
        feed: Feed,
    ) -> None:
        self._keeper = keeper
        self._clock = clock
        self._revive = revive
        self._feed = feed
        self._slots: dict[str, SlotState] = {}
        self._leaving: set[str] = set()
        """Uids that are forgotten as soon as they have exited."""
        self._dropped: set[str] = set()
        """Uids that nobody wants to see again, and that the keeper is to forget."""
        self._of: KeeperState | None = None
        self._known = asyncio.Event()
        self._reached = asyncio.Event()
        self._tasks: asyncio.TaskGroup | None = None

    def all(self) -> tuple[SlotState, ...]:
        """Every slot."""
        return tuple(self._slots.values())

    def of(self, ref: Ref) -> tuple[SlotState, ...]:
        """The slots of one server."""
        return tuple(state for state in self._slots.values() if slots.owner(state) == ref)

    async def reached(self, seconds: float, *, once: bool = False) -> None:
        """Returns while the keeper is reached; with `once`, also if it was before.

        Raises Unavailable("KeeperGone") when that takes longer.
        """
        event = self._known if once else self._reached
        if event.is_set():
            return
        try:
            async with asyncio.timeout(seconds):
                await event.wait()
        except TimeoutError:
            path = self._keeper.socket_path
            raise Unavailable("KeeperGone", f"the keeper at {path} is not reached") from None

    def add(self, state: SlotState) -> None:
        """What the keeper answered to a start."""
        if state.uid not in self._dropped:
            self._slots[state.uid] = slots.newer(self._slots.get(state.uid), state)
            self._feed.tell(slots.owner(state))

    async def stop(self, uid: str, grace: float) -> None:
        """Begins the end of an instance; one that has exited is forgotten."""
        state = self._slots.get(uid)
        if state is None:
            return
        if state.state == "exited":
            self.drop(uid)
            return
        self._leaving.add(uid)
        if state.state == "stopping":
            return
        try:
            await self._keeper.stop(uid, grace)
        except NotFound:
            self._gone(uid)
            return
        if now := self._slots.get(uid):
            self._slots[uid] = slots.newer(now, replace(now, state="stopping"))
            self._feed.tell(slots.owner(now))

    def drop(self, uid: str) -> None:
        """Forgets an instance that has exited."""
        self._dropped.add(uid)
        self._gone(uid)
        if self._tasks is not None:
            self._tasks.create_task(self._forget(uid))

    async def follow(self, tasks: asyncio.TaskGroup) -> None:
        """Keeps up with the keeper, for ever; a new one is asked for when it is gone."""
        self._tasks = tasks
        pause, at_once = PAUSE, True
        while True:
            try:
                await self._keep_up()
            except MooringError as error:
                telemetry.event("keeper.lost", logging.WARNING, why=error.message)
                if error.reason == "KeeperGone":
                    self._all_over()
                elif error.reason == "UpstreamReset" and self._reached.is_set():
                    self._reached.clear()  # it cut us off: whether it is gone shows at once
                    pause, at_once = PAUSE, True
                    continue
            if self._reached.is_set():
                pause, at_once = PAUSE, True
            self._reached.clear()
            if await self._revived() and at_once:
                at_once = False
                continue
            await self._clock.sleep(pause)
            pause = min(pause * 2, LONGEST)

    async def _keep_up(self) -> None:
        """Takes over what the keeper holds, then every change; ends with an error."""
        state = await self._keeper.state()
        if self._of is not None and (state.pid, state.started_at) != _identity(self._of):
            self._all_over()
        self._of = state
        news = await self._keeper.changes(0, wait=0)
        self._replace(news)
        self._known.set()
        self._reached.set()
        while True:
            news = await self._keeper.changes(news.sequence)
            self._take(news)

    async def _revived(self) -> bool:
        try:
            await self._revive()
        except MooringError as error:
            telemetry.event("keeper.not_revived", logging.ERROR, why=error.message)
            return False
        return True

    def _replace(self, news: Changes) -> None:
        """The whole truth; what exited with an earlier keeper is kept until it is dropped."""
        there = {state.uid for state in news.slots}
        for uid, state in tuple(self._slots.items()):
            if uid not in there and state.state != "exited":
                self._gone(uid)
        self._take(news)

    def _take(self, news: Changes) -> None:
        for state in news.slots:
            if state.uid in self._dropped:
                continue
            now = self._slots[state.uid] = slots.newer(self._slots.get(state.uid), state)
            self._feed.tell(slots.owner(state))
            if now.state == "exited" and state.uid in self._leaving:
                self.drop(state.uid)
        for uid in news.gone:
            self._gone(uid)
            self._dropped.discard(uid)

    def _gone(self, uid: str) -> None:
        self._leaving.discard(uid)
        state = self._slots.pop(uid, None)
        if state is not None:
            self._feed.tell(slots.owner(state))

    def _all_over(self) -> None:
        """The keeper is gone, and what it held with it."""
        now = self._clock.now().timestamp()
        self._dropped.clear()
        for state in slots.left_behind(self.all(), now):
            self._slots[state.uid] = state
            self._feed.tell(slots.owner(state))
            if state.uid in self._leaving:
                self._gone(state.uid)

    async def _forget(self, uid: str) -> None:
        """Tells the keeper; where that fails, the next to take over sees the slot again."""
        try:
            await self._keeper.forget(uid)
        except NotFound:
            self._dropped.discard(uid)
        except (Conflict, Unavailable) as error:
            self._dropped.discard(uid)
            telemetry.event("slot.not_forgotten", logging.WARNING, uid=uid, why=error.message)


def _identity(state: KeeperState) -> tuple[int, float]:
    return state.pid, state.started_at
