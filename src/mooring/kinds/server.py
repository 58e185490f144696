"""An MCPServer: an MCP server that we run or reach.

Exactly one source says what it is; everything else has a default that suits a small server
spoken to over stdio. The status tells what is true of it, one row for each instance.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from mooring.kinds.base import (
    API_VERSION,
    Condition,
    LabelledMeta,
    Name,
    Object,
    Part,
    Place,
    RuledPart,
    Subdomain,
)
from mooring.kinds.secret import Key

SOURCES = ("command", "pypi", "npm", "image", "url")

Transport = Literal["stdio", "streamable-http"]
Isolation = Literal["shared", "session"]
SecretStoreName = Literal["encrypted", "environment", "directory"]
Eras = Literal["auto", "session", "stateless"]
Recovery = Literal["transparent", "fail"]
Retry = Literal["read-only", "idempotent", "never"]
Phase = Literal[
    "Pending", "Installing", "Starting", "Ready", "Degraded", "Failed", "Stopped", "Terminating"
]
State = Literal[
    "Pending", "Installing", "Starting", "Ready", "Restarting", "CrashLoopBackOff", "ERROR",
    "Draining",
]  # fmt: skip
Health = Literal["unknown", "healthy", "degraded", "unhealthy", "unauthenticated"]

ENV_NAME = r"^[A-Za-z_][A-Za-z0-9_]*$"
HTTP_URL = r"^https?://[^\s]+$"
URL_PATH = r"^/[!-~]*$"
HEADER_NAME = r"^[A-Za-z][-A-Za-z0-9]*$"
ABSOLUTE = r"^/"

EnvName = Annotated[str, Field(pattern=ENV_NAME)]
HeaderName = Annotated[str, Field(pattern=HEADER_NAME, max_length=100)]


class Source(RuledPart):
    """Where the server comes from: exactly one of `command`, `pypi`, `npm`, `image`, `url`."""

    exactly_one_of: ClassVar[tuple[str, ...]] = SOURCES

    command: tuple[str, ...] | None = Field(default=None, min_length=1)
    """The program and its first arguments, run as they are, never through a shell."""
    pypi: str | None = Field(default=None, min_length=1)
    """A package of PyPI: `NAME` or `NAME==VERSION`."""
    npm: str | None = Field(default=None, min_length=1)
    """A package of npm: `NAME` or `NAME@VERSION`."""
    image: str | None = Field(default=None, min_length=1)
    """A container image."""
    url: str | None = Field(default=None, pattern=HTTP_URL)
    """A remote server; nothing is run."""
    entry_point: str | None = None
    """Which of the package's programs to run, where it is not named like the package."""
    with_: tuple[str, ...] = Field(default=(), alias="with")
    """Further requirements to install beside a PyPI package: `mcp<2`."""
    python: str | None = None
    """The interpreter for a PyPI package: a path, or a name on PATH."""
    allow_scripts: bool = False
    """Let the package run code while it is installed."""

    @property
    def type(self) -> str:
        """Which of the five it is."""
        return next(name for name in SOURCES if getattr(self, name) is not None)


class SecretKeyRef(Part):
    """One key of a secret in the server's namespace."""

    name: Subdomain
    """The secret."""
    key: Key
    """The key in it."""
    store: SecretStoreName = "encrypted"
    """Where it is kept: a Secret (`encrypted`), a variable of Mooring's own environment
    (`MOORING_SECRET_NAME_KEY`), or a file in the secrets directory (`NAME/KEY`)."""


class EnvSource(RuledPart):
    """Where a variable's value comes from: exactly one of the two."""

    exactly_one_of: ClassVar[tuple[str, ...]] = ("secretKeyRef", "env")

    secret_key_ref: SecretKeyRef | None = None
    """A key of a Secret."""
    env: EnvName | None = None
    """A variable of Mooring's own environment."""


class EnvVar(RuledPart):
    """A variable of the server's environment: exactly one of `value`, `valueFrom`."""

    exactly_one_of: ClassVar[tuple[str, ...]] = ("value", "valueFrom")

    name: EnvName
    """What the variable is called."""
    value: str | None = None
    """Its value as it is; may be empty."""
    value_from: EnvSource | None = None
    """Where its value is kept; what is empty there counts as missing."""


_NEVER_FORWARDED = frozenset(
    {
        "accept", "accept-encoding", "connection", "content-encoding", "content-length",
        "content-type", "cookie", "expect", "forwarded", "host", "keep-alive", "last-event-id",
        "origin", "referer", "te", "trailer", "transfer-encoding", "upgrade", "via",
    }
)  # fmt: skip
_NEVER_FORWARDED_BEGIN = ("mcp-", "proxy-", "sec-", "x-forwarded-")


