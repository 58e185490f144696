"""`moor kubeconfig` and `moor token`: how kubectl and other clients come in."""

import click

from mooring.cli.failures import Failure
from mooring.cli.invocation import Invocation, everywhere, pass_invocation


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
    from mooring.programs import door

    if context.invoked_subcommand is None:
        print(door.token_of(context.ensure_object(Invocation).places).text(), flush=True)


@token.command()
@everywhere
@pass_invocation
def rotate(invocation: Invocation) -> None:
    """Make another token and print it.

    The one before opens nothing any more, from this moment on: print kubeconfigs again.
    """
    from mooring.programs import door

    print(door.token_of(invocation.places).rotate(), flush=True)
