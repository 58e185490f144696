"""Instances as objects: each row of a server's status, in the shape of a document.

They are computed and never stored; what is written of an instance is written to its server. The
last probe of each is shown with it: it is nothing that is written, since it is new all the time.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from mooring.core.health import Probe
from mooring.core.printable import printable
from mooring.core.watching import Told

Document = dict[str, Any]

KIND = "MCPInstance"
API_VERSION = "view.mooring.dev/v1alpha1"
LAST_PROBE = "lastProbe"
SERVER_LABEL = "mooring.dev/server"


def views(server: Mapping[str, Any]) -> list[Document]:
    """The instances of a server's document, in the order of its rows."""
    return [_view(server, row) for row in (server.get("status") or {}).get("instances") or ()]


def probed(view: Document, probe: Probe | None) -> Document:
    """The view with the last probe of its instance."""
    if probe is None:
        return view
    return {**view, "status": {**view["status"], LAST_PROBE: told(probe)}}


def told(probe: Probe) -> Document:
    """A probe as documents have it."""
    return {
        "at": probe.at.isoformat().replace("+00:00", "Z"),
        "seconds": round(probe.seconds, 6),
        "tool": probe.tool,
        "outcome": probe.finding.outcome,
        "message": printable(probe.finding.message),
    }


def changes(before: Iterable[Document], after: Iterable[Document]) -> list[tuple[Told, Document]]:
    """What happened between two lists of instances of one server."""
    old = {view["metadata"]["name"]: view for view in before}
    new = {view["metadata"]["name"]: view for view in after}
    happened: list[tuple[Told, Document]] = [
        ("DELETED", view) for name, view in old.items() if name not in new
    ]
    for name, view in new.items():
        if name not in old:
            happened.append(("ADDED", view))
        elif _told(old[name]) != _told(view):
            happened.append(("MODIFIED", view))
    return happened


def _told(view: Document) -> tuple[Any, Any]:
    """What of a view may change; its version does whenever its server's does."""
    status = {key: value for key, value in view["status"].items() if key != LAST_PROBE}
    return status, view["metadata"]["labels"]


def _view(server: Mapping[str, Any], row: Mapping[str, Any]) -> Document:
    owner = server["metadata"]
    return {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "metadata": {
            "name": row["name"],
            "namespace": owner["namespace"],
            "uid": row.get("uid") or f"{owner.get('uid', '')}/{row['name']}",
            "resourceVersion": owner.get("resourceVersion", ""),
            **({"creationTimestamp": row["since"]} if row.get("since") else {}),
            "labels": {**(owner.get("labels") or {}), SERVER_LABEL: owner["name"]},
        },
        "spec": {"server": owner["name"]},
        "status": dict(row),
    }
