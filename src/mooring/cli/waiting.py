"""Waiting for objects to become as wanted; what is seen decides, not how long it took."""

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from mooring.cli.client import Api, path_of
from mooring.cli.failures import NOT_FOUND, NOT_READY, Failure
from mooring.cli.targets import Target
from mooring.core.columns import phase

Document = dict[str, Any]


def holds(document: Document, condition: str, wanted: str) -> bool:
    """Whether an object has a condition, said of its present spec and not of an earlier one."""
    status = document.get("status") or {}
    generation = document["metadata"].get("generation", 0)
    for claim in status.get("conditions") or ():
        if claim["type"].lower() == condition.lower():
            observed = claim.get("observedGeneration") or status.get("observedGeneration", 0)
            return bool(claim["status"].lower() == wanted.lower() and observed >= generation)
    return False


def current(document: Document) -> bool:
    """Whether the status speaks of the present spec."""
    observed = (document.get("status") or {}).get("observedGeneration", 0)
    return bool(observed >= document["metadata"].get("generation", 0))


class Waiting:
    """Some objects, and a deadline for all of them together."""

    def __init__(self, api: Api, targets: Sequence[Target], seconds: float) -> None:
        self._api = api
        self._targets = targets
        self._seconds = seconds
        self._deadline = time.monotonic() + seconds

    def until_condition(self, condition: str, wanted: str) -> Iterator[Target]:
        """Each object once its condition holds.

        Failure with exit code 4 at the deadline, with 3 where there is no such object.
        """
        what = condition if wanted.lower() == "true" else f"{condition}={wanted}"
        return self._until(lambda document: holds(document, condition, wanted), what)

    def until_up(self) -> Iterator[Target]:
        """Each server once it is ready, or stopped where no instance of it is wanted."""
        return self._until(
            lambda document: (
                holds(document, "Ready", "True")
                or (current(document) and phase(document) == "Stopped")
            ),
            "Ready",
        )

    def until_gone(self) -> Iterator[Target]:
        """Each object once it is gone."""
        for target in self._targets:
            for document in self._states(target, "gone"):
                if document is None:
                    break
            yield target

    def _until(self, done: Callable[[Document], bool], what: str) -> Iterator[Target]:
        for target in self._targets:
            for document in self._states(target, what):
                if document is None:
                    raise Failure(f"{target} does not exist", NOT_FOUND)
                if done(document):
                    break
            yield target

    def _states(self, target: Target, what: str) -> Iterator[Document | None]:
        """An object as it is now and after every change; None where there is none."""
        path = path_of(target.naming, target.namespace)
        query = {"fieldSelector": f"metadata.name={target.name}"}
        last: Document | None = None
        left = max(self._deadline - time.monotonic(), 0.0)
        try:
            for batch in self._api.follow(path, query, left):
                for kind, document in batch:
                    last = None if kind == "DELETED" else document
                yield last
        except TimeoutError:
            said = ((last or {}).get("status") or {}).get("message")
            why = f": {said}" if said else ""
            raise Failure(
                f"{target} is not {what} after {self._seconds:g} s{why}. "
                f"To see why: moor describe {target}",
                NOT_READY,
            ) from None
