"""Which instance answers a request.

A request of a session goes to the instance that holds it, whatever is believed of that
instance, or nowhere: 404 tells the client to initialize again. A request that opens a
session goes to the instance with the fewest of them, and one that stands alone to the
instance with the fewest calls. This file is the only one that chooses.
"""

from collections.abc import Collection

from msgspec import Struct

from mooring.core.identity import Identity
from mooring.core.load import Load, Loads
from mooring.core.table import Entry, Upstream
from mooring.kinds.ref import Ref


class Pinned(Struct, frozen=True, gc=False):
    """A request of a session: what its sealed id says, and who calls."""

    server: Ref
    uid: str
    identity: Identity
    caller: Identity


class Opening(Struct, frozen=True, gc=False):
    """A request that opens a session."""


class Alone(Struct, frozen=True, gc=False):
    """A request without a session: of the stateless era, or of a server that has none."""


Ask = Pinned | Opening | Alone


class Forward(Struct, frozen=True, gc=False):
    """Send it there."""

    to: Upstream


class Reject(Struct, frozen=True, gc=False):
    """Answer this instead."""

    status: int
    reason: str
    message: str


IDLE = Load()


def route(
    entry: Entry, ask: Ask, loads: Loads, turn: int, without: Collection[str] = ()
) -> Forward | Reject:
    """Where a request goes.

    `turn` breaks ties, so that gateways which know nothing do not all choose the first;
    `without` names instances (by uid) that refused this request already.
    """
    if type(ask) is Pinned:
        return _to_owner(entry, ask)
    able = entry.standing
    if without:
        able = tuple(upstream for upstream in able if upstream.uid not in without)
    if not able:
        return _nowhere(entry)
    if len(able) == 1:
        return Forward(able[0])
    if type(ask) is Opening:
        burdens = [loads.get(upstream.uid, IDLE).sessions for upstream in able]
    else:
        burdens = [loads.get(upstream.uid, IDLE).calls for upstream in able]
    least = min(burdens)
    ties = [upstream for upstream, burden in zip(able, burdens, strict=True) if burden == least]
    return Forward(ties[turn % len(ties)])


def _to_owner(entry: Entry, ask: Pinned) -> Forward | Reject:
    if (ask.identity, ask.server) != (ask.caller, entry.ref):
        return Reject(404, "SessionLost", f"{entry.ref} knows no such session; initialize again")
    owner = entry.upstreams.get(ask.uid)
    if owner is None and ask.uid in entry.elsewhere:
        message = f"the instance of {entry.ref} that holds this session is on another machine"
        return Reject(503, "NotRoutableHere", f"{message} and cannot be reached from this gateway")
    if owner is None:
        message = f"the instance of {entry.ref} that held this session is gone; initialize again"
        return Reject(404, "SessionLost", message)
    return Forward(owner)


def _nowhere(entry: Entry) -> Reject:
    reason, what = "NoReadyInstance", "is ready"
    if entry.elsewhere and not entry.upstreams:
        reason, what = "NotRoutableHere", "can be reached from this gateway"
    message = f'no instance of server "{entry.ref.name}" {what}: {entry.sentence}'
    return Reject(503, reason, message)
