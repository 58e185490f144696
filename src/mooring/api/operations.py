"""Every operation of the API: its path, what it takes, what it answers.

OpenAPI documents and discovery are made of this list; a test holds it against the doors that
there are.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

from mooring.api import patches
from mooring.api.definitions import META, name_of
from mooring.api.exposed import EXPOSED, Exposed
from mooring.core.instances import API_VERSION as VIEWS
from mooring.core.instances import KIND as INSTANCE
from mooring.core.naming import BY_KIND, CORE_PATH, VIEW_PATH, Naming

JSON = "application/json"
YAML = "application/yaml"
TEXT = "text/plain"

STATUS = f"{META}.Status"
OPTIONS = f"{META}.DeleteOptions"
PATCH = f"{META}.Patch"


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter of the query."""

    name: str
    about: str
    type: str = "string"


def _text(name: str, about: str) -> Parameter:
    return Parameter(name, about)


DRY_RUN = _text("dryRun", "All: say what would be, and change nothing.")
_LABELS = _text("labelSelector", "Only objects with such labels.")
_FIELDS = _text("fieldSelector", "Only objects with such fields.")
_AUTHOR = _text("fieldManager", "Who it is that writes.")
_VALIDATION = _text("fieldValidation", "What becomes of unknown fields: Strict, Warn or Ignore.")
_FORCE = Parameter("force", "Take from others what is changed (server-side apply).", "boolean")
_GRACE = Parameter("gracePeriodSeconds", "Accepted; instances drain as they say.", "integer")
_DEPENDENTS = _text("propagationPolicy", "Accepted; nothing depends on these objects.")

LOOKING = (
    _LABELS,
    _FIELDS,
    Parameter("limit", "At most so many objects; `continue` gets the next ones.", "integer"),
    _text("continue", "Where the answer before this one ended."),
    _text("resourceVersion", "Where a watch begins; how new a list must be."),
    _text("resourceVersionMatch", "Exact: a list of that version or none."),
    Parameter("timeoutSeconds", "How long a watch goes on.", "integer"),
    Parameter("watch", "Go on with changes as they happen.", "boolean"),
    Parameter("allowWatchBookmarks", "Tell now and then how far a watch is.", "boolean"),
    Parameter("sendInitialEvents", "Begin a watch with everything there is.", "boolean"),
)
WRITING = (DRY_RUN, _AUTHOR, _VALIDATION)
PATCHING = (*WRITING, _FORCE)
DELETING = (DRY_RUN, _GRACE, _DEPENDENTS)


@dataclass(frozen=True, slots=True)
class Operation:
    """One thing that can be asked for."""

    path: str
    method: str
    action: str
    """As Kubernetes calls it: `get`, `list`, `post`, `put`, `patch`, `delete` …"""
    api_version: str
    kind: str
    answer: str = STATUS
    """Name of the answer's schema."""
    about: str = ""
    parameters: tuple[Parameter, ...] = ()
    takes: tuple[str, ...] = ()
    """Types of bodies."""
    body: str = ""
    """Name of the body's schema."""
    created: bool = False
    """Whether it may answer 201."""
    answers: str = JSON


@cache
def operations() -> tuple[Operation, ...]:
    """All of them."""
    return (
        *(each for exposed in EXPOSED for each in _stored(exposed)),
        *_namespaces(),
        *_views(),
    )


def _stored(exposed: Exposed) -> Iterator[Operation]:
    naming, version = exposed.naming, exposed.api_version
    yield from _reading(naming, version)
    if not exposed.declared:
        return
    kind, name = naming.kind, name_of(version, naming.kind)
    inside = f"{naming.path}/namespaces/{{namespace}}/{naming.plural}"
    one = f"{inside}/{{name}}"

    def made(path: str, method: str, action: str, answer: str = name) -> Operation:
        return Operation(path, method, action, version, kind, answer, f"{action} {kind}")

    create = made(inside, "post", "post")
    yield _sending(create, (JSON,), name, WRITING, created=True)
    every = made(inside, "delete", "deletecollection", name_of(version, f"{kind}List"))
    yield _sending(every, (JSON,), OPTIONS, (*LOOKING[:4], *DELETING))
    for path in (one, f"{one}/status") if "status" in exposed.model.model_fields else (one,):
        if path != one:
            yield made(path, "get", "get")
        yield _sending(made(path, "put", "put"), (JSON,), name, WRITING)
        change = made(path, "patch", "patch")
        yield _sending(change, patches.types(exposed), PATCH, PATCHING, created=path == one)
    yield _sending(made(one, "delete", "delete", STATUS), (JSON,), OPTIONS, DELETING)


