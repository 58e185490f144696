"""`subscriptions/listen`: one client hears what changes in all instances.

An instance tells its own changes only. So the request goes to every instance that takes new
work, and what they tell comes down one stream, which begins with an acknowledgement of what any
of them agreed to. Instances that come later are asked too, and those that leave are let go.
Where something may have been missed meanwhile, the client is told that it may have changed. When
none is left the stream ends with its result, so that the client knows. Source: MCP 2026-07-28,
Subscriptions.
"""

import asyncio
import json

from mooring.core.headers import Headers, downwards
from mooring.core.subscriptions import ACKNOWLEDGED, agreed, farewell, missed, together
from mooring.core.table import Entry, Upstream
from mooring.errors import MooringError, Unavailable
from mooring.gateway.alone import bond_of, post_alone
from mooring.gateway.call import Call
from mooring.gateway.hearing import Heard, Moved, News, Over, Refused, hear
from mooring.gateway.relay import pass_on
from mooring.gateway.trip import STREAM_SECONDS, Trip
from mooring.sessions.belongings import replaced_in_event, spliced, tasks_of
from mooring.sessions.courier import Parcel
from mooring.transports.envelope import Envelope, peek
from mooring.transports.http_server import ClientGone
from mooring.transports.sse import SseEvent, encode

HELD = 64
"""Events that wait for a slow client; then the instances wait."""
TOGETHER_SECONDS = 2.0
"""How long the others are waited for when the first instance has agreed."""
LAST_SECONDS = 10.0
"""How long a stream stays open while no instance is heard."""
FIRST_PAUSE = 1.0
LONGEST_PAUSE = 30.0


async def subscribe(trip: Trip) -> None:
    """Answers a `subscriptions/listen`. Raises Unavailable before there is an answer."""
    if not trip.entry.standing:
        await post_alone(trip)  # it says why nobody is there
        return
    subscription = Subscription(trip)
    try:
        await subscription.run()
    except ClientGone:
        if not trip.call.delivered:
            trip.call.outcome = "gone"


async def take_leave(call: Call) -> None:
    """Ends a subscription that goes on, with its result."""
    if call.id is not None:
        await call.exchange.write(encode(farewell(call.id)))
    call.exchange.finish()


