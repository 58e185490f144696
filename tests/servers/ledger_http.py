"""`ledger.py` over HTTP: `ledger_http.py FILE` serves at $HOST:$PORT, with sessions.

More tools: `cut` closes the connection without an answer; `cut_once` does so the first time, and is
read-only; `broken` begins a stream and cuts it (`ids`: its events have ids); `ask` asks its client
something, and answers with the answer; `publish` says on the session's stream that a resource
changed. With `typescript` as a second word a session that is not known is answered 400.
"""

import asyncio
import json
import os
import socket
import sys
import uuid
from typing import Any

from ledger import TOOLS, Session, note

from mooring.transports.http_server import Exchange, HttpServer, Limits

JSON = ((b"content-type", b"application/json"),)
SSE = ((b"content-type", b"text/event-stream"),)
LOST = {"jsonrpc": "2.0", "id": None, "error": {"code": -32600, "message": "lost"}}
TYPESCRIPT = {"jsonrpc": "2.0", "error": {"code": -32000, "message": "No valid session ID"}}
READ = {"readOnlyHint": True}
TOOLS += [
    {"name": name, "inputSchema": {"type": "object"}}
    for name in ("cut", "broken", "ask", "publish")
]
TOOLS.append({"name": "cut_once", "inputSchema": {"type": "object"}, "annotations": READ})


def event(message: dict[str, Any], id: str = "") -> bytes:
    head = f"id: {id}\n" if id else ""
    return f"{head}data: {json.dumps({'jsonrpc': '2.0', **message})}\n\n".encode()


class Http:
    """Sessions by id."""

    def __init__(self) -> None:
        self.sessions: dict[str, Session] = {}
        self.number = 0
        self.streams: dict[str, Exchange] = {}
        self.cut: set[str] = set()
        self.questions: dict[str, asyncio.Future[Any]] = {}
        """By session; each asks one thing at a time, and calls it 1."""

    async def handle(self, exchange: Exchange) -> None:
        request = exchange.request
        id = (request.header(b"mcp-session-id") or b"").decode()
        session = self.sessions.get(id) if id else Session()
        if session is None:
            if "typescript" in sys.argv:
                exchange.respond(400, JSON, json.dumps(TYPESCRIPT).encode())
            else:
                exchange.respond(404, JSON, json.dumps(LOST).encode())
        elif request.method == "DELETE":
            note("delete", session.name)
            del self.sessions[id]
            exchange.respond(200)
        elif request.method == "GET":
            exchange.start(200, SSE)
            await exchange.write(b": open\n\n")
            self.streams[id] = exchange
            await asyncio.Event().wait()
        else:
            await self.post(exchange, session, id)

    async def post(self, exchange: Exchange, session: Session, id: str) -> None:
        message = json.loads(exchange.request.body)
        params = message.get("params") or {}
        if "method" not in message:
            note("answered", session.name, value=message["result"])
            self.questions.pop(id).set_result(message["result"])
            exchange.respond(202)
            return
        special = getattr(self, f"_{params.get('name')}", None)
        if message["method"] == "tools/call" and special is not None:
            tool, mark = params["name"], params["arguments"].get("mark", "")
            note("call", session.name, tool=tool, mark=mark)
            await special(exchange, message, id)
            return
        answer = await session.answer(message)
        headers = JSON
        if message.get("method") == "initialize":
            self.number += 1
            id = f"{uuid.uuid4().hex}-{self.number}"
            self.sessions[id] = session
            headers = (*JSON, (b"mcp-session-id", id.encode()))
        if answer is None:
            exchange.respond(202)
        else:
            exchange.respond(200, headers, json.dumps(answer).encode())

    async def _cut(self, exchange: Exchange, message: Any, id: str) -> None:
        exchange.abort()

    async def _cut_once(self, exchange: Exchange, message: Any, id: str) -> None:
        if id not in self.cut:
            self.cut.add(id)
            exchange.abort()
            return
        answer = {"jsonrpc": "2.0", "id": message["id"], "result": {"content": []}}
        exchange.respond(200, JSON, json.dumps(answer).encode())

    async def _broken(self, exchange: Exchange, message: Any, id: str) -> None:
        numbered = "7" if message["params"]["arguments"].get("ids") else ""
        exchange.start(200, SSE)
        told = {"level": "info", "data": "begun"}
        await exchange.write(event({"method": "notifications/message", "params": told}, numbered))
        exchange.abort()

    async def _ask(self, exchange: Exchange, message: Any, id: str) -> None:
        question = self.questions[id] = asyncio.get_running_loop().create_future()
        asked = {"id": 1, "method": "elicitation/create", "params": {"message": "sure?"}}
        exchange.start(200, SSE)
        await exchange.write(event(asked))
        await asyncio.wait([question], timeout=60)
        text = {"type": "text", "text": json.dumps(question.result())}
        await exchange.write(event({"id": message["id"], "result": {"content": [text]}}))
        exchange.finish()

    async def _publish(self, exchange: Exchange, message: Any, id: str) -> None:
        changed = {"uri": message["params"]["arguments"]["uri"]}
        update = {"method": "notifications/resources/updated", "params": changed}
        await self.streams[id].write(event(update))
        answer = {"jsonrpc": "2.0", "id": message["id"], "result": {"content": []}}
        exchange.respond(200, JSON, json.dumps(answer).encode())


async def over_http() -> None:
    listener = socket.create_server((os.environ["HOST"], int(os.environ["PORT"])), backlog=512)
    listener.setblocking(False)
    await HttpServer(Http().handle, Limits()).listen(listener)
    await asyncio.Event().wait()


if __name__ == "__main__":
    note("start")
    asyncio.run(over_http())
