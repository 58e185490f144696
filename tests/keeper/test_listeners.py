"""Listening sockets: bound once, the same for everybody who asks."""

import errno
import socket
from collections.abc import Callable
from typing import Any

import pytest

from mooring.core.keeping import ListenerSpec
from mooring.errors import Conflict, Invalid
from mooring.keeper import listeners as module
from mooring.keeper.listeners import Listeners, state

Run = Callable[[Any], Any]


def gateway(port: int = 0, host: str = "127.0.0.1") -> ListenerSpec:
    return ListenerSpec(name="gateway", host=host, port=port)


def connects(port: int) -> bool:
    with socket.socket() as sock:
        return sock.connect_ex(("127.0.0.1", port)) == 0


def with_listeners(story: Callable[[Listeners], Any]) -> Any:
    async def whole() -> None:
        listeners = Listeners()
        try:
            await story(listeners)
        finally:
            listeners.close()

    return whole()


def test_the_second_to_ask_gets_the_same_socket(run: Run) -> None:
    async def story(listeners: Listeners) -> None:
        first = await listeners.get(gateway())
        assert await listeners.get(gateway()) is first
        assert first.getsockname()[1] > 0

    run(with_listeners(story))


def test_connections_wait_while_no_daemon_accepts(run: Run) -> None:
    async def story(listeners: Listeners) -> None:
        sock = await listeners.get(gateway())
        port = sock.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port), timeout=5) as client:
            client.sendall(b"hello")
            accepted, _ = sock.accept()
            with accepted:
                assert accepted.recv(10) == b"hello"

    run(with_listeners(story))


def test_a_port_in_use_is_refused_in_words(run: Run) -> None:
    async def story(listeners: Listeners) -> None:
        with socket.create_server(("127.0.0.1", 0)) as other:
            port = other.getsockname()[1]
            with pytest.raises(Conflict, match=f"127.0.0.1:{port}: the port is in use") as caught:
                await listeners.get(gateway(port))
        assert caught.value.reason == "PortInUse"
        assert (await listeners.get(gateway(port))).getsockname()[1] == port

    run(with_listeners(story))


def test_two_names_cannot_have_one_port(run: Run) -> None:
    async def story(listeners: Listeners) -> None:
        port = (await listeners.get(gateway())).getsockname()[1]
        with pytest.raises(Conflict):
            await listeners.get(ListenerSpec(name="other", host="127.0.0.1", port=port))

    run(with_listeners(story))


def test_another_address_replaces_the_old_one(run: Run) -> None:
    async def story(listeners: Listeners) -> None:
        old = (await listeners.get(gateway())).getsockname()[1]
        new = await listeners.get(gateway(host="127.0.0.2"))
        assert new.getsockname()[0] == "127.0.0.2"
        assert not connects(old)

    run(with_listeners(story))


def test_another_address_that_cannot_be_had_leaves_the_old_one(run: Run) -> None:
    async def story(listeners: Listeners) -> None:
        old = (await listeners.get(gateway())).getsockname()[1]
        with socket.create_server(("127.0.0.1", 0)) as other, pytest.raises(Conflict):
            await listeners.get(gateway(other.getsockname()[1]))
        assert connects(old)

    run(with_listeners(story))


@pytest.mark.parametrize("host", ["192.0.2.1", "no-such-host.invalid", "", "a" * 300, "::g"])
def test_an_address_that_nobody_could_listen_on_is_refused(
    run: Run, host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", numeric_only)

    async def story(listeners: Listeners) -> None:
        with pytest.raises(Invalid, match="cannot listen on"):
            await listeners.get(gateway(host=host or "0.0.0.256"))

    run(with_listeners(story))


_getaddrinfo = socket.getaddrinfo


def numeric_only(host: str, port: int, *args: Any) -> Any:
    """Resolves without asking any network."""
    return _getaddrinfo(host, port, *args[:3], socket.AI_NUMERICHOST)


def test_what_only_root_may_do_is_said(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    class Forbidden(socket.socket):
        def bind(self, address: Any) -> None:
            raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(module.socket, "socket", Forbidden)

    async def story(listeners: Listeners) -> None:
        with pytest.raises(Invalid, match="only root may use this port"):
            await listeners.get(gateway(80))

    run(with_listeners(story))


def test_ipv6_is_listened_on_apart_from_ipv4(run: Run) -> None:
    async def story(listeners: Listeners) -> None:
        try:
            sock = await listeners.get(gateway(host="::1"))
        except Invalid:
            pytest.skip("no IPv6 here")
        assert sock.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY)
        told = state(gateway(host="::1"), sock)
        assert (told.host, told.port) == ("::1", sock.getsockname()[1])

    run(with_listeners(story))


def test_closing_stops_listening(run: Run) -> None:
    async def story(listeners: Listeners) -> None:
        port = (await listeners.get(gateway())).getsockname()[1]
        listeners.close()
        assert not connects(port)

    run(with_listeners(story))
