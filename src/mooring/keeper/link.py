"""One child, what is said with it, and who waits for its answers.

A link reads its child's lines for as long as it lives and gives each answer to the one who
waits for it, by the id under which the child knows the request. Everything else that the
child says goes to `hear`, which whoever puts the child to use replaces by his own. Where many
callers share a child, their ids and progress tokens are exchanged for numbers of ours.
"""

import asyncio
import json
import logging
from collections.abc import Callable
from functools import cache
from importlib.metadata import version
from typing import Any, Protocol

from msgspec.structs import replace

from mooring import telemetry
from mooring.core.bridging import (
    OUTCOME_UNKNOWN,
    answered_id,
    batch,
    ending,
    failure,
    renumbered,
    resubscribed,
)
from mooring.core.codes import METHOD_NOT_FOUND, TIMED_OUT, UNAVAILABLE
from mooring.core.ids import plain, same
from mooring.core.keeping import Exit
from mooring.errors import Unavailable
from mooring.keeper.child import Child
from mooring.keeper.streams import Answer, Stream
from mooring.transports.envelope import Envelope, peek, peek_deep, splice
from mooring.transports.stdio import PipeChannel, StdioChannel

LAST_WORDS = 0.05
"""Seconds after a child's end in which what it said before is still read."""
MUTE = 1.0
"""Seconds that a child may live on after it closed its stdout."""
GRACE = 5.0
"""Seconds between SIGTERM and SIGKILL for a child that is not wanted any more."""
SLOW = 10.0
"""Seconds that a child is kept waiting because its client reads slowly."""
NOISE = 2048
"""Bytes of a line that is no message which are logged."""


class NoiseLog(Protocol):
    """Where goes what a child says and no client is to see."""

    def line(self, text: bytes) -> None:
        """What the child said."""
        ...

    def mark(self, *words: object) -> None:
        """What there is to say about it."""
        ...


class Question:
    """A request of our own to a child."""

    __slots__ = ("id", "reply")

    def __init__(self, id: bytes) -> None:
        self.id = id
        self.reply: asyncio.Future[bytes | Unavailable] = asyncio.get_running_loop().create_future()

    def answer(self, reply: bytes) -> None:
        if not self.reply.done():
            self.reply.set_result(reply)

    def fail(self, reason: str, message: str, code: int) -> None:
        if not self.reply.done():
            self.reply.set_result(Unavailable(reason, message))


@cache
def introduction() -> dict[str, str]:
    """Who we are, to a child."""
    return {"name": "mooring", "version": version("mooring")}


async def open_channel(child: Child) -> StdioChannel:
    """The lines of a child that talks over pipes."""
    channel = PipeChannel()
    channel.attach(await child.connect(channel.reading, channel.writing))
    return channel


