"""Ports for children: free ones, fixed ones, and none twice."""

import socket

import pytest

from mooring.errors import Conflict
from mooring.keeper.ports import Ports


def busy() -> socket.socket:
    """Somebody else's listening socket."""
    sock = socket.create_server(("127.0.0.1", 0))
    return sock


def test_a_free_port_can_be_bound() -> None:
    port = Ports().take()
    with socket.create_server(("127.0.0.1", port)):
        pass


def test_no_two_slots_get_the_same() -> None:
    ports = Ports()
    taken = [ports.take() for _ in range(200)]
    assert len(set(taken)) == 200


def test_a_fixed_port_in_use_is_refused_in_words() -> None:
    with busy() as other:
        port = other.getsockname()[1]
        with pytest.raises(Conflict, match=f"^port {port} is in use$") as caught:
            Ports().take(port)
    assert caught.value.reason == "PortInUse"


def test_a_port_in_use_on_all_addresses_is_in_use_here() -> None:
    with socket.create_server(("0.0.0.0", 0)) as other, pytest.raises(Conflict):
        Ports().take(other.getsockname()[1])


def test_a_fixed_port_of_a_living_slot_is_refused_and_free_again_after_it() -> None:
    ports = Ports()
    port = ports.take()
    with pytest.raises(Conflict):
        ports.take(port)
    ports.give_back(port)
    assert ports.take(port) == port


def test_giving_back_what_was_not_taken_does_nothing() -> None:
    Ports().give_back(0)
