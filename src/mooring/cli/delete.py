"""`moor delete`: what is no longer wanted."""

import click

from mooring.cli.client import path_of
from mooring.cli.completing import complete_kind_or_ref
from mooring.cli.failures import NOT_FOUND, USAGE, Failure, Refusal
from mooring.cli.files import change, files_option, mind_failures, read
from mooring.cli.invocation import Invocation, everywhere, pass_invocation
from mooring.cli.targets import Target, named
from mooring.cli.waiting import Waiting
from mooring.core.durations import parse
from mooring.core.naming import BY_KIND


@click.command(
    epilog="\b\nExamples:\n  moor delete server notes\n  moor delete -f fleet.yaml --wait"
    "\n  moor delete secret gitea-creds --ignore-not-found"
)
@click.argument("what", nargs=-1, metavar="KIND NAME...", shell_complete=complete_kind_or_ref)
@files_option
@click.option("--wait", "waiting", is_flag=True, help="Return once they are gone.")
@click.option("--timeout", default="5m", show_default=True, metavar="DURATION",
              help="How long --wait waits.")  # fmt: skip
@click.option("--ignore-not-found", is_flag=True, help="It is fine where there is none.")
@everywhere
@pass_invocation
def delete(
    invocation: Invocation,
    what: tuple[str, ...],
    filenames: tuple[str, ...],
    waiting: bool,
    timeout: str,
    ignore_not_found: bool,
) -> None:
    """Delete objects by name or by file.

    A server goes once its instances have drained; --wait waits for that.
    """
    if bool(what) == bool(filenames):
        raise Failure("say what to delete: KIND NAME, or -f FILE", USAGE)
    try:
        seconds = parse(timeout)
    except ValueError as error:
        raise Failure(f"--timeout: {error}", USAGE) from None
    deleting = Deleting(invocation, ignore_not_found)
    leaving = deleting.declared(filenames) if filenames else deleting.named(what)
    if waiting:
        for _ in Waiting(invocation.api, leaving, seconds).until_gone():
            pass


class Deleting:
    """Deletes, and tells what goes later than at once."""

    def __init__(self, invocation: Invocation, ignore_missing: bool) -> None:
        self._invocation = invocation
        self._ignore_missing = ignore_missing

    def named(self, what: tuple[str, ...]) -> list[Target]:
        """Objects by name; all are tried before one that is missing is an error."""
        missing: list[Refusal] = []
        leaving: list[Target] = []
        for target in named(what, self._invocation.namespace, "delete"):
            path = path_of(target.naming, target.namespace, target.name)
            try:
                answered = self._invocation.api.send("DELETE", path)
            except Refusal as refusal:
                if refusal.code != NOT_FOUND:
                    raise
                missing.append(refusal)
                continue
            gone = answered["kind"] == "Status"
            self._tell(target, gone)
            leaving += [] if gone else [target]
        if missing and not self._ignore_missing:
            raise missing[0]
        return leaving

    def declared(self, filenames: tuple[str, ...]) -> list[Target]:
        """Objects that files declare; what is gone already is told and no error."""
        invocation = self._invocation
        rows = change(invocation.api, read(filenames), invocation.namespace, method="DELETE")
        leaving: list[Target] = []
        for row in rows:
            target = Target(BY_KIND[row["kind"]], row["namespace"], row["name"])
            if row["outcome"] == "absent":
                click.echo(f"{target} was not there", err=True)
            elif row["outcome"] in ("deleted", "deleting"):
                self._tell(target, row["outcome"] == "deleted")
                leaving += [target] if row["outcome"] == "deleting" else []
        mind_failures(rows)
        return leaving

    @staticmethod
    def _tell(target: Target, gone: bool) -> None:
        print(f"{target} deleted" + ("" if gone else ", its instances drain"), flush=True)
