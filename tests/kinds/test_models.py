"""The models themselves: what may be made of them in code, and what they say on the wire."""

from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import ValidationError

from mooring.kinds.base import Condition, Object, ObjectMeta
from mooring.kinds.event import Event, EventSource, Involved
from mooring.kinds.group import GroupStatus, MCPGroup
from mooring.kinds.ref import Ref
from mooring.kinds.registry import BY_NAME
from mooring.kinds.secret import Secret
from mooring.kinds.server import (
    EnvSource,
    EnvVar,
    HealthCheck,
    InstanceStatus,
    MCPServer,
    Resolved,
    SecretKeyRef,
    ServerSpec,
    ServerStatus,
    Source,
)

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)


def everything() -> list[Object]:
    """Objects with every field in use."""
    server = MCPServer(
        metadata=ObjectMeta(
            name="time", namespace="team", uid="u", resource_version="7", generation=3,
            creation_timestamp=NOW, deletion_timestamp=NOW, finalizers=("mooring.dev/instances",),
            labels={"team": "a"}, annotations={"example.com/note": "ü"},
        ),
        spec=ServerSpec(
            source=Source(pypi="x==1", entry_point="y", with_=("mcp<2",), python="python3.12"),
            args=("--x",), working_directory="/srv", transport="streamable-http", path="/x",
            port=8000, group="g",
            env=(
                EnvVar(name="A", value=""),
                EnvVar(name="B", value_from=EnvSource(env="B")),
                EnvVar(
                    name="C",
                    value_from=EnvSource(secret_key_ref=SecretKeyRef(name="c.d", key="k")),
                ),
            ),
        ),
        status=ServerStatus(
            phase="Ready", message="Ready 1/1", url="http://x", checksum="c",
            conditions=(
                Condition(type="Ready", status="True", reason="R", last_transition_time=NOW),
            ),
            instances=(InstanceStatus(name="time-0", uid="u", state="Ready", since=NOW),),
            resolved=Resolved(package="x", version="1", hash="h"),
        ),
    )  # fmt: skip
    group = MCPGroup(metadata=ObjectMeta(name="g"), status=GroupStatus(servers=("a", "b")))
    secret = Secret(metadata=ObjectMeta(name="a.b"), data={"k": "dg=="}, immutable=True)
    event = Event(
        metadata=ObjectMeta(name="time.17a3"), involved_object=Involved(kind="MCPServer"),
        reason="Started", source=EventSource(component="x"), count=3, first_timestamp=NOW,
    )  # fmt: skip
    return [server, group, secret, event]


@pytest.mark.parametrize("made", everything(), ids=lambda made: made.kind)
def test_an_object_comes_back_from_its_json_as_it_was(made: Object) -> None:
    model = BY_NAME[made.kind].model
    text = made.model_dump_json(by_alias=True, exclude_none=True)
    assert model.model_validate_json(text) == made
    assert model.model_validate(made.document()) == made


def test_names_on_the_wire_are_camel_case() -> None:
    document = everything()[0].document()
    assert document["metadata"]["creationTimestamp"] == "2026-01-31T12:00:00Z"
    assert document["spec"]["source"]["with"] == ["mcp<2"]
    assert document["spec"]["env"][2]["valueFrom"]["secretKeyRef"]["key"] == "k"
    assert document["status"]["instances"][0]["since"] == "2026-01-31T12:00:00Z"


def test_what_was_never_set_is_not_said() -> None:
    document = MCPServer(
        metadata=ObjectMeta(name="x"), spec=ServerSpec(source=Source(url="http://x"))
    ).document()
    assert set(document["spec"]["source"]) == {"url", "with", "allowScripts"}
    assert "creationTimestamp" not in document["metadata"]


def test_an_object_knows_its_name_and_a_source_its_type() -> None:
    server = everything()[0]
    assert server.ref == Ref("MCPServer", "team", "time")
    assert str(server.ref) == "server/team/time"
    for name in ("pypi", "npm", "image", "url"):
        given: dict[str, Any] = {name: "http://x"}
        assert Source(**given).type == name
    assert Source(command=("x",)).type == "command"


def test_objects_do_not_change() -> None:
    server = everything()[0]
    with pytest.raises(ValidationError, match="frozen"):
        server.metadata = ObjectMeta(name="other")


@pytest.mark.parametrize(
    "make",
    [
        lambda: Source(),
        lambda: Source(pypi="x", npm="y"),
        lambda: Source(command=()),
        lambda: EnvVar(name="A"),
        lambda: EnvVar(name="A", value="x", value_from=EnvSource(env="A")),
        lambda: EnvSource(),
        lambda: ServerSpec(source=Source(pypi="x"), port=1, replicas=2),
        lambda: ServerSpec(
            source=Source(pypi="x"), env=(EnvVar(name="A", value="1"), EnvVar(name="A", value="2"))
        ),
        lambda: HealthCheck(arguments={"a": 1}),
        lambda: MCPServer(
            metadata=ObjectMeta(name="a.b"), spec=ServerSpec(source=Source(pypi="x"))
        ),
        lambda: MCPGroup(metadata=ObjectMeta(name="g" * 41)),
        lambda: Secret(metadata=ObjectMeta(name="s"), data={"k": "not base64"}),
        lambda: Secret(metadata=ObjectMeta(name="s"), data={"k": "ü"}),
        lambda: Secret(metadata=ObjectMeta(name="s"), string_data={"a b": "x"}),
        lambda: ObjectMeta(name="a" * 254),
        lambda: ObjectMeta(name="-a"),
        lambda: ObjectMeta(name="a", namespace="a" * 64),
        lambda: Event(
            metadata=ObjectMeta(name="e"), involved_object=Involved(), reason="R", count=0
        ),
    ],
)  # fmt: skip
def test_what_breaks_a_rule_cannot_be_made(make: Any) -> None:
    with pytest.raises(ValidationError):
        make()


def test_an_instance_is_probed_as_if_nothing_was_said() -> None:
    check = ServerSpec(source=Source(pypi="x")).health_check
    assert (check.tool, check.arguments, check.failure_threshold) == (None, {}, 3)
    assert (check.interval_seconds, check.timeout_seconds) == (30, 10)


def test_a_secret_gives_its_values_and_hides_them() -> None:
    secret = Secret(
        metadata=ObjectMeta(name="s"), data={"b": "//8=", "a": "b2xk"}, string_data={"a": "né"}
    )
    assert (secret.value("a"), secret.value("b"), secret.value("c")) == ("né", None, None)
    assert secret.string_data == {}
    assert "bsOp" not in repr(secret)
    assert Secret.model_validate(secret.document()) == secret
