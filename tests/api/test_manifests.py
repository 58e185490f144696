"""Files: all complaints at once, all or nothing."""

from typing import Any
from urllib.parse import urlencode

import pytest
from support.surface import Answer, Served, secret, server

from mooring.errors import Unavailable
from mooring.kinds.base import FINALIZER, Object
from mooring.kinds.ref import Ref

MANIFESTS = "/apis/view.mooring.dev/v1alpha1/manifests"
TIME = Ref("MCPServer", "default", "time")

SERVER = """\
apiVersion: mooring.dev/v1alpha1
kind: MCPServer
metadata:
  name: {name}
spec:
  source: {{pypi: mcp-server-time}}
  replicas: {replicas}
"""
CREDS = """\
apiVersion: v1
kind: Secret
metadata: {name: creds}
stringData: {token: s3cret}
"""


def text(*names: str, replicas: int = 1) -> str:
    return "---\n".join(SERVER.format(name=name, replicas=replicas) for name in names)


def send(api: Served, body: str, method: str = "POST", **query: str) -> Answer:
    return api.ask(method, f"{MANIFESTS}?{urlencode(query)}", body.encode())


def outcomes(answer: Answer) -> dict[str, str]:
    assert answer.status == 200, answer.body
    return {row["name"]: row["outcome"] for row in answer.document["items"]}


def test_each_object_says_what_became_of_it(api: Served) -> None:
    assert outcomes(send(api, text("a", "b"))) == {"a": "created", "b": "created"}
    changed = text("a") + "---\n" + text("b", replicas=3)
    assert outcomes(send(api, changed)) == {"a": "unchanged", "b": "configured"}
    assert api.get(Ref("MCPServer", "default", "b")).spec.replicas == 3


def test_applying_what_was_answered_changes_nothing(api: Served) -> None:
    send(api, text("a") + "---\n" + CREDS)
    held = api.get(Ref("MCPServer", "default", "a"))
    api.report(held, phase="Ready", ready_instances=1)
    listed = api.ask("GET", "/apis/mooring.dev/v1alpha1/mcpservers").body.decode()
    secrets = api.ask("GET", "/api/v1/secrets").body.decode()
    assert outcomes(send(api, listed)) == {"a": "unchanged"}
    assert outcomes(send(api, secrets)) == {"creds": "unchanged"}
    assert api.get(Ref("Secret", "default", "creds")).value("token") == "s3cret"


def test_one_mistake_anywhere_changes_nothing(api: Served) -> None:
    wrong = text("a") + "---\n" + text("b", replicas=999) + "  sorce: {}\n"
    answer = send(api, wrong, filename="fleet.yaml")
    assert (answer.status, answer.document["reason"]) == (422, "Invalid")
    causes = answer.document["details"]["causes"]
    assert [(cause["field"], cause["line"]) for cause in causes] == [
        ("spec.replicas", 15),
        ("spec.sorce", 16),
    ]
    assert all(cause["source"] == "fleet.yaml" for cause in causes)
    assert causes[0]["message"].startswith("fleet.yaml:15:3: server/b: spec.replicas: ")
    assert api.run(api.store.list("MCPServer")).items == ()


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("", "f.yaml: declares no objects"),
        ("a: [", "is not valid YAML"),
        ("kind: Pod\napiVersion: v1\n", "must be one of"),
        ("apiVersion: v1\nkind: Event\nmetadata: {name: e}\ninvolvedObject: {}\nreason: x\n",
         "written by Mooring alone"),
        (text("a", "a"), "is declared twice"),
    ],
)  # fmt: skip
def test_what_cannot_be_applied_is_refused_in_words(api: Served, body: str, words: str) -> None:
    answer = send(api, body, filename="f.yaml")
    assert answer.status == 422
    assert words in answer.document["message"]


def test_what_the_store_would_refuse_is_refused_before_anything_is_written(api: Served) -> None:
    api.put(secret(token="a").model_copy(update={"immutable": True}))
    leaving = server("leaving")
    meta = leaving.metadata.model_copy(update={"finalizers": (FINALIZER,)})
    api.put(leaving.model_copy(update={"metadata": meta}))
    api.run(api.store.delete(leaving.ref))
    answer = send(api, text("new", "leaving") + "---\n" + CREDS, filename="f.yaml")
    assert answer.status == 422
    messages = [cause["message"] for cause in answer.document["details"]["causes"]]
    assert "server/leaving is being deleted" in messages[0]
    assert "its values cannot change" in messages[1]
    assert api.get(Ref("MCPServer", "default", "new")) is None


