"""One connection to the API: who may have it, and what bounds hold on it.

On a Unix socket it is the same user's, or root's, as the kernel tells it. Whoever keeps us
waiting, for a head, for a body or for room to write to him, is given up in the end.
"""

import asyncio
import os
import socket
import struct
from typing import cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from mooring import telemetry

HEAD_SECONDS = 10.0
"""How long the head of a request may take; a handshake too."""
HEAD_BYTES = 64 * 1024
BODY_SECONDS = 30.0
"""How long nothing may come of a body that is expected."""
READING_SECONDS = 60.0
"""How long a caller may take nothing of what waits for it."""

_REFUSAL = (
    b'{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"Forbidden","code":403,'
    b'"message":"this socket serves its owner and root only"}'
)
_TOO_LARGE = b"HTTP/1.1 431 Too Large\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"


def peer_uid(connection: socket.socket) -> int | None:
    """The uid of the process at the other end; None where the kernel does not tell."""
    option = getattr(socket, "SO_PEERCRED", None)
    if connection.family != socket.AF_UNIX or option is None:
        return None
    told = connection.getsockopt(socket.SOL_SOCKET, option, struct.calcsize("3i"))
    return int(struct.unpack("3i", told)[1])


class Connection(HttpToolsProtocol):
    """One connection of a caller who may have it."""

    _refused = False
    _head_bytes = 0
    _deadline: asyncio.TimerHandle | None = None
    _body: asyncio.TimerHandle | None = None
    _body_came = 0.0
    _stuck: asyncio.TimerHandle | None = None
    _unread = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        uid = peer_uid(transport.get_extra_info("socket"))
        if uid is not None and uid not in (0, os.getuid()):
            telemetry.event("api.refused", uid=uid)
            self._refused = True
            self._refuse(cast(asyncio.Transport, transport))
            return
        self.app_state = {**self.app_state, "peer_uid": uid}
        super().connection_made(cast(asyncio.Transport, transport))
        self._expect_head()

    def data_received(self, chunk: bytes) -> None:
        if self._refused:
            return
        super().data_received(chunk)
        if self._deadline is None:
            self._head_bytes = 0
            return
        self._head_bytes += len(chunk)
        if self._head_bytes > HEAD_BYTES:
            self.transport.write(_TOO_LARGE)
            self.transport.close()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        if self._deadline is None:
            self._expect_head()

    def on_headers_complete(self) -> None:
        self._expect_nothing()
        super().on_headers_complete()
        self._body_came = self.loop.time()
        self._body = self.loop.call_later(BODY_SECONDS, self._check_body)

    def on_body(self, body: bytes) -> None:
        self._body_came = self.loop.time()
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._expect_no_body()
        super().on_message_complete()

    def _check_body(self) -> None:
        """Ends a request whose body does not go on, unless it is we who do not read."""
        if self.flow.read_paused:
            self._body_came = self.loop.time()
        left = self._body_came + BODY_SECONDS - self.loop.time()
        if left <= 0:
            self.transport.close()
        else:
            self._body = self.loop.call_later(left, self._check_body)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._expect_reading()

    def resume_writing(self) -> None:
        self._expect_no_reading()
        super().resume_writing()

    def _expect_reading(self) -> None:
        self._unread = self.transport.get_write_buffer_size()
        self._stuck = self.loop.call_later(READING_SECONDS, self._check_reading)

    def _check_reading(self) -> None:
        """Cuts a caller off who has not read a byte since it was last looked."""
        if self.transport.get_write_buffer_size() >= self._unread:
            self.transport.abort()
        else:
            self._expect_reading()

    def _expect_head(self) -> None:
        self._head_bytes = 0
        self._deadline = self.loop.call_later(HEAD_SECONDS, self.transport.close)

    def _expect_nothing(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _expect_no_body(self) -> None:
        if self._body is not None:
            self._body.cancel()
            self._body = None

    def _expect_no_reading(self) -> None:
        if self._stuck is not None:
            self._stuck.cancel()
            self._stuck = None

    def connection_lost(self, error: Exception | None) -> None:
        self._expect_nothing()
        self._expect_no_body()
        self._expect_no_reading()
        if not self._refused:
            super().connection_lost(error)

    @staticmethod
    def _refuse(transport: asyncio.Transport) -> None:
        transport.write(
            b"HTTP/1.1 403 Forbidden\r\ncontent-type: application/json\r\nconnection: close\r\n"
            b"content-length: %d\r\n\r\n%b" % (len(_REFUSAL), _REFUSAL)
        )
        transport.close()
