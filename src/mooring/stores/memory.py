"""Objects in memory, for as long as the program runs."""

from collections.abc import Callable

from mooring.clock import Clock
from mooring.core.ports import Change
from mooring.kinds.base import Object
from mooring.kinds.ref import Ref
from mooring.stores.ledger import Ledger, new_uid
from mooring.stores.shelf import HISTORY, Shelf


class MemoryStore(Ledger):
    """Passes the contract of `core.ports.ObjectStore`, and forgets everything at its end."""

    def __init__(
        self,
        clock: Clock | None = None,
        uids: Callable[[], str] = new_uid,
        history: int = HISTORY,
    ) -> None:
        super().__init__(Shelf(history=history), clock, uids)

    def _head(self, ref: Ref) -> Object | None:
        return self._shelf.get(ref)

    def _head_version(self) -> int:
        return self._shelf.version

    async def _commit(self, change: Change) -> None:
        self._shelf.publish(change)

    async def _settle(self, ref: Ref) -> None:
        """What is in memory is settled."""
