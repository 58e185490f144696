"""Selectors, as Kubernetes reads them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mooring.core.selectors import fields, holds, labels

WEB = {"app": "web", "env": "prod", "example.com/team": "core"}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", True),
        ("app=web", True),
        ("app==web", True),
        ("app=db", False),
        ("app!=db", True),
        ("app!=web", False),
        ("tier!=db", True),
        ("app=web,env=prod", True),
        ("app=web, env=test", False),
        ("env in (test, prod)", True),
        ("env in (test)", False),
        ("env notin (test,dev)", True),
        ("env notin (prod)", False),
        ("tier notin (x)", True),
        ("app", True),
        ("tier", False),
        ("!tier", True),
        ("!app", False),
        ("example.com/team=core,app", True),
        ("env in (test,prod),app!=db,!tier", True),
        ("app=", False),
    ],
)
def test_labels_are_selected(text: str, found: bool) -> None:
    assert holds(labels(text), WEB) is found


@pytest.mark.parametrize("text", ["app=web=x", "env in prod", "=x", "a b", "env in (a b)", "x=ü"])
def test_what_is_no_selector_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="cannot read"):
        labels(text)


def test_fields_are_selected_where_they_are_known() -> None:
    selector = fields(
        "metadata.name=time,metadata.namespace!=x", {"metadata.name", "metadata.namespace"}
    )
    assert holds(selector, {"metadata.name": "time", "metadata.namespace": "default"})
    assert not holds(selector, {"metadata.name": "time", "metadata.namespace": "x"})
    with pytest.raises(ValueError, match=r"spec\.replicas is not a field"):
        fields("spec.replicas=1", {"metadata.name"})
    with pytest.raises(ValueError, match="cannot read"):
        fields("metadata.name", {"metadata.name"})


KEYS = st.sampled_from(["a", "b", "c"])
VALUES = st.sampled_from(["x", "y", "z"])


@given(KEYS, st.lists(VALUES, min_size=1), st.dictionaries(KEYS, VALUES))
def test_in_and_notin_are_opposites(key: str, values: list[str], given: dict[str, str]) -> None:
    listed = f"({','.join(values)})"
    assert holds(labels(f"{key} in {listed}"), given) is not holds(
        labels(f"{key} notin {listed}"), given
    )
    assert holds(labels(f"{key} in {listed}"), given) is any(
        holds(labels(f"{key}={value}"), given) for value in values
    )
