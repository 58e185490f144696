"""Objects over HTTP: made, read, changed and deleted the way Kubernetes does it."""

import json
from typing import Any

import pytest
from support.surface import Answer, Served, row, secret, server

from mooring.kinds.base import FINALIZER
from mooring.kinds.ref import Ref

SERVERS = "/apis/mooring.dev/v1alpha1/namespaces/default/mcpservers"
SECRETS = "/api/v1/namespaces/default/secrets"
TIME = Ref("MCPServer", "default", "time")
CREDS = Ref("Secret", "default", "creds")
MERGE = {"content-type": "application/merge-patch+json"}
APPLY = {"content-type": "application/apply-patch+yaml"}
TABLE = {"accept": "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"}


def document(name: str = "time", **spec: Any) -> dict[str, Any]:
    given = {"source": {"pypi": "mcp-server-time"}, **spec}
    return {
        "apiVersion": "mooring.dev/v1alpha1",
        "kind": "MCPServer",
        "metadata": {"name": name},
        "spec": given,
    }


def patch(api: Served, path: str, change: Any, query: str = "") -> Answer:
    return api.ask("PATCH", path + query, json.dumps(change).encode(), MERGE)


def test_an_object_is_made_and_read_back(api: Served) -> None:
    answer = api.ask("POST", SERVERS, document(replicas=2))
    assert answer.status == 201
    stored = answer.document
    assert stored["metadata"]["namespace"] == "default"
    assert stored["metadata"]["uid"]
    assert stored["metadata"]["generation"] == 1
    assert api.ask("GET", f"{SERVERS}/time").document == stored
    assert api.ask("GET", f"{SERVERS}/time/status").document == stored


def test_what_the_sender_cannot_know_is_not_taken_from_him(api: Served) -> None:
    forged = document()
    forged["metadata"] |= {"uid": "mine", "generation": 7, "resourceVersion": "9",
                           "creationTimestamp": "2001-01-01T00:00:00Z"}  # fmt: skip
    forged["status"] = {"phase": "Ready", "readyInstances": 1}
    made = api.ask("POST", SERVERS, forged).document
    assert made["metadata"]["uid"] != "mine"
    assert made["metadata"]["generation"] == 1
    assert not made["metadata"]["creationTimestamp"].startswith("2001")
    assert made["status"]["phase"] == "Pending"


def test_a_second_one_of_that_name_is_refused(api: Served) -> None:
    api.ask("POST", SERVERS, document())
    for query in ("", "?dryRun=All"):
        answer = api.ask("POST", SERVERS + query, document())
        assert (answer.status, answer.document["reason"]) == (409, "AlreadyExists")


def test_everything_wrong_is_told_at_once(api: Served) -> None:
    wrong = document(replicas=1000, sources={})
    answer = api.ask("POST", SERVERS, wrong)
    assert (answer.status, answer.document["reason"]) == (422, "Invalid")
    causes = answer.document["details"]["causes"]
    assert {cause["field"] for cause in causes} == {"spec.replicas", "spec.sources"}
    assert "did you mean source?" in answer.document["message"]


@pytest.mark.parametrize(
    ("path", "change"),
    [
        (SERVERS, {"metadata": {"name": "time", "namespace": "other"}}),
        (SERVERS, {"kind": "MCPGroup", "spec": {}}),
        (f"{SERVERS}/other", {}),
    ],
)
def test_a_document_must_be_what_its_path_says(
    api: Served, path: str, change: dict[str, Any]
) -> None:
    api.put(server("other"))
    method = "POST" if path == SERVERS else "PUT"
    answer = api.ask(method, path, document() | change)
    assert (answer.status, answer.document["reason"]) == (400, "BadRequest")
    assert "the path says" in answer.document["message"]


def test_a_dry_run_changes_nothing(api: Served) -> None:
    assert api.ask("POST", f"{SERVERS}?dryRun=All", document()).status == 201
    assert api.get(TIME) is None
    api.put(server())
    version = api.get(TIME).metadata.resource_version
    assert (
        api.ask("PUT", f"{SERVERS}/time?dryRun=All", document(replicas=5)).document["spec"][
            "replicas"
        ]
        == 5
    )
    assert api.ask("DELETE", f"{SERVERS}/time?dryRun=All").status == 200
    assert api.ask("DELETE", f"{SERVERS}/time", {"dryRun": ["All"]}).status == 200
    assert api.get(TIME).metadata.resource_version == version
    assert api.ask("POST", f"{SERVERS}?dryRun=yes", document("x")).status == 400


