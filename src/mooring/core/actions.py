"""What a runtime can be asked to do: one thing, to one instance, harmless if repeated."""

from dataclasses import dataclass

from mooring.core.workload import Workload
from mooring.kinds.ref import Ref


@dataclass(frozen=True, slots=True)
class Start:
    """Bring up an instance of this name.

    Where one of the same name and checksum is up, or on its way up, nothing is done. What is
    left of an earlier one that exited or failed is replaced, under a new uid.
    """

    ref: Ref
    name: str
    workload: Workload


@dataclass(frozen=True, slots=True)
class Stop:
    """End one instance and forget it; `uid` says which start of that name is meant."""

    ref: Ref
    name: str
    uid: str
    reason: str


Action = Start | Stop
