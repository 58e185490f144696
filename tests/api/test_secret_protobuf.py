"""Secrets in protobuf, as kubectl sends them."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.surface import Served

from mooring.api.secret_protobuf import MAGIC, PROTOBUF, secret_of
from mooring.core.protobuf import Message, encoded
from mooring.kinds.ref import Ref

SECRETS = "/api/v1/namespaces/default/secrets"
KIND = {1: "v1", 2: "Secret"}


def packed(secret: Message, kind: Message = KIND) -> bytes:
    return MAGIC + encoded({1: kind, 2: encoded(secret), 3: "", 4: ""})


WHOLE: Message = {
    1: {
        1: "creds", 3: "default", 11: [{1: "team", 2: "x"}], 12: [{1: "note", 2: "y"}],
        14: ["a", "b"], 8: {1: 5},
    },
    2: [{1: "token", 2: b"\xff\x00"}, {1: "empty"}],
    3: "Opaque",
    4: [{1: "plain", 2: "text"}],
    5: True,
}  # fmt: skip


def test_a_whole_secret_is_read() -> None:
    assert secret_of(packed(WHOLE)) == {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": "creds",
            "namespace": "default",
            "labels": {"team": "x"},
            "annotations": {"note": "y"},
            "finalizers": ["a", "b"],
        },
        "data": {"token": "/wA=", "empty": ""},
        "type": "Opaque",
        "stringData": {"plain": "text"},
        "immutable": True,
    }


def test_it_is_stored_like_any_other(api: Served) -> None:
    body = packed({1: {1: "creds"}, 2: [{1: "token", 2: b"s3cret"}]})
    answer = api.ask("POST", SECRETS, body, {"content-type": PROTOBUF})
    assert answer.status == 201
    assert answer.document["data"] == {"token": ""}
    assert api.get(Ref("Secret", "default", "creds")).value("token") == "s3cret"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        MAGIC + b"\x0b",
        packed(WHOLE, {1: "v1", 2: "Pod"}),
        packed({1: 3}),
        packed({2: [{1: b"\xff", 2: b""}]}),
        MAGIC + encoded({1: KIND, 2: b"\xff"}),
    ],
)
def test_anything_else_is_refused(api: Served, body: bytes) -> None:
    answer = api.ask("POST", SECRETS, body, {"content-type": PROTOBUF})
    assert (answer.status, answer.document["reason"]) == (400, "BadRequest")


@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_refused(content: bytes) -> None:
    with contextlib.suppress(ValueError):
        assert secret_of(packed({}) + content)["kind"] == "Secret"