def test_an_update_keeps_what_is_not_the_senders_to_say(api: Served) -> None:
    held = api.report(api.put(server()), phase="Ready", ready_instances=1)
    changed = held.document()
    changed["spec"]["replicas"] = 3
    changed["status"] = {"phase": "Failed"}
    changed["metadata"]["labels"] = {"team": "core"}
    answer = api.ask("PUT", f"{SERVERS}/time", changed)
    assert answer.status == 200
    now = api.get(TIME)
    assert (now.spec.replicas, now.status.phase) == (3, "Ready")
    assert now.metadata.labels == {"team": "core"}
    assert (now.metadata.uid, now.metadata.generation) == (held.metadata.uid, 2)


def test_a_stale_update_is_refused(api: Served) -> None:
    old = api.put(server()).document()
    patch(api, f"{SERVERS}/time", {"spec": {"replicas": 2}})
    answer = api.ask("PUT", f"{SERVERS}/time", old)
    assert (answer.status, answer.document["reason"]) == (409, "Conflict")
    assert answer.document["details"]["causes"][0]["reason"] == "StaleVersion"
    stranger = {**old, "metadata": {**old["metadata"], "resourceVersion": "", "uid": "other"}}
    assert api.ask("PUT", f"{SERVERS}/time", stranger).status == 409
    assert api.get(TIME).spec.replicas == 2


def test_an_update_of_nothing_is_not_found(api: Served) -> None:
    assert api.ask("PUT", f"{SERVERS}/time", document()).status == 404
    assert patch(api, f"{SERVERS}/time", {}).status == 404
    assert api.ask("DELETE", f"{SERVERS}/time").status == 404


def test_a_merge_patch_changes_what_it_names(api: Served) -> None:
    api.put(server(replicas=2, args=["-v"], labels={"team": "core", "tier": "x"}))
    change = {"spec": {"replicas": 3, "args": None}, "metadata": {"labels": {"tier": None}}}
    assert patch(api, f"{SERVERS}/time", change).status == 200
    now = api.get(TIME)
    assert (now.spec.replicas, now.spec.args) == (3, ())
    assert now.metadata.labels == {"team": "core"}
    assert now.spec.source.pypi == "mcp-server-time"


def test_a_merge_patch_may_name_the_version_it_is_for(api: Served) -> None:
    held = api.put(server())
    change = {"metadata": {"resourceVersion": "999"}, "spec": {"replicas": 3}}
    assert patch(api, f"{SERVERS}/time", change).status == 409
    change["metadata"]["resourceVersion"] = held.metadata.resource_version
    assert patch(api, f"{SERVERS}/time", change).status == 200


def test_other_patches_are_refused_in_words(api: Served) -> None:
    api.put(server())
    kind = {"content-type": "application/strategic-merge-patch+json"}
    answer = api.ask("PATCH", f"{SERVERS}/time", b"{}", kind)
    assert (answer.status, answer.document["reason"]) == (415, "UnsupportedMediaType")
    assert "application/merge-patch+json" in answer.document["message"]


def test_an_applied_document_makes_or_replaces(api: Served) -> None:
    text = (
        "apiVersion: mooring.dev/v1alpha1\nkind: MCPServer\nmetadata: {name: time}\n"
        "spec:\n  source: {pypi: mcp-server-time}\n  replicas: 2\n"
    )
    path = f"{SERVERS}/time?fieldManager=me"
    assert api.ask("PATCH", path, text.encode(), APPLY).status == 201
    again = api.ask("PATCH", path, text.encode(), APPLY)
    assert again.status == 200
    assert again.document["metadata"]["generation"] == 1
    changed = text.replace("replicas: 2", "replicas: 4")
    assert api.ask("PATCH", path, changed.encode(), APPLY).status == 200
    assert api.get(TIME).spec.replicas == 4
    wrong = api.ask("PATCH", path, b"kind: MCPServer\nspec: 3\n", APPLY)
    assert wrong.status == 422
    two = api.ask("PATCH", path, f"{text}---\n{text}".encode(), APPLY)
    assert two.status == 422


def test_deletion_honours_preconditions(api: Served) -> None:
    held = api.put(server())
    wrong = {"preconditions": {"uid": "other"}}
    assert api.ask("DELETE", f"{SERVERS}/time", wrong).status == 409
    right = {"preconditions": {"uid": held.metadata.uid}}
    answer = api.ask("DELETE", f"{SERVERS}/time", right)
    assert answer.document["status"] == "Success"
    assert answer.document["details"]["uid"] == held.metadata.uid
    assert api.get(TIME) is None
    assert api.ask("DELETE", f"{SERVERS}/time", {"preconditions": 3}).status == 400


