"""Who looks after which instance: beliefs about all of them, and the probes they come from.

Every running instance that can be reached is looked after by itself, so that one that hangs
delays no other. What is believed belongs to a uid: an instance that is gone is forgotten, and
a new one begins as unknown.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping

from mooring.clock import Clock
from mooring.controllers.contact import Connect, Practice
from mooring.controllers.patient import Patient
from mooring.core.aggregate_items import Lists
from mooring.core.health import Probe, remembered
from mooring.core.veil import CLEAR, Veil
from mooring.core.workload import Observed
from mooring.core.world import Belief
from mooring.errors import Conflict
from mooring.kinds.ref import Ref
from mooring.kinds.server import InstanceStatus, MCPServer

NONE_EARLIER: Mapping[str, MCPServer] = {}
LEFT_ALONE = ("Draining", "ERROR")
"""States of a row whose instance is asked nothing any more."""


class Prober:
    """Beliefs about running instances, by uid."""

    def __init__(self, connect: Connect, clock: Clock, chance: Callable[[], float]) -> None:
        self._connect = connect
        self._clock = clock
        self._chance = chance
        self._practice: Practice | None = None
        self._patients: dict[Ref, dict[str, Patient]] = {}

    def begin(self, tasks: asyncio.TaskGroup, changed: Callable[[Ref], None]) -> None:
        """From now on probes are made, by these tasks; whoever is `changed` is told."""
        self._patients = {}
        self._practice = Practice(self._connect, self._clock, self._chance, tasks, changed)

    def look(
        self,
        server: MCPServer,
        observed: Iterable[Observed],
        earlier: Mapping[str, MCPServer] = NONE_EARLIER,
        veil: Veil = CLEAR,
    ) -> Mapping[str, Belief]:
        """What is believed of these instances; begins to look after those that are new.

        `earlier`: what instances of other checksums were declared as. They are asked what was
        meant for them, so that a check which only a new version passes takes no old one away.
        `veil`: covers what they say but must not be told.
        """
        seen = {one.uid: one for one in observed}
        rows = {row.uid: row for row in server.status.instances if row.uid}
        patients = self._patients.setdefault(server.ref, {})
        for uid in patients.keys() - seen.keys():
            patients.pop(uid).leave()
        for uid, one in sorted(seen.items()):
            row = rows.get(uid)
            able = one.state == "running" and one.address
            declared = earlier.get(one.checksum, server)
            if not able or (row is not None and row.state in LEFT_ALONE):
                if uid in patients:
                    patients[uid].leave()
            elif uid in patients and not patients[uid].left:
                patients[uid].renew(declared, veil)
            else:
                patients[uid] = self._admit(declared, one, row, veil)
        found = {uid: patient.belief for uid, patient in patients.items()}
        return {uid: belief for uid, belief in found.items() if belief is not None}

    def forget(self, ref: Ref) -> None:
        """Nothing of this server exists any more."""
        for patient in self._patients.pop(ref, {}).values():
            patient.leave()

    async def probe(self, ref: Ref, name: str) -> Probe:
        """Asks an instance now. Raises Conflict "NotRunning" where it does not run."""
        for patient in self._patients.get(ref, {}).values():
            if patient.name == name:
                return await patient.probe()
        raise Conflict("NotRunning", f"instance/{name} is not running")

    async def lists(self, ref: Ref, uid: str) -> Lists:
        """What an instance offers. Raises Conflict "NotRunning", or as a contact does."""
        patient = self._patients.get(ref, {}).get(uid)
        if patient is None:
            raise Conflict("NotRunning", f"an instance of {ref} is not running any more")
        return await patient.lists()

    def last(self, ref: Ref, uid: str) -> Probe | None:
        """The last probe of an instance, since Mooring was started."""
        patient = self._patients.get(ref, {}).get(uid)
        return None if patient is None else patient.last

    def _admit(
        self, server: MCPServer, seen: Observed, row: InstanceStatus | None, veil: Veil
    ) -> Patient:
        assert self._practice is not None
        known = remembered(row) if row is not None else None
        patient = Patient(server, seen, self._practice, known, veil)
        patient.begin()
        return patient
