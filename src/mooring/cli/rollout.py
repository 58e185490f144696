"""`moor rollout`: how a change of a server goes, what there was before, and the way back."""

import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

import click

from mooring.cli.client import json_body, path_of
from mooring.cli.completing import complete_server
from mooring.cli.failures import FAILED, NOT_FOUND, NOT_READY, USAGE, Failure
from mooring.cli.invocation import Invocation, everywhere, pass_invocation
from mooring.cli.output import as_json, as_yaml, now
from mooring.cli.tables import Table
from mooring.cli.targets import SERVER, Target, server
from mooring.cli.waiting import current
from mooring.core.columns import NONE, age
from mooring.core.durations import parse
from mooring.core.printable import printable

Document = dict[str, Any]

RESTARTED = "mooring.dev/restartedAt"
LENGTH = 64
"""Characters of it that count."""
QUIET = 2.0
"""Seconds until a wait tells on a terminal what it waits for."""
MERGE_PATCH = "application/merge-patch+json"
JSON_PATCH = "application/json-patch+json"

_ONE = click.argument("what", nargs=-1, metavar="SERVER", shell_complete=complete_server)
_SEVERAL = click.argument("what", nargs=-1, metavar="SERVER...", shell_complete=complete_server)


@click.group()
def rollout() -> None:
    """Watch, restart and undo changes of servers."""


@rollout.command(epilog="\b\nExample:\n  moor rollout status server/time --timeout 2m")
@_SEVERAL
@click.option("--timeout", metavar="DURATION",
              help="How long to wait in all. Default: until it ends, well or not.")  # fmt: skip
@everywhere
@pass_invocation
def status(invocation: Invocation, what: tuple[str, ...], timeout: str | None) -> None:
    """Wait until servers are rolled out.

    Exit code 4: a rollout made no step for progressDeadlineSeconds, or not all were in time."""
    try:
        seconds = parse(timeout) if timeout is not None else None
    except ValueError as error:
        raise Failure(f"--timeout: {error}", USAGE) from None
    began = time.monotonic()
    for target in _targets(invocation, what, "status"):
        left = None if seconds is None else max(0.0, began + seconds - time.monotonic())
        print(_rolled_out(invocation, target, left), flush=True)


@rollout.command(
    epilog="\b\nExamples:\n  moor rollout history server/time"
    "\n  moor rollout history server/time --revision 2"
)
@_ONE
@click.option("--revision", type=int, metavar="N", help="Show what was wanted then.")
@click.option("-o", "--output", "form", type=click.Choice(["json", "yaml"]),
              help="Instead of a table: all revisions as json or yaml.")  # fmt: skip
@everywhere
@pass_invocation
def history(
    invocation: Invocation, what: tuple[str, ...], revision: int | None, form: str | None
) -> None:
    """Show what a server was declared as before; the last line is the present."""
    (target,) = _targets(invocation, what, "history", only=True)
    revisions = _revisions(_read(invocation, target))
    if revision is not None:
        chosen = _chosen(target, revisions, revision)
        print(as_json(chosen) if form == "json" else as_yaml(chosen["spec"]).rstrip())
    elif form is not None:
        print(as_json(revisions) if form == "json" else as_yaml(revisions).rstrip())
    elif revisions:
        rows = [
            [str(each["number"]), age(each["since"], now()), _changed(before, each),
             each.get("cause") or NONE]
            for before, each in zip([None, *revisions], revisions, strict=False)
        ]  # fmt: skip
        Table(["REVISION", "AGE", "CHANGED", "CAUSE"]).print(rows)
    else:
        click.echo(f"No revisions of {target} are known yet.", err=True)


@rollout.command(
    epilog="\b\nExamples:\n  moor rollout undo server/time"
    "\n  moor rollout undo server/time --to-revision 2"
)
@_ONE
@click.option("--to-revision", "revision", type=int, metavar="N",
              help="Which one to go back to. Default: the one before the present.")  # fmt: skip
@everywhere
@pass_invocation
def undo(invocation: Invocation, what: tuple[str, ...], revision: int | None) -> None:
    """Declare a server as it was before; the number of instances stays as it is."""
    (target,) = _targets(invocation, what, "undo", only=True)
    document = _read(invocation, target)
    revisions = _revisions(document)
    # A change that nobody has looked at yet is no revision so far: the last one is before it.
    present = revisions[-1] if revisions and current(document) else None
    earlier = revisions[:-1] if present else revisions
    if revision is None and not earlier:
        raise Failure(f"{target} has no revision before the present one", FAILED)
    chosen = earlier[-1] if revision is None else _chosen(target, revisions, revision)
    if chosen is present:
        print(f"{target} unchanged (it is at revision {chosen['number']})")
        return
    wanted = {**chosen["spec"], "replicas": document["spec"].get("replicas", 1)}
    patch = [{"op": "replace", "path": "/spec", "value": wanted}]
    _patch(invocation, target, patch, JSON_PATCH)
    print(f"{target} rolled back to revision {chosen['number']}")


