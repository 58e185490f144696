"""The guard of the TLS door: who comes in, and until when."""

import asyncio
import json
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
from starlette.types import Message, Receive, Scope, Send

from mooring.api.guard import Guard
from mooring.api.token import TokenFile
from mooring.core.identity import Identity

Run = Callable[[Coroutine[Any, Any, Any]], Any]


@pytest.fixture
def token(tmp_path: Path) -> TokenFile:
    return TokenFile(tmp_path / "api.token")


class App:
    """Answers with who came; then with pieces, each when it is told to."""

    def __init__(self) -> None:
        self.callers: list[Any] = []
        self.next = asyncio.Queue[bytes]()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.callers.append(scope["state"].get("caller"))
        await send({"type": "http.response.start", "status": 200, "headers": []})
        while piece := await self.next.get():
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})


NAMES = ("mooring.internal", "[fd00::7]")


class Visit:
    """One request to a guarded application, and what it was sent."""

    def __init__(self, token: TokenFile, path: str = "/version", **headers: str) -> None:
        self.app = App()
        self.sent: list[Message] = []
        self._more = asyncio.Condition()
        self._guard = Guard(self.app, token, NAMES)
        given = {"host": "127.0.0.1:8471", **headers}
        self._scope = {
            "type": "http",
            "method": "GET",
            "path": path,
            "headers": [(name.encode(), text.encode()) for name, text in given.items()],
            "state": {},
        }

    async def answer(self) -> tuple[int, Any]:
        """The status, and the document where there is one."""
        self.app.next.put_nowait(b"")
        await self.go()
        status: int = self.sent[0]["status"]
        body = b"".join(message.get("body", b"") for message in self.sent)
        return status, json.loads(body) if body else None

    async def heard(self, count: int) -> None:
        """Returns once so many messages were sent."""
        async with self._more:
            await self._more.wait_for(lambda: len(self.sent) >= count)

    async def go(self) -> None:
        async def receive() -> Message:
            return await asyncio.get_running_loop().create_future()

        async def send(message: Message) -> None:
            async with self._more:
                self.sent.append(message)
                self._more.notify_all()

        await self._guard(self._scope, receive, send)


def test_who_has_the_token_comes_in_under_its_name(token: TokenFile, run: Run) -> None:
    visit = Visit(token, authorization=f"Bearer {token.text()}")
    assert run(visit.answer())[0] == 200
    name = token.opened_by(token.text().encode())
    assert visit.app.callers == [Identity("token", str(name))]


@pytest.mark.parametrize("given", [None, "", "Bearer", "Bearer x", "Basic {}", "{}", "Bearer {}x"])
def test_nobody_else_does(token: TokenFile, run: Run, given: str | None) -> None:
    text = None if given is None else given.format(token.text())
    visit = Visit(token, **({} if text is None else {"authorization": text}))
    status, document = run(visit.answer())
    assert (status, document["kind"], document["reason"]) == (401, "Status", "Unauthorized")
    assert (b"www-authenticate", b"Bearer") in visit.sent[0]["headers"]
    assert visit.app.callers == []
    assert token.text() not in json.dumps(document)


def test_health_is_open_and_nothing_else(token: TokenFile, run: Run) -> None:
    assert run(Visit(token, "/healthz").answer())[0] == 200
    for path in ("/version", "/healthz/", "/apis", "//healthz", "/nowhere"):
        assert run(Visit(token, path).answer())[0] == 401


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8471", "", "127.0.0.1.evil"])
def test_a_strange_host_is_refused_even_with_the_token(
    token: TokenFile, run: Run, host: str
) -> None:
    visit = Visit(token, host=host, authorization=f"Bearer {token.text()}")
    status, document = run(visit.answer())
    assert (status, document["reason"]) == (403, "Forbidden")
    assert visit.app.callers == []


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:1", "127.0.0.1", "[::1]:8471", "[::1]"])
def test_every_loopback_name_is_ours(token: TokenFile, run: Run, host: str) -> None:
    visit = Visit(token, host=host, authorization=f"bearer {token.text()}")
    assert run(visit.answer())[0] == 200


@pytest.mark.parametrize("host", ["mooring.internal:8471", "Mooring.Internal", "[fd00::7]:8471"])
def test_names_that_were_set_are_ours_too(token: TokenFile, run: Run, host: str) -> None:
    visit = Visit(token, host=host, authorization=f"bearer {token.text()}")
    assert run(visit.answer())[0] == 200


def test_a_replaced_token_ends_a_watch_before_its_next_event(token: TokenFile, run: Run) -> None:
    async def story() -> None:
        visit = Visit(token, authorization=f"Bearer {token.text()}")
        for piece in (b"one", b"two"):
            visit.app.next.put_nowait(piece)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(visit.go())
            await visit.heard(3)
            token.rotate()
            for piece in (b"three", b"four", b""):
                visit.app.next.put_nowait(piece)
        assert [message.get("body") for message in visit.sent[1:]] == [b"one", b"two", b""]
        assert visit.sent[-1]["more_body"] is False

    run(story())
