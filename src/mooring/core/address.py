"""Where an upstream answers, as it stands in a status row.

Two forms: `http://127.0.0.1:4123/mcp` (or `https://…`), and `unix:///run/m/k.sock#/i/UID`,
which is HTTP over a Unix socket with the path behind the `#`.
"""

from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import urlsplit


@dataclass(frozen=True, slots=True)
class Address:
    """A place to connect to, and the path to ask for there."""

    host: str
    """Host name or IP; empty for a Unix socket."""
    port: int
    path: str
    """Path and query of the MCP endpoint."""
    socket: str = ""
    """Path of the Unix socket; empty for TCP."""
    tls: bool = False

    @property
    def authority(self) -> str:
        """What the Host header says."""
        if self.socket:
            return "localhost"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == (443 if self.tls else 80) else f"{host}:{self.port}"


@lru_cache(maxsize=4096)  # the same few are looked at with every table
def parse(text: str) -> Address:
    """The address that `text` names; ValueError where it names none."""
    parts = urlsplit(text)
    if parts.scheme == "unix" and parts.path.startswith("/"):
        return Address("", 0, parts.fragment or "/", socket=parts.path)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"not an address: {text!r}; expected http://, https:// or unix:///")
    tls = parts.scheme == "https"
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Address(parts.hostname, parts.port or (443 if tls else 80), path, tls=tls)
