"""The stateless era of a slot: one child that answers every request for itself.

Nobody can see from outside which era a child speaks, and some lock theirs with the first
request. So the first request of this era has a fresh child asked `server/discover`. If it
answers like a server of the era, it serves it from then on, and sessions get another child. If
it refuses, or dies of the question, it is fit for sessions only; the refusal is remembered and
given to everyone who asks in this era, as the child itself would have done.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from mooring.clock import Clock
from mooring.core.bridging import (
    error_code,
    failure,
    knows_stateless,
    resubscribed,
    status_of,
    subscription_of,
)
from mooring.core.codes import HEADER_MISMATCH, INVALID_REQUEST, METHOD_NOT_FOUND
from mooring.core.era import STATELESS
from mooring.core.keeping import SlotSpec
from mooring.errors import Unavailable
from mooring.keeper.children import Children
from mooring.keeper.link import Link, introduction
from mooring.keeper.mirrors import Mirrors
from mooring.keeper.streams import JSON, NOSNIFF, Answer, Stream
from mooring.transports.envelope import Envelope, splice
from mooring.transports.http_server import Exchange

PROBE = 30.0
"""Seconds that a fresh child, which may have to load first, has to answer `server/discover`."""
LISTING = 10.0
"""Seconds that a child has for a page of its tools, when we want to see them."""
LISTEN = "subscriptions/listen"
LEVEL = b'"io.modelcontextprotocol/logLevel"'
_REFUSAL = failure(None, METHOD_NOT_FOUND, "Method not found")


class Stateless:
    """Requests of the stateless era."""

    def __init__(
        self,
        spec: SlotSpec,
        children: Children,
        first: asyncio.Lock,
        clock: Clock,
        serve: Callable[[Stream], Awaitable[None]],
    ) -> None:
        """`first` is held by whoever finds out what a fresh child is good for."""
        self._children = children
        self._first = first
        self._clock = clock
        self._serve = serve
        self._link: Link | None = None
        self._known = spec.eras == "stateless"
        self._refusal = _REFUSAL if spec.eras == "session" else b""
        self._loggers: set[Answer] = set()
        self._mirrors = Mirrors()

    async def post(self, exchange: Exchange, envelope: Envelope) -> None:
        """One message. Raises Unavailable where no child could be asked."""
        if envelope.type == "notification":
            exchange.respond(202, (NOSNIFF,))
            return
        if envelope.type == "response" or envelope.id is None:
            words = failure(
                envelope.id, INVALID_REQUEST, "in this era a client sends requests only"
            )
            exchange.respond(400, JSON, words)
            return
        link = await self._ready_link()
        if link is None or envelope.method == "initialize":  # some accept it, and change their era
            refusal = _REFUSAL if link is not None else self._refusal
            _refuse(exchange, splice(refusal, id=envelope.id))
            return
        if envelope.method == "tools/call" and await self._contradicts(link, exchange, envelope):
            return
        answer = Answer(exchange, envelope.id, self._clock.monotonic(), stateless=True)
        answer.lasting = envelope.method == LISTEN
        if envelope.method == "tools/list":
            answer.heed = self._mirrors.learn
        if answer.gone:
            return
        answer.on_leave = lambda: self._cancel(link, answer)
        if LEVEL in exchange.request.body:
            self._loggers.add(answer)
        try:
            await link.forward(answer, exchange.request.body, envelope)
            await self._serve(answer)
        finally:
            self._loggers.discard(answer)

    def _cancel(self, link: Link, answer: Answer) -> None:
        """The client has gone, and with it the request."""
        number = link.number_of(answer)
        if number is not None:
            link.cancel(number)

    async def _contradicts(self, link: Link, exchange: Exchange, envelope: Envelope) -> bool:
        """Whether a call's headers contradict its arguments; it is refused then."""

        async def ask(params: dict[str, Any]) -> bytes:
            return await link.ask("tools/list", params | {"_meta": _meta()}, LISTING)

        complaint = await self._mirrors.complaint(exchange.request, envelope, ask)
        if complaint is None:
            return False
        _refuse(exchange, failure(envelope.id, HEADER_MISMATCH, complaint))
        return True

    # -- which child ------------------------------------------------------------------------

    async def _ready_link(self) -> Link | None:
        """The child of this era; None where the server refuses it."""
        if self._link is not None and not self._link.over:
            return self._link
        if self._refusal:
            return None
        async with self._first:
            if self._refusal or (self._link is not None and not self._link.over):
                return self._link
            self._link = await self._find()
            return self._link

    async def _find(self) -> Link | None:
        """A child for this era, asked first if it is not known whether it speaks it."""
        kept = self._children.ready()
        link = kept or await self._children.spawn(extra=True)
        if self._known or await self._speaks(link, kept is not None):
            self._known = link.extra = True
            link.hear = lambda envelope, line: self._hear(link, envelope, line)
            return link
        return None

    async def _speaks(self, link: Link, kept: bool) -> bool:
        """Whether a fresh child knows the era; one that does not is put back or ended."""
        link.trial = True
        try:
            reply = await link.ask("server/discover", {"_meta": _meta()}, PROBE)
        except Unavailable as silent:
            if silent.reason == "ChildExited":
                self._refusal = _REFUSAL
                if kept:
                    self._children.put_back(await self._children.spawn())
                return False
            self._release(link, kept)
            raise
        if knows_stateless(reply):
            link.trial = False
            return True
        self._refusal = reply if error_code(reply) else _REFUSAL
        self._release(link, kept)
        return False

    def _release(self, link: Link, kept: bool) -> None:
        """A child that is of no use for this era."""
        link.trial = False
        if kept:
            self._children.put_back(link)
        else:
            self._children.dismiss(link)

    # -- what the child says ----------------------------------------------------------------

    def _hear(self, link: Link, envelope: Envelope, line: bytes) -> Stream | None:
        """Gives a notification to the request that it belongs to."""
        if envelope.type == "request":
            return link.decline(envelope, line)
        call = None
        if envelope.progress_token is not None:
            call = link.calls.get(envelope.progress_token)
            if isinstance(call, Answer) and call.token is not None and not call.full:
                call.put(splice(line, progress_token=call.token))
            return None
        held = subscription_of(line)
        if held is not None:
            call = link.calls.get(held) or link.calls.get(held.strip(b'"'))
            if isinstance(call, Answer):
                self._publish(call, resubscribed(line, held, call.id))
            return None
        if envelope.method == "notifications/message" and len(self._loggers) == 1:
            (call,) = self._loggers
            if link.number_of(call) is not None and not call.full:
                call.put(line)
                return None
        return link.decline(envelope, line)

    def _publish(self, call: Answer, line: bytes) -> None:
        """To a subscription; one whose client does not read is cut off."""
        if call.full:
            call.cut()
        else:
            call.put(line)


def _meta() -> dict[str, Any]:
    """What a request of ours says of us."""
    return {
        "io.modelcontextprotocol/protocolVersion": STATELESS.decode(),
        "io.modelcontextprotocol/clientInfo": introduction(),
        "io.modelcontextprotocol/clientCapabilities": {},
    }


def _refuse(exchange: Exchange, refusal: bytes) -> None:
    """Answers with an error, under the status that it has in this era."""
    exchange.respond(status_of(error_code(refusal)), JSON, refusal)
