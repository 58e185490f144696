"""`moor completion`: for the shell."""

import click

from mooring.cli.invocation import everywhere


@click.command(
    epilog='\b\nExamples:\n  eval "$(moor completion bash)"'
    "\n  moor completion fish > ~/.config/fish/completions/moor.fish"
)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@everywhere
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print the completion script of a shell.

    It completes commands, options and live names.
    """
    from click.shell_completion import get_completion_class

    found = get_completion_class(shell)
    assert found is not None
    print(found(context.find_root().command, {}, "moor", "_MOOR_COMPLETE").source())
