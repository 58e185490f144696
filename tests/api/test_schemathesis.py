"""Whatever fits the OpenAPI documents, and much that does not: answered as they say, never 5xx."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import content_type_conformance, response_schema_conformance
from support.surface import Served, made, row, secret, server

from mooring.api import openapi
from mooring.core.health import Finding, Probe

pytestmark = pytest.mark.process

CHECKS = [not_a_server_error, content_type_conformance, response_schema_conformance]
EXAMPLES = 5
NAMES = {
    "mcpservers": "time",
    "mcpgroups": "tools",
    "virtualmcpservers": "team",
    "mcpinstances": "time-0",
    "secrets": "creds",
    "events": "started",
    "namespaces": "default",
}
# Beside the server and the secret:
OTHERS: list[dict[str, Any]] = [
    {"kind": "MCPGroup", "metadata": {"name": "tools"}},
    {"kind": "VirtualMCPServer", "metadata": {"name": "team"}, "spec": {"group": "tools"}},
]
PROBE = Probe(datetime(2026, 1, 1, tzinfo=UTC), 0.01, Finding("answered"), "healthy")
STARTED = {
    "apiVersion": "v1",
    "kind": "Event",
    "metadata": {"name": "started"},
    "involvedObject": {"kind": "MCPServer", "name": "time"},
    "reason": "Started",
}
ENDLESS = ("watch", "follow")
"""Switches that make an answer go on."""


def operations() -> Iterator[Any]:
    """Each with what fits it, and, where it takes anything, with what does not."""
    for group in openapi.GROUPS:
        schema = schemathesis.openapi.from_dict(openapi.v3(group))
        for operation in (each.ok() for each in schema.get_all_operations()):
            yield pytest.param(operation, GenerationMode.POSITIVE, id=operation.label)
            if {"parameters", "requestBody"} & set(operation.definition.raw):
                label = f"not {operation.label}"
                yield pytest.param(operation, GenerationMode.NEGATIVE, id=label)


def fill(api: Served) -> None:
    """What is there at the start of every case, if an earlier one deleted it."""
    api.script.lines["time-0"] = [b"one\n", b"two\n"]
    api.script.probes["time-0"] = PROBE
    if api.get(server().ref) is None:
        api.report(api.put(server(env=[{"name": "A", "value": "x"}])), instances=(row("time-0"),))
    if api.get(secret().ref) is None:
        api.put(secret(token="x"))
    others = (made({"apiVersion": "mooring.dev/v1alpha1", **each}) for each in OTHERS)
    for other in (*others, made(STARTED)):
        if api.get(other.ref) is None:
            api.put(other)


@pytest.mark.parametrize(("operation", "mode"), list(operations()))
def test_every_answer_is_as_described(api: Served, operation: Any, mode: Any) -> None:
    plural = next((word for word in NAMES if f"/{word}" in operation.path), "")

    @given(case=operation.as_strategy(generation_mode=mode), known=st.booleans())
    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    def holds(case: Any, known: bool) -> None:
        fill(api)
        for name in ENDLESS:
            case.query.pop(name, None)
        if known and plural and "name" in (case.path_parameters or {}):
            case.path_parameters |= {"namespace": "default", "name": NAMES[plural]}
        answer = case.call(base_url=api.url)
        case.validate_response(answer, checks=CHECKS)
        asked.append(answer.status_code)

    asked: list[int] = []
    holds()
    looks = operation.method == "get" or operation.path.endswith("/probe")
    if looks and mode is GenerationMode.POSITIVE:
        assert 200 in asked, "what is there was never looked at"
