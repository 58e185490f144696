"""OpenAPI documents of the API: version 3 for each group, and version 2 for all of it."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from functools import cache
from importlib.metadata import version
from typing import Any

from mooring.api.definitions import KINDS_KEY, REF, definitions, kind_of
from mooring.api.operations import STATUS, Operation, operations
from mooring.core.naming import CORE_PATH, GROUP_PATH, VIEW_PATH

Document = dict[str, Any]

GROUPS = {path.removeprefix("/"): path for path in (CORE_PATH, GROUP_PATH, VIEW_PATH)}
"""Groups as the index of version 3 calls them: `apis/mooring.dev/v1alpha1`."""


@cache
def index() -> Document:
    """Where the document of each group is; the hash changes when the document does."""
    paths = {}
    for name in GROUPS:
        digest = hashlib.sha256(json.dumps(v3(name), sort_keys=True).encode()).hexdigest()
        paths[name] = {"serverRelativeURL": f"/openapi/v3/{name}?hash={digest[:32].upper()}"}
    return {"paths": paths}


@cache
def v3(name: str) -> Document:
    """The document of one group, with the schemas that it needs."""
    mine = [each for each in operations() if each.path.startswith(GROUPS[name] + "/")]
    paths = _paths(mine, _operation_v3)
    wanted: dict[str, Document] = {}
    _collect([each.answer for each in mine] + [each.body for each in mine] + [STATUS], wanted)
    schemas = {key: _referring(wanted[key], "#/components/schemas/") for key in sorted(wanted)}
    return {
        "openapi": "3.0.0",
        "info": _about(),
        "paths": paths,
        "components": {"schemas": schemas},
    }


@cache
def v2() -> Document:
    """Everything in one document."""
    known = definitions()
    return {
        "swagger": "2.0",
        "info": _about(),
        "paths": _paths(operations(), _operation_v2),
        "definitions": {
            key: _plain(_referring(known[key], "#/definitions/")) for key in sorted(known)
        },
    }


def _about() -> Document:
    return {"title": "Mooring", "version": version("mooring")}


def _paths(found: Iterable[Operation], rendered: Any) -> Document:
    paths: Document = {}
    for each in found:
        paths.setdefault(each.path, {})[each.method] = rendered(each)
    for path, item in paths.items():
        names = [step[1:-1] for step in path.split("/") if step.startswith("{")]
        if names:
            item["parameters"] = [_place(name, rendered is _operation_v3) for name in names]
    return paths


def _place(name: str, nested: bool) -> Document:
    kind: Document = {"schema": {"type": "string"}} if nested else {"type": "string"}
    return {"name": name, "in": "path", "required": True, "description": f"The {name}.", **kind}


def _said(operation: Operation) -> Document:
    """What both versions say."""
    words = [step.strip("{}").title() for step in operation.path.split("/")[2:] if step]
    return {
        "description": operation.about,
        "operationId": _verb(operation) + "".join(w.replace(".", "") for w in words),
        "x-kubernetes-action": operation.action,
        KINDS_KEY: kind_of(operation.api_version, operation.kind),
    }


def _verb(operation: Operation) -> str:
    return operation.action + (operation.method if operation.action == "connect" else "").title()


def _operation_v3(operation: Operation) -> Document:
    answers = _content((operation.answers,), operation.answer)
    made: Document = {**_said(operation), "responses": {"200": {"description": "OK", **answers}}}
    if operation.created:
        made["responses"]["201"] = {"description": "Created", **answers}
    if operation.path.endswith("/manifests"):
        made["responses"]["207"] = {"description": "Some objects failed", **answers}
    refusal = _content(("application/json",), STATUS)
    made["responses"]["default"] = {"description": "Why not", **refusal}
    if operation.parameters:
        made["parameters"] = [
            {
                "name": each.name,
                "in": "query",
                "description": each.about,
                "schema": {"type": each.type},
            }
            for each in operation.parameters
        ]
    if operation.takes:
        required = operation.method != "delete"
        made["requestBody"] = {**_content(operation.takes, operation.body), "required": required}
    return made


def _content(kinds: Iterable[str], name: str) -> Document:
    schema = {REF: f"#/components/schemas/{name}"} if name else {"type": "string"}
    return {"content": {kind: {"schema": schema} for kind in kinds}}


def _operation_v2(operation: Operation) -> Document:
    schema = {REF: f"#/definitions/{operation.answer}"} if operation.answer else {"type": "string"}
    answers = {"200": {"description": "OK", "schema": schema}}
    if operation.created:
        answers["201"] = {"description": "Created", "schema": schema}
    made = {**_said(operation), "produces": [operation.answers], "responses": answers}
    parameters: list[Document] = [
        {
            "name": each.name,
            "in": "query",
            "description": each.about,
            "type": each.type,
            "uniqueItems": True,
        }
        for each in operation.parameters
    ]
    if operation.takes:
        made["consumes"] = list(operation.takes)
        body: Document = {"name": "body", "in": "body", "required": operation.method != "delete"}
        parameters.append({**body, "schema": {REF: f"#/definitions/{operation.body}"}})
    return {**made, "parameters": parameters} if parameters else made


def _collect(names: Iterable[str], wanted: dict[str, Document]) -> None:
    """The schemas of these names, and of everything that they refer to."""
    for name in names:
        if name and name not in wanted:
            wanted[name] = definitions()[name]
            _collect(_referred(wanted[name]), wanted)


def _referred(schema: Any) -> Iterable[str]:
    if isinstance(schema, Mapping):
        for key, value in schema.items():
            if key == REF:
                yield value
            else:
                yield from _referred(value)


def _referring(schema: Any, prefix: str) -> Any:
    """The schema with references as a document has them; a neighbour of one is lost in 3.0."""
    if not isinstance(schema, Mapping):
        return schema
    if REF in schema:
        rest = {key: value for key, value in schema.items() if key != REF}
        found = {REF: prefix + schema[REF]}
        return {"allOf": [found], **rest} if rest and "components" in prefix else found
    return {key: _referring(value, prefix) for key, value in schema.items()}


def _plain(schema: Any) -> Any:
    """The schema without what version 2 cannot say."""
    if not isinstance(schema, Mapping):
        return schema
    return {key: _plain(value) for key, value in schema.items() if key != "oneOf"}