def test_an_object_with_finalizers_stays_and_says_so(api: Served) -> None:
    finalized = document()
    finalized["metadata"]["finalizers"] = [FINALIZER]
    api.ask("POST", SERVERS, finalized)
    answer = api.ask("DELETE", f"{SERVERS}/time")
    assert answer.status == 200
    assert answer.document["metadata"]["deletionTimestamp"]
    declared = {"content-type": "application/yaml"}
    applied = api.ask("PUT", f"{SERVERS}/time", json.dumps(document()).encode(), declared)
    assert applied.status == 409
    assert "is being deleted" in applied.document["message"]
    freed = patch(api, f"{SERVERS}/time", {"metadata": {"finalizers": None}})
    assert freed.status == 200
    assert api.get(TIME) is None


def test_lists_are_whole_sorted_and_selected(api: Served) -> None:
    for name, team in (("b", "x"), ("a", "y"), ("c", "x")):
        api.put(server(name, labels={"team": team}))
    api.put(server("a", namespace="other"))
    found = api.ask("GET", SERVERS).document
    assert found["kind"] == "MCPServerList"
    assert found["metadata"]["resourceVersion"] == "4"

    def names(query: str, path: str = SERVERS) -> list[str]:
        items = api.ask("GET", f"{path}?{query}").document["items"]
        return [f"{i['metadata']['namespace']}/{i['metadata']['name']}" for i in items]

    assert names("") == ["default/a", "default/b", "default/c"]
    assert names("labelSelector=team%3Dx") == ["default/b", "default/c"]
    assert names("labelSelector=team%20notin%20(x)") == ["default/a"]
    assert names("fieldSelector=metadata.name%3Db") == ["default/b"]
    everywhere = "/apis/mooring.dev/v1alpha1/mcpservers"
    assert names("", everywhere)[-1] == "other/a"
    assert names("fieldSelector=metadata.namespace!%3Ddefault", everywhere) == ["other/a"]


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("resourceVersion=0", 200),
        ("resourceVersion=1", 200),
        ("resourceVersion=2&resourceVersionMatch=NotOlderThan", 200),
        ("resourceVersion=2&resourceVersionMatch=Exact", 200),
        ("resourceVersion=1&resourceVersionMatch=Exact", 410),
        ("resourceVersion=3", 410),
        ("resourceVersion=x", 400),
        ("resourceVersion=1&resourceVersionMatch=Later", 400),
    ],
)
def test_a_list_is_never_of_another_version_than_was_asked_for(
    api: Served, query: str, status: int
) -> None:
    for name in ("a", "b"):
        api.put(server(name))
    answer = api.ask("GET", f"{SERVERS}?{query}")
    assert answer.status == status
    if status == 410:
        assert answer.document["reason"] == "Expired"


def test_a_table_is_answered_to_who_asks_for_one(api: Served) -> None:
    api.report(
        api.put(server(replicas=2)),
        phase="Degraded",
        ready_instances=1,
        instances=(row("time-0"), row("time-1", "ERROR", restarts=2)),
    )
    table = api.ask("GET", SERVERS, headers=TABLE).document
    assert table["kind"] == "Table"
    heads = [head["name"] for head in table["columnDefinitions"] if not head["priority"]]
    assert heads == ["Name", "Ready", "Status", "Restarts", "Age"]
    (only,) = table["rows"]
    assert only["cells"][:4] == ["time", "1/2", "Degraded", "2"]
    assert only["object"]["metadata"]["name"] == "time"
    single = api.ask("GET", f"{SERVERS}/time", headers=TABLE).document
    assert single["rows"][0]["cells"][:3] == ["time", "1/2", "Degraded"]


def test_values_of_secrets_never_leave(api: Served) -> None:
    api.put(secret(token="s3cret", user="ada"))
    coded = api.get(CREDS).data["token"]
    answers = [
        api.ask("GET", f"{SECRETS}/creds"),
        api.ask("GET", SECRETS),
        api.ask("GET", "/api/v1/secrets", headers=TABLE),
        patch(api, f"{SECRETS}/creds", {"metadata": {"labels": {"a": "b"}}}),
        patch(api, f"{SECRETS}/creds", {"stringData": {"more": "s3cret"}}, "?dryRun=All"),
        api.ask("DELETE", f"{SECRETS}/creds?dryRun=All"),
    ]
    for answer in answers:
        assert answer.status == 200
        assert b"s3cret" not in answer.body
        assert coded.encode() not in answer.body
    assert answers[0].document["data"] == {"token": "", "user": ""}


