"""Errors and documents as bytes."""

import json
from datetime import UTC, datetime

import pytest
from starlette.requests import Request

from mooring import errors
from mooring.api.answers import answer, failure, listing, status_of, table, wants_table
from mooring.api.complaints import SHOWN, Refused
from mooring.core.naming import NAMINGS
from mooring.kinds.complaint import Complaint

FAMILIES = [
    (getattr(errors, family), reason, status)
    for family, reasons in errors.FAMILIES.items()
    for reason, (status, _) in reasons.items()
]


@pytest.mark.parametrize(("family", "reason", "status"), FAMILIES)
def test_every_error_has_a_status(
    family: type[errors.MooringError], reason: str, status: int
) -> None:
    error = family(reason, "what happened")
    told = json.loads(failure(error).body)
    assert failure(error).status_code == told["code"] == status
    assert (told["kind"], told["status"], told["message"]) == ("Status", "Failure", "what happened")
    causes = told.get("details", {}).get("causes", [])
    assert reason in [told["reason"], *(cause["reason"] for cause in causes)]


def test_what_clients_of_kubernetes_look_for_is_what_they_find() -> None:
    words = {
        reason: status_of(errors.MooringError(reason, ""))["reason"]
        for reason in ("StaleVersion", "AlreadyExists", "Expired", "NotFound", "Invalid")
    }
    assert words == {
        "StaleVersion": "Conflict",
        "AlreadyExists": "AlreadyExists",
        "Expired": "Expired",
        "NotFound": "NotFound",
        "Invalid": "Invalid",
    }


def test_a_refusal_names_every_complaint_and_repeats_the_first_ones() -> None:
    many = Refused(Complaint(f"spec.args[{n}]", "must be text", line=n) for n in range(30))
    told = status_of(many)
    assert len(told["details"]["causes"]) == 30
    assert told["details"]["causes"][3] == {
        "reason": "FieldValueInvalid",
        "message": str(many.complaints[3]),
        "field": "spec.args[3]",
        "object": "",
        "source": "",
        "line": 3,
    }
    assert told["message"].endswith(f"and {30 - SHOWN} more")


def test_documents_are_compact_json() -> None:
    response = answer({"a": ["é\ud800", 1]}, 201)
    assert response.status_code == 201
    assert response.headers["content-type"] == "application/json"
    assert response.body == b'{"a":["\\u00e9\\ud800",1]}'
    assert answer({"a": "é", "b": [1.5, None]}).body == '{"a":"é","b":[1.5,null]}'.encode()
    assert answer([2**70]).body == b"[%d]" % 2**70


def test_a_cause_repeats_no_place_that_is_told_beside_it() -> None:
    refused = Refused([Complaint("spec.args", "must be a list", object="server/time")])
    (cause,) = status_of(refused)["details"]["causes"]
    assert (cause["field"], cause["message"]) == ("spec.args", "must be a list")
    assert "server/time: spec.args: must be a list" in status_of(refused)["message"]


def test_a_list_says_what_it_is_of() -> None:
    said = {"resourceVersion": "7"}
    assert listing("MCPServer", "mooring.dev/v1alpha1", [{"a": 1}], said) == {
        "kind": "MCPServerList",
        "apiVersion": "mooring.dev/v1alpha1",
        "metadata": {"resourceVersion": "7"},
        "items": [{"a": 1}],
    }


@pytest.mark.parametrize("naming", NAMINGS, ids=lambda naming: naming.kind)
def test_every_kind_has_a_table_whose_rows_fit_its_heads(naming: object) -> None:
    kind = naming.kind  # type: ignore[attr-defined]  # parametrized
    document = {
        "metadata": {"name": "x", "namespace": "default"},
        "spec": {"source": {"url": "http://x"}, "server": "x"},
        "involvedObject": {},
    }
    made = table(kind, [document, document], {}, datetime(2026, 1, 1, tzinfo=UTC))
    heads = made["columnDefinitions"]
    assert all(len(row["cells"]) == len(heads) for row in made["rows"])
    assert all(isinstance(cell, str) for row in made["rows"] for cell in row["cells"])
    assert heads[0]["format"] == ("" if kind == "Event" else "name")
    assert {head["priority"] for head in heads} <= {0, 1}


@pytest.mark.parametrize(
    ("accept", "wanted"),
    [
        ("application/json;as=Table;v=v1;g=meta.k8s.io,application/json", True),
        ("application/json; as=Table; v=v1", True),
        ("application/json", False),
        ("", False),
    ],
)
def test_tables_are_for_those_who_ask(accept: str, wanted: bool) -> None:
    headers = [(b"accept", accept.encode())]
    assert wants_table(Request({"type": "http", "headers": headers})) is wanted
