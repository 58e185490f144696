"""Messages on the wire."""

import contextlib
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mooring.core.protobuf import decoded, encoded

VALUES = st.integers(1, 2**63 - 1) | st.text(min_size=1) | st.binary(min_size=1)


@pytest.mark.parametrize(
    ("message", "wire"),
    [
        ({1: 150}, "089601"),
        ({2: "testing"}, "120774657374696e67"),
        ({3: {1: 150}}, "1a03089601"),
        ({4: "hello", 5: [1, 2, 3]}, "220568656c6c6f280128022803"),
        ({1: -2}, "08feffffffffffffffff01"),
        ({1: 0.5}, "09000000000000e03f"),
        ({1: {}}, "0a00"),
        ({1: "", 2: 0, 3: False, 4: b"", 5: 0.0, 6: []}, ""),
        ({16: True}, "800101"),
    ],
)
def test_the_examples_of_the_page(message: dict[int, Any], wire: str) -> None:
    assert encoded(message).hex() == wire


@given(st.dictionaries(st.integers(1, 2**29 - 1), VALUES, max_size=5))
def test_what_is_written_is_read_again(message: dict[int, Any]) -> None:
    read = dict(decoded(encoded(message)))
    assert read == {k: v.encode() if isinstance(v, str) else v for k, v in message.items()}


def test_fixed_numbers_are_read_as_bytes() -> None:
    assert dict(decoded(encoded({1: 0.5}))) == {1: struct.pack("<d", 0.5)}
    assert dict(decoded(b"\x0d\x01\x00\x00\x00")) == {1: b"\x01\x00\x00\x00"}


@given(st.binary(max_size=30))
def test_anything_is_read_or_refused(content: bytes) -> None:
    with contextlib.suppress(ValueError):
        assert all(number >= 0 for number, _ in decoded(content))


@pytest.mark.parametrize("wire", ["08", "0a05", "0b", "08" + "ff" * 10 + "01", "0d01"])
def test_what_is_no_message_is_refused(wire: str) -> None:
    with pytest.raises(ValueError, match=r"field|number"):
        list(decoded(bytes.fromhex(wire)))
