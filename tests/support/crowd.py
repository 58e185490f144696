"""Many sessions that call without pause, and what became of each call.

One thread with a loop of its own, so that a test can stop and start what it likes meanwhile. Each
request is on a connection of its own. A call is sent once: what fails is written down, never
repeated.
"""

import asyncio
import json
import threading
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from support.installation import wait_until

from mooring.clock import SystemClock

CLOCK = SystemClock()
SECONDS = 60.0
"""For one request."""


class Broken(Exception):
    """A connection that was refused, cut, or gave no HTTP answer; the argument says which."""

    port = 0
    """Of whom it was made to, where it was refused."""


class Member:
    """One session, which calls one URL after the other in turn."""

    def __init__(self, name: str, urls: Sequence[str]) -> None:
        self.name = name
        self.urls = list(urls)
        self.session = ""
        self.number = 0
        self.sum = 0
        """What its owner's sum must be, as far as calls were answered."""
        self.failures: Counter[str] = Counter()
        self.slowest = 0.0
        self.taken: list[float] = []
        """Seconds, for each call that was answered."""

    async def open(self) -> None:
        params = {
            "protocolVersion": "2025-11-25",
            "capabilities": {},
            "clientInfo": {"name": self.name, "version": "1"},
        }
        status, headers, _ = await self.post({"id": 0, "method": "initialize", "params": params})
        assert status == 200, status
        self.session = headers["mcp-session-id"]
        status, _, _ = await self.post({"method": "notifications/initialized"})
        assert status == 202, status

    async def call(self, tool: str, **arguments: Any) -> tuple[int, Any]:
        """Status, and the message that came."""
        self.number += 1
        arguments["mark"] = f"{self.name}:{self.number}"
        params = {"name": tool, "arguments": arguments}
        status, _, body = await self.post(
            {"id": self.number, "method": "tools/call", "params": params}
        )
        return status, body

    async def delete(self) -> int:
        return (await self._send("DELETE", b""))[0]

    async def post(self, message: dict[str, Any]) -> tuple[int, dict[str, str], Any]:
        body = json.dumps({"jsonrpc": "2.0", **message}).encode()
        status, headers, text = await self._send("POST", body)
        if headers.get("content-type") == "text/event-stream":
            text = _last_event(text) or text
        return status, headers, json.loads(text) if text.startswith(b"{") else text

    async def _send(self, method: str, body: bytes) -> tuple[int, dict[str, str], bytes]:
        parts = urlsplit(self.urls[self.number % len(self.urls)])
        try:
            reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
        except OSError as error:
            broken = Broken("refused")
            broken.port = parts.port or 0
            raise broken from error
        head = (
            f"{method} {parts.path} HTTP/1.1\r\nhost: {parts.netloc}\r\nconnection: close\r\n"
            "content-type: application/json\r\naccept: application/json, text/event-stream\r\n"
            f"content-length: {len(body)}\r\n"
        )
        if self.session:
            head += f"mcp-session-id: {self.session}\r\n"
        try:
            async with asyncio.timeout(SECONDS):
                writer.write(head.encode() + b"\r\n" + body)
                return _parsed(await reader.read())
        except OSError as error:
            raise Broken("cut") from error
        except TimeoutError:
            raise Broken("silent") from None
        finally:
            writer.transport.abort()


def _last_event(stream: bytes) -> bytes:
    """The response that ends a stream."""
    told = [line[6:] for line in stream.splitlines() if line.startswith(b"data: ")]
    return told[-1] if told and b'"id"' in told[-1] and b'"method"' not in told[-1] else b""


def _parsed(answer: bytes) -> tuple[int, dict[str, str], bytes]:
    head, found, body = answer.partition(b"\r\n\r\n")
    if not found:
        raise Broken("cut")
    first, *lines = head.decode().split("\r\n")
    headers = {key.lower(): value for key, _, value in (line.partition(": ") for line in lines)}
    if len(body) != int(headers.get("content-length", len(body))):
        raise Broken("cut")
    return int(first.split()[1]), headers, body


class Crowd:
    """Use as a context: the members call `add` from its beginning to its end."""

    def __init__(self, urls: Sequence[str], count: int, pause: float = 0.0) -> None:
        self.members = [Member(f"m{number}", urls) for number in range(count)]
        self.answers = 0
        self.failures: Counter[str] = Counter()
        """By what went wrong: `refused`, `cut`, `silent`, `HTTP 404`, a reason."""
        self.slowest = 0.0
        self.broken_at: list[float] = []
        self.refused: Counter[int] = Counter()
        """By the port that nobody listened on."""
        self._pause = pause
        self._over = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._live()))
        self._error: BaseException | None = None

    def __enter__(self) -> "Crowd":
        asyncio.run(self._open())
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join(SECONDS + 10)
        assert not self._thread.is_alive()

    def within(self, share: float) -> float:
        """The seconds in which this share of all calls was answered."""
        taken = sorted(seconds for member in self.members for seconds in member.taken)
        return taken[int(share * (len(taken) - 1))]

    def answered(self, more: int, seconds: float = 60) -> None:
        """Waits for so many more answers."""
        before = self.answers
        wait_until(f"{more} answers", lambda: self.answers >= before + more, seconds)

    async def _open(self) -> None:
        for member in self.members:
            await member.open()

    async def _live(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            for member in self.members:
                tasks.create_task(self._go_on(member))

    async def _go_on(self, member: Member) -> None:
        while not self._over.is_set():
            began = time.monotonic()
            try:
                status, body = await member.call("add", number=1)
            except Broken as broken:
                self.failures[str(broken)] += 1
                member.failures[str(broken)] += 1
                self.broken_at.append(time.monotonic())
                self.refused[broken.port] += 1
                await CLOCK.sleep(0.02)
                continue
            member.taken.append(time.monotonic() - began)
            member.slowest = max(member.slowest, member.taken[-1])
            self.slowest = max(self.slowest, member.slowest)
            if status == 200 and "result" in body:
                self.answers += 1
                member.sum += 1
            else:
                reason = _reason(status, body)
                self.failures[reason] += 1
                member.failures[reason] += 1
                await CLOCK.sleep(0.02)
            await CLOCK.sleep(self._pause)


def _reason(status: int, body: Any) -> str:
    data = body.get("error", {}).get("data") or {} if isinstance(body, dict) else {}
    return str(data.get("reason") or f"HTTP {status}")


class Ledger:
    """What the servers wrote down (`tests/servers/ledger.py`)."""

    def __init__(self, path: Path) -> None:
        lines = path.read_text().splitlines() if path.exists() else []
        self.lines = [json.loads(line) for line in lines]

    def count(self, what: str) -> Counter[str]:
        """How often it happened, by session."""
        return Counter(line["session"] for line in self.lines if line["what"] == what)

    @property
    def starts(self) -> int:
        return sum(line["what"] == "start" for line in self.lines)

    @property
    def twice(self) -> list[str]:
        """Marks of calls that ran more than once."""
        ran = Counter(line["mark"] for line in self.lines if line["what"] == "call")
        return [mark for mark, times in ran.items() if times > 1 and mark]
