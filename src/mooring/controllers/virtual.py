"""Virtual servers: what each is made of, and how it is."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from mooring.clock import Clock
from mooring.controllers.catalogs import Catalogs, Found
from mooring.controllers.recorder import Recorder
from mooring.core.aggregate_changes import Fingerprints
from mooring.core.ports import ObjectStore
from mooring.core.virtual import backends_of, judge
from mooring.core.virtual_status import Known, happenings, summarize, tool_changes
from mooring.kinds.group import MCPGroup
from mooring.kinds.ref import Ref
from mooring.kinds.server import MCPServer
from mooring.kinds.virtual import VirtualMCPServer


@dataclass(frozen=True, slots=True)
class Outlook:
    """What is seen from here of everything else."""

    clock: Clock
    servers: Callable[[], Iterable[MCPServer]]
    """All servers, as they are now."""
    base: str
    """Where the gateway listens."""


class VirtualReconciler:
    """Keeps the status of virtual servers true."""

    def __init__(
        self, store: ObjectStore, recorder: Recorder, catalogs: Catalogs, outlook: Outlook
    ) -> None:
        self._store = store
        self._recorder = recorder
        self._catalogs = catalogs
        self._outlook = outlook
        self._seen: dict[Ref, dict[str, Fingerprints]] = {}
        """The tools of each backend when they were last looked at."""

    async def reconcile(self, ref: Ref) -> datetime | None:
        """Writes how it is, if that changed; returns when to come back, if time matters."""
        virtual = await self._store.get(ref)
        if not isinstance(virtual, VirtualMCPServer):
            self._seen.pop(ref, None)
            return None
        group = await self._store.get(Ref("MCPGroup", ref.namespace, virtual.spec.group))
        known, wake_at = self._look(virtual, present=isinstance(group, MCPGroup))
        status = summarize(virtual, known, self._outlook.clock.now())
        told = happenings(virtual, status, self._changes(virtual, known))
        if status != virtual.status:
            await self._store.report(virtual.model_copy(update={"status": status}))
        self._recorder.record(virtual, told)
        return wake_at

    def _look(self, virtual: VirtualMCPServer, *, present: bool) -> tuple[Known, datetime | None]:
        namespace, group = virtual.ref.namespace, virtual.spec.group
        servers = tuple(self._outlook.servers())
        backends = backends_of(namespace, group, servers) if present else None
        judgement = judge(group, backends)
        shared = {each.name for each in judgement.backends if each.listed == "shared"}
        asked = [each for each in backends or () if each.metadata.name in shared]
        found = _known((each.metadata.name, self._catalogs.look(each)) for each in asked)
        members = {
            each.metadata.name
            for each in servers
            if each.metadata.namespace == namespace and each.spec.group == group
        }
        known = Known(
            judgement=judgement,
            base=self._outlook.base,
            members=members,
            catalogs={name: each.catalog for name, each in found.items()},
            failures={name: each.failure for name, each in found.items() if each.failure},
            tools={name: each.tools for name, each in found.items()},
        )
        now = self._outlook.clock.now()
        return known, min((each.due for each in found.values() if each.due > now), default=None)

    def _changes(self, virtual: VirtualMCPServer, known: Known) -> Mapping[str, tuple[str, ...]]:
        """Tools that changed since the last look; each change is found once."""
        seen = self._seen.setdefault(virtual.ref, {})
        found = tool_changes(virtual, seen, known)
        seen.update(known.tools)
        return found


def _known(found: Iterable[tuple[str, Found | None]]) -> dict[str, Found]:
    return {name: each for name, each in found if each is not None}
