"""A server's spec made ready to run, nothing left to choose.

A workload is what an instance is started from. Its checksum covers all that the instance
would see, and nothing else: changing `replicas` or a label restarts nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from mooring.kinds.ref import Ref
from mooring.kinds.server import Eras, Isolation, Resolved, Source, Transport


@dataclass(frozen=True, slots=True)
class Workload:
    """What one instance is started from."""

    ref: Ref
    checksum: str
    source: Source
    args: tuple[str, ...] = ()
    working_directory: str = ""
    transport: Transport = "stdio"
    path: str = "/mcp"
    port: int | None = None
    env: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Declared variables with their values, some of them secret: never shown."""
    isolation: Isolation = "shared"
    max_children: int = 50
    idle_seconds: int = 900
    spares: int = 0
    eras: Eras = "auto"
    install_timeout_seconds: int = 300
    resolved: Resolved | None = None
    """What an unpinned package was resolved to before; it is kept."""


@dataclass(frozen=True, slots=True)
class Ended:
    """How an instance ended."""

    at: datetime
    code: int = 0
    signal: int = 0
    last_line: str = ""
    """The last line of its stderr, cut at 2 KiB."""


@dataclass(frozen=True, slots=True)
class Observed:
    """An instance as its runtime sees it now."""

    name: str
    uid: str
    """New at every start."""
    checksum: str
    state: Literal["installing", "running", "stopping", "exited", "failed"]
    """`failed`: it could not be installed or started; `message` and `reason` say why."""
    address: str = ""
    message: str = ""
    """Progress of an installation, or why it failed."""
    reason: str = ""
    """A CamelCase word for why it failed: `CannotInstall`, `CommandNotFound`."""
    permanent: bool = False
    """The failure cannot mend itself: a command or a package that does not exist."""
    started_at: datetime | None = None
    ended: Ended | None = None
    resolved: Resolved | None = None
