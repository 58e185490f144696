"""What `moor describe` says of a group, and of a virtual server: their servers, one by one."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from mooring.core import columns
from mooring.core.columns import NONE

Document = Mapping[str, Any]
Section = tuple[str, list[str], list[list[str]]]
"""A title, the heads of a table, its rows."""

_LISTED = {"per-caller": "for each caller", "no": "-"}


def virtual_head(document: Document) -> list[tuple[str, str]]:
    """A virtual server in a few lines."""
    spec, status = document["spec"], document.get("status") or {}
    aggregation = spec.get("aggregation") or {}
    budget = aggregation.get("tokenBudget")
    cost = f"about {status.get('estimatedTokens', 0)}"
    head = [
        ("Status", columns.phase(document)),
        ("Message", status.get("message") or NONE),
        ("URL", status.get("url") or NONE),
        ("Group", spec["group"]),
        ("Strategy", aggregation.get("strategy", "prefix")),
    ]
    if aggregation.get("priorityOrder"):
        head.append(("Priority", ", ".join(aggregation["priorityOrder"])))
    head += [
        ("Backends", f"{_count(status, 'backendCount')} routable"),
        ("Tools", str(status.get("toolCount", 0))),
        ("Tokens", cost if budget is None else f"{cost}, budget {budget}"),
    ]
    return head


def virtual_sections(document: Document) -> Iterator[Section]:
    """Its backends, and what is wrong with what they offer."""
    status = document.get("status") or {}
    rows = [
        [
            each["name"],
            each["state"],
            *_counted(each),
            each.get("message", ""),
        ]
        for each in status.get("discoveredBackends") or ()
    ]
    yield "Backends", ["NAME", "STATUS", "TOOLS", "HIDDEN", "TOKENS", "MESSAGE"], rows
    problems = [[text] for text in status.get("problems") or ()]
    yield "Problems", ["WHAT"], problems


def group_sections(
    group: Document, servers: Iterable[Document], virtuals: Iterable[Document]
) -> Iterator[Section]:
    """The servers of a group, and the virtual servers that are made of it."""
    name = group["metadata"]["name"]
    members = [
        [
            each["metadata"]["name"],
            columns.phase(each),
            str((each.get("status") or {}).get("message") or ""),
        ]
        for each in servers
        if each["spec"].get("group") == name
    ]
    yield "Members", ["NAME", "STATUS", "MESSAGE"], members
    joined = [
        [
            each["metadata"]["name"],
            columns.phase(each),
            str((each.get("status") or {}).get("url") or ""),
        ]
        for each in virtuals
        if each["spec"].get("group") == name
    ]
    yield "Virtual servers", ["NAME", "STATUS", "URL"], joined


def _counted(backend: Document) -> list[str]:
    listed = str(backend.get("listed", "shared"))
    if listed in _LISTED:
        return [_LISTED[listed], "-", "-"]
    keys = ("toolCount", "hiddenTools", "estimatedTokens")
    return [str(backend.get(key, 0)) for key in keys]


def _count(status: Document, key: str) -> str:
    return f"{status.get(key, 0)}/{len(status.get('discoveredBackends') or ())}"
