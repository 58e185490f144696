"""What every command is told: which Mooring, which namespace; and the options that say so."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

import click

from mooring.cli.client import Api

if TYPE_CHECKING:
    from mooring.programs.places import Places

F = TypeVar("F", bound=Callable[..., Any])


@dataclass
class Invocation:
    """Which Mooring is meant, and where in it."""

    data_dir: str | None = None
    namespace: str = "default"

    @cached_property
    def api(self) -> Api:
        """The API of the daemon on this data directory."""
        return Api(str(self.places.api_socket))

    @cached_property
    def places(self) -> "Places":
        """Where things are that belong to this data directory."""
        from mooring.programs import places, settings

        chosen = settings.load({"data_dir": self.data_dir}, os.environ)
        return places.of(chosen.data_dir)


def _set(name: str) -> Callable[[click.Context, click.Parameter, str | None], None]:
    def keep(context: click.Context, _: click.Parameter, value: str | None) -> None:
        if value is not None:
            setattr(context.ensure_object(Invocation), name, value)

    return keep


_DATA_DIR = click.option(
    "--data-dir",
    metavar="DIR",
    expose_value=False,
    is_eager=True,
    callback=_set("data_dir"),
    help="Data directory of the Mooring that is meant.  [env: MOORING_DATA]",
)
_NAMESPACE = click.option(
    "-n",
    "--namespace",
    metavar="NAME",
    expose_value=False,
    is_eager=True,
    callback=_set("namespace"),
    help="Namespace to look in.  [default: default]",
)


def everywhere(command: F) -> F:
    """The options that may stand before a command and after it."""
    return _DATA_DIR(_NAMESPACE(command))


pass_invocation = click.make_pass_decorator(Invocation, ensure=True)
