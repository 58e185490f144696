"""Specs that were wanted: what a server can go back to.

A revision is a spec without `replicas`, so that going back changes nobody's number of instances.
Values of secrets are in none, because no spec has any. They are kept in the status: ten of them,
and no more than 64 KiB together.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from operator import itemgetter
from typing import Any

from pydantic import ValidationError

from mooring.core.checksum import canonical
from mooring.core.printable import printable
from mooring.kinds.server import MCPServer, Resolved, Revision, ServerSpec

KEPT = 10
BYTES = 64 * 1024
"""Of all revisions together; the present one is kept however large it is."""
CAUSE = "kubernetes.io/change-cause"
"""The annotation that kubectl's users give a reason in."""
CAUSE_LENGTH = 200


def noted(server: MCPServer, now: datetime) -> tuple[Revision, ...]:
    """The revisions of a server, the present spec last.

    A spec that was wanted before is the same revision under a new number.
    """
    before = server.status.revisions
    spec = _wish(server.spec)
    if before and before[-1].spec == spec:
        return before
    number = before[-1].number + 1 if before else 1
    cause = printable(server.metadata.annotations.get(CAUSE, ""))[:CAUSE_LENGTH]
    fresh = {"number": number, "since": now, "cause": cause}
    same = next((revision for revision in before if revision.spec == spec), None)
    present = same.model_copy(update=fresh) if same else Revision(spec=spec, **fresh)
    return _bounded([*(revision for revision in before if revision is not same), present])


def settled(
    revisions: tuple[Revision, ...], restarted_at: str, resolved: Resolved | None
) -> tuple[Revision, ...]:
    """The revisions, once every instance is of the last one as it was rolled out now."""
    if not revisions:
        return revisions
    update = {"restarted_at": restarted_at, "resolved": resolved}
    return (*revisions[:-1], revisions[-1].model_copy(update=update))


def as_it_was(server: MCPServer, revision: Revision) -> MCPServer | None:
    """The server as it was declared at a revision, to make its workload once more.

    None where such a spec is not understood any more.
    """
    try:
        spec = ServerSpec.model_validate({**revision.spec, "replicas": server.spec.replicas})
    except ValidationError:
        return None
    status = server.status.model_copy(
        update={"resolved": revision.resolved, "restarted_at": revision.restarted_at}
    )
    meta = server.metadata.model_copy(update={"annotations": {}})
    return server.model_copy(update={"spec": spec, "status": status, "metadata": meta})


def _wish(spec: ServerSpec) -> Mapping[str, Any]:
    """The spec, JSON-ready; in one form, whatever order variables are declared in."""
    wish = spec.model_dump(
        mode="json", by_alias=True, exclude_defaults=True, exclude_none=True, exclude={"replicas"}
    )
    if "env" in wish:
        wish["env"] = sorted(wish["env"], key=itemgetter("name"))
    return wish


def _bounded(revisions: Sequence[Revision]) -> tuple[Revision, ...]:
    kept = revisions[-1:]
    room = BYTES - _size(kept[0])
    for revision in reversed(revisions[-KEPT:-1]):
        room -= _size(revision)
        if room < 0:
            break
        kept = [revision, *kept]
    return tuple(kept)


def _size(revision: Revision) -> int:
    return len(canonical(revision.spec))
