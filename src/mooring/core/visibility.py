"""Why a tool is shown, or is not, in words; from documents as the API answers them."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mooring.core.suggestion import did_you_mean

Document = Mapping[str, Any]


def backends(label: str, virtual: Document) -> list[str]:
    """How a virtual server is, and each of its backends, with the next command to type."""
    status = virtual.get("status") or {}
    lines = [f"{label}: {status.get('message') or 'nobody has looked at it yet'}"]
    for each in status.get("discoveredBackends") or ():
        why = f": {each['message']}" if each.get("message") else ""
        lines.append(f"server/{each['name']} is {each['state']}{why}")
        if each["state"] in ("unavailable", "degraded"):
            lines.append(f"  To see why: moor why server {each['name']}")
    if status.get("phase") == "Failed" and not status.get("discoveredBackends"):
        lines.append("  To declare it: moor apply -f FILE, with kind: MCPGroup")
    return [*lines, *(f"problem: {text}" for text in status.get("problems") or ())]


def explain(name: str, label: str, view: Document) -> Iterator[str]:
    """What there is to say of a tool of this name, as clients or as a server call it, in `label`.

    The owner first; then those who lost, or are left out, and why; then backends whose tools are
    not known. Nothing of that, and nothing is said.
    """
    shown = [tool for tool in view["items"] if name in (tool["name"], tool["original"])]
    hidden = [each for each in view["hidden"] if name in (each["name"], each["exposed"])]
    for tool in shown:
        yield f"{label} has {tool['name']}: it is {tool['backend']}/{tool['original']}"
    for each in hidden:
        what = f"{each['backend']}/{each['name']}"
        yield f"{label} does not show {what} ({each['reason']}): {each['message']}"
    if shown or hidden:
        yield from (f"{label}: {text}" for text in view["unmatched"] if name in text.split())


def unknown(label: str, view: Document) -> Iterator[str]:
    """Backends whose tools nobody knows now, and why; what they have cannot be told."""
    for each in view["backends"]:
        if each["listed"] == "per-caller":
            yield f"{label}: the tools of {each['name']} are asked for each caller anew"
        elif each["listed"] == "no":
            why = f": {each['message']}" if each["message"] else ""
            yield f"{label}: the tools of {each['name']} are not listed, it is {each['state']}{why}"
        elif each["failure"]:
            yield f"{label}: {each['name']} does not say what it has: {each['failure']}"


def nearest(name: str, views: Sequence[Document]) -> str:
    """A question for who asked for a tool that is nowhere; empty where nothing is near."""
    known = {
        word
        for view in views
        for tool in (*view["items"], *view["hidden"])
        for word in (tool["name"], tool.get("original") or tool.get("exposed"))
        if word
    }
    return did_you_mean(name, known)
