"""An Event: something that happened to an object, in the shape of Kubernetes' own.

Repeats of one happening are one Event with a count.
"""

from datetime import datetime
from typing import ClassVar, Literal

from pydantic import Field

from mooring.kinds.base import Namespace, Object, Part


class Involved(Part):
    """The object that it happened to."""

    api_version: str = ""
    kind: str = ""
    namespace: Namespace = "default"
    name: str = ""
    uid: str = ""


class EventSource(Part):
    """Who says so."""

    component: str = "mooring"


class Event(Object):
    """Something that happened."""

    plural: ClassVar[str] = "events"

    api_version: Literal["v1"] = "v1"
    kind: Literal["Event"] = "Event"
    involved_object: Involved
    type: Literal["Normal", "Warning"] = "Normal"
    reason: str
    """A CamelCase word for what happened."""
    message: str = ""
    """A sentence for what happened."""
    source: EventSource = EventSource()
    count: int = Field(default=1, ge=1)
    """How often it happened."""
    first_timestamp: datetime | None = None
    last_timestamp: datetime | None = None
