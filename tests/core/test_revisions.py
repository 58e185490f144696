"""Specs that were wanted: what a server can go back to."""

from datetime import timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from mooring.core.revisions import BYTES, CAUSE, KEPT, as_it_was, noted, settled
from mooring.kinds.server import MCPServer, Resolved, Revision
from mooring.testing.clock import START
from mooring.testing.stage import server

ONE = Resolved(package="time", version="1.0")


def changed(before: MCPServer, **spec: Any) -> MCPServer:
    """The server with another spec, its revisions noted before."""
    status = before.status.model_copy(update={"revisions": noted(before, START)})
    return server("time", **spec).model_copy(update={"status": status})


def annotated(declared: MCPServer, **annotations: str) -> MCPServer:
    meta = declared.metadata.model_copy(update={"annotations": annotations})
    return declared.model_copy(update={"metadata": meta})


def numbers(found: tuple[Revision, ...]) -> list[int]:
    return [revision.number for revision in found]


def test_the_first_spec_is_the_first_revision() -> None:
    (found,) = noted(server("time", args=["-v"], replicas=3), START)
    assert (found.number, found.since) == (1, START)
    assert found.spec == {"source": {"command": ["serve"]}, "args": ["-v"]}


def test_another_spec_is_another_revision_and_the_same_is_none() -> None:
    first = server("time")
    second = changed(first, args=["-v"])
    found = noted(second, START)
    assert numbers(found) == [1, 2]
    kept = changed(second, args=["-v"])
    assert noted(kept, START + timedelta(hours=1)) == found


def test_replicas_labels_and_the_order_of_variables_make_no_revision() -> None:
    env = [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]
    first = server("time", env=env)
    second = changed(first, env=env[::-1], replicas=9)
    meta = second.metadata.model_copy(update={"labels": {"a": "b"}, "generation": 7})
    assert numbers(noted(second.model_copy(update={"metadata": meta}), START)) == [1]


def test_a_spec_that_comes_back_is_the_same_revision_under_a_new_number() -> None:
    first = server("time")
    again = changed(changed(first, args=["-v"]))
    found = noted(again, START + timedelta(hours=1))
    assert numbers(found) == [2, 3]
    assert found[-1].spec == noted(first, START)[0].spec
    assert found[-1].since == START + timedelta(hours=1)


def test_the_reason_that_somebody_gave_is_kept() -> None:
    declared = annotated(server("time"), **{CAUSE: "because\x1b[2J"})
    assert noted(declared, START)[0].cause == "because\\x1b[2J"


def test_no_more_than_ten_are_kept_and_the_oldest_go_first() -> None:
    declared = server("time")
    for number in range(30):
        declared = changed(declared, args=[str(number)])
    found = noted(declared, START)
    assert len(found) == KEPT
    assert numbers(found) == list(range(22, 32))


def test_large_ones_are_fewer_and_the_present_one_always_stays() -> None:
    declared = server("time")
    for number in range(5):
        declared = changed(declared, args=[f"{number}" + "x" * (BYTES // 3)])
    assert numbers(noted(declared, START)) == [5, 6]
    huge = changed(declared, args=["y" * BYTES * 2])
    assert numbers(noted(huge, START)) == [7]


def test_a_revision_remembers_what_its_instances_were_rolled_out_with() -> None:
    found = settled(noted(changed(server("time"), args=["-v"]), START), "now", ONE)
    assert [(r.restarted_at, r.resolved) for r in found] == [("", None), ("now", ONE)]
    assert settled((), "now", ONE) == ()


def test_a_server_is_made_as_it_was_with_as_many_instances_as_now() -> None:
    first = server("time", args=["-v"], env=[{"name": "A", "value": "1"}])
    now = changed(first, args=["-w"], replicas=4)
    (old, _) = settled(noted(now, START), "", ONE)
    made = as_it_was(now, old.model_copy(update={"restarted_at": "then", "resolved": ONE}))
    assert made is not None
    assert made.spec == first.spec.model_copy(update={"replicas": 4})
    assert (made.status.restarted_at, made.status.resolved) == ("then", ONE)


def test_a_spec_that_is_not_understood_any_more_is_passed_over() -> None:
    odd = Revision(number=1, spec={"sauce": "none"}, since=START)
    assert as_it_was(server("time"), odd) is None


@given(st.lists(st.sampled_from("abc"), min_size=1, max_size=30))
def test_numbers_only_grow_and_no_spec_is_kept_twice(wishes: list[str]) -> None:
    declared, highest = server("time", args=["start"]), 0
    for wish in wishes:
        declared = changed(declared, args=[wish])
        found = noted(declared, START)
        assert numbers(found) == sorted(set(numbers(found)))
        assert found[-1].number >= highest
        assert found[-1].spec["args"] == [wish]
        assert len({str(revision.spec) for revision in found}) == len(found)
        highest = found[-1].number
