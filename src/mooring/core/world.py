"""What a decision looks at: everything about one server, at one moment."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from mooring.core.environment import Complaint
from mooring.core.load import Load
from mooring.core.workload import Observed, Workload
from mooring.kinds.server import Health


@dataclass(frozen=True, slots=True)
class Belief:
    """What is believed of a running instance, since it was spoken to."""

    shaken: bool
    """The handshake was completed: it is ready. False: it failed, and `message` says why."""
    era: Literal["", "session", "stateless"] = ""
    health: Health = "healthy"
    message: str = ""


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