def test_objects_without_a_namespace_go_where_they_are_sent(api: Served) -> None:
    send(api, text("a"), namespace="team-a")
    assert api.get(Ref("MCPServer", "team-a", "a")) is not None


def test_a_file_speaks_for_spec_labels_and_annotations_alone(api: Served) -> None:
    held = server("time", labels={"team": "core"})
    meta = held.metadata.model_copy(update={"finalizers": (FINALIZER,)})
    api.report(api.put(held.model_copy(update={"metadata": meta})), phase="Ready")
    send(api, text("time", replicas=2))
    now = api.get(TIME)
    assert (now.metadata.labels, now.metadata.finalizers) == ({}, (FINALIZER,))
    assert (now.spec.replicas, now.status.phase) == (2, "Ready")


def test_a_dry_run_tells_before_and_after(api: Served) -> None:
    send(api, text("a") + "---\n" + CREDS)
    body = text("a", replicas=2) + "---\n" + text("b") + "---\n" + CREDS.replace("s3", "s4")
    answer = send(api, body, dryRun="All")
    rows = {row["name"]: row for row in answer.document["items"]}
    assert rows["a"]["before"]["spec"]["replicas"] == 1
    assert rows["a"]["after"]["spec"]["replicas"] == 2
    assert rows["b"]["before"] is None
    assert rows["creds"]["outcome"] == "configured"
    assert rows["creds"]["before"]["data"] == {"token": ""}
    assert rows["creds"]["after"]["data"] == {"token": "(changed)"}
    assert api.get(Ref("MCPServer", "default", "b")) is None


def test_a_write_that_lost_a_race_is_made_again(
    api: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    api.put(server("time"))
    put = api.store.put
    interferences = iter(["one", "two"])

    async def raced(new: Object) -> Any:
        if (word := next(interferences, None)) is not None:
            held = await api.store.get(TIME)
            assert held is not None
            meta = held.metadata.model_copy(update={"finalizers": (f"example.com/{word}",)})
            await put(held.model_copy(update={"metadata": meta}))
        return await put(new)

    monkeypatch.setattr(api.store, "put", raced)
    assert outcomes(send(api, text("time", replicas=4))) == {"time": "configured"}
    now = api.get(TIME)
    assert (now.spec.replicas, now.metadata.finalizers) == (4, ("example.com/two",))


def test_what_was_written_and_what_was_not_is_told_apart(
    api: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    put = api.store.put

    async def full(new: Object) -> Any:
        if new.ref.name == "b":
            raise Unavailable("StoreUnavailable", "the disk is full")
        return await put(new)

    monkeypatch.setattr(api.store, "put", full)
    answer = send(api, text("a", "b", "c"))
    assert answer.status == 207
    rows = answer.document["items"]
    assert [row["outcome"] for row in rows] == ["created", "failed", "created"]
    assert rows[1]["status"]["message"] == "the disk is full"


def test_what_a_file_declares_is_deleted(api: Served) -> None:
    send(api, text("a"))
    held = server("b")
    meta = held.metadata.model_copy(update={"finalizers": (FINALIZER,)})
    api.put(held.model_copy(update={"metadata": meta}))
    expected = {"a": "deleted", "b": "deleting", "c": "absent"}
    assert outcomes(send(api, text("a", "b", "c"), "DELETE", dryRun="All"))["c"] == "absent"
    assert api.get(Ref("MCPServer", "default", "a")) is not None
    assert outcomes(send(api, text("a", "b", "c"), "DELETE")) == expected
    assert api.get(Ref("MCPServer", "default", "a")) is None


def test_text_that_is_no_utf8_is_refused(api: Served) -> None:
    answer = api.ask("POST", MANIFESTS, b"name: \xff\xfe")
    assert (answer.status, answer.document["reason"]) == (400, "BadRequest")
    assert "not UTF-8" in answer.document["message"]


def test_complaints_never_repeat_a_secret(api: Served) -> None:
    for body in (
        CREDS.replace("{token: s3cret}", "[s3cret]"),
        CREDS.replace("stringData: {token: s3cret}", "data: {token: s3cret!}"),
        CREDS.replace("stringData: {token: s3cret}", "stringData: {token: s3cret: x}"),
    ):
        answer = send(api, body)
        assert answer.status == 422
        assert b"s3cret" not in answer.body
