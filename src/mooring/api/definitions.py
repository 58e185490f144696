"""The schemas of everything that the API takes and answers, by the names that Kubernetes gives.

Those of kinds come from their models; a name says group and version the other way round, as
clients that look for Kubernetes' own schemas expect: `dev.mooring.v1alpha1.MCPServer`.
"""

from collections.abc import Mapping
from functools import cache
from typing import Any

from mooring.api.exposed import EXPOSED, Exposed
from mooring.core.instances import API_VERSION as VIEWS
from mooring.core.instances import KIND as INSTANCE
from mooring.core.instances import LAST_PROBE
from mooring.kinds.base import ObjectMeta
from mooring.kinds.server import InstanceStatus
from mooring.kinds.structure import structural

Schema = dict[str, Any]

META = "io.k8s.apimachinery.pkg.apis.meta.v1"
REF = "$ref"
KINDS_KEY = "x-kubernetes-group-version-kind"
_TEXT: Schema = {"type": "string"}
_NUMBER: Schema = {"type": "integer"}
_ANYTHING: Schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}


def name_of(api_version: str, kind: str) -> str:
    """What the schema of a kind is called."""
    group, _, version = api_version.rpartition("/")
    if not group:
        return f"{META}.{kind}" if kind in _META else f"io.k8s.api.core.{version}.{kind}"
    return ".".join([*reversed(group.split(".")), version, kind])


def kind_of(api_version: str, kind: str) -> dict[str, str]:
    """A kind as a schema names it: group, version, kind."""
    group, _, version = api_version.rpartition("/")
    return {"group": group, "version": version, "kind": kind}


def to(name: str) -> Schema:
    """A reference to a schema."""
    return {REF: name}


@cache
def definitions() -> Mapping[str, Schema]:
    """Every schema by its name; references hold names alone."""
    found: dict[str, Schema] = {f"{META}.{kind}": schema for kind, schema in _META.items()}
    found[f"{META}.ObjectMeta"] = _metadata()
    for exposed in EXPOSED:
        found |= _with_list(exposed.api_version, exposed.naming.kind, _stored(exposed))
    found |= _with_list("v1", "Namespace", _namespace())
    found |= _with_list(VIEWS, INSTANCE, _instance())
    for kind, schema in _VIEWS.items():
        found[name_of(VIEWS, kind)] = _headed(schema, VIEWS, kind)
    return found


def _with_list(api_version: str, kind: str, schema: Schema) -> dict[str, Schema]:
    items = {"type": "array", "items": to(name_of(api_version, kind))}
    whole: Schema = {
        "type": "object",
        "description": f"{kind}s.",
        "required": ["items"],
        "properties": {"metadata": to(f"{META}.ListMeta"), "items": items},
    }
    return {
        name_of(api_version, kind): _headed(schema, api_version, kind),
        name_of(api_version, f"{kind}List"): _headed(whole, api_version, f"{kind}List"),
    }


def _headed(schema: Schema, api_version: str, kind: str) -> Schema:
    """A schema with what every document begins with."""
    heads = {
        "apiVersion": {**_TEXT, "description": f"The version of the schema: {api_version}."},
        "kind": {**_TEXT, "description": f"What it is: {kind}."},
    }
    properties = {**heads, **{k: v for k, v in schema["properties"].items() if k not in heads}}
    return {**schema, "properties": properties, KINDS_KEY: [kind_of(api_version, kind)]}


def _stored(exposed: Exposed) -> Schema:
    schema = structural(exposed.model, defaults=False)
    metadata = {**to(f"{META}.ObjectMeta"), "description": "Which object it is."}
    required = [name for name in schema.get("required", ()) if name != "metadata"]
    rest = {key: value for key, value in schema.items() if key != "required"}
    properties = {**schema["properties"], "metadata": metadata}
    if exposed.naming.kind == "Secret":
        plain = {"description": "Clear text by key; folded into data.", "type": "object"}
        properties["stringData"] = {**plain, "additionalProperties": _TEXT}
    return {**rest, "properties": properties} | ({"required": required} if required else {})


def _metadata() -> Schema:
    """What is said of every object; a name is not asked for, because a path may say it."""
    schema = structural(ObjectMeta, defaults=False)
    del schema["required"]
    return schema