def test_an_update_without_values_keeps_them(api: Served) -> None:
    api.put(secret(token="s3cret", user="ada"))
    shown = api.ask("GET", f"{SECRETS}/creds").document
    shown["metadata"]["labels"] = {"team": "core"}
    assert api.ask("PUT", f"{SECRETS}/creds", shown).status == 200
    kept = api.get(CREDS)
    assert (kept.value("token"), kept.metadata.labels) == ("s3cret", {"team": "core"})
    bare = {"metadata": {"name": "creds"}}
    api.ask("PUT", f"{SECRETS}/creds", bare)
    assert api.get(CREDS).value("token") == "s3cret"
    change = {"data": {"user": None}, "stringData": {"token": ""}}
    assert patch(api, f"{SECRETS}/creds", change).status == 200
    assert dict(api.get(CREDS).data) == {"token": ""}


def test_an_immutable_secret_cannot_change(api: Served) -> None:
    api.put(secret(token="a").model_copy(update={"immutable": True}))
    for change in ({"stringData": {"token": "b"}}, {"immutable": False}, {"type": "other"}):
        answer = patch(api, f"{SECRETS}/creds", change)
        assert answer.status == 422
        assert "its values cannot change" in answer.document["message"]
    assert patch(api, f"{SECRETS}/creds", {"metadata": {"labels": {"a": "b"}}}).status == 200


@pytest.mark.parametrize("validation", ["Warn", "Ignore"])
def test_unknown_fields_are_left_out_where_one_asks_for_it(api: Served, validation: str) -> None:
    given = document(replicaz=3, env=[{"name": "A", "value": "x", "valve": "é"}])
    given["metadata"] |= {"lables": {}, "selfLink": "/x"}
    query = f"?fieldValidation={validation}"
    made = api.ask("POST", SERVERS + query, given)
    assert made.status == 201
    warning = made.headers.get("warning", "")
    assert ("spec.replicaz: unknown field (did you mean replicas?)" in warning) == (
        validation == "Warn"
    )
    assert "selfLink" not in warning
    assert api.get(TIME).spec.env[0].value == "x"
    again = patch(api, f"{SERVERS}/time", {"spec": {"replicas": 2, "x": 1}}, query)
    assert (again.status, "spec.x" in again.headers.get("warning", "")) == (
        200,
        validation == "Warn",
    )
    assert api.get(TIME).spec.replicas == 2


def test_unknown_fields_are_refused_otherwise(api: Served) -> None:
    for query in ("", "?fieldValidation=Strict"):
        assert api.ask("POST", SERVERS + query, document(replicaz=3)).status == 422
    odd = api.ask("POST", f"{SERVERS}?fieldValidation=Perhaps", document())
    assert (odd.status, "fieldValidation" in odd.document["message"]) == (400, True)
    twice = json.dumps(document()).replace('"spec":', '"spec": {}, "spec":').encode()
    refused = api.ask("POST", SERVERS, twice)
    assert (refused.status, "spec is there twice" in refused.document["message"]) == (400, True)
    for validation in ("Ignore", "Warn"):
        query = f"?fieldValidation={validation}&dryRun=All"
        taken = api.ask("POST", SERVERS + query, twice)
        warned = "spec is there twice" in taken.headers.get("warning", "")
        assert (taken.status, warned) == (201, validation == "Warn")
    unsound = api.ask("POST", f"{SERVERS}?fieldValidation=Ignore", document(group="a\0b"))
    assert unsound.status == 422


def test_a_name_may_be_left_to_chance(api: Served) -> None:
    given = document()
    given["metadata"] = {"generateName": "time-"}
    names = {api.ask("POST", SERVERS, given).document["metadata"]["name"] for _ in range(3)}
    assert len(names) == 3
    assert all(name.startswith("time-") and len(name) == 10 for name in names)
    given["metadata"]["name"] = "time"
    assert api.ask("POST", SERVERS, given).document["metadata"]["name"] == "time"
    odd: list[Any] = [{"generateName": 3}, {"generateName": ""}, {}, "x"]
    for metadata in odd:
        assert api.ask("POST", SERVERS, given | {"metadata": metadata}).status == 422
