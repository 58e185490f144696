"""What the rooms above expect of the rooms that touch the world.

A port is a Protocol: adapters satisfy it without knowing it. Everything that can wait
returns an `Awaitable`. Errors are those of `mooring.errors`, by family.
"""

from collections.abc import AsyncIterator, Awaitable, Hashable, Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, Protocol, TypeVar

from mooring.core.actions import Action
from mooring.core.secret_places import Found, SecretPlace
from mooring.core.workload import Observed
from mooring.kinds.base import Object
from mooring.kinds.ref import Ref

T = TypeVar("T", bound=Object)


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that happened in a store."""

    type: Literal["ADDED", "MODIFIED", "DELETED"]
    object: Object
    """As it is now; for DELETED, as it was last, with the version of its deletion."""


@dataclass(frozen=True, slots=True)
class Listing:
    """Objects of a kind, and the version at which that was the whole truth."""

    items: tuple[Object, ...]
    """Sorted by namespace, then name."""
    version: str


class ObjectReader(Protocol):
    """Objects to be looked at: a store, or an API that shows one.

    Versions are opaque strings that grow with every write, over all kinds.
    """

    def list(self, kind: str, namespace: str | None = None) -> Awaitable[Listing]:
        """All objects of a kind, of one namespace or of all."""
        ...

    def watch(self, kind: str, since: str, namespace: str | None = None) -> AsyncIterator[Change]:
        """Every change after version `since`, in order, without loss or duplication, for ever.

        Raises Conflict("Expired") when `since` is too old to tell: list again.
        """
        ...


class ObjectStore(ObjectReader, Protocol):
    """Where objects live. One contract for all of them: `tests/contracts`."""

    def get(self, ref: Ref) -> Awaitable[Object | None]:
        """The object of that name, or None."""
        ...

    def put(self, new: T) -> Awaitable[T]:
        """Writes metadata and spec, never status; returns what is stored now.

        An empty resourceVersion makes a new object (Conflict "AlreadyExists"), any other must
        be the stored one (Conflict "StaleVersion"; NotFound where there is none). A put that
        changes nothing writes nothing. `generation` counts changes of the spec only. Taking the
        last finalizer off an object that is being deleted removes it.
        """
        ...

    def report(self, new: T) -> Awaitable[T]:
        """Writes the status and who set it, and nothing else; the same again writes nothing.

        The resourceVersion is checked as `put` does.
        """
        ...

    def delete(self, ref: Ref, uid: str = "", version: str = "") -> Awaitable[Object]:
        """Removes an object, or marks it (deletionTimestamp) while it has finalizers.

        `uid` and `version`, where given, must be those stored (Conflict). Returns what was
        removed or marked; raises NotFound. Deleting a marked object again changes nothing.
        """
        ...


class SecretStore(Protocol):
    """Where values of secrets live that are no objects of ours."""

    def read(self, place: SecretPlace) -> Awaitable[Found]:
        """The value of one key, or why it cannot be had; raises nothing."""
        ...

    def stamps(self, asked: Iterable[SecretPlace]) -> Awaitable[Mapping[SecretPlace, Hashable]]:
        """For each place something that is another once its value may have changed."""
        ...


class Runtime(Protocol):
    """Where instances run. One contract for all of them: `tests/contracts`."""

    def observe(self, ref: Ref) -> Awaitable[tuple[Observed, ...]]:
        """The instances of a server as they are now, sorted by name; exited ones included."""
        ...

    def owners(self) -> Awaitable[tuple[Ref, ...]]:
        """Every server that has instances here, sorted: finds those whose object is gone."""
        ...

    def perform(self, action: Action) -> Awaitable[None]:
        """Begins one action and returns without waiting for the instance to be up or gone.

        A start that fails shows as an `Observed` in state `failed`. Raises Unavailable where
        the runtime itself cannot be reached.
        """
        ...

    def changes(self) -> AsyncIterator[Ref]:
        """Servers whose instances changed, as it happens, for ever; look at them again."""
        ...
