"""Everything that is wrong with a document is said at once, in words, and no secret with it."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mooring.kinds.base import Object
from mooring.kinds.complaint import Complaint
from mooring.kinds.secret import Secret
from mooring.kinds.server import MCPServer
from mooring.kinds.validation import parse

KINDS = "MCPServer, MCPGroup, VirtualMCPServer, Secret, Event"


def server(**spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "mooring.dev/v1alpha1",
        "kind": "MCPServer",
        "metadata": {"name": "time"},
        "spec": {"source": {"pypi": "mcp-server-time"}, **spec},
    }


def secret(**fields: Any) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "creds"}, **fields}


def made(document: Any) -> Object:
    answer = parse(document)
    assert isinstance(answer, Object), answer
    return answer


def complaints(document: Any) -> tuple[Complaint, ...]:
    answer = parse(document)
    assert isinstance(answer, tuple), answer
    return answer


def said(document: Any) -> list[str]:
    return [str(each) for each in complaints(document)]


# what is right


def test_a_small_document_becomes_an_object_with_defaults() -> None:
    time = made(server())
    assert isinstance(time, MCPServer)
    assert time.spec.source.pypi == "mcp-server-time"
    assert (time.spec.replicas, time.spec.transport, time.metadata.namespace) == (
        1,
        "stdio",
        "default",
    )


def test_what_an_object_says_of_itself_is_accepted_again() -> None:
    env = [{"name": "A", "value": ""}, {"name": "B", "valueFrom": {"env": "B"}}]
    time = made(server(env=env, args=["--x"], replicas=3))
    assert parse(time.document()) == time


def test_null_counts_as_not_given() -> None:
    document = server(group=None, env=None, source={"npm": "x", "pypi": None})
    document["metadata"]["creationTimestamp"] = None
    document["status"] = None
    assert made(document) == made(server(source={"npm": "x"}))


def test_what_other_tools_send_along_is_dropped() -> None:
    document = server()
    document["metadata"] |= {
        "clusterName": "x",
        "selfLink": "/apis/x",
        "uid": "u-1",
        "resourceVersion": "12",
        "creationTimestamp": "2026-01-31T12:00:00Z",
    }
    metadata = made(document).metadata
    assert (metadata.uid, metadata.resource_version) == ("u-1", "12")
    assert metadata.creation_timestamp is not None


def test_clear_text_is_folded_into_a_secret_and_wins() -> None:
    creds = made(secret(data={"a": "b2xk", "b": "a2VwdA=="}, stringData={"a": "new"}))
    assert isinstance(creds, Secret)
    assert (creds.value("a"), creds.value("b"), creds.value("c")) == ("new", "kept", None)
    assert "stringData" not in creds.document()


def test_what_kubectl_keeps_of_a_secret_is_kept_without_its_values() -> None:
    note = "kubectl.kubernetes.io/last-applied-configuration"
    clear = json.dumps(
        {
            "apiVersion": "v1", "kind": "Secret", "extra": "hunter2", "type": "Opaque",
            "metadata": {"name": "creds", "labels": {"a": "b"}, "annotations": {"x": "hunter2"}},
            "data": {"b": "aHVudGVyMg=="}, "stringData": {"token": "hunter2"},
        }
    )  # fmt: skip
    document = secret(stringData={"token": "hunter2"})
    document["metadata"]["annotations"] = {note: clear, "a": "b"}
    kept = made(document).metadata.annotations
    assert kept.keys() == {note, "a"}
    assert json.loads(kept[note]) == {
        "apiVersion": "v1", "kind": "Secret", "type": "Opaque",
        "metadata": {"name": "creds", "labels": {"a": "b"}},
        "data": {"b": ""}, "stringData": {"token": ""},
    }  # fmt: skip
    other = server()
    other["metadata"]["annotations"] = {note: "{}"}
    assert made(other).metadata.annotations[note] == "{}"


@pytest.mark.parametrize("note", ["hunter2", '"hunter2"', '["hunter2"]', "[" * 100_000])
def test_what_is_no_such_note_is_dropped(note: str) -> None:
    document = secret(stringData={"token": "hunter2"})
    annotations = {"kubectl.kubernetes.io/last-applied-configuration": note}
    document["metadata"]["annotations"] = annotations
    assert made(document).metadata.annotations == {}


@pytest.mark.parametrize("name", ["gitea-creds", "a.b", "x" * 253, "time-0.17a3b4c5d6e7f8"])
def test_secrets_may_have_the_names_that_kubernetes_allows(name: str) -> None:
    document = secret()
    document["metadata"]["name"] = name
    assert made(document).metadata.name == name


# what is wrong


def test_all_complaints_come_at_once() -> None:
    document = server(
        source={"command": "run me", "pypi": "x", "comand": 1},
        replicas=500,
        isolation="sesion",
        drainSeconds="30",
        env=[{"name": "A"}, {"name": "A", "value": 5}, {"name": "1", "value": ""}],
        working_directory="x",
    )
    document["metadata"] = {"name": "A_b", "labels": {"team": 1}, "nmae": "x"}
    document["apiVersion"] = "mooring.dev/v1"
    assert set(said(document)) == {
        "apiVersion: must be mooring.dev/v1alpha1 for kind MCPServer; found mooring.dev/v1",
        "metadata.name: must be lower-case letters, digits and '-' (in Secrets and Events also "
        "'.'), with a letter or digit at both ends; found A_b",
        "metadata.labels.team: must be text, found a number (put it in quotes)",
        "metadata.nmae: unknown field (did you mean name?)",
        "spec.source: needs exactly one of command, pypi, npm, image, url; found command and pypi",
        "spec.source.command: must be a list, found text "
        "(write [a, b], or one line with '- ' for each entry)",
        "spec.source.comand: unknown field (did you mean command?)",
        "spec.replicas: must be at most 100, found 500",
        "spec.isolation: must be one of shared, session; found sesion (did you mean session?)",
        "spec.drainSeconds: must be a whole number, found text (take the quotes away)",
        "spec.env[0]: needs exactly one of value, valueFrom; found none",
        "spec.env[1].name: is the same as in an earlier entry",
        "spec.env[1].value: must be text, found a number (put it in quotes)",
        "spec.env[2].name: must be letters, digits and '_', not beginning with a digit",
        "spec.working_directory: unknown field (did you mean workingDirectory?)",
    }


@pytest.mark.parametrize(
    ("spec", "complaint"),
    [
        ({"port": 80, "replicas": 2}, "spec.port: a fixed port allows one instance; "
         "remove port, or set replicas: 1"),
        ({"replicas": -1}, "spec.replicas: must be at least 0, found -1"),
        ({"replicas": True}, "spec.replicas: must be a whole number, found true or false"),
        ({"replicas": 1.5}, "spec.replicas: must be a whole number, found a number"),
        ({"replicas": 2**70}, "spec.replicas: is too large a number"),
        ({"path": "mcp"}, "spec.path: must be a path that begins with / and has no spaces"),
        ({"args": ["a\0b"]}, "spec.args[0]: must not contain the character NUL"),
        ({"args": "x"}, "spec.args: must be a list, found text "
         "(write [a, b], or one line with '- ' for each entry)"),
        ({"env": {"A": "b"}}, "spec.env: must be a list, found a mapping"),
        ({"env": ["A=b"]}, "spec.env[0]: must be a mapping, found text"),
        ({"group": ""}, "spec.group: must not be empty"),
        ({"group": "g" * 41}, "spec.group: must have at most 40 characters, found 41"),
        ({"source": {}}, "spec.source: needs exactly one of command, pypi, npm, image, url; "
         "found none"),
        ({"source": {"command": []}}, "spec.source.command: must not be empty"),
        ({"source": {"url": "ftp://x"}}, "spec.source.url: must be a URL that begins with "
         "http:// or https://"),
        ({"source": {"pypi": "x", "allowScripts": "yes"}}, "spec.source.allowScripts: must be "
         "true or false, found text (take the quotes away)"),
        ({"command": ["x"]}, "spec.command: unknown field (did you mean spec.source.command?)"),
        ({"zebra": 1}, "spec.zebra: unknown field"),
        ({"env": [{"name": "A", "valueFrom": {}}]}, "spec.env[0].valueFrom: needs exactly one of "
         "secretKeyRef, env; found none"),
        ({"env": [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "s"}}}]},
         "spec.env[0].valueFrom.secretKeyRef.key: is required"),
    ],
)  # fmt: skip
def test_one_mistake_is_one_complaint(spec: dict[str, Any], complaint: str) -> None:
    assert said(server(**spec)) == [complaint]


@pytest.mark.parametrize(
    ("metadata", "complaint"),
    [
        ({"name": "a" * 41}, "metadata.name: has 41 characters; a name is at most 40 lower-case "
         "letters, digits and '-'"),
        ({"name": "a.b"}, "metadata.name: must not contain dots; a name is at most 40 lower-case "
         "letters, digits and '-'"),
        ({"name": ""}, "metadata.name: must not be empty"),
        ({}, "metadata.name: is required"),
        ({"name": "a", "namespace": "A"}, "metadata.namespace: must be lower-case letters, digits "
         "and '-', with a letter or digit at both ends; found A"),
        ({"name": "a", "creationTimestamp": "yesterday"}, "metadata.creationTimestamp: must be a "
         "time such as 2026-01-31T12:00:00Z"),
        ({"name": "a", "labels": {"a b": "c"}}, "metadata.labels[a b]: must be a name of at most "
         "63 letters, digits, '-', '_' and '.', with or without a prefix such as example.com/"),
        ({"name": "a", "labels": {"example.com/a": "ü"}}, "metadata.labels[example.com/a]: must be "
         "letters, digits, '-', '_' and '.', with a letter or digit at both ends"),
        ("x", "metadata: must be a mapping, found text"),
    ],
)  # fmt: skip
def test_metadata_is_checked(metadata: Any, complaint: str) -> None:
    assert said({**server(), "metadata": metadata}) == [complaint]


@pytest.mark.parametrize(
    ("document", "complaint"),
    [
        ([], "must be a mapping with fields, found a list"),
        (None, "must be a mapping with fields, found nothing"),
        ({}, "kind: is required; known kinds are " + KINDS),
        ({"kind": 5}, "kind: must be text, found a number"),
        ({"kind": "MCPSever"}, f"kind: must be one of {KINDS}; "
         "found MCPSever (did you mean MCPServer?)"),
        ({"kind": "Pod"}, f"kind: must be one of {KINDS}; found Pod"),
        ({1: 2}, "must have text as its keys"),
        ({"a": "\ud800"}, "a: must be valid Unicode, found half a surrogate pair"),
    ],
)  # fmt: skip
def test_a_document_of_no_kind_is_refused(document: Any, complaint: str) -> None:
    assert said(document) == [complaint]


def test_what_is_missing_at_the_top_is_named() -> None:
    assert said({"kind": "MCPServer"}) == [
        "apiVersion: is required; write mooring.dev/v1alpha1",
        "metadata: is required",
        "spec: is required",
    ]


def test_a_document_too_deep_is_refused() -> None:
    deep: Any = "x"
    for _ in range(500):
        deep = [deep]
    assert said(server(args=deep)) == ["spec.args[0]: is nested more than 64 deep"]


# what is secret

HIDDEN = "hunter2"


@pytest.mark.parametrize(
    "document",
    [
        secret(data={"token": HIDDEN}),
        secret(data={"token": [HIDDEN]}),
        secret(data=HIDDEN),
        secret(stringData={"token": {HIDDEN: HIDDEN}}),
        secret(stringData=HIDDEN),
        secret(stringData={"token": HIDDEN + "\0"}),
        server(env=[{"name": "A", "value": [HIDDEN]}]),
        server(env=[{"name": "A", "value": {"a": HIDDEN}}]),
        server(env=[{"name": f"A={HIDDEN}", "value": "x"}]),
        server(env=f"A={HIDDEN}"),
        server(env=[f"A={HIDDEN}"]),
        server(env=[{"name": "A", "value": "x", "valueFrom": HIDDEN}]),
        server(args=HIDDEN),
        server(args=[{"token": HIDDEN}]),
        server(source={"command": HIDDEN}),
        server(source={"url": f"ftp://me:{HIDDEN}@x"}),
        server(path=f"?token={HIDDEN}"),
    ],
)
def test_no_complaint_repeats_a_secret(document: dict[str, Any]) -> None:
    assert HIDDEN not in " ".join(said(document))
    assert HIDDEN not in repr(complaints(document))


def test_a_secret_is_not_printed() -> None:
    assert HIDDEN not in repr(made(secret(stringData={"token": HIDDEN})))
    assert "aHVudGVyMg" not in repr(made(secret(stringData={"token": HIDDEN})))


def test_what_is_found_is_printed_harmlessly() -> None:
    (complaint,) = complaints({**server(), "kind": "\x1b[31m" + "x" * 500})
    assert "\x1b" not in str(complaint)
    assert len(str(complaint)) < 200


# anything at all

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3)
    ),
    max_leaves=8,
)
FIELDS = st.sampled_from(
    ["source", "args", "env", "replicas", "port", "group", "path", "name", "value", "pypi", "x"]
)


@given(st.dictionaries(FIELDS, VALUES | st.dictionaries(FIELDS, VALUES, max_size=4), max_size=5))
def test_anything_is_an_object_or_complained_about(spec: dict[str, Any]) -> None:
    answer = parse({**server(), "spec": spec})
    if isinstance(answer, Object):
        assert parse(json.loads(json.dumps(answer.document()))) == answer
    else:
        assert answer
        assert all(each.path.split(".")[0].startswith("spec") for each in answer)


@given(VALUES)
def test_any_value_is_no_crash(document: Any) -> None:
    assert isinstance(parse(document), tuple)
