"""What a server finds in its environment, and what is said when it cannot be told."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mooring.core.environment import Complaint, Known, Resolution, secret_names
from mooring.core.environment import resolve as resolve_known
from mooring.core.secret_places import PREFIX, in_environment, in_object, places
from mooring.kinds.secret import LockedSecret, Secret
from mooring.kinds.server import MCPServer
from mooring.testing.stage import server

Env = list[dict[str, Any]]


def gitea(*env: dict[str, Any], namespace: str = "default") -> MCPServer:
    found = server("gitea", env=list(env))
    meta = found.metadata.model_copy(update={"namespace": namespace, "uid": "u1"})
    return found.model_copy(update={"metadata": meta})


def from_secret(name: str = "GITEA_ACCESS_TOKEN", key: str = "token") -> dict[str, Any]:
    return {"name": name, "valueFrom": {"secretKeyRef": {"name": "gitea-creds", "key": key}}}


def from_store(store: str) -> dict[str, Any]:
    ref = {"name": "gitea-creds", "key": "token", "store": store}
    return {"name": "TOKEN", "valueFrom": {"secretKeyRef": ref}}


def from_own(name: str = "TOKEN", own: str = "MY_TOKEN") -> dict[str, Any]:
    return {"name": name, "valueFrom": {"env": own}}


def secret(version: str = "7", **values: str) -> dict[str, Secret]:
    meta = {"name": "gitea-creds", "uid": "s1", "resourceVersion": version}
    made = Secret.model_validate({"metadata": meta, "stringData": values})
    return {"gitea-creds": made}


def raw_secret(coded: str) -> dict[str, Secret]:
    made = Secret.model_validate({"metadata": {"name": "gitea-creds"}, "data": {"token": coded}})
    return {"gitea-creds": made}


def resolve(
    declared: MCPServer, secrets: dict[str, Secret], own: dict[str, str]
) -> Resolution | Complaint:
    found = {
        place: in_object(place, secrets.get(place.name))
        if place.store == "encrypted"
        else in_environment(place, own, PREFIX, b"pepper")
        for place in places(declared)
    }
    return resolve_known(declared, Known(found, own, b"pepper"))


def resolved(found: Resolution | Complaint) -> Resolution:
    assert isinstance(found, Resolution)
    return found


def complaint(found: Resolution | Complaint) -> Complaint:
    assert isinstance(found, Complaint)
    return found


def test_every_kind_of_variable_gets_its_value() -> None:
    found = resolve(
        gitea({"name": "PLAIN", "value": "p"}, from_secret(), from_own()),
        secret(token="s3cret"),
        {"MY_TOKEN": "0wn"},
    )
    assert resolved(found).values == {"PLAIN": "p", "GITEA_ACCESS_TOKEN": "s3cret", "TOKEN": "0wn"}


def test_an_empty_value_that_is_written_down_is_a_value() -> None:
    found = resolve(gitea({"name": "OPTIONAL", "value": ""}), {}, {})
    assert resolved(found).values == {"OPTIONAL": ""}


def test_a_missing_key_is_named_in_full_with_its_remedy() -> None:
    found = complaint(resolve(gitea(from_secret()), secret(other="x"), {}))
    assert found.reason == "SecretKeyNotFound"
    assert found.message == (
        'secret resolution failed: server "gitea" env GITEA_ACCESS_TOKEN: '
        'secret "gitea-creds" has no key "token". '
        "Fix: moor create secret gitea-creds --from-literal token=…"
    )


@pytest.mark.parametrize(
    ("secrets", "reason", "words"),
    [
        ({}, "SecretNotFound", 'secret "gitea-creds" does not exist'),
        (secret(token=""), "SecretEmpty", 'key "token" of secret "gitea-creds" is empty'),
        (raw_secret("/w=="), "SecretUnusable", 'key "token" of secret "gitea-creds" is not text'),
        (raw_secret("AA=="), "SecretUnusable", 'key "token" of secret "gitea-creds" is not text'),
    ],
)
def test_each_way_to_have_no_secret_has_its_words(
    secrets: dict[str, Secret], reason: str, words: str
) -> None:
    found = complaint(resolve(gitea(from_secret()), secrets, {}))
    assert found.reason == reason
    assert f"env GITEA_ACCESS_TOKEN: {words}. Fix: " in found.message


def test_the_remedy_names_the_namespace() -> None:
    found = complaint(resolve(gitea(from_secret(), namespace="team-a"), {}, {}))
    assert "moor create secret gitea-creds -n team-a --from-literal token=…" in found.message


@pytest.mark.parametrize(
    ("own", "reason", "words"),
    [
        ({}, "VariableNotSet", "is not set"),
        ({"MY_TOKEN": ""}, "VariableEmpty", "is empty"),
        ({"MY_TOKEN": "a\udcff"}, "VariableUnusable", "is not text"),
    ],
)
def test_each_way_to_have_no_variable_has_its_words(
    own: dict[str, str], reason: str, words: str
) -> None:
    found = complaint(resolve(gitea(from_own()), {}, own))
    assert found.reason == reason
    assert found.message == (
        'environment resolution failed: server "gitea" env TOKEN: '
        f"variable MY_TOKEN of Mooring's own environment {words}. "
        "Fix: set MY_TOKEN where Mooring is started, and start it again"
    )


def test_all_that_is_wrong_is_said_at_once() -> None:
    found = complaint(resolve(gitea(from_secret(), from_own()), {}, {}))
    assert "env GITEA_ACCESS_TOKEN: " in found.message
    assert "env TOKEN: " in found.message


@given(st.permutations([from_secret("A"), from_own("B"), from_secret("C", "missing")]))
def test_the_order_of_variables_changes_no_word(env: Env) -> None:
    first = resolve(gitea(from_secret("A"), from_own("B"), from_secret("C", "missing")), {}, {})
    assert resolve(gitea(*env), {}, {}) == first


def test_a_secret_is_marked_by_its_version_and_not_its_value() -> None:
    marks = [
        resolved(resolve(gitea(from_secret()), secret(version, token=value), {})).marks
        for version, value in (("7", "a"), ("7", "b"), ("8", "a"))
    ]
    assert marks[0] == marks[1] != marks[2]


def test_a_variable_is_marked_by_a_hash_that_no_two_servers_share() -> None:
    one = gitea(from_own())
    meta = one.metadata.model_copy(update={"uid": "u2"})
    other = one.model_copy(update={"metadata": meta})
    marks = [
        resolved(resolve(whose, {}, {"MY_TOKEN": value})).marks["TOKEN"]["mark"]
        for whose, value in ((one, "a"), (one, "b"), (other, "a"), (one, "a"))
    ]
    assert len(set(marks)) == 3
    assert marks[0] == marks[3]


def test_no_value_is_shown() -> None:
    env = (from_secret(), from_own())
    found = resolve(gitea(*env), secret(token="pl4nted"), {"MY_TOKEN": "pl4nted"})
    assert "pl4nted" not in repr(found)
    assert "pl4nted" not in json.dumps(dict(resolved(found).marks))
    broken = resolve(gitea(*env, from_secret("X", "missing")), secret(token="pl4nted"), {})
    assert "pl4nted" not in repr(broken)


def test_the_secrets_of_a_server_are_known_by_name() -> None:
    assert secret_names(gitea(from_secret(), from_own())) == {"gitea-creds"}
    assert secret_names(gitea(from_own())) == frozenset()
    assert secret_names(gitea(from_store("environment"))) == frozenset()


def test_a_secret_of_another_store_is_not_taken_for_an_object() -> None:
    declared = gitea(from_store("environment"))
    variable = "MOORING_SECRET_GITEA_CREDS_TOKEN"
    found = resolve(declared, secret(token="of the object"), {variable: "of the variable"})
    assert resolved(found).values == {"TOKEN": "of the variable"}
    missing = complaint(resolve(declared, secret(token="x"), {}))
    assert (missing.reason, missing.message) == (
        "SecretNotFound",
        'secret resolution failed: server "gitea" env TOKEN: key "token" of secret "gitea-creds" '
        f"(variable {variable}) is not set. "
        f"Fix: set {variable} where Mooring is started, and start it again",
    )


def test_no_guess_can_be_tried_on_a_mark_without_the_key() -> None:
    declared = gitea(from_own())
    marks = [
        resolved(resolve_known(declared, Known({}, {"MY_TOKEN": "a"}, pepper))).marks["TOKEN"]
        for pepper in (b"one", b"two")
    ]
    assert marks[0] != marks[1]


def test_a_secret_that_cannot_be_decrypted_is_named() -> None:
    held = secret(token="s3cret")["gitea-creds"]
    locked = LockedSecret(metadata=held.metadata, sealed=b"closed")
    found = complaint(resolve(gitea(from_secret()), {"gitea-creds": locked}, {}))
    assert found.reason == "SecretUndecryptable"
    assert 'secret "gitea-creds" (key "token") cannot be decrypted' in found.message
    assert "put keys/secrets.key of the data directory back" in found.message
    assert "or moor create secret gitea-creds --from-literal token=…" in found.message
