"""A virtual server's status, and what happened since the last one.

What is not known keeps its place: while the lists of a backend are still asked for (after a
restart of Mooring, say), the counts stay what they were, so that nothing is written that is
taken back a second later.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from mooring.core.aggregate import View, merge
from mooring.core.aggregate_changes import Fingerprints, changed
from mooring.core.aggregate_items import DROPS, Catalog, Hidden
from mooring.core.checksum import checksum
from mooring.core.conditions import Claim, settle
from mooring.core.events import Happening
from mooring.core.table import paths_of
from mooring.core.virtual import Judgement, claims
from mooring.kinds.virtual import (
    Aggregation,
    DiscoveredBackend,
    VirtualMCPServer,
    VirtualSpec,
    VirtualStatus,
    Word,
)

PROBLEMS = 50
"""Problems that the status lists."""

_EVENTS: Mapping[Word, str] = {
    "ready": "BackendReady",
    "unauthenticated": "BackendUnauthenticated",
    "degraded": "BackendDegraded",
    "unavailable": "BackendUnavailable",
    "unknown": "BackendUnknown",
}


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of a virtual server."""

    judgement: Judgement
    base: str
    """Where the gateway listens: `http://127.0.0.1:8470`."""
    members: Collection[str] = ()
    """Servers of the group, those that are not wanted to run as well."""
    catalogs: Mapping[str, Catalog] = field(default_factory=dict)
    """What backends offer, by name; those whose lists are still asked for are not in it."""
    failures: Mapping[str, str] = field(default_factory=dict)
    """Backends whose lists could not be had, and why."""
    tools: Mapping[str, Fingerprints] = field(default_factory=dict)
    """Fingerprints of the tools in `catalogs`."""


def view(known: Known, aggregation: Aggregation) -> View | None:
    """What all clients see alike; None while the lists of some backend are still asked for."""
    shared = [each.name for each in known.judgement.backends if each.listed == "shared"]
    if any(name not in known.catalogs for name in shared):
        return None
    return merge((known.catalogs[name] for name in shared), aggregation)


def summarize(virtual: VirtualMCPServer, known: Known, now: datetime) -> VirtualStatus:
    """The status; times in it move only where something changed."""
    before, aggregation = virtual.status, virtual.spec.aggregation
    judgement, seen = known.judgement, view(known, aggregation)
    counted = _counted(before, known, seen)
    tokens = sum(each.estimated_tokens for each in counted)
    generation = virtual.metadata.generation
    said = (*claims(judgement), *_budget(tokens, aggregation.token_budget))
    problems = before.problems if seen is None else _problems(seen, known, virtual.spec)
    return VirtualStatus(
        phase=judgement.phase,
        message=judgement.message,
        conditions=settle(before.conditions, said, now, generation),
        backend_count=judgement.routable,
        discovered_backends=counted,
        tool_count=sum(each.tool_count for each in counted),
        estimated_tokens=tokens,
        problems=problems,
        url=known.base + paths_of(virtual.ref)[0],
        checksum=_checksum(virtual, judgement),
        observed_generation=generation,
    )


def happenings(
    virtual: VirtualMCPServer, after: VirtualStatus, changes: Mapping[str, Collection[str]]
) -> tuple[Happening, ...]:
    """What happened since the status that stands: `changes` are tools that changed, by backend."""
    before = virtual.status
    return (
        *_moved(before, after),
        *(Happening("ToolProblem", told, warning=True) for told in _new(before, after)),
        *_overrun(before, after),
        *(
            Happening("ToolChanged", _changed(backend, name), warning=True)
            for backend in sorted(changes)
            for name in sorted(changes[backend])
        ),
    )


def tool_changes(
    virtual: VirtualMCPServer, before: Mapping[str, Fingerprints], known: Known
) -> dict[str, tuple[str, ...]]:
    """Tools that are not what they were, by backend; `before` is what was seen last.

    Where nothing was seen since Mooring began, the checksum in the status says whether anything
    changed; the empty name stands for the tools together.
    """
    stored = {each.name: each.tools_checksum for each in virtual.status.discovered_backends}
    found: dict[str, tuple[str, ...]] = {}
    for name, tools in known.tools.items():
        if name in before:
            names = changed(before[name], tools)
        else:
            names = ("",) if stored.get(name, "") not in ("", checksum(dict(tools))) else ()
        if names:
            found[name] = names
    return found


