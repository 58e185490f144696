"""`moor session-key`: the keys that seal session ids and records, and their rotation."""

import os
from typing import TYPE_CHECKING

import click

from mooring.cli.invocation import Invocation, everywhere, pass_invocation

if TYPE_CHECKING:
    from mooring.programs.places import Places
    from mooring.programs.session_keys import Shown
    from mooring.programs.settings import Settings

_FILE = click.option(
    "--session-key",
    metavar="FILE",
    help="File of the keys.  [env: MOORING_SESSION_KEY; default: in the data directory]",
)


@click.group("session-key", invoke_without_command=True)
@_FILE
@everywhere
@click.pass_context
def session_key(context: click.Context, session_key: str | None) -> None:
    """Show the keys that seal sessions, by names that do not give them away.

    Gateways that serve the same sessions show the same names.
    """
    if context.invoked_subcommand is None:
        from mooring.programs import session_keys

        _print(session_keys.show(*_place(context.ensure_object(Invocation), session_key)))


@session_key.command()
@click.option("--forget", is_flag=True, help="Forget all keys: every open session is lost.")
@_FILE
@everywhere
@pass_invocation
def rotate(invocation: Invocation, session_key: str | None, forget: bool) -> None:
    """Have the next key seal from now on. The keys before it still open.

    A running Mooring takes the change up by itself, within seconds.

    \b
    Example:
      moor session-key rotate
    """
    from mooring.programs import session_keys

    _print(session_keys.rotate(*_place(invocation, session_key), forget=forget))


def _place(invocation: Invocation, given: str | None) -> "tuple[Settings, Places]":
    from mooring.programs import places, settings

    places.prepare(invocation.places)
    chosen = settings.load({"data_dir": invocation.data_dir, "session_key": given}, os.environ)
    return chosen, invocation.places


def _print(shown: "Shown") -> None:
    click.echo(f"{shown.path}", err=True)
    for use, name in shown.keys:
        print(f"{use:<6} {name}", flush=True)
