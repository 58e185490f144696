"""Any sequence of writes keeps what is promised of objects, whatever the store."""

from datetime import UTC, datetime
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from mooring.core.ports import Change
from mooring.core.writes import (
    Refusal,
    Stamp,
    Unchanged,
    Verdict,
    decide_delete,
    decide_put,
    decide_report,
)
from mooring.kinds.base import ManagedFields, ObjectMeta, OwnerReference
from mooring.kinds.server import MCPServer, ServerSpec, ServerStatus, Source

MOMENT = datetime(2026, 1, 1, 12, 30, 15, 999_999, tzinfo=UTC)
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["create", "scale", "label", "hold", "free", "report", "delete", "stale"]),
        st.integers(0, 3),
    ),
    max_size=25,
)


def server(**metadata: Any) -> MCPServer:
    return MCPServer(
        metadata=ObjectMeta(name="time", **metadata), spec=ServerSpec(source=Source(pypi="x"))
    )


def changed(of: MCPServer, **metadata: Any) -> MCPServer:
    return of.model_copy(update={"metadata": of.metadata.model_copy(update=metadata)})


def step(stored: MCPServer | None, what: str, n: int, stamp: Stamp) -> Verdict:
    base = stored or server(resource_version="1")
    wanted = {
        "create": server(),
        "scale": base.model_copy(update={"spec": base.spec.model_copy(update={"replicas": n})}),
        "label": changed(base, labels={"n": str(n)}),
        "hold": changed(base, finalizers=("a/b",)),
        "free": changed(base, finalizers=()),
        "stale": changed(base, resource_version=f"0{n}"),
    }
    if what == "delete":
        return decide_delete(stored, base.ref, stamp)
    if what == "report":
        status = ServerStatus(message=str(n))
        return decide_report(stored, base.model_copy(update={"status": status}), stamp)
    return decide_put(stored, wanted[what], stamp)


@given(STEPS)
def test_any_writes_keep_the_promises(steps: list[tuple[str, int]]) -> None:
    stored: MCPServer | None = None
    for number, (what, n) in enumerate(steps, start=1):
        stamp = Stamp(str(number), MOMENT, f"uid-{number}")
        match step(stored, what, n, stamp):
            case Refusal(reason, message):
                assert message.startswith("server/time")
                assert reason != "NotFound" or stored is None
            case Unchanged(held):
                assert held is stored
            case Change(kind, made):
                assert isinstance(made, MCPServer)
                assert made.metadata.resource_version == str(number)
                check(kind, stored, made, what)
                stored = None if kind == "DELETED" else made


def check(kind: str, before: MCPServer | None, after: MCPServer, what: str) -> None:
    """What one change may do."""
    assert (kind == "ADDED") == (before is None)
    if before is None:
        assert (after.metadata.generation, after.status) == (1, ServerStatus())
        return
    assert after != before
    assert after.metadata.uid == before.metadata.uid
    assert after.metadata.creation_timestamp == before.metadata.creation_timestamp
    respecified = int(after.spec != before.spec)
    assert after.metadata.generation == before.metadata.generation + respecified
    assert what == "report" or after.status == before.status
    assert what != "report" or after.spec == before.spec
    assert what != "stale"
    if kind == "DELETED":
        assert not after.metadata.finalizers
        assert what == "delete" or before.metadata.deletion_timestamp


def test_times_are_whole_seconds() -> None:
    verdict = decide_put(None, server(), Stamp("1", MOMENT, "u"))
    assert isinstance(verdict, Change)
    assert verdict.object.metadata.creation_timestamp == MOMENT.replace(microsecond=0)


def test_the_name_of_what_is_leaving_is_said_to_be_taken_for_now() -> None:
    leaving = server(resource_version="1", deletion_timestamp=MOMENT, finalizers=("a/b",))
    verdict = decide_put(leaving, server(), Stamp("2", MOMENT, "u"))
    assert verdict == Refusal("AlreadyExists", "server/time exists already, and is being deleted")


def test_whose_an_object_and_its_fields_are_is_kept() -> None:
    owner = OwnerReference(api_version="v1", kind="X", name="x", uid="u-1")
    first, second = ManagedFields(manager="a"), ManagedFields(manager="b")
    made = decide_put(
        None,
        server(owner_references=(owner,), managed_fields=(first,)),
        Stamp("1", MOMENT, "u"),
    )
    assert isinstance(made, Change)
    held: Any = made.object
    assert (held.metadata.owner_references, held.metadata.managed_fields) == ((owner,), (first,))
    told = decide_report(held, changed(held, managed_fields=(second,)), Stamp("2", MOMENT))
    assert isinstance(told, Change)
    assert told.object.metadata.managed_fields == (second,)
    same = decide_report(held, held, Stamp("2", MOMENT))
    assert isinstance(same, Unchanged)
    put = decide_put(held, changed(held, owner_references=()), Stamp("2", MOMENT))
    assert isinstance(put, Change)
    assert put.object.metadata.owner_references == ()
    assert put.object.metadata.generation == held.metadata.generation
