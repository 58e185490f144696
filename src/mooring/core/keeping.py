"""What daemon and keeper say to each other.

The keeper holds slots; a slot is one start of one instance. These are the documents of its
HTTP protocol, in JSON. The protocol is versioned: fields are only added, with defaults, so
that a new daemon works with the previous keeper. No pydantic here: the keeper stays small.
"""

from typing import Literal

from msgspec import Struct

PROTOCOL = 1
"""Raised when an older keeper could no longer be spoken to."""
LISTENER = "gateway"
"""What the listening socket of the MCP port is called."""
PROBE = (b"mooring-probe", b"1")
"""Header of requests of the daemon's own: its session is one more than clients may have."""


class SlotSpec(Struct, frozen=True, kw_only=True):
    """One instance to run. Values of `env` are secret: never logged, never sent back."""

    uid: str
    instance: str
    """`namespace/name` of the instance: `default/time-0`."""
    server: str
    """`namespace/name` of its server."""
    checksum: str
    argv: tuple[str, ...]
    """`$(PORT)` in an argument is replaced by the port."""
    env: dict[str, str]
    """The child's whole environment (`PORT` and `HOST` are added for HTTP)."""
    hidden: tuple[str, ...] = ()
    """Variables whose values are covered where children say them."""
    cwd: str = ""
    transport: Literal["stdio", "streamable-http"] = "stdio"
    port: int = 0
    """streamable-http: the fixed port, or 0 for a free one of the keeper's choice."""
    path: str = "/mcp"
    isolation: Literal["shared", "session"] = "shared"
    max_children: int = 50
    idle_seconds: int = 900
    spares: int = 0
    eras: Literal["auto", "session", "stateless"] = "auto"
    log: str = ""
    """File that the children's stderr (and noise on stdout) is appended to, rotated."""
    user: int = 0
    """Run the children under this uid (where the keeper is root); 0: the keeper's own."""


def secrets(spec: SlotSpec) -> list[str]:
    """Values that are covered where children say them."""
    return [spec.env[name] for name in spec.hidden if name in spec.env]


class Exit(Struct, frozen=True, kw_only=True):
    """How an instance ended."""

    code: int = 0
    """Exit code; 0 where a signal ended it."""
    signal: int = 0
    at: float = 0.0
    """Seconds since the epoch."""
    last_line: str = ""
    """The last line that it wrote to stderr, cut at 2 KiB."""
    reason: str = ""
    """Why it could not even be started: `command not found: foo`. Else empty."""


class SlotState(Struct, frozen=True, kw_only=True):
    """What the keeper knows of a slot."""

    uid: str
    instance: str
    server: str
    checksum: str
    state: Literal["running", "stopping", "exited"]
    transport: Literal["stdio", "streamable-http"] = "stdio"
    pid: int = 0
    port: int = 0
    path: str = "/mcp"
    started_at: float = 0.0
    """Seconds since the epoch."""
    exit: Exit | None = None
    """Set once the state is `exited`."""
    children: int = 0
    sessions: int = 0
    """Open sessions (stdio only)."""


class KeeperState(Struct, frozen=True, kw_only=True):
    """The keeper about itself."""

    protocol: int
    version: str
    pid: int
    rung: Literal["pid-namespace", "cgroup", "process-group"]
    """How surely its children end with it; see the ladder."""
    started_at: float
    ending: bool = False
    """It takes no new slots, and is gone once its children are."""


class Changes(Struct, frozen=True, kw_only=True):
    """Answer of the long poll: slots changed since the number that was asked about."""

    sequence: int
    slots: tuple[SlotState, ...]
    """All slots that changed, as they are now."""
    gone: tuple[str, ...] = ()
    """Uids of slots that were forgotten."""


class ListenerSpec(Struct, frozen=True, kw_only=True):
    """A listening socket that a daemon asks for; one per name."""

    name: str
    host: str
    port: int
    """0: any free one, which stays the same as long as the keeper lives."""


class ListenerState(Struct, frozen=True, kw_only=True):
    """Answer to it: where is really listened. The socket comes with it (SCM_RIGHTS)."""

    name: str
    host: str
    port: int


class Ending(Struct, frozen=True, kw_only=True):
    """How to end a slot, or the keeper."""

    grace: float = 10.0
    """Seconds between SIGTERM and SIGKILL."""


class Refusal(Struct, frozen=True, kw_only=True):
    """Any answer that is an error: a reason and a sentence, as in `mooring.errors`."""

    reason: str
    message: str