def _counted(
    before: VirtualStatus, known: Known, seen: View | None
) -> tuple[DiscoveredBackend, ...]:
    stood = {each.name: each for each in before.discovered_backends}
    counts = _counts(seen)
    rows = []
    for each in known.judgement.backends:
        row = stood.get(each.name, DiscoveredBackend(name=each.name))
        update: dict[str, object] = {
            "state": each.word,
            "message": each.message,
            "listed": each.listed,
        }
        if seen is not None or each.listed != "shared":
            update |= counts.get(each.name, _NONE)
        if each.name in known.tools:
            update["tools_checksum"] = checksum(dict(known.tools[each.name]))
        rows.append(row.model_copy(update=update))
    return tuple(rows)


_NONE = {"tool_count": 0, "hidden_tools": 0, "estimated_tokens": 0}


def _counts(seen: View | None) -> dict[str, dict[str, int]]:
    """What is shown and hidden of each backend, and what it costs."""
    found: dict[str, dict[str, int]] = {}
    for tool in seen.tools.values() if seen is not None else ():
        mine = found.setdefault(tool.backend, dict(_NONE))
        mine["tool_count"] += 1
        mine["estimated_tokens"] += tool.tokens
    for hidden in seen.hidden if seen is not None else ():
        if hidden.kind == "tool":
            found.setdefault(hidden.backend, dict(_NONE))["hidden_tools"] += 1
    return found


def _problems(seen: View, known: Known, spec: VirtualSpec) -> tuple[str, ...]:
    found = known.judgement.reason != "GroupNotFound"
    told = [
        *(f"{name}: its lists cannot be had: {why}" for name, why in known.failures.items()),
        *(_dropped(each) for each in seen.hidden if each.reason in DROPS),
        *(f"spec.aggregation.{text}" for text in seen.unmatched),
        *(_strangers(known.members, spec) if found else ()),
    ]
    return tuple(sorted(set(told))[:PROBLEMS])


def _dropped(hidden: Hidden) -> str:
    what = f"{hidden.kind} {hidden.backend}/{hidden.name}" if hidden.name else hidden.backend
    return f"{what}: {hidden.message}"


def _strangers(members: Collection[str], spec: VirtualSpec) -> Iterator[str]:
    """Servers that the spec names, and that are not in the group."""
    aggregation = spec.aggregation
    places = [("aggregation.priorityOrder", name) for name in aggregation.priority_order]
    places += [(f"aggregation.tools.{name}", name) for name in aggregation.tools]
    places += [(f"aggregation.manual.{n}", meant.server) for n, meant in aggregation.manual.items()]
    places += [(f"relay.{name}", name) for name in spec.relay]
    for place, name in places:
        if name not in members:
            yield f"spec.{place}: server {name} is not in the group"


def _budget(tokens: int, budget: int | None) -> tuple[Claim, ...]:
    if budget is None:
        return ()
    over = tokens > budget
    told = f"the list of tools costs about {tokens} tokens; the budget is {budget}"
    return (Claim("TokenBudgetExceeded", over, "OverBudget" if over else "WithinBudget", told),)


def _moved(before: VirtualStatus, after: VirtualStatus) -> Iterator[Happening]:
    """Backends whose word changed, and what that makes of the whole."""
    stood = {each.name: each.state for each in before.discovered_backends}
    for each in after.discovered_backends:
        if stood.get(each.name, "unknown") != each.state:
            why = f": {each.message}" if each.message else ""
            told = f"{each.name} is {each.state}{why}"
            yield Happening(_EVENTS[each.state], told, warning=each.state == "unavailable")
    for name in sorted(stood.keys() - {each.name for each in after.discovered_backends}):
        yield Happening("BackendGone", f"{name} is no backend any more")
    if (before.phase, before.url) != (after.phase, after.url):
        reason = next(c.reason for c in after.conditions if c.type == "Ready")
        yield Happening(reason, after.message, warning=after.phase == "Failed")


def _new(before: VirtualStatus, after: VirtualStatus) -> tuple[str, ...]:
    return tuple(sorted(set(after.problems) - set(before.problems)))


def _overrun(before: VirtualStatus, after: VirtualStatus) -> Iterator[Happening]:
    """The moment at which the list of tools became too large."""
    if _over(after) and not _over(before):
        told = "the list of tools costs more tokens than its budget"
        yield Happening("TokenBudgetExceeded", told, warning=True)


def _over(status: VirtualStatus) -> bool:
    return any(c.type == "TokenBudgetExceeded" and c.status == "True" for c in status.conditions)


def _changed(backend: str, name: str) -> str:
    if not name:
        return f"tools of {backend} are not what they were when Mooring ended"
    return f"{backend}/{name}: its description or schema is not what it was"


def _checksum(virtual: VirtualMCPServer, judgement: Judgement) -> str:
    """Of what clients are served by: the spec, and who the backends are."""
    backends = [[each.name, each.forwards] for each in judgement.backends]
    return checksum([virtual.document()["spec"], backends])
