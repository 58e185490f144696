"""`ledger.py` over HTTP: `ledger_http.py FILE` serves at $HOST:$PORT, with sessions."""

import asyncio
import json
import os
import socket

from ledger import Session, note

from mooring.transports.http_server import Exchange, HttpServer, Limits

JSON = ((b"content-type", b"application/json"),)


class Http:
    """Sessions by id."""

    def __init__(self) -> None:
        self.sessions: dict[str, Session] = {}
        self.number = 0

    async def handle(self, exchange: Exchange) -> None:
        request = exchange.request
        id = (request.header(b"mcp-session-id") or b"").decode()
        session = self.sessions.get(id) if id else Session()
        if session is None:
            lost = {"jsonrpc": "2.0", "id": None, "error": {"code": -32600, "message": "lost"}}
            exchange.respond(404, JSON, json.dumps(lost).encode())
        elif request.method == "DELETE":
            note("delete", session.name)
            del self.sessions[id]
            exchange.respond(200)
        elif request.method == "GET":
            exchange.start(200, ((b"content-type", b"text/event-stream"),))
            await exchange.write(b": open\n\n")
            await asyncio.Event().wait()
        else:
            await self.post(exchange, session)

    async def post(self, exchange: Exchange, session: Session) -> None:
        message = json.loads(exchange.request.body)
        answer = await session.answer(message)
        headers = JSON
        if message.get("method") == "initialize":
            self.number += 1
            id = f"{os.getpid()}-{self.number}"
            self.sessions[id] = session
            headers = (*JSON, (b"mcp-session-id", id.encode()))
        if answer is None:
            exchange.respond(202)
        else:
            exchange.respond(200, headers, json.dumps(answer).encode())


async def over_http() -> None:
    listener = socket.create_server((os.environ["HOST"], int(os.environ["PORT"])), backlog=512)
    listener.setblocking(False)
    await HttpServer(Http().handle, Limits()).listen(listener)
    await asyncio.Event().wait()


if __name__ == "__main__":
    note("start")
    asyncio.run(over_http())
