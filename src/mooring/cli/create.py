"""`moor create secret`: values that servers need and nobody else may see."""

import base64
from pathlib import Path
from typing import Any

import click

from mooring.cli.client import Api, json_body, path_of
from mooring.cli.failures import FAILED, USAGE, Failure, Refusal
from mooring.cli.invocation import Invocation, everywhere, pass_invocation
from mooring.cli.targets import SECRET, Target


@click.group()
def create() -> None:
    """Create an object from options."""


@create.command(
    epilog="\b\nExamples:\n  moor create secret gitea-creds --from-literal token=s3cret"
    "\n  moor create secret gitea-creds --from-env-file .env"
    "\n  moor create secret gitea-creds --from-literal token=t0ken --overwrite"
    "\n  moor create secret tls --from-file key.pem --from-file cert=server.pem"
)
@click.argument("name")
@click.option("--from-literal", "literals", multiple=True, metavar="KEY=VALUE", help="One value.")
@click.option("--from-env-file", "env_files", multiple=True, metavar="FILE",
              help="A file with a line KEY=VALUE for each value.")  # fmt: skip
@click.option("--from-file", "files", multiple=True, metavar="[KEY=]FILE",
              help="A file whose content is the value.")  # fmt: skip
@click.option("--overwrite", is_flag=True, help="Replace values that the secret has already.")
@everywhere
@pass_invocation
def secret(
    invocation: Invocation,
    name: str,
    literals: tuple[str, ...],
    env_files: tuple[str, ...],
    files: tuple[str, ...],
    overwrite: bool,
) -> None:
    """Create a secret, or add values to one that is there. Values are never printed."""
    values = dict(_pair(text, "--from-literal") for text in literals)
    for file in env_files:
        values |= _env_file(file)
    for text in files:
        key, sign, path = text.partition("=")
        path = path if sign else text
        values[key if sign else Path(text).name] = _read(path)
    if not values:
        raise Failure(
            f"a secret needs values. For example: moor create secret {name} --from-literal token=…",
            USAGE,
        )
    target = Target(SECRET, invocation.namespace, name)
    document: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "namespace": target.namespace},
        "data": {key: base64.b64encode(value).decode() for key, value in values.items()},
    }
    try:
        invocation.api.send("POST", path_of(SECRET, target.namespace), json_body(document))
    except Refusal as refusal:
        if refusal.reason != "AlreadyExists":
            raise
        _add(invocation.api, target, document["data"], overwrite=overwrite)
        print(f"{target} configured")
        return
    print(f"{target} created")


def _add(api: Api, target: Target, coded: dict[str, str], *, overwrite: bool) -> None:
    """Gives a secret that is there more values; those that it has stay."""
    path = path_of(SECRET, target.namespace, target.name)
    there = sorted(coded.keys() & (api.get(path).get("data") or {}).keys())
    if there and not overwrite:
        keys = ", ".join(there)
        raise Failure(f"{target} exists and has {keys} already. To replace it: --overwrite", FAILED)
    api.send("PATCH", path, json_body({"data": coded}, "application/merge-patch+json"))


def _pair(text: str, option: str) -> tuple[str, bytes]:
    key, sign, value = text.partition("=")
    if not sign or not key:
        # The text may be the value alone, so it is not repeated.
        raise Failure(f"{option}: expected KEY=VALUE", USAGE)
    return key, value.encode()


def _env_file(name: str) -> dict[str, bytes]:
    values: dict[str, bytes] = {}
    text = _read(name).decode("utf-8-sig", errors="surrogateescape")
    for number, line in enumerate(text.splitlines(), start=1):
        line = line.strip().removeprefix("export ").strip()
        if not line or line.startswith("#"):
            continue
        key, sign, value = line.partition("=")
        if not sign or not key.strip():
            raise Failure(f"{name}:{number}: expected KEY=VALUE", FAILED)
        values[key.strip()] = _unquoted(value.strip()).encode(errors="surrogateescape")
    return values


def _unquoted(value: str) -> str:
    if len(value) >= 2 and value[0] == value[-1] and value[0] in "\"'":
        return value[1:-1]
    return value


def _read(name: str) -> bytes:
    try:
        return Path(name).read_bytes()
    except OSError as error:
        raise Failure(f"cannot read {name}: {error.strerror}", FAILED) from None