class Subscription:
    """One client's, over all instances of a server."""

    def __init__(self, trip: Trip) -> None:
        self._trip = trip
        self._id = trip.call.id or b"null"
        self._bond = bond_of(trip)
        self._headers = trip.headers()
        self._news: asyncio.Queue[News] = asyncio.Queue(HELD)
        self._followed: dict[str, asyncio.Task[None]] = {}
        self._agreed: dict[str, bytes] = {}
        """What each instance that is heard agreed to."""
        self._pauses: dict[str, float] = {}
        """How long an instance that was lost is left alone next time; by uid."""
        self._resting: set[str] = set()
        self._waits: set[asyncio.Task[None]] = set()
        self._refused: list[Refused] = []
        self._verdict: Heard | None = None
        """An answer that came in place of an agreement."""
        self._held: list[bytes] = []
        self._error: MooringError | None = None
        self._alone_since: float | None = None
        """Since when no instance is heard."""

    async def run(self) -> None:
        """Goes on until the client leaves or no instance is left."""
        failure: MooringError | ClientGone | None = None
        async with asyncio.TaskGroup() as tasks:
            watching = tasks.create_task(self._watch())
            try:
                await self._converse(tasks)
            except (MooringError, ClientGone) as error:
                failure = error
            finally:
                watching.cancel()
                for task in (*self._followed.values(), *self._waits):
                    task.cancel()
                for refused in self._refused:
                    refused.sent.close()
        if failure is not None:
            raise failure

    async def _converse(self, tasks: asyncio.TaskGroup) -> None:
        for upstream in self._trip.entry.standing:
            self._follow(tasks, upstream)
        headers = await self._first_answers()
        call = self._trip.call
        if headers is None:
            await self._refuse()
            return
        for refused in self._refused:
            refused.sent.close()
        call.start(200, downwards(headers))
        await call.exchange.write(self._acknowledgement())
        for raw in self._held:
            await call.exchange.write(raw)
        self._look(tasks)
        while (news := await self._next(self._left())) is not None:
            await self._take(tasks, news)
        await take_leave(call)

    def _left(self) -> float | None:
        """Seconds until it is over; None while any instance is heard."""
        if self._agreed:
            self._alone_since = None
            return None
        now = asyncio.get_running_loop().time()
        if self._alone_since is None:
            self._alone_since = now
        return max(self._alone_since + LAST_SECONDS - now, 0.0)

    async def _refuse(self) -> None:
        """Nobody agreed: the client gets what the first one said."""
        call = self._trip.call
        if self._verdict is not None:
            call.respond(200, downwards(self._verdict.headers), self._verdict.event.raw)
        elif self._refused:
            await pass_on(call, self._refused[0].answer, self._refused[0].sent.reply)
        else:
            what = "no instance acknowledged the subscription"
            raise self._error or Unavailable("UpstreamReset", what)

    async def _first_answers(self) -> Headers | None:
        """Waits until the instances agreed, and returns the first one's headers; None: none did."""
        loop = asyncio.get_running_loop()
        end = loop.time() + STREAM_SECONDS
        waiting = set(self._followed)
        headers: Headers | None = None
        while waiting and loop.time() < end:
            news = await self._next(end - loop.time())
            if isinstance(news, Heard):
                if self._is_agreement(news) and headers is None:
                    headers, end = news.headers, min(end, loop.time() + TOGETHER_SECONDS)
                if news.uid in self._agreed:
                    waiting.discard(news.uid)
            elif isinstance(news, Over | Refused):
                waiting.discard(news.uid)
                self._note_end(news)
        return headers

    def _is_agreement(self, news: Heard) -> bool:
        """Whether an instance agrees; what it tells afterwards is held."""
        if news.uid in self._agreed:
            self._held.append(self._passed(news))
            return False
        if ACKNOWLEDGED not in news.event.data:
            if _is_answer(news.event):
                self._verdict = news
            return False
        self._agreed[news.uid] = self._of_client(news)
        return True

    async def _take(self, tasks: asyncio.TaskGroup, news: News) -> None:
        """Whatever happens after the beginning."""
        match news:
            case Heard(uid, event):
                await self._hear(news, uid, event)
            case Refused(sent=sent):
                self._note_end(news)
                sent.close()
            case Over(uid):
                self._note_end(news)
                resting = tasks.create_task(self._rest(uid))
                self._waits.add(resting)
                resting.add_done_callback(self._waits.discard)
            case Moved():
                self._look(tasks)

    async def _hear(self, news: Heard, uid: str, event: SseEvent) -> None:
        write = self._trip.call.exchange.write
        if uid not in self._followed:
            return  # it was let go meanwhile
        if uid in self._agreed:
            if not _is_answer(event):
                await write(self._passed(news))
        elif ACKNOWLEDGED in event.data:
            self._agreed[uid] = self._of_client(news)
            self._pauses.pop(uid, None)
            for note in missed(agreed(self._agreed[uid]), self._id):
                await write(encode(note))

    def _note_end(self, news: Over | Refused) -> None:
        self._followed.pop(news.uid, None)
        self._agreed.pop(news.uid, None)
        if isinstance(news, Refused):
            self._refused.append(news)
            self._resting.add(news.uid)  # it does not do such things
        elif self._error is None:
            self._error = news.error

    async def _rest(self, uid: str) -> None:
        """Leaves an instance alone for a while."""
        pause = self._pauses.get(uid, FIRST_PAUSE)
        self._pauses[uid] = min(pause * 2, LONGEST_PAUSE)
        self._resting.add(uid)
        await self._trip.plant.clock.sleep(pause)
        self._resting.discard(uid)
        await self._news.put(Moved())

    def _look(self, tasks: asyncio.TaskGroup) -> None:
        """Lets go of instances that have left, and asks those that have come."""
        entry = self._trip.plant.entries.get(self._trip.entry.ref)
        able = _able(entry)
        for uid in [uid for uid in self._followed if uid not in able]:
            self._followed.pop(uid).cancel()
            self._agreed.pop(uid, None)
        for upstream in entry.standing if entry is not None else ():
            if upstream.uid not in self._followed and upstream.uid not in self._resting:
                self._follow(tasks, upstream)

    def _follow(self, tasks: asyncio.TaskGroup, upstream: Upstream) -> None:
        courier, body = self._trip.plant.courier, self._body(upstream.uid)
        parcel = Parcel("POST", self._headers, body, repeatable=True, seconds=STREAM_SECONDS)
        hearing = hear(courier, upstream, parcel, self._news.put)
        self._followed[upstream.uid] = tasks.create_task(hearing)

    async def _watch(self) -> None:
        while True:
            await self._trip.plant.entries.changed()
            await self._news.put(Moved())

    async def _next(self, seconds: float | None) -> News | None:
        try:
            async with asyncio.timeout(seconds):
                return await self._news.get()
        except TimeoutError:
            return None

    # -- what is said ----------------------------------------------------------------------

    def _body(self, uid: str) -> bytes:
        """The request for one instance: of the tasks it names, those that are there."""
        body = self._trip.call.request.body
        place = tasks_of(body)
        if place is None or self._bond is None:
            return body
        named = json.loads(body[slice(*place)])
        found = [self._bond.task(json.dumps(each).encode()) for each in named]
        own = [task.raw for task in found if task is not None and task.uid == uid]
        return spliced(body, place, b"[%b]" % b",".join(own))

    def _acknowledgement(self) -> bytes:
        return encode(together(list(self._agreed.values()), self._id))

    def _of_client(self, news: Heard) -> bytes:
        """An agreement, with tasks named as the client names them."""
        text = news.event.data
        place = tasks_of(text)
        if place is None or self._bond is None:
            return text
        wrap = self._bond.wrapping(news.uid, "")
        named = json.loads(text[slice(*place)])
        ours = [wrap("taskId", json.dumps(each).encode()) for each in named]
        return spliced(text, place, b"[%b]" % b",".join(ours))

    def _passed(self, news: Heard) -> bytes:
        if self._bond is None:
            return news.event.raw
        return replaced_in_event(news.event, self._bond.wrapping(news.uid, ""))


def _is_answer(event: SseEvent) -> bool:
    message = peek(event.data) if event.data else None
    return type(message) is Envelope and message.type == "response"


def _able(entry: Entry | None) -> frozenset[str]:
    """Instances that stay listened to."""
    if entry is None:
        return frozenset()
    return frozenset(upstream.uid for upstream in (*entry.preferred, *entry.last_resort))
