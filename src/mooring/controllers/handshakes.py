"""Is it there? The first conversation with a new instance.

It is greeted again and again while it still refuses connections, until the server's
handshakeTimeoutSeconds have passed.
"""

import logging

from mooring import telemetry
from mooring.clock import Clock
from mooring.controllers.contact import Answer, Contact
from mooring.errors import MooringError
from mooring.kinds.server import MCPServer

FIRST_PAUSE = 0.25
LONGEST_PAUSE = 1.0
SHORTEST = 0.001
"""Seconds that a greeting is given at least."""


async def greet(contact: Contact, server: MCPServer, name: str, clock: Clock) -> Answer | str:
    """What came of the handshake with an instance: its answer, or why there is none."""
    try:
        return await _insist(contact, server, clock)
    except MooringError as error:
        return f"handshake failed: {error.message}"
    except Exception as error:  # noqa: BLE001 - one strange server must not end the others
        telemetry.event("handshake.broke", logging.ERROR, instance=name, error=repr(error))
        return f"handshake failed: {error}"


async def _insist(contact: Contact, server: MCPServer, clock: Clock) -> Answer | str:
    """Asks until it answers, or its time is over."""
    seconds = server.spec.handshake_timeout_seconds
    began = clock.monotonic()
    pause = FIRST_PAUSE
    last = ""
    while (left := seconds - (clock.monotonic() - began)) > 0:
        try:
            return await contact.handshake(max(left, SHORTEST), server.spec.eras)
        except MooringError as error:
            if not error.retryable:
                raise
            if error.reason != "UpstreamTimeout":
                last = f": {error.message}"
        await clock.sleep(min(pause, max(seconds - (clock.monotonic() - began), 0)))
        pause = min(pause * 2, LONGEST_PAUSE)
    return f"handshake timed out after {seconds} s{last}"
