"""`moor logs`: what servers wrote to stderr."""

import sys
import threading
from collections.abc import Iterator
from queue import SimpleQueue
from typing import Any

import click

from mooring.cli.client import Api, Query, path_of
from mooring.cli.completing import complete_server
from mooring.cli.failures import NOT_FOUND, USAGE, Failure, Refusal
from mooring.cli.invocation import Invocation, everywhere, pass_invocation
from mooring.cli.targets import INSTANCE, SERVER, Target, ref
from mooring.core.durations import parse
from mooring.core.printable import printable

LINE = 64 * 1024
"""Characters of a line that are shown."""


@click.command(
    epilog="\b\nExamples:\n  moor logs time\n  moor logs time-0 --previous"
    "\n  moor logs time -f --since 5m --tail 20"
)
@click.argument("name", metavar="SERVER|INSTANCE", shell_complete=complete_server)
@click.option("-f", "--follow", is_flag=True, help="Go on showing what is written.")
@click.option("-p", "--previous", is_flag=True, help="The log of the start before this one.")
@click.option("--since", metavar="DURATION", help="Only what was written since: 30s, 5m, 1h.")
@click.option("--tail", type=click.IntRange(min=0), help="Only the last so many lines of each.")
@everywhere
@pass_invocation
def logs(invocation: Invocation, /, name: str, **options: Any) -> None:
    """Show what a server wrote to stderr.

    The logs of all its instances, each line prefixed with its instance; or of one instance,
    without a prefix.
    """
    query: Query = {
        "tail": options["tail"],
        "since": _seconds(options["since"]),
        "previous": "true" if options["previous"] else None,
        "follow": "true" if options["follow"] else None,
    }
    api = invocation.api
    namespace, instances, prefixed = _instances(api, name, invocation.namespace)
    paths = {each: path_of(INSTANCE, namespace, each, "log") for each in instances}
    if options["follow"] and len(paths) > 1:
        lines = _together(api, paths, query)
    else:
        lines = _one_by_one(api, paths, query)
    for instance, line in lines:
        text = printable(line.decode(errors="replace").rstrip("\r\n"), LINE, keep="\t")
        print(f"{instance} | {text}" if prefixed else text)
        if options["follow"]:
            sys.stdout.flush()


def _seconds(since: str | None) -> float | None:
    try:
        return None if since is None else parse(since)
    except ValueError as error:
        raise Failure(f"--since: {error}", USAGE) from None


def _instances(api: Api, text: str, namespace: str) -> tuple[str, list[str], bool]:
    """Namespace, instances and whether a server was meant: a server's name goes first."""
    target = ref(text, namespace) if "/" in text else Target(SERVER, namespace, text)
    if target.naming is INSTANCE:
        return target.namespace, [target.name], False
    if target.naming is not SERVER:
        raise Failure(f"{text} has no log; servers and instances have", USAGE)
    try:
        found = api.get(path_of(SERVER, target.namespace, target.name))
    except Refusal as refusal:
        if refusal.code != NOT_FOUND or "/" in text:
            raise
        return target.namespace, [target.name], False
    rows = (found.get("status") or {}).get("instances") or ()
    if not rows:
        click.echo(f"{target} has no instances, so there is no log yet.", err=True)
    return target.namespace, [row["name"] for row in rows], True


def _one_by_one(api: Api, paths: dict[str, str], query: Query) -> Iterator[tuple[str, bytes]]:
    """One log after the other; one that is missing among several is told and no error."""
    for instance, path in paths.items():
        try:
            for line in api.lines(path, query):
                yield instance, line
        except Refusal as refusal:
            if refusal.code != NOT_FOUND or len(paths) == 1:
                raise
            click.echo(f"{instance}: {refusal.message}", err=True)


def _together(api: Api, paths: dict[str, str], query: Query) -> Iterator[tuple[str, bytes]]:
    """Lines of several logs as they come; ends when all of them have ended."""
    arrived: SimpleQueue[tuple[str, bytes | Failure | None]] = SimpleQueue()

    def read(instance: str) -> None:
        try:
            for line in api.lines(paths[instance], query):
                arrived.put((instance, line))
        except Failure as failure:
            arrived.put((instance, failure))
        else:
            arrived.put((instance, None))

    for instance in paths:
        threading.Thread(target=read, args=(instance,), daemon=True).start()
    running = len(paths)
    while running:
        instance, line = arrived.get()
        if isinstance(line, bytes):
            yield instance, line
            continue
        running -= 1
        if line is not None:
            click.echo(f"{instance}: {line.message}", err=True)
