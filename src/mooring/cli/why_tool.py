"""`moor why tool`: whose a tool is, who lost its name, and why one is not shown."""

from collections.abc import Iterator, Sequence
from typing import Any

from mooring.cli.client import Api, path_of
from mooring.cli.failures import NOT_FOUND, USAGE, Failure
from mooring.cli.targets import RUNNING_VIRTUAL, VIRTUAL, Target, ref
from mooring.core.visibility import explain, nearest, unknown

SECONDS = 30.0


def explained(api: Api, namespace: str, words: Sequence[str]) -> Iterator[str]:
    """What there is to say of a tool: `search`, or `search vmcp/team` for one virtual server."""
    if not words:
        raise Failure("which tool? For example: moor why tool NAME [vmcp/NAME]", USAGE)
    name, *rest = words
    targets = [ref(word, namespace) for word in rest]
    if any(target.naming is not VIRTUAL for target in targets):
        raise Failure("only virtual servers leave tools out: moor why tool NAME vmcp/NAME", USAGE)
    views = [(str(each), _view(api, each)) for each in targets or _all(api, namespace)]
    if not views:
        raise Failure("no virtual server is declared; a server shows all its tools", NOT_FOUND)
    said = [line for where, view in views for line in explain(name, where, view)]
    missing = [line for where, view in views for line in unknown(where, view)]
    if not said:
        near = nearest(name, [view for _, view in views])
        where = ", ".join(where for where, _ in views)
        more = "".join(f"\n{line}" for line in missing)
        raise Failure(f"no backend of {where} has a tool {name}.{near}{more}", NOT_FOUND)
    yield from (*said, *missing)


def _all(api: Api, namespace: str) -> list[Target]:
    found = api.get(path_of(VIRTUAL, namespace))["items"]
    return [Target(VIRTUAL, namespace, each["metadata"]["name"]) for each in found]


def _view(api: Api, target: Target) -> dict[str, Any]:
    path = path_of(RUNNING_VIRTUAL, target.namespace, target.name, "view")
    found: dict[str, Any] = api.get(path, seconds=SECONDS)
    return found
