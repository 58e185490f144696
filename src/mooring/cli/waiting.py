"""Waiting for objects to become as wanted; what is seen decides, not how long it took."""

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from mooring.cli.client import Api, path_of
from mooring.cli.failures import NOT_FOUND, NOT_READY, Failure, Refusal
from mooring.cli.targets import Target

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


class Waiting:
    """Some objects, and a deadline for all of them together."""

    def __init__(self, api: Api, targets: Sequence[Target], seconds: float) -> None:
        self._api = api
        self._targets = targets
        self._seconds = seconds
        self._deadline = time.monotonic() + seconds

    def until_condition(self, condition: str, wanted: str) -> Iterator[Target]:
        """Each object once its condition holds; Failure (exit code 4) at the deadline."""
        for target in self._targets:
            self._look(target)  # an object that is not there is no reason to wait
            self._until(
                target,
                lambda kind, document: kind != "DELETED" and holds(document, condition, wanted),
                f"{condition}={wanted}" if wanted.lower() != "true" else condition,
            )
            yield target

    def until_gone(self) -> Iterator[Target]:
        """Each object once it is gone."""
        for target in self._targets:
            try:
                self._look(target)
            except Refusal as refusal:
                if refusal.code != NOT_FOUND:
                    raise
            else:
                self._until(target, lambda kind, _: kind == "DELETED", "gone")
            yield target

    def _look(self, target: Target) -> Document:
        return self._api.get(path_of(target.naming, target.namespace, target.name))

    def _until(self, target: Target, done: Callable[[str, Document], bool], what: str) -> None:
        path = path_of(target.naming, target.namespace)
        query = {"fieldSelector": f"metadata.name={target.name}"}
        last: Document = {}
        left = self._deadline - time.monotonic()
        try:
            if left <= 0:
                last = self._look(target)
                if done("MODIFIED", last):
                    return
                raise TimeoutError
            for kind, document in self._api.watch(path, query, left):
                last = document
                if done(kind, document):
                    return
                if kind == "DELETED":
                    raise Failure(f"{target} was deleted while we waited", NOT_FOUND)
        except TimeoutError:
            said = (last.get("status") or {}).get("message")
            why = f": {said}" if said else ""
            raise Failure(
                f"{target} is not {what} after {self._seconds:g} s{why}. "
                f"To see why: moor describe {target}",
                NOT_READY,
            ) from None
