"""Ports for children that listen themselves.

A free port is found by asking the kernel for one, and kept from other slots for as long as its
slot lives. Between our question and the child's own bind somebody else may take it; then the
child fails, and its next start gets another one.
"""

import socket

from mooring.errors import Conflict

HOST = "127.0.0.1"
_TRIES = 64


class Ports:
    """Which ports the slots of this keeper have."""

    def __init__(self) -> None:
        self._taken: set[int] = set()

    def take(self, wanted: int = 0) -> int:
        """The wanted port, or a free one for 0. Raises Conflict "PortInUse"."""
        for _ in range(1 if wanted else _TRIES):
            port = 0 if wanted in self._taken else _probe(wanted)
            if port and port not in self._taken:
                self._taken.add(port)
                return port
        raise Conflict("PortInUse", f"port {wanted} is in use" if wanted else "no port is free")

    def give_back(self, port: int) -> None:
        """The slot has ended."""
        self._taken.discard(port)


def _probe(wanted: int) -> int:
    """The port, if one can be bound now; else 0."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind((HOST, wanted))
        except OSError:
            return 0
        return int(trial.getsockname()[1])
