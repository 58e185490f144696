"""What all virtual servers of a gateway share."""

from dataclasses import dataclass, field

from mooring.clock import Clock
from mooring.sessions.books import Books
from mooring.sessions.courier import Courier
from mooring.sessions.open_sessions import OpenSessions
from mooring.sessions.recovery import Recovery
from mooring.transports.streams import Stream
from mooring.virtual.call import Gate
from mooring.virtual.catalogs import Catalogs
from mooring.virtual.cursors import Cursors
from mooring.virtual.errands import Errands
from mooring.virtual.states import ClientState

UID = "virtual"
"""Stands in the sealed id of a session of a virtual server, where others name an instance."""


@dataclass(frozen=True, slots=True)
class Room:
    """What all virtual servers of a gateway share."""

    courier: Courier
    sessions: OpenSessions
    books: Books
    """Records of sessions."""
    recovery: Recovery
    clock: Clock
    via: bytes
    errands: Errands
    gate: Gate
    catalogs: Catalogs
    cursors: Cursors
    states: dict[str, ClientState] = field(default_factory=dict)
    """Clients' sessions, by id."""
    streams: set[Stream] = field(default_factory=set)
    """Those that stay open for as long as the client likes."""