class Link:
    """A child at work."""

    def __init__(self, child: Child, channel: StdioChannel, log: NoiseLog) -> None:
        self.child = child
        self.channel = channel
        self.log = log
        self.calls: dict[bytes, Answer | Question] = {}
        """Who waits, by the id that the child knows, in its plain form; the oldest first."""
        self.hear: Callable[[Envelope, bytes], Stream | None] = self.decline
        """Takes what is no answer; returns a stream that is full, to wait for its reader."""
        self.on_end: Callable[[], None] | None = None
        """Called once, when the child has ended and all who waited were told."""
        self.over = False
        self.ending = False
        """It takes nothing any more, or has ended; what it said before may still be read."""
        self.unwanted = False
        """It is we who end it."""
        self.extra = False
        """It does not count against the limit for sessions."""
        self.trial = False
        """It may die of what it is being asked, and that shall have no consequence."""
        self._turn = 0

    # -- asking -----------------------------------------------------------------------------

    async def forward(self, answer: Answer, body: bytes, envelope: Envelope) -> None:
        """Sends a caller's request under a number of ours."""
        self._turn += 1
        number = b"%d" % self._turn
        self.calls[number] = answer
        if envelope.progress_token is None:
            body = renumbered(body, answer.id, number) or splice(body, id=number)
        else:
            answer.token = envelope.progress_token
            body = splice(body, id=number, progress_token=number)
        await self.send_call(number, body)

    async def send_call(self, id: bytes, body: bytes) -> None:
        """Sends a request whose answer is waited for under this id."""
        try:
            if self.over:
                raise Unavailable("ChildExited", "the server's process has ended")
            await self.channel.send(body)
        except Unavailable as error:
            self.calls.pop(id, None)
            if error.reason == "ChildExited":
                self.ending = True
                if not self.over and not self.unwanted:
                    self._exited()  # it lives, and closed its stdin: of no use any more
            raise

    async def ask(self, method: str, params: dict[str, Any], seconds: float) -> bytes:
        """The child's reply to a request of our own.

        Raises Unavailable "ChildSilent" after so many seconds, or "ChildExited".
        """
        self._turn += 1
        id = f"mooring-{self._turn}"
        question = Question(json.dumps(id).encode())
        self.calls[question.id] = question
        request = {"jsonrpc": "2.0", "id": id, "method": method, "params": params}
        await self.send_call(question.id, json.dumps(request).encode())
        try:
            async with asyncio.timeout(seconds):
                reply = await question.reply
        except TimeoutError:
            raise Unavailable("ChildSilent", f"no answer to {method} in {seconds:g} s") from None
        finally:
            self.calls.pop(question.id, None)
        if isinstance(reply, Unavailable):
            raise reply
        return reply

    def tell(self, method: str, params: dict[str, Any] | None = None) -> None:
        """A notification of our own."""
        note: dict[str, Any] = {"jsonrpc": "2.0", "method": method}
        self.say(json.dumps(note | {"params": params} if params else note).encode())

    def say(self, message: bytes) -> None:
        """Sends a message that may be lost, if the child does not read."""
        try:
            taken = self.channel.offer(message)
        except Unavailable:
            return
        if not taken:
            self.log.mark("not sent, as the process does not read its input:", message[:200])

    def cancel(self, id: bytes) -> None:
        """Tells the child that a request is not wanted any more; a late reply is dropped."""
        if self.calls.pop(id, None) is not None and not self.over:
            self.say(
                b'{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":%b}}'
                % id
            )

    def number_of(self, answer: Answer) -> bytes | None:
        """The id under which the child knows a call."""
        return next((id for id, call in self.calls.items() if call is answer), None)

    def expire(self, before: float) -> None:
        """Gives up calls that were asked before that moment and can't be meant to last."""
        for id, call in list(self.calls.items()):
            if isinstance(call, Answer) and call.asked < before and not call.lasting:
                self.cancel(id)
                call.fail("ChildSilent", "the server's process has not answered", TIMED_OUT)

    # -- hearing ----------------------------------------------------------------------------

    async def run(self) -> Exit:
        """Reads until the child has ended; tells everyone who waits; returns how it ended."""
        self.child.exited.add_done_callback(self._exited)
        try:
            while lines := await self.channel.receive():
                for line in lines:
                    stream = self._take(line)
                    if stream is not None:
                        await stream.room(SLOW)
        except Exception as error:  # noqa: BLE001 - the top of a loop; the child ends with it
            telemetry.event("link.failed", logging.ERROR, pid=self.child.pid, error=repr(error))
        return await self._farewell()

    def decline(self, envelope: Envelope, line: bytes) -> Stream | None:
        """Refuses requests but `ping`, and logs everything else."""
        if envelope.type == "request" and envelope.id is not None:
            if envelope.method == "ping":
                self.say(b'{"jsonrpc":"2.0","id":%b,"result":{}}' % envelope.id)
            else:
                self.say(failure(envelope.id, METHOD_NOT_FOUND, "Method not found"))
        else:
            self.log.line(line[:NOISE])
        return None

    def _take(self, line: bytes) -> Stream | None:
        """One line: an answer goes to who waits for it, all else to `hear`."""
        envelope = peek(line)
        if not isinstance(envelope, Envelope):
            envelope = peek_deep(line)
        if not isinstance(envelope, Envelope):
            return self._odd(line)
        if envelope.type != "response":
            return self.hear(envelope, line)
        call = self.calls.pop(plain(envelope.id), None) if envelope.id is not None else None
        if call is None:
            if envelope.id in (None, b"null"):
                self.log.line(line[:NOISE])  # the child could not read what it was sent
            return None
        if envelope.id is not None and not same(call.id, envelope.id):
            if isinstance(call, Answer) and call.lasting:
                line = resubscribed(line, envelope.id, call.id)
            line = renumbered(line, envelope.id, call.id) or splice(line, id=call.id)
        call.answer(line)
        return None

    def _odd(self, line: bytes) -> Stream | None:
        """What is no message: a batch is taken apart, noise is logged."""
        full = None
        for message in batch(line) or [line]:
            if message is not line and message.lstrip()[:1] == b"{":
                full = self._take(message) or full
            else:
                self._give_up(message)
        return full

    def _give_up(self, line: bytes) -> None:
        """Logs what is of no use; where it is an answer, its caller need not wait for more."""
        self.log.line(line[:NOISE])
        call = self.calls.pop(answered_id(line) or b"", None)
        if call is not None:
            words = "the server's answer is no JSON, or too long"
            call.fail("AnswerUnreadable", words, UNAVAILABLE)

    # -- the end ----------------------------------------------------------------------------

    async def end(self, grace: float = GRACE) -> None:
        """Ends the child: it is not wanted any more."""
        self.unwanted = self.ending = True
        await self.child.end(grace)

    def _exited(self, _: asyncio.Future[Exit] | None = None) -> None:
        """Stops listening soon, even if it or a descendant holds its stdout open."""
        self.ending = True
        asyncio.get_running_loop().call_later(LAST_WORDS, self.channel.close)

    async def _farewell(self) -> Exit:
        """The child has no more to say."""
        self.ending = True
        reason = ""
        await asyncio.wait([self.child.exited], timeout=MUTE)
        if not self.child.exited.done():
            if not self.unwanted:
                reason = "the server's process closed its input or output, and was ended"
            self._fail_all(reason or "the session has ended")
            await self.child.end(GRACE)
        exit = await self.child.wait()
        if reason:
            exit = replace(exit, reason=reason)
        self._fail_all(ending(exit))
        if self.on_end is not None:
            self.on_end()
        return exit

    def _fail_all(self, message: str) -> None:
        """Everyone who waits gets an error."""
        self.over = True
        calls, self.calls = self.calls, {}
        for call in calls.values():
            words = f"{message}; {OUTCOME_UNKNOWN}" if isinstance(call, Answer) else message
            call.fail("ChildExited", words, UNAVAILABLE)
