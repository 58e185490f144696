"""Documents as the bytes of an answer: JSON, tables for those who ask, and errors as `Status`."""

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from itertools import pairwise
from typing import Any, Literal

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from mooring.api.complaints import Contention, Refused
from mooring.core.columns import columns
from mooring.core.naming import NAMINGS, Naming
from mooring.errors import MooringError

Document = Mapping[str, Any]
JSON = "application/json"

_KUBERNETES_REASONS = {
    "BodyTooLarge": "RequestEntityTooLarge",
    "LoginNeeded": "Unauthorized",
    "StaleVersion": "Conflict",
    "UpstreamTimeout": "Timeout",
}
"""Where clients of Kubernetes expect another word; the status of our own word stays."""


def encoded(document: Any) -> bytes:
    """Compact JSON."""
    try:
        return msgspec.json.encode(document)
    except (OverflowError, UnicodeEncodeError):  # numbers and text that only Python knows
        return json.dumps(document, separators=(",", ":")).encode()


def answer(
    document: Any, status: int = 200, headers: Mapping[str, str] | None = None, type: str = JSON
) -> Response:
    """A document as an answer."""
    return Response(encoded(document), status, headers, type)


def failure(error: MooringError, request: Request | None = None) -> Response:
    """An error as an answer; to a request about one object it names that object as well."""
    status = status_of(error)
    name = request.path_params.get("name") if request else None
    naming = _naming(request, name) if request and name else None
    if naming:
        group = naming.path.removeprefix("/api/v1").removeprefix("/apis/").partition("/")[0]
        about = {"name": name, "group": group, "kind": naming.kind}
        status["details"] = about | status.get("details", {})
    return answer(status, error.status)


def _naming(request: Request, name: str) -> Naming | None:
    """The kind that a path is about: the step before the name."""
    steps = request.scope["path"].split("/")
    before = {above for above, step in pairwise(steps) if step == name}
    return next((each for each in NAMINGS if each.plural in before), None)


def status_of(error: MooringError) -> dict[str, Any]:
    """An error in the shape of Kubernetes' `Status`; `causes` names each single complaint."""
    reason = _KUBERNETES_REASONS.get(error.reason, error.reason)
    causes: Sequence[Mapping[str, Any]] = ()
    if isinstance(error, Refused | Contention):
        causes = error.causes
    elif reason != error.reason:
        causes = ({"reason": error.reason, "message": error.message},)
    status: dict[str, Any] = {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": error.message,
        "reason": reason,
        "code": error.status,
    }
    return status | ({"details": {"causes": list(causes)}} if causes else {})


def wants_table(request: Request) -> bool:
    """Whether the caller asked for a table made by the server."""
    return "as=Table" in request.headers.get("accept", "").replace(" ", "")


def listing(
    kind: str, api_version: str, documents: Iterable[Document], metadata: Document
) -> dict[str, Any]:
    """Documents as one; the metadata is the list's own."""
    return {
        "kind": f"{kind}List",
        "apiVersion": api_version,
        "metadata": dict(metadata),
        "items": list(documents),
    }


Included = Literal["Metadata", "Object", "None"]
"""What of each object comes with its row."""


def table(
    kind: str,
    documents: Iterable[Document],
    metadata: Document,
    now: datetime,
    included: Included = "Metadata",
) -> dict[str, Any]:
    """Documents as a table with our columns; the metadata is the table's own."""
    known = columns(kind)
    heads = [
        {
            "name": column.name.title(),
            "type": "string",
            "format": "name" if column.name == "NAME" else "",
            "description": column.about,
            "priority": int(column.wide),
        }
        for column in known
    ]
    rows = [
        {
            "cells": [column.cell(document, now) for column in known],
            "object": _included(document, included),
        }
        for document in documents
    ]
    return {
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": dict(metadata),
        "columnDefinitions": heads,
        "rows": rows,
    }


def _included(document: Document, included: Included) -> Document | None:
    if included == "Metadata":
        head = {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1"}
        return {**head, "metadata": document["metadata"]}
    return document if included == "Object" else None
