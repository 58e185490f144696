"""`moor apply` and `moor diff`: declare what is wanted, and see what that would change."""

from typing import Any

import click

from mooring.cli.failures import FAILED, USAGE, Failure
from mooring.cli.files import Row, change, files_option, mind_failures, named, post, read
from mooring.cli.invocation import Invocation, everywhere, pass_invocation
from mooring.cli.output import as_yaml
from mooring.cli.targets import SERVER, VIRTUAL, Target
from mooring.core.durations import parse

_COMPARED = ("apiVersion", "kind", "metadata", "spec", "type", "immutable", "data")
_METADATA = ("name", "namespace", "labels", "annotations")


@click.command(
    epilog="\b\nExamples:\n  moor apply -f fleet.yaml\n  moor apply -f servers/ --dry-run"
    "\n  moor apply -f fleet.yaml --wait --timeout 2m\n  cat fleet.yaml | moor apply -f -"
)
@files_option
@click.option("--dry-run", is_flag=True, help="Say what would change, and change nothing.")
@click.option("--wait", "waiting", is_flag=True, help="Return once every server is ready.")
@click.option("--timeout", default="5m", show_default=True, metavar="DURATION",
              help="How long --wait waits.")  # fmt: skip
@everywhere
@pass_invocation
def apply(
    invocation: Invocation,
    filenames: tuple[str, ...],
    dry_run: bool,
    waiting: bool,
    timeout: str,
) -> None:
    """Make what files declare so. Files with any mistake change nothing.

    What a file says of an object replaces its spec, labels and annotations. Objects that name
    no namespace go into the one of -n.
    """
    files, api = read(filenames), invocation.api
    if dry_run:
        rows = post(api, files, invocation.namespace, dry_run=True)
    else:
        rows = change(api, files, invocation.namespace)
    for row in rows:
        if row["outcome"] != "failed":
            print(f"{named(row)} {row['outcome']}" + (" (dry run)" if dry_run else ""), flush=True)
    mind_failures(rows)
    if waiting and not dry_run:
        _wait(invocation, rows, timeout)


@click.command(epilog="\b\nExample:\n  moor diff -f fleet.yaml")
@files_option
@everywhere
@pass_invocation
def diff(invocation: Invocation, filenames: tuple[str, ...]) -> None:
    """Show what applying files would change. Exit code 1: something would.

    New values of secrets show as (changed), never as they are.
    """
    from difflib import unified_diff

    changed = False
    for row in post(invocation.api, read(filenames), invocation.namespace, dry_run=True):
        mind_failures([row])
        if row["outcome"] == "unchanged":
            continue
        changed = True
        before, after = _comparable(row.get("before")), _comparable(row.get("after"))
        stored, declared = f"{named(row)} (stored)", f"{named(row)} (declared)"
        print("\n".join(unified_diff(before, after, stored, declared, lineterm="")))
    if changed:
        raise SystemExit(FAILED)


def _comparable(document: dict[str, Any] | None) -> list[str]:
    """The lines of a document that a file can change."""
    if document is None:
        return []
    kept = {key: document[key] for key in _COMPARED if key in document}
    kept["metadata"] = {k: v for k, v in document["metadata"].items() if k in _METADATA and v}
    return as_yaml(kept).splitlines()


def _wait(invocation: Invocation, rows: list[Row], timeout: str) -> None:
    from mooring.cli.waiting import Waiting

    try:
        seconds = parse(timeout)
    except ValueError as error:
        raise Failure(f"--timeout: {error}", USAGE) from None
    targets = [
        Target(naming, row["namespace"], row["name"])
        for naming in (SERVER, VIRTUAL)  # a virtual one is up when its servers are
        for row in rows
        if row["kind"] == naming.kind
    ]
    for target in Waiting(invocation.api, targets, seconds).until_up():
        print(f"{target} is up", flush=True)
