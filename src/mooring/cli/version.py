"""`moor version`."""

import click

from mooring.cli.invocation import Invocation, everywhere, pass_invocation


@click.command()
@click.option("--client", is_flag=True, help="Of this command alone.")
@everywhere
@pass_invocation
def version(invocation: Invocation, client: bool) -> None:
    """Show the versions of both ends.

    Of this command, and of the Mooring that it talks to.
    """
    from importlib.metadata import version as installed

    print(f"Client: v{installed('mooring')}", flush=True)
    if not client:
        found = invocation.api.get("/version")
        print(f"Server: {found['gitVersion']} at {found['endpoints']}")
