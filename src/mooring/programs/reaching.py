"""How a gateway in a process of its own reaches the daemon's API.

On the daemon's machine by its Unix socket, where the kernel says who asks; from elsewhere by TLS,
with the token and the authority that signed the certificate. The token is read again whenever
its file was changed, so that it can be rotated under a gateway that runs.
"""

import os
import ssl
from dataclasses import dataclass
from pathlib import Path

from mooring.core.address import Address, parse
from mooring.errors import Invalid
from mooring.transports.http_upstream import Headers

TOKEN_LIMIT = 4096
"""Bytes of a token's file."""


@dataclass(frozen=True, slots=True)
class Reach:
    """Where the API is, and what it wants to see."""

    address: Address
    token: Path | None = None
    authority: Path | None = None

    @property
    def here(self) -> bool:
        """Whether it is on this machine, and with it what it says is at local addresses."""
        return bool(self.address.socket)

    def tls(self) -> ssl.SSLContext | None:
        """What its certificate must be signed with; raises Invalid in words."""
        if self.authority is None:
            return None
        try:
            return ssl.create_default_context(cafile=str(self.authority))
        except (OSError, ssl.SSLError) as error:
            what = f"--api-ca-file {self.authority}: {error.strerror or error}"
            raise Invalid("Invalid", f"{what}. Fix: moor token authority, on its machine") from None

    def who(self) -> "Who":
        """Says who asks; raises Invalid in words where the token cannot be read."""
        return Who(self.token)


class Who:
    """Gives the headers of each request to the API."""

    def __init__(self, token: Path | None) -> None:
        self._path = token
        self._seen: tuple[int, int] | None = None
        self._headers: Headers = ()
        if token is not None:
            self._headers = _bearer(token)

    def __call__(self) -> Headers:
        """As they are now; a token that cannot be read any more leaves the last one."""
        if self._path is not None:
            try:
                found = os.stat(self._path)
                if self._seen != (found.st_ino, found.st_mtime_ns):
                    self._headers = _bearer(self._path)
                    self._seen = (found.st_ino, found.st_mtime_ns)
            except (OSError, Invalid):
                return self._headers
        return self._headers


def reach(api: str, token_file: str, ca_file: str) -> Reach:
    """What settings say; raises Invalid in words."""
    try:
        address = parse(api)
    except ValueError:
        address = None
    if address is None or not (address.socket or address.tls):
        raise Invalid("Invalid", f"--api {api!r}: expected unix:///PATH or https://HOST:PORT")
    if address.socket:
        return Reach(address)
    if not token_file:
        what = f"--api {api}: callers show a token there"
        raise Invalid("Invalid", f"{what}. Fix: --api-token-file FILE, with what moor token prints")
    authority = Path(ca_file).expanduser() if ca_file else None
    return Reach(address, Path(token_file).expanduser(), authority)


def _bearer(path: Path) -> Headers:
    try:
        with path.open("rb") as file:
            text = file.read(TOKEN_LIMIT).strip()
    except OSError as error:
        raise Invalid("Invalid", f"--api-token-file {path}: {error.strerror}") from None
    if not text or not text.isascii() or len(text.split()) != 1:
        raise Invalid("Invalid", f"--api-token-file {path}: holds no token")
    return ((b"authorization", b"Bearer " + text),)
