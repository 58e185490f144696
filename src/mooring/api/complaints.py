"""Refusals that name everything that is wrong with what was sent."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from mooring.core.applying import Contested
from mooring.core.ownership import written
from mooring.errors import Conflict, Invalid
from mooring.kinds.complaint import Complaint
from mooring.kinds.ref import Ref

SHOWN = 20
"""Complaints that the message repeats; the causes hold all of them."""


class Refused(Invalid):
    """A document with complaints; nothing of it was applied."""

    def __init__(self, complaints: Iterable[Complaint]) -> None:
        self.complaints = tuple(complaints)
        said = [str(each) for each in self.complaints]
        more = [f"and {len(said) - SHOWN} more"] if len(said) > SHOWN else []
        super().__init__("Invalid", "; ".join(said[:SHOWN] + more))

    @property
    def causes(self) -> list[Mapping[str, Any]]:
        """Each complaint, in the shape of Kubernetes' `StatusCause`, with its place in a file.

        One from a file says its place itself, for clients that print no more than the message.
        """
        return [
            {
                "reason": "FieldValueInvalid",
                "message": str(each if each.line else replace(each, path="", object="")),
                "field": each.path,
                "object": each.object,
                "source": each.source,
                "line": each.line,
            }
            for each in self.complaints
        ]


class Contention(Conflict):
    """An apply that would change what others own; nothing of it was applied."""

    def __init__(self, ref: Ref, contested: Contested) -> None:
        self.contested = contested
        found = [f'"{owner}" owns {written(path)}' for owner, path in contested.fields]
        more = [f"and {len(found) - SHOWN} more"] if len(found) > SHOWN else []
        said = "; ".join(found[:SHOWN] + more)
        super().__init__("Conflict", f"{ref}: conflict: {said}. Fix: leave it out, or use force")

    @property
    def causes(self) -> list[Mapping[str, Any]]:
        """Each field that another owns, in the shape of Kubernetes' `StatusCause`."""
        return [
            {
                "reason": "FieldManagerConflict",
                "message": f'conflict with "{owner}"',
                "field": written(path),
            }
            for owner, path in self.contested.fields
        ]
