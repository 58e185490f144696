"""The smallest MCP server over HTTP: answers every request with its own id, as JSON.

It parses next to nothing, so that what a benchmark measures is what stands in front of it.
"""

import asyncio
import os
import re
import sys

ID = re.compile(rb'"id":\s*("[^"]*"|\d+)')
RESULTS = {
    b'"initialize"': b'{"protocolVersion":"2025-11-25","capabilities":{"tools":{}},'
    b'"serverInfo":{"name":"tiny","version":"1"}}',
    b'"tools/call"': b'{"content":[{"type":"text","text":"ahoy"}],"isError":false}',
    b'"tools/list"': b'{"tools":[{"name":"echo","inputSchema":{"type":"object"}}]}',
}


class Answerer(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.waiting = b""

    def data_received(self, chunk: bytes) -> None:
        self.waiting += chunk
        while b"\r\n\r\n" in self.waiting:
            head, _, rest = self.waiting.partition(b"\r\n\r\n")
            size = re.search(rb"(?i)content-length: *(\d+)", head)
            length = int(size.group(1)) if size else 0
            if len(rest) < length:
                return
            body, self.waiting = rest[:length], rest[length:]
            self.answer(head, body)

    def answer(self, head: bytes, body: bytes) -> None:
        found = ID.search(body)
        if found is None:
            status = b"405 Method Not Allowed" if head.startswith(b"GET") else b"202 Accepted"
            self.transport.write(b"HTTP/1.1 " + status + b"\r\ncontent-length: 0\r\n\r\n")
            return
        result = next((r for method, r in RESULTS.items() if method in body), None)
        text = (
            b'"result":' + result
            if result
            else b'"error":{"code":-32601,"message":"unknown method"}'
        )
        payload = b'{"jsonrpc":"2.0","id":' + found.group(1) + b"," + text + b"}"
        session = b"mcp-session-id: tiny\r\n" if b'"initialize"' in body else b""
        self.transport.write(
            b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n%scontent-length: %d\r\n\r\n%s"
            % (session, len(payload), payload)
        )


async def main() -> None:
    loop = asyncio.get_running_loop()
    port = int(os.environ["PORT"])
    server = await loop.create_server(Answerer, "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
