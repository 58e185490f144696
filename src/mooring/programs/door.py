"""The second door of the API: TLS on loopback, for kubectl and whoever else has the token."""

import asyncio
import errno
import logging
import socket
import ssl
from base64 import b64encode
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import yaml
from starlette.applications import Starlette

from mooring import telemetry
from mooring.api.certificate import Certificates
from mooring.api.serving import Lock, serve
from mooring.api.token import TokenFile
from mooring.clock import Clock
from mooring.errors import Conflict, MooringError, Unavailable
from mooring.programs.places import Places

RENEWAL_SECONDS = 12 * 3600.0
"""How often it is seen whether the certificate is about to end."""

Address = tuple[str, int]


def token_of(places: Places) -> TokenFile:
    """The token that opens the door."""
    return TokenFile(places.keys / "api.token")


def authority_of(places: Places, clock: Clock) -> str:
    """The certificate, PEM, that the door's certificate is signed with."""
    return Certificates(places.keys, clock).authority().decode()


def kubeconfig(url: str, places: Places, namespace: str, clock: Clock) -> str:
    """What kubectl needs to come in, with certificate and token inside."""
    authority = Certificates(places.keys, clock).authority()
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {
                "name": "mooring",
                "cluster": {
                    "server": url,
                    "certificate-authority-data": b64encode(authority).decode(),
                },
            }
        ],
        "users": [{"name": "mooring", "user": {"token": token_of(places).text()}}],
        "contexts": [
            {
                "name": "mooring",
                "context": {"cluster": "mooring", "user": "mooring", "namespace": namespace},
            }
        ],
        "current-context": "mooring",
    }
    text: str = yaml.safe_dump(document, sort_keys=False)
    return text


class Door:
    """A listening socket, and what is needed to serve it."""

    def __init__(
        self, listener: socket.socket, places: Places, clock: Clock, names: Sequence[str] = ()
    ) -> None:
        """`names`: further ones that its certificate is for; the first is shown to callers."""
        self._listener = listener
        self._clock = clock
        self._names = names
        self._certificates = Certificates(places.keys, clock, names)
        hosts = tuple(f"[{each}]" if ":" in each else each for each in self._certificates.names)
        self._lock = Lock(self._certificates.context(), token_of(places), hosts)
        self._lock.token.text()  # made before anybody asks for it

    @property
    def url(self) -> str:
        """Where it is: `https://127.0.0.1:8471`."""
        host, port = self._listener.getsockname()[:2]
        if self._names and host not in ("127.0.0.1", "::1"):
            host = self._names[0]
        return f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"

    async def serve(self, app: Starlette) -> None:
        """Serves until cancelled, with a certificate that never ends."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._renew(), name="api certificate")
            await serve(app, self._listener, lock=self._lock)

    async def _renew(self) -> None:
        while True:
            await self._clock.sleep(RENEWAL_SECONDS)
            try:
                self._certificates.show(self._lock.tls)
            except (MooringError, ssl.SSLError) as error:
                telemetry.event("api.certificate", logging.WARNING, error=error)


@contextmanager
def opened(
    address: Address | None, places: Places, clock: Clock, names: Sequence[str] = ()
) -> Iterator[Door | None]:
    """The door at an address, bound, until the block ends; None where there is to be none.

    Raises Conflict "PortInUse", in words.
    """
    if address is None:
        yield None
        return
    family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
    try:
        listener = socket.create_server(address, family=family, backlog=128)
    except OSError as error:
        raise _cannot_listen(address, error) from error
    with listener:
        yield Door(listener, places, clock, names)


def _cannot_listen(address: Address, error: OSError) -> MooringError:
    where = f"the API cannot listen on {address[0]} port {address[1]}"
    fix = "Fix: choose another address with --api-listen, or --api-listen off"
    if error.errno == errno.EADDRINUSE:
        return Conflict("PortInUse", f"{where}: another program does. {fix}")
    return Unavailable("CannotStart", f"{where}: {error.strerror}. {fix}")
