"""What the shell offers while a command is typed: live names, or nothing where none answers."""

import click
from click.shell_completion import CompletionItem

from mooring.cli.client import path_of
from mooring.cli.failures import Failure
from mooring.cli.invocation import Invocation
from mooring.cli.targets import INSTANCE, SERVER, endpoint, running
from mooring.core.naming import BY_WORD, NAMINGS, Naming
from mooring.errors import MooringError

SECONDS = 1.0


def names(context: click.Context, naming: Naming) -> list[str]:
    """Names of all objects of a kind in the namespace that is meant."""
    invocation = context.ensure_object(Invocation)
    try:
        found = invocation.api.get(path_of(naming, invocation.namespace), seconds=SECONDS)
    except (Failure, MooringError):
        return []
    return [each["metadata"]["name"] for each in found["items"]]


def complete_kind_or_ref(
    context: click.Context, parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """A kind first, then names of that kind; or `kind/name`."""
    typed = context.params.get(parameter.name or "") or ()
    if typed and typed[0] in BY_WORD:
        return _matching(names(context, BY_WORD[typed[0]]), incomplete)
    if "/" in incomplete:
        return complete_ref(context, parameter, incomplete)
    return _matching([f"{naming.word}s" for naming in NAMINGS], incomplete)


def complete_ref(
    context: click.Context, parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """`kind/name`."""
    word, slash, _ = incomplete.partition("/")
    if not slash:
        return _matching([f"{naming.word}/" for naming in NAMINGS], incomplete)
    if word not in BY_WORD:
        return []
    return _matching([f"{word}/{name}" for name in names(context, BY_WORD[word])], incomplete)


def complete_server(
    context: click.Context, parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """The name of a server; with its word, of a virtual one."""
    if "/" in incomplete:
        return complete_ref(context, parameter, incomplete)
    return _matching(names(context, SERVER), incomplete)


def complete_instance(
    context: click.Context, parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """The name of an instance, with or without the word before it."""
    return _matching(names(context, INSTANCE), incomplete)


def complete_tool(
    context: click.Context, parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """The name of a tool of the server that was typed before it."""
    invocation = context.ensure_object(Invocation)
    try:
        target = endpoint(str(context.params.get("server") or ""), invocation.namespace)
        path = path_of(running(target), target.namespace, target.name, "tools")
        found = invocation.api.get(path, seconds=SECONDS)
    except (Failure, MooringError):
        return []
    return _matching([tool["name"] for tool in found["items"]], incomplete)


def _matching(words: list[str], incomplete: str) -> list[CompletionItem]:
    return [CompletionItem(word) for word in words if word.startswith(incomplete)]
