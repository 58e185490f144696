"""Server-side apply: the stories of Kubernetes' page, and rules that hold for everything."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from mooring.core.applying import (
    ANCIENT,
    BEFORE,
    UPDATERS,
    Applied,
    Contested,
    Owner,
    applied,
    updated,
)
from mooring.core.ownership import leaves
from mooring.kinds.server import MCPServer
from mooring.kinds.structure import structural

SERVER = structural(MCPServer, defaults=False)

ENTRY = st.fixed_dictionaries({}, optional={"value": st.sampled_from("xy")})
ENV = st.dictionaries(st.sampled_from("AB"), ENTRY).map(
    lambda rows: [{"name": name, **row} for name, row in rows.items()]
)
SPEC = st.fixed_dictionaries(
    {},
    optional={
        "replicas": st.integers(1, 3),
        "args": st.lists(st.sampled_from("ab"), max_size=2),
        "env": ENV,
        "source": st.fixed_dictionaries({}, optional={"pypi": st.sampled_from("pq")}),
    },
)
LABELS = st.dictionaries(st.sampled_from("kl"), st.sampled_from("vw"), max_size=2)
FINALIZERS = st.lists(st.sampled_from(["f", "g"]), unique=True, max_size=2)
WANTED = st.builds(
    lambda spec, labels, held: {"spec": spec, "metadata": {"labels": labels, "finalizers": held}},
    SPEC, LABELS, FINALIZERS,
)  # fmt: skip


def by(name: str, since: str = "") -> Owner:
    return Owner(name, "Apply", since=since)


def forced(live: Applied, wanted: dict[str, Any], name: str) -> Applied:
    made = applied(SERVER, live.document, wanted, live.owners, by(name), force=True)
    assert isinstance(made, Applied)
    return made


def spec(**fields: Any) -> dict[str, Any]:
    return {"spec": fields}


NOTHING = Applied({}, ())


def fields(found: Applied) -> dict[tuple[str, ...], Any]:
    return leaves(SERVER, found.document)


def test_what_one_names_no_more_goes() -> None:
    first = forced(NOTHING, spec(replicas=2, env=[{"name": "A", "value": "x"}]), "me")
    second = forced(first, spec(env=[{"name": "B", "value": "y"}]), "me")
    assert second.document == spec(env=[{"name": "B", "value": "y"}])


def test_what_another_owns_too_stays() -> None:
    first = forced(NOTHING, spec(replicas=2), "me")
    both = forced(first, spec(replicas=2), "you")
    assert [owner.name for owner in both.owners] == ["me", "you"]
    assert forced(both, spec(port=1), "me").document == spec(replicas=2, port=1)


def test_what_another_owns_is_not_changed_without_force() -> None:
    first = forced(NOTHING, spec(replicas=2, port=1), "me")
    refused = applied(SERVER, first.document, spec(replicas=3), first.owners, by("you"))
    assert refused == Contested((("me", ("f:spec", "f:replicas")),))
    taken = forced(first, spec(replicas=3), "you")
    assert taken.document == spec(replicas=3, port=1)
    assert {owner.name: owner.fields for owner in taken.owners} == {
        "me": {("f:spec", "f:port")},
        "you": {("f:spec", "f:replicas")},
    }


def test_what_was_there_before_belongs_to_nobody_by_name() -> None:
    live = spec(replicas=2)
    refused = applied(SERVER, live, spec(replicas=3), (), by("me"))
    assert refused == Contested(((BEFORE, ("f:spec", "f:replicas")),))


def test_an_entry_in_which_another_has_a_field_stays_with_its_key() -> None:
    first = forced(NOTHING, spec(env=[{"name": "A"}]), "me")
    after = spec(env=[{"name": "A", "value": "x"}])
    owners = updated(SERVER, first.document, after, first.owners, Owner("you"))
    left = forced(Applied(after, owners), {}, "me")
    assert left.document == after


def test_an_update_takes_what_it_changes() -> None:
    first = forced(NOTHING, spec(replicas=2, port=1), "me")
    owners = updated(SERVER, first.document, spec(replicas=3), first.owners, Owner("you"))
    assert {owner.name: owner.fields for owner in owners} == {
        "you": {("f:spec", "f:replicas")},
    }


def test_the_same_again_changes_not_even_the_time() -> None:
    made = applied(SERVER, {}, spec(replicas=2), (), by("me", "1"))
    assert isinstance(made, Applied)
    again = applied(SERVER, made.document, spec(replicas=2), made.owners, by("me", "2"))
    assert again == made
    assert updated(SERVER, made.document, made.document, made.owners, Owner("x")) == made.owners


def test_many_updaters_become_one() -> None:
    owners: tuple[Owner, ...] = ()
    before: dict[str, Any] = {}
    for number in range(UPDATERS + 5):
        labels = {f"k{n}": "v" for n in range(number + 1)}
        after = {"metadata": {"labels": labels}}
        by = Owner(f"p{number}", since=f"{number:02}")
        owners, before = updated(SERVER, before, after, owners, by), after
    assert len(owners) == UPDATERS
    assert owners[0].name == ANCIENT
    assert frozenset().union(*(owner.fields for owner in owners)) == leaves(SERVER, before).keys()


@given(WANTED, WANTED)
def test_applying_twice_is_applying_once(one: Any, other: Any) -> None:
    live = forced(NOTHING, other, "you")
    once = forced(live, one, "me")
    assert forced(once, one, "me") == once


@given(WANTED, WANTED)
def test_what_is_applied_is_there(one: Any, other: Any) -> None:
    made = fields(forced(forced(NOTHING, other, "you"), one, "me"))
    assert {path: made.get(path) for path in leaves(SERVER, one)} == leaves(SERVER, one)


@given(WANTED, WANTED)
def test_alone_one_gets_what_he_said_last(one: Any, other: Any) -> None:
    made = forced(forced(NOTHING, other, "me"), one, "me")
    assert fields(made) == leaves(SERVER, one)


@given(WANTED, WANTED)
def test_every_field_that_is_there_has_an_owner(one: Any, other: Any) -> None:
    made = forced(forced(NOTHING, other, "you"), one, "me")
    owned = frozenset().union(*(owner.fields for owner in made.owners))
    assert owned == fields(made).keys()


@given(WANTED, WANTED)
def test_without_force_nobody_loses_anything(one: Any, other: Any) -> None:
    live = forced(NOTHING, other, "you")
    made = applied(SERVER, live.document, one, live.owners, by("me"))
    if isinstance(made, Applied):
        after = fields(made)
        assert all(after[path] == value for path, value in fields(live).items())
    else:
        assert {owner for owner, _ in made.fields} == {"you"}


@given(WANTED, WANTED)
def test_what_was_taken_back_leaves_the_others(one: Any, other: Any) -> None:
    live = forced(NOTHING, other, "you")
    made = applied(SERVER, live.document, one, live.owners, by("me"))
    if isinstance(made, Applied):
        assert fields(forced(made, {}, "me")) == fields(live)


@given(WANTED, WANTED)
def test_an_update_leaves_no_field_without_an_owner(one: Any, other: Any) -> None:
    live = forced(NOTHING, other, "you")
    owners = updated(SERVER, live.document, one, live.owners, Owner("me"))
    owned = frozenset().union(*(owner.fields for owner in owners))
    assert owned == leaves(SERVER, one).keys()
