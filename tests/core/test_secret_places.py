"""Where the values of secrets are, and what is found there."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mooring.core.secret_places import (
    NoSecret,
    SecretPlace,
    SecretValue,
    fingerprint,
    in_environment,
    marked,
    places,
    usable,
    variable,
)
from mooring.testing.stage import server

TOKEN = SecretPlace("environment", "default", "gitea-creds", "token")


def wants(variable: str, store: str, key: str = "token") -> dict[str, object]:
    ref = {"name": "gitea-creds", "key": key, "store": store}
    return {"name": variable, "valueFrom": {"secretKeyRef": ref}}


def test_every_place_is_named_once_and_in_order() -> None:
    env = [
        wants("C", "directory"),
        wants("B", "encrypted"),
        wants("A", "encrypted"),
        {"name": "D", "value": "x"},
        {"name": "E", "valueFrom": {"env": "OWN"}},
    ]
    found = places(server("gitea", env=env))
    assert [(place.store, place.name, place.key) for place in found] == [
        ("directory", "gitea-creds", "token"),
        ("encrypted", "gitea-creds", "token"),
    ]


@pytest.mark.parametrize(
    ("place", "name"),
    [
        (TOKEN, "P_GITEA_CREDS_TOKEN"),
        (SecretPlace("environment", "team-a", "c.d", "api.key"), "P_TEAM_A__C_D_API_KEY"),
    ],
)
def test_a_key_has_a_variable(place: SecretPlace, name: str) -> None:
    assert variable(place, "P_") == name


@pytest.mark.parametrize(
    ("own", "reason"),
    [
        ({}, "SecretNotFound"),
        ({"P_GITEA_CREDS_TOKEN": ""}, "SecretEmpty"),
        ({"P_GITEA_CREDS_TOKEN": "a\udcff"}, "SecretUnusable"),
    ],
)
def test_a_variable_that_gives_no_value_is_named(own: dict[str, str], reason: str) -> None:
    found = in_environment(TOKEN, own, "P_", b"")
    assert isinstance(found, NoSecret)
    assert found.reason == reason
    assert "P_GITEA_CREDS_TOKEN" in found.wrong
    assert "P_GITEA_CREDS_TOKEN" in found.remedy


def test_a_value_is_shown_nowhere() -> None:
    found = in_environment(TOKEN, {"P_GITEA_CREDS_TOKEN": "pl4nted"}, "P_", b"pepper")
    assert isinstance(found, SecretValue)
    assert found.value == "pl4nted"
    assert "pl4nted" not in f"{found!r} {found.mark}"


@given(st.text(min_size=1), st.text(min_size=1))
def test_marks_are_alike_where_values_are(one: str, other: str) -> None:
    if usable(one) and usable(other):
        marks = [marked(TOKEN, value, b"pepper").mark for value in (one, other)]
        assert (marks[0] == marks[1]) == (one == other)
        assert marks[0] != marked(TOKEN, one, b"another").mark


def test_a_mark_says_which_key_it_is_of() -> None:
    other = SecretPlace("environment", "default", "gitea-creds", "user")
    assert marked(TOKEN, "same", b"p").mark != marked(other, "same", b"p").mark
    assert fingerprint(b"p", ["a"]) == fingerprint(b"p", ["a"])
