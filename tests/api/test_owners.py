"""Owners of fields, between objects and rules."""

from datetime import UTC, datetime
from typing import Any

import pytest
from starlette.requests import Request
from support.surface import secret, server

from mooring.api.owners import Author, author, entries, ownable, owned, owners, with_owners
from mooring.errors import Invalid

NOW = datetime(2026, 1, 31, 12, 0, 0, 500, tzinfo=UTC)


def request(query: str = "", agent: str = "") -> Request:
    headers = [(b"user-agent", agent.encode())] if agent else []
    return Request({"type": "http", "query_string": query.encode(), "headers": headers})


@pytest.mark.parametrize(
    ("query", "agent", "name"),
    [
        ("fieldManager=me", "kubectl/v1.32", "me"),
        ("", "kubectl/v1.32.4 (linux/amd64)", "kubectl"),
        ("", "", "unknown"),
        ("", "x" * 200, "x" * 128),
    ],
)
def test_who_writes_is_told_by_himself_or_by_his_program(query: str, agent: str, name: str) -> None:
    assert author(request(query, agent), NOW).name == name


def test_a_name_may_be_given_for_him() -> None:
    assert author(request("", "python"), NOW, program="moor").name == "moor"
    with pytest.raises(Invalid):
        author(request("fieldManager=%00"), NOW)


def test_what_the_store_says_is_nobodys() -> None:
    document = server(labels={"a": "b"}, replicas=2).document()
    found = ownable(document)
    assert found["metadata"] == {"labels": {"a": "b"}}
    assert set(found) == {"spec", "metadata"}
    assert ownable(document, "status") == {"status": document["status"]}
    assert ownable({"metadata": 3}) == {}
    assert ownable({}, "status") == {}


def test_owners_are_kept_in_the_object_and_found_again() -> None:
    made: Any = owned(server(replicas=2), None, (), Author("me", NOW))
    (entry,) = made.metadata.managed_fields
    assert (entry.manager, entry.operation, entry.fields_type) == ("me", "Update", "FieldsV1")
    assert entry.time == NOW.replace(microsecond=0)
    found = owners(made.metadata.managed_fields)
    assert with_owners(made, found) is made
    assert entries(found, made.api_version) == made.document()["metadata"]["managedFields"]


def test_no_value_of_a_secret_is_in_whose_it_is() -> None:
    made: Any = owned(secret(token="s3cret"), None, (), Author("me", NOW))
    said = str(made.metadata.managed_fields)
    assert "f:token" in said
    assert made.data["token"] not in said
