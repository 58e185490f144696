"""The second door: where it is, who is told how to open it, and a certificate that never ends."""

import asyncio
import socket
import ssl
from base64 import b64decode
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
import yaml
from starlette.applications import Starlette

from mooring.api.certificate import LIFETIME
from mooring.clock import SystemClock
from mooring.errors import Conflict, Unavailable
from mooring.programs.door import RENEWAL_SECONDS, kubeconfig, opened, token_of
from mooring.programs.places import Places
from mooring.testing.clock import FakeClock

Run = Callable[[Coroutine[Any, Any, None]], None]
ANYWHERE = ("127.0.0.1", 0)


@pytest.fixture
def places(tmp_path: Path) -> Places:
    found = Places(tmp_path, tmp_path)
    found.keys.mkdir()
    return found


def test_there_is_none_where_it_is_off(places: Places) -> None:
    with opened(None, places, SystemClock()) as door:
        assert door is None
    assert list(places.keys.iterdir()) == []


def test_its_files_are_for_us_alone(places: Places) -> None:
    with opened(ANYWHERE, places, SystemClock()) as door:
        assert door is not None
        assert door.url.startswith("https://127.0.0.1:")
    modes = {path.name: path.stat().st_mode & 0o777 for path in places.keys.iterdir()}
    assert modes == {"api.pem": 0o600, "api-authority.pem": 0o600, "api.token": 0o600}


def test_a_taken_port_is_said_in_words(places: Places) -> None:
    with socket.create_server(ANYWHERE) as taken:
        address = taken.getsockname()
        with (
            pytest.raises(Conflict, match=r"another program does\. Fix: .*--api-listen") as caught,
            opened(address, places, SystemClock()),
        ):
            pass
        assert caught.value.reason == "PortInUse"


def test_a_port_that_may_not_be_had_is_said_in_words(places: Places) -> None:
    with (
        pytest.raises(Unavailable, match=r"cannot listen on 192\.0\.2\.1"),
        opened(("192.0.2.1", 0), places, SystemClock()),
    ):
        pass


def test_a_kubeconfig_holds_all_that_is_needed(places: Places) -> None:
    document = yaml.safe_load(kubeconfig("https://127.0.0.1:1", places, "team", SystemClock()))
    (cluster,), (user,), (context,) = (document[k] for k in ("clusters", "users", "contexts"))
    assert cluster["cluster"]["server"] == "https://127.0.0.1:1"
    authority = b64decode(cluster["cluster"]["certificate-authority-data"])
    assert (authority.count(b"BEGIN"), b"PRIVATE" in authority) == (1, False)
    assert user["user"] == {"token": token_of(places).text()}
    assert context["context"] == {"cluster": "mooring", "user": "mooring", "namespace": "team"}
    assert document["current-context"] == context["name"]


def test_the_certificate_is_renewed_while_the_door_is_open(places: Places, run: Run) -> None:
    async def story() -> None:
        clock = FakeClock()
        app = Starlette()
        app.state.ending = asyncio.Event()
        with opened(ANYWHERE, places, clock) as door:
            assert door is not None
            first = (places.keys / "api.pem").read_bytes()
            async with asyncio.TaskGroup() as tasks:
                serving = tasks.create_task(door.serve(app))
                port = int(door.url.rpartition(":")[2])
                assert await certificate(port) == first.partition(b"-----BEGIN PRIVATE")[0]
                for _ in range(int(LIFETIME.total_seconds() / RENEWAL_SECONDS)):
                    await clock.advance(RENEWAL_SECONDS)
                assert await certificate(port) not in first
                serving.cancel()

    run(story())


async def certificate(port: int) -> bytes:
    """What the door shows now."""
    blind = ssl.create_default_context()
    blind.check_hostname, blind.verify_mode = False, ssl.CERT_NONE
    _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=blind)
    shown = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.close()
    await writer.wait_closed()
    return ssl.DER_cert_to_PEM_cert(shown).encode()


def test_a_spoilt_certificate_leaves_the_door_as_it_is(
    places: Places, run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    async def story() -> None:
        clock = FakeClock()
        app = Starlette()
        app.state.ending = asyncio.Event()
        with opened(ANYWHERE, places, clock) as door:
            assert door is not None
            async with asyncio.TaskGroup() as tasks:
                serving = tasks.create_task(door.serve(app))
                port = int(door.url.rpartition(":")[2])
                before = await certificate(port)
                (places.keys / "api.pem").write_bytes(b"nonsense")
                await clock.advance(RENEWAL_SECONDS)
                assert await certificate(port) == before
                serving.cancel()
        assert "api.certificate" in caplog.text

    run(story())