class ServerAuth(RuledPart):
    """Whose word a server takes for who calls."""

    forward: tuple[HeaderName, ...] = ()
    """Headers of the caller that a virtual server sends on to this one: `Authorization`. Its lists
    are then asked for each caller anew. Nothing of a caller is sent where none is named."""

    @classmethod
    def broken_rules(cls, given: Mapping[str, Any]) -> Iterator[tuple[Place, str]]:
        """Headers that say how a message travels are never the caller's to give."""
        yield from super().broken_rules(given)
        names = given.get("forward")
        for at, name in enumerate(names if isinstance(names, list | tuple) else ()):
            lower = name.lower() if isinstance(name, str) else ""
            if lower in _NEVER_FORWARDED or lower.startswith(_NEVER_FORWARDED_BEGIN):
                yield ("forward", at), f"{lower} is never forwarded"


class HealthCheck(RuledPart):
    """How an instance is probed: by listing its tools, or by calling one."""

    tool: str | None = Field(default=None, min_length=1)
    """A tool that has to succeed before the instance is ready, and as long as it is; without one
    it is enough that the instance lists its tools."""
    arguments: Mapping[str, Any] = Field(default_factory=dict)
    """What the tool is called with."""
    interval_seconds: int = Field(default=30, ge=1, le=86400)
    """From one probe to the next."""
    timeout_seconds: float = Field(default=10, ge=0.01, le=3600)
    """How long an answer may take."""
    failure_threshold: int = Field(default=3, ge=1, le=100)
    """So many failures in a row make an instance unhealthy; fewer make it degraded."""

    @classmethod
    def broken_rules(cls, given: Mapping[str, Any]) -> Iterator[tuple[Place, str]]:
        """Those of every piece, and: arguments are those of a tool."""
        yield from super().broken_rules(given)
        if given.get("arguments") and given.get("tool") is None:
            yield ("arguments",), "are for a tool; name it in tool, or remove them"


class ServerSpec(RuledPart):
    """What is wanted."""

    keyed: ClassVar[Mapping[str, str]] = {"env": "name"}

    source: Source
    """Where the server comes from."""
    args: tuple[str, ...] = ()
    """Further arguments, behind those of the source; `$(PORT)` is the port of the instance."""
    working_directory: str | None = Field(default=None, pattern=ABSOLUTE)
    """Where the program starts, an absolute path; in a file that is applied it may be relative to
    the directory of the file. Where none is named: `work` in the data directory."""
    transport: Transport = "stdio"
    """How the server speaks MCP."""
    path: str = Field(default="/mcp", pattern=URL_PATH)
    """Where the server's HTTP endpoint is (transport: streamable-http)."""
    port: int | None = Field(default=None, ge=1, le=65535)
    """A fixed port allows one instance; without it each instance is given a free one."""
    env: tuple[EnvVar, ...] = ()
    """Variables of the environment; nothing else of Mooring's own is passed on."""
    replicas: int = Field(default=1, ge=0, le=100)
    """How many instances are wanted; 0 stops the server."""
    isolation: Isolation = "shared"
    """stdio only: one child for all sessions, or one for each."""
    max_children: int = Field(default=50, ge=1, le=1000)
    """Sessions that may be open at once on one instance (isolation: session)."""
    idle_seconds: int = Field(default=900, ge=1)
    """After so long without a request a session's own child is ended (isolation: session)."""
    spares: int = Field(default=0, ge=0, le=20)
    """Children kept started for sessions to come (isolation: session)."""
    eras: Eras = "auto"
    """Which era of MCP the server is spoken to in; auto asks it."""
    recovery: Recovery = "transparent"
    """What becomes of a session whose instance is lost: another instance takes it over, or it
    ends and its client begins anew."""
    retry: Retry = "read-only"
    """Which tools may be called a second time where it is not known whether the first call ran:
    those that the server itself calls read-only, also those that it calls idempotent, or none."""
    health_check: HealthCheck = HealthCheck()
    """How its instances are probed; changing it restarts nothing."""
    group: Name | None = None
    """The MCPGroup that it belongs to."""
    stateful: bool = True
    """Whether it remembers anything of a session. Where false, a virtual server offers it to
    clients of the stateless era though it knows sessions only: in sessions of its own."""
    auth: ServerAuth = ServerAuth()
    """What of a caller it is told."""
    drain_seconds: int = Field(default=30, ge=0, le=3600)
    """How long a leaving instance keeps its open sessions."""
    install_timeout_seconds: int = Field(default=300, ge=1, le=3600)
    """How long the installation of a package may take."""
    handshake_timeout_seconds: int = Field(default=60, ge=1, le=3600)
    """How long a started instance may take until it answers."""
    progress_deadline_seconds: int = Field(default=600, ge=1, le=86400)
    """How long a rollout may make no step until it counts as failed; what served before it goes
    on serving."""

    @classmethod
    def broken_rules(cls, given: Mapping[str, Any]) -> Iterator[tuple[Place, str]]:
        """Those of every piece, and: a fixed port allows one instance."""
        yield from super().broken_rules(given)
        replicas = given.get("replicas", 1)
        if given.get("port") is not None and isinstance(replicas, int) and replicas > 1:
            yield ("port",), "a fixed port allows one instance; remove port, or set replicas: 1"


