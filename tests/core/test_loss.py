"""Whether a refusal may mean that a session is gone."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mooring.core.loss import suspicious

TYPESCRIPT = (
    b'{"jsonrpc":"2.0","error":{"code":-32000,"message":"Bad Request: No valid session ID"}}'
)


def test_what_the_typescript_server_says_of_an_unknown_session_is_suspicious() -> None:
    assert suspicious(400, TYPESCRIPT)
    assert suspicious(400, TYPESCRIPT[:-1] + b',"id":null}')
    assert suspicious(400, b'{"id":"server-error","error":{"code":-32600}}')


@pytest.mark.parametrize("status", [200, 401, 404, 500])
def test_only_a_400_is(status: int) -> None:
    assert not suspicious(status, TYPESCRIPT)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"Bad Request",
        b"[]",
        b'{"error":"x"}',
        b'{"result":{}}',
        b'{"id":3,"error":{"code":-32000}}',
        b'{"error":{"code":-32700}}',
        b'{"error":{"code":-32602}}',
        b'{"id":null,"error":{"code":-32022}}',
        b"[" * 5000,
    ],
)
def test_faults_of_the_request_are_not(body: bytes) -> None:
    assert not suspicious(400, body)


@given(st.binary(max_size=50))
def test_nonsense_is_not(body: bytes) -> None:
    assert not suspicious(400, body)
