"""Values of secrets in what servers say."""

import pytest

from mooring.core.veil import CLEAR, Veil


@pytest.mark.parametrize(
    ("values", "said", "left"),
    [
        (["s3cret"], "token s3cret, s3crets", "token ***, ***s"),
        (["abcd", "abcdefgh"], "abcdefgh", "***"),
        (["-----BEGIN\nkey1\nkey2\n"], "key1 and key2", "*** and ***"),
        (["1", "yes", ""], "1 yes", "1 yes"),
        (["grün"], "es ist grün", "es ist ***"),
    ],
)
def test_values_are_covered_wherever_they_stand(values: list[str], said: str, left: str) -> None:
    assert Veil(values).text(said) == left
    assert Veil(values).octets(said.encode()) == left.encode()


def test_without_values_nothing_is_covered() -> None:
    assert CLEAR.text("token") == "token"
    assert CLEAR.octets(b"token") == b"token"
