"""`moor why`: why something is as it is, from facts, and what to do next."""

from typing import Any

import click

from mooring.cli.client import Api, path_of
from mooring.cli.completing import complete_kind_or_ref
from mooring.cli.failures import USAGE, Failure
from mooring.cli.invocation import Invocation, everywhere, pass_invocation
from mooring.cli.output import now
from mooring.cli.targets import EVENT, INSTANCE, SERVER, VIRTUAL, Target, named
from mooring.cli.why_tool import explained
from mooring.core import columns
from mooring.core.explaining import explain
from mooring.core.printable import printable
from mooring.core.visibility import backends

Document = dict[str, Any]
LINE = 10_000
"""Characters of a line that are shown."""


@click.command(
    epilog="\b\nExamples:\n  moor why inst gitea-0\n  moor why server gitea"
    "\n  moor why tool search\n  moor why tool search vmcp/team"
)
@click.argument("what", nargs=-1, metavar="KIND NAME", shell_complete=complete_kind_or_ref)
@everywhere
@pass_invocation
def why(invocation: Invocation, what: tuple[str, ...]) -> None:
    """Explain why an instance, or each instance of a server, is as it is.

    What is missing, which attempt it is, how it ended, what the last probe came to, what happens
    next; and a command to type. Of a tool: whose it is in a virtual server, who lost its name,
    and why it is not shown.
    """
    if what and what[0].lower() in ("tool", "tools"):
        for line in explained(invocation.api, invocation.namespace, what[1:]):
            print(printable(line, LINE))
        return
    for number, target in enumerate(named(what, invocation.namespace, "why")):
        if number:
            print()
        for line in _lines(invocation.api, target):
            print(printable(line, LINE))


def _lines(api: Api, target: Target) -> list[str]:
    if target.naming is SERVER:
        return _server(api, target)
    if target.naming is VIRTUAL:
        return backends(str(target), api.get(path_of(VIRTUAL, target.namespace, target.name)))
    if target.naming is not INSTANCE:
        raise Failure(f"moor why knows instances, servers and tools; {target} is none", USAGE)
    instance = api.get(path_of(INSTANCE, target.namespace, target.name))
    owner = Target(SERVER, target.namespace, instance["spec"]["server"])
    server = api.get(path_of(SERVER, owner.namespace, owner.name))
    return explain(instance, server, _events(api, owner), now())


def _server(api: Api, target: Target) -> list[str]:
    """How it is, and each of its instances."""
    server = api.get(path_of(SERVER, target.namespace, target.name))
    found = api.get(
        path_of(INSTANCE, target.namespace), {"fieldSelector": f"spec.server={target.name}"}
    )["items"]
    moment = now()
    lines = [f"{target}: {columns.message(server, moment) or columns.phase(server)}"]
    events = _events(api, target) if found else []
    for instance in found:
        lines += ["", *explain(instance, server, events, moment)]
    return lines


def _events(api: Api, owner: Target) -> list[Document]:
    fields = f"involvedObject.kind={owner.naming.kind},involvedObject.name={owner.name}"
    found: list[Document] = api.get(path_of(EVENT, owner.namespace), {"fieldSelector": fields})[
        "items"
    ]
    return found
