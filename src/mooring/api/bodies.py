"""Bodies of requests, bounded, and the documents in them."""

import json
from collections import Counter
from collections.abc import Mapping
from typing import Any

from starlette.requests import Request

from mooring.api.complaints import Refused
from mooring.api.looking import validation
from mooring.api.secret_protobuf import PROTOBUF, secret_of
from mooring.errors import Invalid
from mooring.kinds.complaint import Complaint, printable
from mooring.kinds.manifest import read

LIMIT = 4 * 1024 * 1024
"""Bytes that a body may have."""

JSON = "application/json"
YAML = "application/yaml"


def media_type(request: Request) -> str:
    """What the body is, without parameters, in lower case."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


async def body(request: Request) -> bytes:
    """The whole body; Invalid "BodyTooLarge" past the limit."""
    kept: bytes | None = getattr(request.state, "body", None)
    if kept is None:
        pieces = bytearray()
        async for piece in request.stream():
            pieces += piece
            if len(pieces) > LIMIT:
                raise Invalid("BodyTooLarge", f"the body has more than {LIMIT} bytes")
        kept = request.state.body = bytes(pieces)
    return kept


async def text(request: Request) -> str:
    """The body as text."""
    try:
        return (await body(request)).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Invalid("BadRequest", f"the text is not UTF-8 (byte {error.start})") from None


async def json_document(request: Request, *, secret: bool = False) -> Mapping[str, Any]:
    """The JSON object in the body; a body that does not say what it is is JSON.

    `secret`: it may be a Secret in protobuf as well.
    """
    if secret and media_type(request) == PROTOBUF:
        return await _secret(request)
    document = await json_value(request, JSON)
    if not isinstance(document, dict):
        raise Invalid("BadRequest", "the body must be a JSON object")
    return document


async def json_value(request: Request, kind: str) -> Any:
    """The JSON in the body, which is of this type.

    A field that is there twice is refused, or noted for a warning, as the request asks for.
    """
    if (media_type(request) or JSON) != kind:
        raise Invalid(
            "UnsupportedMediaType", f"expected {kind}, found {media_type(request) or 'nothing'}"
        )
    content, strict = await body(request), validation(request) == "Strict"
    twice: list[str] = []

    def mapping(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        made = dict(pairs)
        if len(made) < len(pairs):
            counted = Counter(name for name, _ in pairs)
            twice.extend(
                f"the field {printable(name)} is there twice"
                for name, times in counted.items()
                if times > 1
            )
            if strict:
                raise ValueError(twice[0])
        return made

    try:
        value = json.loads(content, parse_constant=_refuse, object_pairs_hook=mapping)
        request.state.twice = twice
        return value
    except (ValueError, RecursionError) as error:
        why = "nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise Invalid("BadRequest", f"the body cannot be read: {why}") from None


async def _secret(request: Request) -> Mapping[str, Any]:
    try:
        return secret_of(await body(request))
    except ValueError as error:
        unread = isinstance(error, UnicodeDecodeError)
        why = "a text is not UTF-8" if unread else str(error)
        raise Invalid("BadRequest", f"the body cannot be read: {why}") from None


def one_declared(content: str, namespace: str) -> Mapping[str, Any]:
    """The one document of a manifest."""
    manifest = read(content, "", namespace)
    if manifest.complaints:
        raise Refused(manifest.complaints)
    if len(manifest.declared) != 1:
        found = len(manifest.declared)
        raise Refused([Complaint("", f"must be one document, found {found}")])
    return manifest.declared[0].document


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON")
