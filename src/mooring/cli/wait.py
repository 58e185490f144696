"""`moor wait`: for scripts."""

import click

from mooring.cli.completing import complete_kind_or_ref
from mooring.cli.failures import USAGE, Failure
from mooring.cli.invocation import Invocation, everywhere, pass_invocation
from mooring.cli.targets import named
from mooring.cli.waiting import Waiting
from mooring.core.durations import parse


@click.command(
    epilog="\b\nExamples:\n  moor wait --for=condition=Ready server/time --timeout 60s"
    "\n  moor wait --for=delete server/notes"
)
@click.argument("what", nargs=-1, metavar="KIND/NAME...", shell_complete=complete_kind_or_ref)
@click.option("--for", "goal", required=True, metavar="GOAL",
              help="condition=NAME[=VALUE], or delete.")  # fmt: skip
@click.option("--timeout", default="30s", show_default=True, metavar="DURATION",
              help="How long to wait in all.")  # fmt: skip
@everywhere
@pass_invocation
def wait(invocation: Invocation, what: tuple[str, ...], goal: str, timeout: str) -> None:
    """Wait until objects are as wanted. Exit code 4: they were not in time."""
    try:
        seconds = parse(timeout)
    except ValueError as error:
        raise Failure(f"--timeout: {error}", USAGE) from None
    waiting = Waiting(invocation.api, named(what, invocation.namespace, "wait"), seconds)
    word, _, rest = goal.partition("=")
    if goal == "delete":
        for target in waiting.until_gone():
            print(f"{target} deleted", flush=True)
    elif word == "condition" and rest:
        condition, _, value = rest.partition("=")
        for target in waiting.until_condition(condition, value or "True"):
            print(f"{target} condition met", flush=True)
    else:
        raise Failure(f"--for={goal}: expected condition=NAME[=VALUE] or delete", USAGE)