def _sending(
    bare: Operation,
    takes: tuple[str, ...],
    body: str,
    parameters: tuple[Parameter, ...],
    created: bool = False,
) -> Operation:
    """The operation with what it takes."""
    return Operation(
        bare.path, bare.method, bare.action, bare.api_version, bare.kind, bare.answer, bare.about,
        parameters, takes, body, created,
    )  # fmt: skip


def _reading(naming: Naming, version: str) -> Iterator[Operation]:
    """Get and list, of a namespace or of all."""
    kind = naming.kind
    inside = f"{naming.path}/namespaces/{{namespace}}/{naming.plural}"
    many = name_of(version, f"{kind}List")
    for path in (f"{naming.path}/{naming.plural}", inside):
        yield Operation(path, "get", "list", version, kind, many, f"list {kind}s", LOOKING)
    name = name_of(version, kind)
    yield Operation(f"{inside}/{{name}}", "get", "get", version, kind, name, f"get {kind}")


def _namespaces() -> Iterator[Operation]:
    path, kind = f"{CORE_PATH}/namespaces", "Namespace"
    many, one = name_of("v1", f"{kind}List"), name_of("v1", kind)
    yield Operation(path, "get", "list", "v1", kind, many, "list Namespaces", LOOKING)
    yield Operation(f"{path}/{{name}}", "get", "get", "v1", kind, one, "get Namespace")


def _endpoint(place: str) -> Iterator[Operation]:
    """What is asked of a server that runs, whether it is one or many."""
    tools, call = name_of(VIEWS, "ToolList"), name_of(VIEWS, "ToolCall")
    result = name_of(VIEWS, "ToolResult")
    yield Operation(f"{place}/tools", "get", "connect", VIEWS, "ToolList", tools, "Its tools.")
    yield Operation(
        f"{place}/call", "post", "connect", VIEWS, "ToolCall", result, "Call a tool.",
        takes=(JSON,), body=call,
    )  # fmt: skip


def _views() -> Iterator[Operation]:
    yield from _reading(BY_KIND[INSTANCE], VIEWS)
    inside = f"{VIEW_PATH}/namespaces/{{namespace}}"
    yield Operation(
        f"{inside}/mcpinstances/{{name}}/log",
        "get",
        "connect",
        VIEWS,
        INSTANCE,
        "",
        "The log of an instance.",
        (
            Parameter("tail", "At most so many lines.", "integer"),
            Parameter("since", "Only of the last so many seconds.", "number"),
            Parameter("previous", "Of the start before this one.", "boolean"),
            Parameter("follow", "Go on with what is written.", "boolean"),
        ),
        answers=TEXT,
    )
    yield Operation(
        f"{inside}/mcpinstances/{{name}}/probe", "post", "connect", VIEWS, "InstanceProbe",
        name_of(VIEWS, "InstanceProbe"), "Probe an instance now.",
    )  # fmt: skip
    yield from _endpoint(f"{inside}/mcpservers/{{name}}")
    virtual = f"{inside}/virtualmcpservers/{{name}}"
    yield from _endpoint(virtual)
    yield Operation(
        f"{virtual}/view", "get", "connect", VIEWS, "VirtualView", name_of(VIEWS, "VirtualView"),
        "Whose its tools are, and why others are not shown.",
    )  # fmt: skip
    for method in ("post", "delete"):
        yield Operation(
            f"{VIEW_PATH}/manifests",
            method,
            "connect",
            VIEWS,
            "ManifestOutcome",
            name_of(VIEWS, "ManifestOutcome"),
            "Apply what a file declares." if method == "post" else "Delete what a file declares.",
            (
                _text("filename", "What the file is called in complaints."),
                _text("directory", "Where it is: relative paths begin there."),
                _text("namespace", "For objects that name none."),
                DRY_RUN,
            ),
            (YAML,),
            PATCH,
        )
