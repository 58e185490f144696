"""What the API serves, as clients of Kubernetes ask for it.

Older clients ask for each group and version on its own. Newer ones first ask `/api` and `/apis`
for everything at once (`APIGroupDiscoveryList`, by its media type), which is made of the same.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from importlib.metadata import version as installed
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from mooring.api.answers import JSON, answer
from mooring.api.namespaces import NAMESPACE
from mooring.core.naming import CORE_PATH, GROUP_PATH, NAMINGS, VIEW_PATH, Naming

Document = dict[str, Any]

AGGREGATED = ("v2", "v2beta1")
"""Versions of the aggregated form."""
_VARIES = {"vary": "Accept"}
_NO_KIND: Document = {"responseKind": {"group": "", "version": "", "kind": ""}, "verbs": []}
"""Of what is only the owner of subresources here."""
READ = ["get", "list", "watch"]
WRITE = ["create", "delete", "deletecollection", "patch", "update"]
_VERBS = {
    "MCPServer": READ + WRITE,
    "MCPGroup": READ + WRITE,
    "VirtualMCPServer": READ + WRITE,
    "Secret": READ + WRITE,
    "Event": READ,
    "MCPInstance": READ,
    "Namespace": READ,
}
_PARTS: Mapping[str, tuple[tuple[str, str, list[str]], ...]] = {
    GROUP_PATH: (
        ("mcpservers/status", "MCPServer", ["get", "patch", "update"]),
        ("mcpgroups/status", "MCPGroup", ["get", "patch", "update"]),
        ("virtualmcpservers/status", "VirtualMCPServer", ["get", "patch", "update"]),
    ),
    CORE_PATH: (),
    VIEW_PATH: (
        ("mcpinstances/log", "MCPInstance", ["get"]),
        ("mcpinstances/probe", "InstanceProbe", ["create"]),
        ("mcpservers/tools", "ToolList", ["get"]),
        ("mcpservers/call", "ToolCall", ["create"]),
        ("virtualmcpservers/tools", "ToolList", ["get"]),
        ("virtualmcpservers/call", "ToolCall", ["create"]),
        ("virtualmcpservers/view", "VirtualView", ["get"]),
    ),
}


Catalog = Mapping[str, Sequence[Document]]
"""What is served below each path (`/api/v1`, `/apis/GROUP/VERSION`), as entries of a list."""


def own() -> Catalog:
    """What this API serves."""
    return {path: _entries(path) for path in (CORE_PATH, GROUP_PATH, VIEW_PATH)}


def routes(catalog: Catalog) -> list[Route]:
    """The doors at which this is told."""
    grouped = [path for path in catalog if path != CORE_PATH]
    documents = {path: partial(kinds, catalog, path) for path in catalog}
    documents |= {f"/apis/{_group_of(path)}": partial(group, path) for path in grouped}
    doors = [
        Route(path, lambda _, make=make: answer(make()), methods=["GET"])
        for path, make in documents.items()
    ]
    core = partial(_at_once, catalog, [CORE_PATH], core_versions)
    others = partial(_at_once, catalog, grouped, partial(groups, grouped))
    doors.append(Route("/api", core, methods=["GET"]))
    return [*doors, Route("/apis", others, methods=["GET"])]


def _at_once(
    catalog: Catalog, paths: Sequence[str], old: Callable[[], Document], request: Request
) -> Response:
    """Everything below these paths for who asks for that, the old document for everybody else."""
    version = asked_for(request.headers.get("accept", ""))
    if not version:
        return answer(old(), headers=_VARIES)
    kind = f"{JSON};g=apidiscovery.k8s.io;v={version};as=APIGroupDiscoveryList"
    return answer(aggregated(catalog, paths, version), headers=_VARIES, type=kind)


def core_versions() -> Document:
    """`/api`."""
    return {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []}


def groups(paths: Iterable[str]) -> Document:
    """`/apis`."""
    found = [group(path) for path in paths]
    return {"kind": "APIGroupList", "apiVersion": "v1", "groups": found}


def group(path: str) -> Document:
    """`/apis/NAME`, of the group at this path."""
    name, version = _group_of(path), path.rpartition("/")[2]
    only = {"groupVersion": f"{name}/{version}", "version": version}
    return {
        "kind": "APIGroup",
        "apiVersion": "v1",
        "name": name,
        "versions": [only],
        "preferredVersion": only,
    }


def kinds(catalog: Catalog, path: str) -> Document:
    """What is served below a path."""
    return {
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": path.removeprefix("/apis/").removeprefix("/api/"),
        "resources": list(catalog[path]),
    }


def _entries(path: str) -> list[Document]:
    found = [entry(naming, _VERBS[naming.kind]) for naming in NAMINGS if naming.path == path]
    if path == NAMESPACE.path:
        found.append({**entry(NAMESPACE, _VERBS[NAMESPACE.kind]), "namespaced": False})
    return found + [part(name, kind, verbs) for name, kind, verbs in _PARTS[path]]


def aggregated(catalog: Catalog, paths: Iterable[str], version: str) -> Document:
    """`/api` or `/apis`, for who asks for all that is below these paths at once."""
    return {
        "kind": "APIGroupDiscoveryList",
        "apiVersion": f"apidiscovery.k8s.io/{version}",
        "metadata": {},
        "items": [_aggregated(path, catalog[path]) for path in paths],
    }


def _aggregated(path: str, entries: Iterable[Document]) -> Document:
    """A group with its one version."""
    name = "" if path == CORE_PATH else _group_of(path)
    version = path.rpartition("/")[2]
    found: dict[str, Document] = {}
    for each in entries:
        owner, _, below = each["name"].partition("/")
        kind = {"group": name, "version": version, "kind": each["kind"]}
        about = {"responseKind": kind, "verbs": each["verbs"]}
        if below:
            whole = found.setdefault(owner, {"resource": owner, "scope": "Namespaced", **_NO_KIND})
            whole.setdefault("subresources", []).append({"subresource": below, **about})
            continue
        found[owner] = about | {
            "resource": owner,
            "scope": "Namespaced" if each["namespaced"] else "Cluster",
            "singularResource": each["singularName"],
            "shortNames": each["shortNames"],
            "categories": each["categories"],
        }
    told = {"version": version, "resources": list(found.values()), "freshness": "Current"}
    return {"metadata": {"name": name} if name else {}, "versions": [told]}


def asked_for(accept: str) -> str:
    """The version of the aggregated form that is wanted; empty where it is the old one.

    >>> asked_for("application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,text/*")
    'v2'
    """
    for one in accept.split(","):
        words = {word.strip() for word in one.split(";")}
        if {"application/json", "g=apidiscovery.k8s.io", "as=APIGroupDiscoveryList"} <= words:
            for version in AGGREGATED:
                if f"v={version}" in words:
                    return version
        elif words == {"application/json"}:
            return ""
    return ""


def release(endpoints: str, door: str) -> Document:
    """`/version`, with where clients find the servers, and this API."""
    mine = installed("mooring")
    major, minor, _ = mine.split(".", 2)
    return {
        "major": major,
        "minor": minor,
        "gitVersion": f"v{mine}",
        "endpoints": endpoints,
        "api": door,
    }


def _group_of(path: str) -> str:
    return path.split("/")[2]


def entry(naming: Naming, verbs: Sequence[str]) -> Document:
    """A kind, in a list of what is served."""
    return {
        "name": naming.plural,
        "singularName": naming.kind.lower(),
        "namespaced": True,
        "kind": naming.kind,
        "shortNames": list(naming.aliases),
        "categories": [] if naming.path == CORE_PATH else ["mooring"],
        "verbs": verbs,
    }


def part(name: str, kind: str, verbs: Sequence[str]) -> Document:
    """A subresource (`mcpservers/status`), in a list of what is served."""
    return {"name": name, "singularName": "", "namespaced": True, "kind": kind, "verbs": verbs}
