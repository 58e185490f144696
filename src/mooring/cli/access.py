"""`moor kubeconfig` and `moor token`: how kubectl and other clients come in."""

from typing import TYPE_CHECKING

import click

from mooring.cli.failures import Failure
from mooring.cli.invocation import Invocation, everywhere, pass_invocation

if TYPE_CHECKING:
    from mooring.api.token import TokenFile


@click.command()
@everywhere
@pass_invocation
def kubeconfig(invocation: Invocation) -> None:
    """Print a kubeconfig for this Mooring, certificate and token included.

    \b
    Example:
      moor kubeconfig > ~/.kube/mooring
      KUBECONFIG=~/.kube/mooring kubectl get mcpservers
    """
    from mooring.clock import SystemClock
    from mooring.programs import door

    url = invocation.api.get("/version").get("api")
    if not url:
        raise Failure(
            "this Mooring was started with --api-listen off, so kubectl has no way in. "
            "Fix: start it with --api-listen 127.0.0.1:8471"
        )
    text = door.kubeconfig(url, invocation.places, invocation.namespace, SystemClock())
    print(text, end="", flush=True)


@click.group(invoke_without_command=True)
@everywhere
@click.pass_context
def token(context: click.Context) -> None:
    """Print the token of the API.

    \b
    Example:
      curl -k -H "Authorization: Bearer $(moor token)" https://127.0.0.1:8471/version
    """
    if context.invoked_subcommand is None:
        print(_token(context.ensure_object(Invocation)).text(), flush=True)


@token.command()
@everywhere
@pass_invocation
def rotate(invocation: Invocation) -> None:
    """Make another token and print it.

    The one before opens nothing any more, from this moment on: print kubeconfigs again.
    """
    print(_token(invocation).rotate(), flush=True)


@token.command()
@everywhere
@pass_invocation
def authority(invocation: Invocation) -> None:
    """Print the certificate that the API's certificate is signed with.

    \b
    Example:
      moor token authority > mooring-ca.pem
    """
    from mooring.clock import SystemClock
    from mooring.programs import door, places

    places.prepare(invocation.places)
    print(door.authority_of(invocation.places, SystemClock()), end="", flush=True)


def _token(invocation: Invocation) -> "TokenFile":
    """The token of a data directory, which is made where there is none yet."""
    from mooring.programs import door, places

    places.prepare(invocation.places)
    return door.token_of(invocation.places)
