"""Where a Redis is: `redis://HOST:PORT/DB`, `rediss://…` with TLS, `unix:///PATH`.

A user may stand in it, a password must not be written where others can read it (see
`programs/settings`), and none is ever shown. What else can be said stands behind a `?`: `prefix`
of all names, `ca`, a file of the certificates that are trusted.
"""

import re
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

from mooring.errors import Invalid

SCHEMES = ("redis", "rediss", "unix")
PREFIX = "mooring"
_PREFIX = re.compile(r"[A-Za-z0-9_.:-]{1,64}")


@dataclass(frozen=True, slots=True)
class RedisAddress:
    """A Redis, and which part of it is ours."""

    host: str
    port: int
    db: int = 0
    tls: bool = False
    ca: str = ""
    """File of certificates; empty: those that the machine trusts."""
    socket: str = ""
    """Path of a Unix socket, instead of host and port."""
    username: str = ""
    password: str = field(default="", repr=False)
    prefix: str = PREFIX

    def __str__(self) -> str:
        """As it may be shown."""
        return f"{self._scheme}://{self._where}"

    @property
    def url(self) -> str:
        """All of it but for the password."""
        user = f"{quote(self.username, safe='')}@" if self.username else ""
        options = {"prefix": self.prefix} | ({"ca": self.ca} if self.ca else {})
        return f"{self._scheme}://{user}{self._where}?{urlencode(options)}"

    @property
    def _scheme(self) -> str:
        if self.socket:
            return "unix"
        return "rediss" if self.tls else "redis"

    @property
    def _where(self) -> str:
        if self.socket:
            return quote(self.socket)
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}/{self.db}"


def parse(url: str, password: str = "") -> RedisAddress:
    """The Redis that a URL names; a password in it counts less than the one given.

    Raises Invalid in words that show nothing secret.
    """
    try:
        parts = urlsplit(url)
        port = parts.port or 6379
    except ValueError:
        raise _wrong("expected redis://HOST:PORT") from None
    if parts.scheme not in SCHEMES:
        raise _wrong("expected redis://, rediss:// or unix://")
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    prefix, ca = options.pop("prefix", PREFIX), options.pop("ca", "")
    if options:
        raise _wrong(f"unknown: {', '.join(sorted(options))}; known are prefix and ca")
    if not _PREFIX.fullmatch(prefix):
        raise _wrong("prefix: expected up to 64 letters, digits and _ . : -")
    if ca and parts.scheme != "rediss":
        raise _wrong("ca is for rediss:// only")
    unix = parts.scheme == "unix"
    where = unquote(parts.path) if unix else parts.hostname or ""
    if not where:
        raise _wrong("names no host" if not unix else "names no path")
    return RedisAddress(
        host="" if unix else where,
        port=port,
        db=0 if unix else _db(parts.path),
        tls=parts.scheme == "rediss",
        ca=ca,
        socket=where if unix else "",
        username=unquote(parts.username or ""),
        password=password or unquote(parts.password or ""),
        prefix=prefix,
    )


def _db(path: str) -> int:
    text = path.strip("/")
    if text and not (text.isascii() and text.isdigit()):
        raise _wrong("the path is the number of a database: redis://HOST:PORT/0")
    return int(text or 0)


def _wrong(what: str) -> Invalid:
    return Invalid("Invalid", f"the address of a Redis: {what}")
