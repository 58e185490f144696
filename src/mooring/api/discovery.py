"""What the API serves, as clients of Kubernetes ask for it."""

from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

from mooring.api.namespaces import NAMESPACE
from mooring.core.naming import CORE_PATH, GROUP_PATH, NAMINGS, VIEW_PATH, Naming

Document = dict[str, Any]

READ = ["get", "list", "watch"]
WRITE = ["create", "delete", "deletecollection", "patch", "update"]
_VERBS = {
    "MCPServer": READ + WRITE,
    "MCPGroup": READ + WRITE,
    "VirtualMCPServer": READ + WRITE,
    "Secret": READ + WRITE,
    "Event": READ,
    "MCPInstance": READ,
    "Namespace": ["get", "list"],
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
        ("mcpservers/tools", "ToolList", ["get"]),
        ("mcpservers/call", "ToolCall", ["create"]),
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
