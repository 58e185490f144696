"""What the API serves, as clients of Kubernetes ask for it.

Older clients ask for each group and version on its own. Newer ones first ask `/api` and `/apis`
for everything at once (`APIGroupDiscoveryList`, by its media type), which is made of the same.
"""

from collections.abc import Iterable, Mapping
from importlib.metadata import version
from typing import Any

from mooring.api.namespaces import NAMESPACE
from mooring.core.naming import CORE_PATH, GROUP_PATH, NAMINGS, VIEW_PATH, Naming

Document = dict[str, Any]

AGGREGATED = ("v2", "v2beta1")
"""Versions of the aggregated form."""
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


def core_versions() -> Document:
    """`/api`."""
    return {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []}


def groups() -> Document:
    """`/apis`."""
    found = [group(_group_of(path)) for path in (GROUP_PATH, VIEW_PATH)]
    return {"kind": "APIGroupList", "apiVersion": "v1", "groups": found}


def group(name: str) -> Document:
    """`/apis/NAME`."""
    only = {"groupVersion": f"{name}/v1alpha1", "version": "v1alpha1"}
    return {
        "kind": "APIGroup",
        "apiVersion": "v1",
        "name": name,
        "versions": [only],
        "preferredVersion": only,
    }


def kinds(path: str) -> Document:
    """What is served below a path: `/api/v1`, `/apis/mooring.dev/v1alpha1` …"""
    found = [_entry(naming) for naming in NAMINGS if naming.path == path]
    if path == NAMESPACE.path:
        found.append({**_entry(NAMESPACE), "namespaced": False})
    found += [
        {"name": name, "singularName": "", "namespaced": True, "kind": kind, "verbs": verbs}
        for name, kind, verbs in _PARTS[path]
    ]
    return {
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": path.removeprefix("/apis/").removeprefix("/api/"),
        "resources": found,
    }


def aggregated(paths: Iterable[str], version: str) -> Document:
    """`/api` or `/apis`, for who asks for all that is below these paths at once."""
    return {
        "kind": "APIGroupDiscoveryList",
        "apiVersion": f"apidiscovery.k8s.io/{version}",
        "metadata": {},
        "items": [_aggregated(path) for path in paths],
    }


def _aggregated(path: str) -> Document:
    """A group with its one version."""
    name = "" if path == CORE_PATH else _group_of(path)
    version = path.rpartition("/")[2]
    found: dict[str, Document] = {}
    for entry in kinds(path)["resources"]:
        owner, _, part = entry["name"].partition("/")
        kind = {"group": name, "version": version, "kind": entry["kind"]}
        about = {"responseKind": kind, "verbs": entry["verbs"]}
        if part:
            whole = found.setdefault(owner, {"resource": owner, "scope": "Namespaced", **_NO_KIND})
            whole.setdefault("subresources", []).append({"subresource": part, **about})
            continue
        found[owner] = about | {
            "resource": owner,
            "scope": "Namespaced" if entry["namespaced"] else "Cluster",
            "singularResource": entry["singularName"],
            "shortNames": entry["shortNames"],
            "categories": entry["categories"],
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
    mine = version("mooring")
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


def _entry(naming: Naming) -> Document:
    return {
        "name": naming.plural,
        "singularName": naming.kind.lower(),
        "namespaced": True,
        "kind": naming.kind,
        "shortNames": list(naming.aliases),
        "categories": [] if naming.path == CORE_PATH else ["mooring"],
        "verbs": _VERBS[naming.kind],
    }
