"""`moor`: finds the command that is meant, runs it, and ends with the right exit code.

Commands are imported when they are run, because each answers within 150 ms of its work.
"""

import importlib
import os
import sys
from collections.abc import Sequence

import click

from mooring.cli.failures import DENIED, FAILED, USAGE, Failure
from mooring.cli.invocation import everywhere
from mooring.errors import Denied, MooringError

COMMANDS = {
    "up": "mooring.cli.up:up",
    "serve": "mooring.cli.up:serve",
    "down": "mooring.cli.up:down",
    "gateway": "mooring.cli.gateway:gateway",
    "get": "mooring.cli.get:get",
    "describe": "mooring.cli.describe:describe",
    "logs": "mooring.cli.logs:logs",
    "events": "mooring.cli.get:events",
    "tools": "mooring.cli.tools:tools",
    "call": "mooring.cli.tools:call",
    "probe": "mooring.cli.probe:probe",
    "why": "mooring.cli.why:why",
    "apply": "mooring.cli.apply:apply",
    "diff": "mooring.cli.apply:diff",
    "edit": "mooring.cli.edit:edit",
    "delete": "mooring.cli.delete:delete",
    "create": "mooring.cli.create:create",
    "wait": "mooring.cli.wait:wait",
    "rollout": "mooring.cli.rollout:rollout",
    "kubeconfig": "mooring.cli.access:kubeconfig",
    "token": "mooring.cli.access:token",
    "session-key": "mooring.cli.session_key:session_key",
    "completion": "mooring.cli.completion:completion",
    "version": "mooring.cli.version:version",
    "keeper": "mooring.cli.up:keeper",
}
"""Each command: the module that holds it, and its name there. `--help` lists them in order."""


class Commands(click.Group):
    """Imports a command when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        place = COMMANDS.get(cmd_name)
        if place is None:
            return None
        module, _, attribute = place.partition(":")
        found: click.Command = getattr(importlib.import_module(module), attribute)
        return found

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if not ctx.resilient_parsing and args and args[0] not in COMMANDS and args[0][0] != "-":
            from mooring.core.suggestion import did_you_mean

            near = did_you_mean(args[0], COMMANDS)
            raise click.UsageError(f"there is no command {args[0]!r}.{near}", ctx)
        return super().resolve_command(ctx, args)


@click.group(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="\b\nStart here:\n  moor up examples/fleet.yaml\n  moor get servers\n"
    "  moor describe server time",
)
@everywhere
def moor() -> None:
    """Runs MCP servers and stands in front of them."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs one command and ends the process with its exit code."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    sys.exit(_run(arguments))


def _code(error: Failure | MooringError) -> int:
    if isinstance(error, Failure):
        return error.code
    return DENIED if isinstance(error, Denied) else FAILED


def _run(arguments: Sequence[str] | None) -> int:
    try:
        ended = moor.main(arguments, prog_name="moor", standalone_mode=False)
        sys.stdout.flush()
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        return USAGE
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (Failure, MooringError) as error:
        click.echo(f"Error: {error.message}", err=True)
        return _code(error)
    except (KeyboardInterrupt, click.Abort):
        return 130
    except BrokenPipeError:
        # Whoever read us has seen enough; Python must not complain when it flushes.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return ended if isinstance(ended, int) else 0
