"""The least that Python can do: requests parsed, written again and passed on, and no decision.

    python relay.py PORT UPSTREAM_PORT

What Mooring takes above this is what it decides; what this takes is uvloop, the parser and the
kernel. It trusts everybody, waits for nobody, and falls over at the first surprise.
"""

import asyncio
import sys
from typing import cast

import httptools
import uvloop

idle: list["Up"] = []


class Half(asyncio.Protocol):
    """One connection, on which one message comes after the other."""

    def __init__(self) -> None:
        self.headers: list[tuple[bytes, bytes]] = []
        self.body = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.write = cast(asyncio.Transport, transport).write

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name.lower(), value))

    def on_body(self, part: bytes) -> None:
        self.body += part

    def message(self, first: bytes) -> bytes:
        lines = b"".join([b"%b: %b\r\n" % pair for pair in self.headers])
        said = b"%b\r\n%b\r\n%b" % (first, lines, self.body)
        self.headers.clear()
        self.body = b""
        return said


class Up(Half):
    """To the server behind."""

    def __init__(self) -> None:
        super().__init__()
        self.client: Down | None = None
        self._parser = httptools.HttpResponseParser(self)

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_message_complete(self) -> None:
        client, self.client = self.client, None
        idle.append(self)
        assert client is not None
        client.write(self.message(b"HTTP/1.1 200 OK"))


class Down(Half):
    """From a client."""

    def __init__(self) -> None:
        super().__init__()
        self._parser = httptools.HttpRequestParser(self)

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_message_complete(self) -> None:
        request = self.message(b"POST /mcp HTTP/1.1")
        if idle:
            self.pass_on(idle.pop(), request)
            return
        loop = asyncio.get_running_loop()
        opening = loop.create_task(loop.create_connection(Up, "127.0.0.1", int(sys.argv[2])))
        opening.add_done_callback(lambda done: self.pass_on(done.result()[1], request))

    def pass_on(self, up: Up, request: bytes) -> None:
        up.client = self
        up.write(request)


async def main() -> None:
    server = await asyncio.get_running_loop().create_server(Down, "127.0.0.1", int(sys.argv[1]))
    await server.serve_forever()


uvloop.run(main())