class InstanceStatus(Part):
    """What is true of one instance; nothing here moves without a change."""

    name: str
    """The server's name and a number: `time-0`. It stays when the instance is started again."""
    uid: str = ""
    """New at every start; empty while nothing was started."""
    address: str = ""
    """Where it answers: `http://127.0.0.1:4123/mcp` or `unix:///run/m/k.sock#/i/UID`."""
    checksum: str = ""
    """Of the workload that it runs."""
    era: Literal["", "session", "stateless"] = ""
    """The era of MCP that it speaks, once that is known."""
    state: State = "Pending"
    """How far it has come."""
    health: Health = "unknown"
    """What is believed of it while it runs."""
    health_since: datetime | None = None
    """Since when that is believed."""
    failed_probes: int = 0
    """Probes that failed in a row, counted up to the threshold."""
    safe_tools: tuple[str, ...] = ()
    """Its tools that may be called twice, sorted; as its own list of tools says."""
    reason: str = ""
    """Why it is not ready, as a CamelCase word: `HandshakeFailed`, `CannotInstall`."""
    message: str = ""
    """The same in a sentence; what the server itself said is kept word for word."""
    restarts: int = 0
    """How often it was started again after it had been ready."""
    crashes: int = 0
    """Exits after it had been ready, since it last stayed ready for ten minutes."""
    early_crashes: int = 0
    """Those of them within a minute of its start."""
    attempt_count: int = 0
    """Attempts since it was last ready."""
    last_attempt_at: datetime | None = None
    next_retry_at: datetime | None = None
    """Until then it is left alone, unless its spec or a secret of it changes."""
    since: datetime | None = None
    """When it entered this state."""


class Resolved(Part):
    """What an unpinned package turned out to be."""

    package: str
    version: str
    hash: str = ""
    """Of what was installed."""
    source: str = ""
    """Checksum of the source that was asked for; another source is resolved anew."""


class Revision(Part):
    """A spec that was wanted once: what `moor rollout undo` goes back to."""

    number: int
    """Counts up; the highest is the present one."""
    spec: Mapping[str, Any]
    """All of it but `replicas`, without what was left to its default."""
    since: datetime
    """When it was wanted first, or again."""
    cause: str = ""
    """What the annotation `kubernetes.io/change-cause` said then."""
    restarted_at: str = ""
    """The restart that its instances were last rolled out with."""
    resolved: Resolved | None = None
    """What its package was when all instances were of this revision."""


class Rollout(Part):
    """How the present workload takes the place of the one before."""

    state: Literal["Progressing", "Complete", "Stalled"]
    """`Stalled`: it made no step for as long as progressDeadlineSeconds."""
    checksum: str
    """Of the workload."""
    updated: int = 0
    """Instances of it that new sessions go to."""
    replacing: bool = False
    """Whether instances of another workload served when it began."""
    began_at: datetime
    stepped_at: datetime
    """When it last got further."""


class ServerStatus(Part):
    """What is true."""

    keyed: ClassVar[Mapping[str, str]] = {"conditions": "type", "instances": "name"}

    phase: Phase = "Pending"
    """In one word."""
    message: str = ""
    """One sentence, the same in CLI, API and console."""
    conditions: tuple[Condition, ...] = ()
    """Claims with reasons; `Ready` is always there."""
    instances: tuple[InstanceStatus, ...] = ()
    """Sorted by name."""
    ready_instances: int = 0
    """Instances that new sessions go to."""
    replicas: int = 0
    """As many as are wanted; repeated here for tables."""
    url: str = ""
    """Where clients find it."""
    checksum: str = ""
    """Of the workload that is wanted."""
    resolved: Resolved | None = None
    """What an unpinned package turned out to be."""
    rollout: Rollout | None = None
    """How far the present workload has come."""
    revisions: tuple[Revision, ...] = ()
    """Specs that were wanted, the present one last; the oldest go first."""
    restarted_at: str = ""
    """The annotation `mooring.dev/restartedAt` that was acted on last."""
    observed_generation: int = 0
    """The generation of the spec that this is about."""


class MCPServer(Object):
    """An MCP server that we run or reach."""

    plural: ClassVar[str] = "mcpservers"

    api_version: Literal["mooring.dev/v1alpha1"] = API_VERSION
    kind: Literal["MCPServer"] = "MCPServer"
    metadata: LabelledMeta
    spec: ServerSpec
    status: ServerStatus = ServerStatus()
