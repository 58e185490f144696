"""What a decision looks at: everything about one server, at one moment."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from mooring.core.environment import Complaint
from mooring.core.load import Load
from mooring.core.workload import Observed, Workload
from mooring.kinds.server import Health


@dataclass(frozen=True, slots=True)
class Belief:
    """What is believed of a running instance, since it was spoken to."""

    shaken: bool
    """It was ready at least once: it completed its handshake and, where one is named, its tool
    succeeded."""
    era: Literal["", "session", "stateless"] = ""
    health: Health = "healthy"
    message: str = ""
    """Why, in the words of whoever said it."""
    failures: int = 0
    """Probes that failed in a row, counted up to the threshold."""
    settled: bool = True
    """False: it was greeted, and its tool is still waited for. An instance that was never ready
    and is settled has failed."""
    safe_tools: tuple[str, ...] = ()
    """Tools that may be called twice, as its own list says."""


@dataclass(frozen=True, slots=True)
class World:
    """Everything about one server, apart from the object itself."""

    observed: tuple[Observed, ...]
    """Its instances, as the runtime sees them."""
    target: Workload | Complaint
    """What instances are started from, or why none can be."""
    beliefs: Mapping[str, Belief] = field(default_factory=dict)
    """By uid. An instance that is not in it was not spoken to, or its row is believed."""
    loads: Mapping[str, Load] = field(default_factory=dict)
    """By uid, over all gateways."""
    base: str = ""
    """Where the gateway listens: `http://127.0.0.1:8470`."""
    earlier: Mapping[str, Workload] = field(default_factory=dict)
    """By checksum: workloads that instances still serve with, made once more."""
    heard_since: datetime | None = None
    """When gateways began to be listened to: a little later all of them have told their loads."""
    store_trouble: str = ""
    """Why gateways cannot use the store of session records; empty: they can."""
