"""Many lists become one.

A view is what clients of a virtual server see: its tools, prompts, resources and templates, each
with the backend that it belongs to, and everything that they do not see, with the reason. It is
a function of what the backends offer and of the configuration, and of nothing else: in whatever
order backends or their items were found, the view is the same. The same view answers what there
is and whose a name is, so that what is hidden cannot be called either.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from mooring.core.aggregate_items import Catalog, Hidden, Item, Kind, Reason, described, splice
from mooring.core.aggregate_names import fitting, matches, prefixed
from mooring.core.suggestion import did_you_mean
from mooring.core.uri_template import matches as stands_for
from mooring.kinds.virtual import Aggregation, BackendTools

TOKEN = 4
"""Characters that make about one token."""


class Exposed(NamedTuple):
    """Something that clients see."""

    name: str
    """As they see it; of resources the URI, of templates the pattern."""
    backend: str
    """The server that it belongs to."""
    original: str
    """As that server calls it."""
    raw: bytes
    """The item's JSON text, as clients get it."""
    tokens: int
    """What it costs a model, about."""


@dataclass(frozen=True, slots=True)
class View:
    """What clients of a virtual server see; mappings are in the order in which it is listed."""

    tools: Mapping[str, Exposed] = field(default_factory=dict)
    prompts: Mapping[str, Exposed] = field(default_factory=dict)
    resources: Mapping[str, Exposed] = field(default_factory=dict)
    """By URI."""
    templates: Mapping[str, Exposed] = field(default_factory=dict)
    """By pattern."""
    hidden: tuple[Hidden, ...] = ()
    """What they do not see; sorted."""
    unmatched: tuple[str, ...] = ()
    """Names in the configuration that mean nothing, in sentences; sorted."""

    def readers(self, uri: str) -> tuple[str, ...]:
        """Backends that a URI may be read from, sorted: one; several where templates of several
        stand for it, and nobody can tell whose it is; none."""
        if uri in self.resources:
            return (self.resources[uri].backend,)
        fit = {each.backend for name, each in self.templates.items() if stands_for(name, uri)}
        return tuple(sorted(fit))

    def tokens(self) -> dict[str, int]:
        """What the tools of each backend cost a model, about; backends without tools left out."""
        sums: dict[str, int] = {}
        for tool in self.tools.values():
            sums[tool.backend] = sums.get(tool.backend, 0) + tool.tokens
        return sums


def merge(catalogs: Iterable[Catalog], config: Aggregation) -> View:
    """The view of these backends; each is given once."""
    ranks = {name: at for at, name in reversed(list(enumerate(config.priority_order)))}
    ordered = sorted(catalogs, key=lambda c: (ranks.get(c.server, len(ranks)), c.server))
    hidden: list[Hidden] = [drop for catalog in ordered for drop in catalog.dropped]
    tools = _Names("tool", config, hidden)
    prompts = _Names("prompt", config, hidden)
    resources = _Names("resource", config, hidden)
    templates = _Names("template", config, hidden)
    for catalog in ordered:
        _offer_tools(catalog, config, tools)
        server = catalog.server
        named = (lambda name, s=server: prefixed(s, name)) if _prefixes(config) else fitting
        for item in catalog.prompts:
            prompts.offer(Offer(named(item.name), server, item))
        for item in catalog.resources:
            resources.offer(Offer(item.name, server, item))
        for item in catalog.templates:
            templates.offer(Offer(item.name, server, item))
    return View(
        tools=tools.settled(first_wins=config.strategy == "priority"),
        prompts=prompts.settled(first_wins=config.strategy == "priority"),
        resources=resources.settled(first_wins=True),
        templates=templates.settled(first_wins=True),
        hidden=tuple(sorted(hidden)),
        unmatched=tuple(sorted(_unmatched(ordered, config))),
    )


class Offer(NamedTuple):
    """A backend's claim to a name."""

    exposed: str
    backend: str
    item: Item
    declared: bool = False
    """The configuration gives it the name."""


