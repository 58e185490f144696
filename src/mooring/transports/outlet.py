"""Writing to a connection without delay.

A transport queues what is written and sends it at the end of the loop's turn, by way of a dozen
steps. Where nothing waits in its queue the same bytes can go to the socket at once; whatever
the socket does not take is the transport's, as everything is over TLS.
"""

import asyncio
import os

_write = os.write


class Outlet:
    """The way out of one connection."""

    __slots__ = ("_descriptor", "_is_closing", "_queued", "_transport")

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._is_closing = transport.is_closing
        self._queued = transport.get_write_buffer_size
        self._descriptor = -1
        if transport.get_extra_info("sslcontext") is None:
            self._descriptor = transport.get_extra_info("socket").fileno()

    def write(self, piece: bytes) -> None:
        """Hands bytes to the socket, behind all that was written before."""
        # The transport says that it is closing before it gives its descriptor back.
        if self._descriptor >= 0 and not self._is_closing() and not self._queued():
            try:
                sent = _write(self._descriptor, piece)
            except OSError:  # it is full, or broken: the transport sees to either
                sent = 0
            if sent == len(piece):
                return
            piece = piece[sent:]
        self._transport.write(piece)
