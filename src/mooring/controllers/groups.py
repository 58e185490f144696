"""Groups: which servers each has."""

from collections.abc import Callable, Iterable

from mooring.core.membership import membership
from mooring.core.ports import ObjectStore
from mooring.kinds.group import MCPGroup
from mooring.kinds.ref import Ref
from mooring.kinds.server import MCPServer


class GroupReconciler:
    """Keeps the status of groups true; `servers` gives all servers as they are known now."""

    def __init__(self, store: ObjectStore, servers: Callable[[], Iterable[MCPServer]]) -> None:
        self._store = store
        self._servers = servers

    async def reconcile(self, ref: Ref) -> None:
        """Writes who the members are, if that changed."""
        group = await self._store.get(ref)
        if not isinstance(group, MCPGroup):
            return
        status = membership(group, self._servers())
        if status != group.status:
            await self._store.report(group.model_copy(update={"status": status}))
