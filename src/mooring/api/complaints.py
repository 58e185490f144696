"""A refusal that names everything that is wrong with what was sent."""

from collections.abc import Iterable, Mapping
from typing import Any

from mooring.errors import Invalid
from mooring.kinds.complaint import Complaint

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
        """Each complaint, in the shape of Kubernetes' `StatusCause`, with its place in a file."""
        return [
            {
                "reason": "FieldValueInvalid",
                "message": str(each),
                "field": each.path,
                "object": each.object,
                "source": each.source,
                "line": each.line,
            }
            for each in self.complaints
        ]
