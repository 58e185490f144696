"""Which addresses are never connected to."""

from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mooring.core.remote import refusal


@pytest.mark.parametrize(
    "address",
    [
        "169.254.169.254",
        "169.254.0.1",
        "fe80::1",
        "fe80::1%eth0",
        "febf::1",
        "fd00:ec2::254",
        "100.100.100.200",
        "168.63.129.16",
        "192.0.0.192",
        "0.0.0.0",
        "0.1.2.3",
        "::",
        "224.0.0.1",
        "255.255.255.255",
        "ff02::1",
    ],
)
def test_these_are_refused(address: str) -> None:
    assert str(refusal(address)).startswith(address)


@pytest.mark.parametrize(
    "address",
    [
        "::ffff:169.254.169.254",
        "2002:a9fe:a9fe::1",
        "64:ff9b::a9fe:a9fe",
        "::ffff:0.0.0.0",
        "2001:0:a9fe:a9fe::1",
    ],
)
def test_a_refused_address_inside_another_is_refused(address: str) -> None:
    assert refusal(address) is not None


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "::1", "10.0.0.7", "192.168.1.1", "fd12::7", "93.184.216.34", "2606:4700::1111"],
)
def test_these_may_be_reached(address: str) -> None:
    assert refusal(address) is None


@pytest.mark.parametrize("text", ["", "localhost", "169.254.169.254.", "1.2.3", "0x7f.1"])
def test_what_is_no_address_is_refused(text: str) -> None:
    assert refusal(text) is not None


@given(st.integers(0, 0xFFFF))
def test_all_of_link_local_is_refused(rest: int) -> None:
    assert refusal(str(IPv4Address(0xA9FE0000 + rest))) is not None


@given(st.integers(0, 2**118 - 1))
def test_all_of_link_local_is_refused_in_ipv6(rest: int) -> None:
    assert refusal(str(IPv6Address((0x3FA << 118) + rest))) is not None