@rollout.command(epilog="\b\nExample:\n  moor rollout restart server/time server/notes")
@_SEVERAL
@everywhere
@pass_invocation
def restart(invocation: Invocation, what: tuple[str, ...]) -> None:
    """Replace every instance by a new one, one after the other.

    A package without a version is looked up anew. An instance that waits for its next attempt is
    tried at once."""
    for target in _targets(invocation, what, "restart"):
        stamp = now().isoformat().replace("+00:00", "Z")
        patch = {"metadata": {"annotations": {RESTARTED: stamp}}}
        _patch(invocation, target, patch, MERGE_PATCH)
        print(f"{target} restarted", flush=True)


def _targets(
    invocation: Invocation, words: Sequence[str], verb: str, *, only: bool = False
) -> list[Target]:
    """The servers that are meant: `time`, `server/time` or `server time`."""
    if len(words) > 1 and words[0].lower() in SERVER.words:
        words = words[1:]
    if not words:
        raise Failure(f"which server? For example: moor rollout {verb} server/time", USAGE)
    if only and len(words) > 1:
        raise Failure("one server at a time", USAGE)
    return [server(word, invocation.namespace) for word in words]


def _read(invocation: Invocation, target: Target) -> Document:
    return invocation.api.get(path_of(target.naming, target.namespace, target.name))


def _patch(invocation: Invocation, target: Target, patch: Any, kind: str) -> None:
    path = path_of(target.naming, target.namespace, target.name)
    invocation.api.send("PATCH", path, json_body(patch, kind))


def _revisions(document: Document) -> list[Document]:
    return list((document.get("status") or {}).get("revisions") or ())


def _chosen(target: Target, revisions: Sequence[Document], number: int) -> Document:
    found = next((each for each in revisions if each["number"] == number), None)
    if found is None:
        known = ", ".join(str(each["number"]) for each in revisions) or "none"
        raise Failure(f"{target} has no revision {number}; it has {known}", NOT_FOUND)
    return found


def _changed(before: Document | None, after: Document) -> str:
    """The fields of the spec that a revision changed."""
    if before is None:
        return NONE
    old, new = before["spec"], after["spec"]
    names = sorted(key for key in {*old, *new} if old.get(key) != new.get(key))
    return ", ".join(names) or NONE


def _rolled_out(invocation: Invocation, target: Target, seconds: float | None) -> str:
    """Waits for the end of a rollout; Failure where it stalls, or does not end in time."""
    path = path_of(target.naming, target.namespace)
    query = {"fieldSelector": f"metadata.name={target.name}"}
    told = _Progress(target)
    said = ""
    try:
        for batch in invocation.api.follow(path, query, seconds):
            gone = not batch or batch[-1][0] == "DELETED"
            document = None if gone else batch[-1][1]
            if document is None:
                raise Failure(f"{target} does not exist", NOT_FOUND)
            said = _claim(document).get("message", "")
            state = _state(document)
            if state == "Complete":
                return f"{target} rolled out ({said})"
            if state == "Stalled":
                raise _stalled(target, said)
            told.tell(said)
    except TimeoutError:
        why = f": {said}" if said else ""
        raise Failure(
            f"{target} is not rolled out in time{why}. To see why: moor describe {target}",
            NOT_READY,
        ) from None
    raise Failure(f"{target}: the watch ended", FAILED)


def _state(document: Document) -> str:
    """How far the rollout of what is wanted now is; empty where nobody has looked at it yet."""
    status: Mapping[str, Any] = document.get("status") or {}
    asked = (document["metadata"].get("annotations") or {}).get(RESTARTED, "")[:LENGTH]
    if not current(document) or asked not in ("", status.get("restartedAt", "")):
        return ""
    return str((status.get("rollout") or {}).get("state", ""))


def _claim(document: Document) -> Mapping[str, Any]:
    claims = (document.get("status") or {}).get("conditions") or ()
    return next((claim for claim in claims if claim["type"] == "Progressing"), {})


def _stalled(target: Target, said: str) -> Failure:
    back = f"To see why: moor describe {target}. To go back: moor rollout undo {target}"
    return Failure(f"{target}: {said}. {back}", NOT_READY)


class _Progress:
    """Tells a person what is waited for, once that takes a while."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._since = time.monotonic()
        self._told = ""

    def tell(self, said: str) -> None:
        waited = time.monotonic() - self._since
        if said and said != self._told and waited >= QUIET and sys.stderr.isatty():
            self._told = said
            click.echo(f"{self._target}  {printable(said)}", err=True)
