"""`moor probe`: ask an instance now how it is, the way that it is asked all the time."""

from typing import Any

import click

from mooring.cli.client import json_body, path_of
from mooring.cli.completing import complete_instance
from mooring.cli.failures import FAILED, NOT_READY, Failure, Refusal
from mooring.cli.invocation import Invocation, everywhere, pass_invocation
from mooring.cli.output import as_json
from mooring.cli.targets import INSTANCE, instances
from mooring.core.explaining import outcome
from mooring.core.printable import printable

SECONDS = 7500.0
"""How long we wait; Mooring itself gives up earlier, after timeoutSeconds, and says why."""


@click.command(epilog="\b\nExamples:\n  moor probe inst time-0\n  moor probe time-0 -o json")
@click.argument("what", nargs=-1, metavar="[inst] NAME", shell_complete=complete_instance)
@click.option("-o", "--output", "form", type=click.Choice(["json"]), help="The probe as JSON.")
@everywhere
@pass_invocation
def probe(invocation: Invocation, what: tuple[str, ...], form: str | None) -> None:
    """Probe an instance now, and say what came of it.

    It counts like any other probe. Exit code 0: it answered, be it that it wants a login;
    1: it failed; 4: it does not run.
    """
    (target,) = instances(what, invocation.namespace, "probe", only=True)
    path = path_of(INSTANCE, target.namespace, target.name, "probe")
    try:
        found = invocation.api.send("POST", path, json_body({}), seconds=SECONDS)
    except Refusal as refusal:
        if refusal.reason != "NotRunning":
            raise
        hint = f"To see why: moor why inst {target.name}"
        raise Failure(f"{refusal.message}. {hint}", NOT_READY) from None
    _say(str(target), found, form)


def _say(target: str, found: dict[str, Any], form: str | None) -> None:
    words = f"{target}: {printable(outcome(found))}; it is believed {found['health']}"
    if form:
        print(as_json(found))
    if found["outcome"] == "failed":
        raise Failure(words, FAILED)
    if not form:
        print(words)
