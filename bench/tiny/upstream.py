"""The smallest MCP server over HTTP: answers every request with its own id.

It parses next to nothing, so that what a benchmark measures is what stands in front of it.
`/mcp` answers in JSON, `/sse` with an event stream of one event. It speaks for every session; with
`sessions` behind the host only for those that it opened itself.

    python upstream.py PORT [HOST [sessions]]
"""

import asyncio
import re
import secrets
import sys

import uvloop

ID = re.compile(rb'"id":\s*("[^"]*"|\d+)')
SESSION = re.compile(rb"(?i)\r\nmcp-session-id: *(\S+)")
OPEN: set[bytes] | None = set() if "sessions" in sys.argv else None
LENGTH = re.compile(rb"(?i)\r\ncontent-length: *(\d+)")
TOOL = (
    b'{"name":"%b","description":"Says what it was told, word for word.","inputSchema":{"type":'
    b'"object","properties":{"text":{"type":"string","description":"What to say."},"times":{"type":'
    b'"integer","minimum":1}},"required":["text"]},"annotations":{"readOnlyHint":true}}'
)
NAMES = (b"echo", *(b"echo%d" % number for number in range(1, 20)))
RESULTS = {
    b'"tools/call"': b'{"content":[{"type":"text","text":"ahoy"}],"isError":false}',
    b'"initialize"': b'{"protocolVersion":"2025-11-25","capabilities":{"tools":{}},'
    b'"serverInfo":{"name":"tiny","version":"1"}}',
    b'"tools/list"': b'{"tools":[%b]}' % b",".join(TOOL % name for name in NAMES),
}
JSON = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n%bcontent-length: %d\r\n\r\n%b"
STREAM = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncache-control: no-cache\r\n"
    b"%btransfer-encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n"
)


class Answerer(asyncio.Protocol):
    """One connection."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.waiting = b""

    def data_received(self, chunk: bytes) -> None:
        self.waiting += chunk
        while b"\r\n\r\n" in self.waiting:
            head, _, rest = self.waiting.partition(b"\r\n\r\n")
            size = LENGTH.search(head)
            length = int(size.group(1)) if size else 0
            if len(rest) < length:
                return
            body, self.waiting = rest[:length], rest[length:]
            self.transport.write(answer(head, body))


def answer(head: bytes, body: bytes) -> bytes:
    """The whole response to one request."""
    if OPEN is not None and (given := SESSION.search(head)) and given[1] not in OPEN:
        return b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n"
    found = ID.search(body)
    if found is None:
        status = b"405 Method Not Allowed" if head.startswith(b"GET") else b"202 Accepted"
        return b"HTTP/1.1 " + status + b"\r\ncontent-length: 0\r\n\r\n"
    result = next((r for method, r in RESULTS.items() if method in body), None)
    text = b'"error":{"code":-32601,"message":"unknown method"}'
    if result is not None:
        text = b'"result":' + result
    payload = b'{"jsonrpc":"2.0","id":%b,%b}' % (found.group(1), text)
    session = b""
    if b'"initialize"' in body:
        id = secrets.token_hex(16).encode()
        session = b"mcp-session-id: %b\r\n" % id
        if OPEN is not None:
            OPEN.add(id)
    if head.startswith(b"POST /sse"):
        event = b"event: message\ndata: %b\n\n" % payload
        return STREAM % (session, len(event), event)
    return JSON % (session, len(payload), payload)


async def main(port: int, host: str = "127.0.0.1") -> None:
    server = await asyncio.get_running_loop().create_server(Answerer, host, port)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1]), *sys.argv[2:3]))
