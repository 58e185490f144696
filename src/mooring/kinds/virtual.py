"""A VirtualMCPServer: the servers of a group as one MCP server.

The group says which servers they are, its backends. How what they offer becomes one list is
said here: by which names, and what is left out.
"""

from collections.abc import Iterator, Mapping
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
)

Strategy = Literal["prefix", "priority", "manual", "none"]
Visibility = Literal["allow", "deny"]
Phase = Literal["Pending", "Ready", "Degraded", "Failed"]
Word = Literal["ready", "degraded", "unavailable", "unauthenticated", "unknown"]
"""How a backend is."""
Listed = Literal["shared", "per-caller", "no"]

EXPOSED_NAME = r"^[A-Za-z0-9_-]+$"
ExposedName = Annotated[str, Field(min_length=1, max_length=64, pattern=EXPOSED_NAME)]
"""The name of a tool as clients see it."""
ToolName = Annotated[str, Field(min_length=1)]
"""The name of a tool as its server has it."""


class ToolRef(Part):
    """One tool of one server."""

    server: Name
    """The server that has it."""
    tool: ToolName
    """What it is called there."""


class ToolOverride(Part):
    """What clients are told of a tool instead of what its server says."""

    name: ExposedName | None = None
    """What it is called: as it stands, without a prefix."""
    description: str | None = None
    """What it is for."""


class BackendTools(Part):
    """Which tools of one server clients see, and how."""

    filter: tuple[ToolName, ...] = ()
    """Only these, by the names that the server has for them; `*` stands for any text. None named:
    all, unless `defaultToolVisibility` is `deny`."""
    exclude_all: bool = False
    """None of them; its resources and prompts stay."""
    overrides: Mapping[ToolName, ToolOverride] = Field(default_factory=dict)
    """Other names and descriptions, by the names that the server has for its tools."""


class Aggregation(RuledPart):
    """How the lists of several servers become one."""

    strategy: Strategy = "prefix"
    """By which names clients see tools and prompts. `prefix`: SERVER_NAME. `priority`: as they are,
    and of several the one whose server comes first. `manual`: as they are, and as `manual` says.
    `none`: as they are. With the last two, a name that several servers have is dropped."""
    priority_order: tuple[Name, ...] = ()
    """Servers, the most important one first; those not named come behind, by name. It decides
    whose a resource is that several servers have, whatever the strategy."""
    manual: Mapping[ExposedName, ToolRef] = Field(default_factory=dict)
    """Which tool is meant by a name that clients see (strategy: manual)."""
    tools: Mapping[Name, BackendTools] = Field(default_factory=dict)
    """Which tools of each server clients see, by the name of the server."""
    default_tool_visibility: Visibility = "allow"
    """Whether clients see tools that neither a filter nor `manual` names."""
    token_budget: int | None = Field(default=None, ge=1)
    """How many tokens the list of tools may cost a model; more is allowed, and reported."""

    @classmethod
    def broken_rules(cls, given: Mapping[str, Any]) -> Iterator[tuple[Place, str]]:
        """Those of every piece, and: what only one strategy reads is given only with it."""
        yield from super().broken_rules(given)
        strategy = given.get("strategy", "prefix")
        if strategy == "priority" and not given.get("priorityOrder"):
            yield ("priorityOrder",), "is required with strategy: priority"
        if strategy != "manual" and given.get("manual"):
            yield ("manual",), "is read with strategy: manual only"


class RemoteHealth(Part):
    """When calls to a remote backend are refused without being tried."""

    failure_threshold: int = Field(default=3, ge=1, le=100)
    """Failures in a row after which a remote backend is left alone."""
    interval_seconds: int = Field(default=30, ge=1, le=3600)
    """How long it is left alone before it is tried again."""
    timeout_seconds: int = Field(default=10, ge=1, le=3600)
    """How long that try holds up another one."""


class Questions(Part):
    """What a server may ask of clients."""

    sampling: bool = False
    """To have their model complete a conversation."""
    elicitation: bool = False
    """To have their user answer."""
    roots: bool = False
    """Which directories they work on."""


class VirtualSpec(Part):
    """What is wanted."""

    group: Name
    """The MCPGroup whose servers it joins."""
    aggregation: Aggregation = Aggregation()
    """How their lists become one."""
    health: RemoteHealth = RemoteHealth()
    """What is done about remote servers that fail."""
    relay: Mapping[Name, Questions] = Field(default_factory=dict)
    """What each server may ask of clients, by its name; other questions are declined. A client
    sees which server asks."""


class DiscoveredBackend(Part):
    """What is true of one backend."""

    name: str
    """The server."""
    state: Word = "unknown"
    """How it is, in a word."""
    message: str = ""
    """Why, where it is not ready."""
    listed: Listed = "no"
    """Whether its lists are the same for all clients, are asked for each with the credentials of
    the caller, or are not to be had. The counts are of those that are the same for all."""
    tool_count: int = 0
    """Tools of it that clients see."""
    hidden_tools: int = 0
    """Tools of it that they do not: left out by wish, lost to another server, or dropped."""
    estimated_tokens: int = 0
    """What its tools cost a model."""
    tools_checksum: str = ""
    """Of the names, descriptions and schemas of all its tools, as they were last seen."""


class VirtualStatus(Part):
    """What is true."""

    keyed: ClassVar[Mapping[str, str]] = {"conditions": "type", "discoveredBackends": "name"}

    phase: Phase = "Pending"
    """In one word."""
    message: str = ""
    """One sentence, the same in CLI, API and console."""
    conditions: tuple[Condition, ...] = ()
    """Claims with reasons; `Ready` is always there."""
    backend_count: int = 0
    """Backends that calls go to: those that are ready or unauthenticated."""
    discovered_backends: tuple[DiscoveredBackend, ...] = ()
    """Sorted by name."""
    tool_count: int = 0
    """Tools that clients see."""
    estimated_tokens: int = 0
    """What the list of tools costs a model: its names, descriptions and schemas, at four characters
    a token."""
    problems: tuple[str, ...] = ()
    """Clashes, drops, and names in the spec that mean nothing; sorted, the first fifty."""
    url: str = ""
    """Where clients find it."""
    checksum: str = ""
    """Of the configuration that it serves by: its spec, and its backends."""
    observed_generation: int = 0
    """The generation of the spec that this is about."""


class VirtualMCPServer(Object):
    """The servers of a group as one MCP server."""

    plural: ClassVar[str] = "virtualmcpservers"

    api_version: Literal["mooring.dev/v1alpha1"] = API_VERSION
    kind: Literal["VirtualMCPServer"] = "VirtualMCPServer"
    metadata: LabelledMeta
    spec: VirtualSpec
    status: VirtualStatus = VirtualStatus()
