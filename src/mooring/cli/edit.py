"""`moor edit`: change an object in an editor."""

from typing import Any

import click

from mooring.cli.client import Body, path_of
from mooring.cli.completing import complete_kind_or_ref
from mooring.cli.failures import USAGE, Failure, Refusal
from mooring.cli.invocation import Invocation, everywhere, pass_invocation
from mooring.cli.output import as_yaml
from mooring.cli.targets import named

Document = dict[str, Any]

_KEPT = ("name", "namespace", "resourceVersion", "labels", "annotations")


@click.command(epilog="\b\nExample:\n  EDITOR=nano moor edit server time")
@click.argument("what", nargs=-1, metavar="KIND NAME", shell_complete=complete_kind_or_ref)
@everywhere
@pass_invocation
def edit(invocation: Invocation, what: tuple[str, ...]) -> None:
    """Change an object in an editor.

    The one that $EDITOR names. Nothing changes where the text stays as it was."""
    targets = named(what, invocation.namespace, "edit")
    if len(targets) > 1:
        raise Failure("one object at a time", USAGE)
    target = targets[0]
    path = path_of(target.naming, target.namespace, target.name)
    before = as_yaml(_editable(invocation.api.get(path)))
    after = click.edit(before, extension=".yaml")
    if after is None or after == before or not after.strip():
        click.echo(f"{target} unchanged", err=True)
        return
    try:
        body = Body(after.encode(), "application/yaml")
        invocation.api.send("PUT", path, body)
    except Refusal as refusal:
        kept = _keep(after)
        refusal.message += f"\nWhat you wrote is in {kept}; mend it, then: moor apply -f {kept}"
        raise
    print(f"{target} configured")


def _editable(document: Document) -> Document:
    """Without what is not for people to change."""
    metadata = {key: document["metadata"][key] for key in _KEPT if document["metadata"].get(key)}
    rest = {key: value for key, value in document.items() if key not in ("metadata", "status")}
    return {"apiVersion": rest.pop("apiVersion"), "kind": rest.pop("kind"),
            "metadata": metadata, **rest}  # fmt: skip


def _keep(text: str) -> str:
    from tempfile import NamedTemporaryFile

    with NamedTemporaryFile("w", prefix="moor-edit-", suffix=".yaml", delete=False) as kept:
        kept.write(text)
    return kept.name
