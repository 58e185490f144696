"""`moor up`, `serve`, `down` and `keeper`: the programs themselves."""

import logging
import os
import sys
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from mooring.cli.failures import FAILED, Failure
from mooring.cli.invocation import Invocation, everywhere, pass_invocation

if TYPE_CHECKING:
    from mooring.programs.daemon import Ready
    from mooring.programs.settings import Settings

_LISTEN = click.option(
    "--listen",
    metavar="HOST:PORT",
    help="Where MCP clients connect.  [env: MOORING_LISTEN; default: 127.0.0.1:8470]",
)
_API_LISTEN = click.option(
    "--api-listen",
    metavar="HOST:PORT",
    help="Where kubectl connects; off: nowhere.  "
    "[env: MOORING_API_LISTEN; default: 127.0.0.1:8471]",
)
_WORKERS = click.option(
    "--workers",
    metavar="N",
    help="Gateway processes that share the port.  [env: MOORING_WORKERS; default: 1]",
)
_SECRETS_DIR = click.option(
    "--secrets-dir",
    metavar="DIR",
    help="Secrets as files, NAME/KEY.  [env: MOORING_SECRETS_DIR]",
)
_SECRETS_ENV_PREFIX = click.option(
    "--secrets-env-prefix",
    metavar="TEXT",
    help="How variables begin that hold secrets.  "
    "[env: MOORING_SECRETS_ENV_PREFIX; default: MOORING_SECRET_]",
)
_SESSION_STORE = click.option(
    "--session-store",
    metavar="WHERE",
    help="Where records of sessions are kept: sqlite, memory, or redis://HOST:PORT/DB.  "
    "[env: MOORING_SESSION_STORE; default: sqlite]",
)
_SESSION_KEY = click.option(
    "--session-key",
    metavar="FILE",
    help="Keys that seal sessions, the same for all who share them.  [env: MOORING_SESSION_KEY]",
)
_FORMAT = "%(asctime)s %(levelname)s %(message)s"


@click.command()
@click.argument("file", required=False, metavar="[FILE]")
@_LISTEN
@_API_LISTEN
@_WORKERS
@_SECRETS_DIR
@_SECRETS_ENV_PREFIX
@_SESSION_STORE
@_SESSION_KEY
@everywhere
@pass_invocation
def up(invocation: Invocation, /, file: str | None, **given: str | None) -> int:
    """Start everything in the foreground, declare FILE, and say how to reach it.

    Ctrl-C lets requests under way finish, then stops every server.

    \b
    Example:
      moor up examples/fleet.yaml
    """
    from mooring.cli.progress import read_manifest
    from mooring.programs import daemon, places

    settings = _settings(invocation, **given)
    manifest = read_manifest(file) if file else None
    kept = places.of(settings.data_dir)
    places.prepare(kept)
    _log_to(logging.FileHandler(kept.daemon_log))
    terminal = _Terminal(invocation, manifest)
    daemon.run(settings, terminal, keeps=False)
    click.echo("Stopped.", err=True)
    return terminal.code


class _Terminal:
    """Tells a person how the daemon fares, and brings up what they declared."""

    def __init__(self, invocation: Invocation, manifest: Any) -> None:
        self.code = 0
        """What the command ends with."""
        self._invocation = invocation
        self._manifest = manifest

    def ready(self, state: "Ready", stop: Callable[[], None]) -> None:
        work = threading.Thread(target=self._bring_up, args=(stop,), name="bring-up", daemon=True)
        work.start()

    def draining(self) -> None:
        click.echo("\nStopping: requests under way may finish. Ctrl-C again to hurry.", err=True)

    def _bring_up(self, stop: Callable[[], None]) -> None:
        from mooring.cli.progress import bring_up

        try:
            accepted = bring_up(self._invocation.api, self._manifest, sys.stdout)
        except Failure as error:
            click.echo(f"Error: {error.message}", err=True)
            accepted = False
        if not accepted:
            self.code = FAILED
            stop()


class _Log:
    """A service tells its log."""

    def ready(self, state: "Ready", stop: Callable[[], None]) -> None:
        click.echo(f"Mooring serves {state.base}", err=True)

    def draining(self) -> None:
        click.echo("Mooring ends; its servers go on", err=True)


@click.command()
@_LISTEN
@_API_LISTEN
@_WORKERS
@_SECRETS_DIR
@_SECRETS_ENV_PREFIX
@_SESSION_STORE
@_SESSION_KEY
@everywhere
@pass_invocation
def serve(invocation: Invocation, /, **given: str | None) -> int:
    """Run as a service: stopping it leaves the servers running for the next one.

    \b
    Example:
      moor serve --data-dir /var/lib/mooring
    """
    from mooring.programs import daemon

    settings = _settings(invocation, **given)
    _log_to(logging.StreamHandler())

    daemon.run(settings, _Log(), keeps=True)
    return 0


@click.command()
@everywhere
@pass_invocation
def down(invocation: Invocation) -> None:
    """Stop everything that belongs to a data directory: daemon, keeper, servers."""
    from mooring.programs import down as program

    settings = _settings(invocation)
    stopped = program.run(settings)
    click.echo("Stopped." if stopped else f"Nothing runs on {settings.data_dir}.", err=True)


@click.command(
    context_settings={"ignore_unknown_options": True, "help_option_names": []},
    add_help_option=False,
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def keeper(arguments: tuple[str, ...]) -> None:
    """Hold child processes and listening sockets (the daemon starts it by itself)."""
    command = [sys.executable, "-m", "mooring.programs.keeper", *arguments]
    os.execv(sys.executable, command)


def _settings(invocation: Invocation, **given: str | None) -> "Settings":
    from mooring.programs import settings

    return settings.load({"data_dir": invocation.data_dir, **given}, os.environ)


def _log_to(handler: logging.Handler) -> None:
    handler.setFormatter(logging.Formatter(_FORMAT))
    root = logging.getLogger()
    root.addHandler(handler)
    root.setLevel(logging.INFO)