class _Names:
    """Who gets which name, among items of one kind; backends offer in their order."""

    def __init__(self, kind: Kind, config: Aggregation, hidden: list[Hidden]) -> None:
        self._kind = kind
        self._manual = config.strategy == "manual"
        self._offers: dict[str, list[Offer]] = {}
        self._hidden = hidden

    def offer(self, offer: Offer) -> None:
        """One more who would have a name."""
        self._offers.setdefault(offer.exposed, []).append(offer)

    def hide(self, backend: str, name: str, reason: Reason, message: str) -> None:
        """Something that takes no part."""
        self._hidden.append(Hidden(self._kind, backend, name, name, reason, message))

    def settled(self, *, first_wins: bool) -> dict[str, Exposed]:
        """Who has which name, sorted by name."""
        won: dict[str, Exposed] = {}
        for name in sorted(self._offers):
            offers = self._offers[name]
            if len(offers) > 1:
                offers = self._decided(offers, first_wins=first_wins)
            for exposed, backend, item, _ in offers:
                tokens = -(-(len(exposed) + item.weight) // TOKEN)
                won[name] = Exposed(name, backend, item.name, splice(item, exposed), tokens)
        return won

    def _decided(self, offers: list[Offer], *, first_wins: bool) -> list[Offer]:
        """The winner of several, if there is one."""
        declared = [offer for offer in offers if offer.declared] if self._manual else []
        if len(declared) == 1 or first_wins:
            winner = (declared or offers)[0]
            why = "the manual map says so" if declared else "it comes first"
            lost = f"{_holds(winner)}: {why}"
            self._lose([offer for offer in offers if offer is not winner], "Lost", lost)
            return [winner]
        owners = sorted({f"{offer.backend} ({offer.item.name})" for offer in offers})
        self._lose(offers, "Clash", f"several have it, and none comes first: {', '.join(owners)}")
        return []

    def _lose(self, offers: Iterable[Offer], reason: Reason, message: str) -> None:
        for exposed, backend, item, _ in offers:
            self._hidden.append(Hidden(self._kind, backend, item.name, exposed, reason, message))


def _holds(winner: Offer) -> str:
    """Who has a name, and for what."""
    exposed, backend, item, _ = winner
    if exposed == item.name:
        return f"{backend} has {exposed}"
    return f"{backend} has the name {exposed} for its {item.name}"


def _prefixes(config: Aggregation) -> bool:
    return config.strategy == "prefix"


def _offer_tools(catalog: Catalog, config: Aggregation, names: _Names) -> None:
    """The tools of one backend, as far as the configuration shows them."""
    server = catalog.server
    rules = config.tools.get(server, _NO_RULES)
    given = _given(config, server)
    named: Callable[[str], str] = fitting
    if _prefixes(config):
        named = lambda name: prefixed(server, name)  # noqa: E731 - one of two of a kind
    for item in catalog.tools:
        name = item.name
        mapped = given.get(name, ())
        unseen = _unseen(rules, config, name, mapped=bool(mapped))
        if unseen is not None:
            names.hide(server, name, *unseen)
            continue
        override = rules.overrides.get(name)
        if override is not None and override.description is not None:
            item = described(item, override.description)
        if mapped:
            for exposed in mapped:
                names.offer(Offer(exposed, server, item, declared=True))
        elif override is not None and override.name is not None:
            names.offer(Offer(override.name, server, item))
        else:
            names.offer(Offer(named(name), server, item))


_NO_RULES = BackendTools()


def _given(config: Aggregation, server: str) -> dict[str, list[str]]:
    """The names that the manual map gives to tools of a server, by tool."""
    found: dict[str, list[str]] = {}
    for exposed, meant in sorted(config.manual.items()):
        if meant.server == server:
            found.setdefault(meant.tool, []).append(exposed)
    return found


def _unseen(
    rules: BackendTools, config: Aggregation, name: str, *, mapped: bool
) -> tuple[Reason, str] | None:
    """Why the configuration leaves a tool out; None where it does not."""
    if rules.exclude_all:
        return "Excluded", "excludeAll leaves out all tools of its server"
    if rules.filter:
        if any(matches(pattern, name) for pattern in rules.filter):
            return None
        return "Filtered", "the filter of its server does not name it"
    if config.default_tool_visibility == "deny" and not mapped:
        return "NotVisible", "defaultToolVisibility is deny, and no filter names it"
    return None


def _unmatched(catalogs: Iterable[Catalog], config: Aggregation) -> Iterator[str]:
    """Names in the configuration that no tool of a known backend has."""
    for catalog in catalogs:
        server, known = catalog.server, {item.name for item in catalog.tools}
        rules = config.tools.get(server, _NO_RULES)
        for pattern in rules.filter:
            if not any(matches(pattern, name) for name in known):
                yield f"tools.{server}.filter: {_no_tool(server, pattern, known)}"
        for name in rules.overrides.keys() - known:
            yield f"tools.{server}.overrides: {_no_tool(server, name, known)}"
        for exposed, meant in config.manual.items():
            if meant.server == server and meant.tool not in known:
                yield f"manual.{exposed}: {_no_tool(server, meant.tool, known)}"


def _no_tool(server: str, name: str, known: set[str]) -> str:
    return f"{server} has no tool {name}.{did_you_mean(name, known)}"
