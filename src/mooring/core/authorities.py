"""Whom we answer to: the Host, Origin and Sec-Fetch-Site headers of a request.

A web page that a user happens to visit can make their browser call loopback addresses, and
with DNS rebinding under a name of the page's choice. So Host must be a name of ours, and a
page's Origin must be ours or listed. Source: MCP 2025-11-25, Transports, Security Warning.
"""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Authorities:
    """The names that we go by, and the web origins that may call; lower case."""

    hosts: frozenset[bytes]
    origins: frozenset[bytes] = frozenset()


def authorities(port: int, hosts: Iterable[str] = (), origins: Iterable[str] = ()) -> Authorities:
    """Loopback names with the listening port, and those configured.

    A configured host without a port stands for itself and for itself with our port.
    """
    names = {f"{name}:{port}" for name in ("127.0.0.1", "localhost", "[::1]")}
    if port == 80:
        names |= {"127.0.0.1", "localhost", "[::1]"}
    for host in hosts:
        names.add(host.lower())
        if host.endswith("]") or ":" not in host:
            names.add(f"{host.lower()}:{port}")
    return Authorities(
        frozenset(name.encode() for name in names),
        frozenset(origin.lower().rstrip("/").encode() for origin in origins),
    )


def refused(
    ours: Authorities, host: bytes | None, origin: bytes | None, site: bytes | None
) -> str | None:
    """Why a request is not answered, in words; None where nothing speaks against it."""
    if host is None or host.lower() not in ours.hosts:
        return f"Host {_shown(host)} is not a name of this Mooring"
    if origin is not None:
        if listed(ours, origin):
            return None
        scheme, _, authority = origin.lower().partition(b"://")
        if scheme not in (b"http", b"https") or authority not in ours.hosts:
            return f"Origin {_shown(origin)} may not call this Mooring"
    if site is not None and site.lower() == b"cross-site":
        return "requests from pages of other sites are not answered"
    return None


def listed(ours: Authorities, origin: bytes) -> bool:
    """Whether a web origin was configured."""
    return origin.lower() in ours.origins


def _shown(value: bytes | None) -> str:
    return "(none)" if value is None else ascii(value[:200].decode("latin-1"))