def _instance() -> Schema:
    return {
        "type": "object",
        "description": "An instance of a server, computed from the server's status.",
        "properties": {
            "metadata": to(f"{META}.ObjectMeta"),
            "spec": {"type": "object", "properties": {"server": _TEXT}},
            "status": _instance_status(),
        },
    }


def _instance_status() -> Schema:
    schema = structural(InstanceStatus, defaults=False)
    last = _object("Its last probe, since Mooring was started.", **_PROBE)
    return {**schema, "properties": {**schema["properties"], LAST_PROBE: last}}


def _namespace() -> Schema:
    return {
        "type": "object",
        "description": "A namespace; it is there as soon as something is in it.",
        "properties": {
            "metadata": to(f"{META}.ObjectMeta"),
            "spec": {"type": "object"},
            "status": {"type": "object", "properties": {"phase": _TEXT}},
        },
    }


def _object(about: str, **properties: Schema) -> Schema:
    return {"type": "object", "description": about, "properties": properties}


_META: Mapping[str, Schema] = {
    "ObjectMeta": {},
    "ListMeta": _object(
        "What is said of a list.",
        resourceVersion=_TEXT,
        remainingItemCount=_NUMBER,
        **{"continue": _TEXT},
    ),
    "Status": _object(
        "How a request ended.",
        apiVersion=_TEXT,
        kind=_TEXT,
        metadata=to(f"{META}.ListMeta"),
        status=_TEXT,
        message=_TEXT,
        reason=_TEXT,
        code=_NUMBER,
        details=_ANYTHING,
    )
    | {KINDS_KEY: [kind_of("v1", "Status")]},
    "DeleteOptions": _object(
        "How something is deleted.",
        apiVersion=_TEXT,
        kind=_TEXT,
        dryRun={"type": "array", "items": _TEXT},
        gracePeriodSeconds=_NUMBER,
        orphanDependents={"type": "boolean"},
        propagationPolicy={"type": "string", "enum": ["Orphan", "Background", "Foreground"]},
        preconditions=_object("What it must be.", uid=_TEXT, resourceVersion=_TEXT),
    )
    | {KINDS_KEY: [kind_of("v1", "DeleteOptions")]},
    "Patch": {"description": "Changes to an object."},
}
"""Schemas of Kubernetes' own that are used here."""

_PROBE: Mapping[str, Schema] = {
    "at": {**_TEXT, "format": "date-time", "description": "When it began."},
    "seconds": {"type": "number", "description": "How long it took."},
    "tool": {**_TEXT, "description": "The tool that was called; empty where tools were listed."},
    "outcome": {**_TEXT, "enum": ["answered", "failed", "login", "busy"]},
    "message": {**_TEXT, "description": "Why not, in the words of whoever said it."},
}

_VIEWS: Mapping[str, Schema] = {
    "InstanceProbe": _object(
        "One probe of an instance.",
        metadata=to(f"{META}.ObjectMeta"),
        **_PROBE,
        health={**_TEXT, "description": "What is believed of it since."},
    ),
    "ToolList": _object(
        "The tools of a server, as it describes them.",
        items={"type": "array", "items": _ANYTHING},
    ),
    "ToolCall": {
        **_object("A tool to call.", tool=_TEXT, arguments=_ANYTHING),
        "required": ["tool"],
    },
    "ToolResult": _object("The tool's own result.", content={"type": "array", "items": _ANYTHING}),
    "VirtualView": _object(
        "What clients of a virtual server see of its backends' tools, and what they do not.",
        metadata=to(f"{META}.ObjectMeta"),
        items={"type": "array", "items": _ANYTHING, "description": "Tools that they see."},
        hidden={"type": "array", "items": _ANYTHING, "description": "The others, and why."},
        unmatched={"type": "array", "items": _TEXT, "description": "Names that mean nothing."},
        backends={"type": "array", "items": _ANYTHING, "description": "How each of them is."},
    ),
    "ManifestOutcome": _object(
        "What became of each object of a file.",
        items={"type": "array", "items": _ANYTHING},
    ),
}
"""Schemas of views and verbs."""
