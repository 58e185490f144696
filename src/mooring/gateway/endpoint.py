"""What stands behind a path of ours."""

from collections.abc import Awaitable
from typing import Protocol

from mooring.gateway.call import Call


class Endpoint(Protocol):
    """Answers the requests of one path, whatever is behind it."""

    def answer(self, call: Call) -> Awaitable[None]:
        """Gives the one answer to a call.

        Raises ClientGone where the client left meanwhile, and MooringError where no answer was
        begun; the gateway then says so.
        """
        ...
