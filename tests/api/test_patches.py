"""Patches of every form, over HTTP: what they do, whose the fields are, what is refused."""

import json
from typing import Any

import pytest
from support.surface import Answer, Served, secret, server

from mooring.kinds.ref import Ref

SERVERS = "/apis/mooring.dev/v1alpha1/namespaces/default/mcpservers"
SECRETS = "/api/v1/namespaces/default/secrets"
TIME = Ref("MCPServer", "default", "time")
CREDS = Ref("Secret", "default", "creds")
HEAD = {"apiVersion": "mooring.dev/v1alpha1", "kind": "MCPServer"}


def patch(api: Served, path: str, kind: str, change: Any) -> Answer:
    suffix = "yaml" if kind == "apply" else "json"
    headers = {"content-type": f"application/{kind}-patch+{suffix}", "user-agent": "probe/1.0 (x)"}
    return api.ask("PATCH", path, json.dumps(change).encode(), headers)


def apply(api: Served, by: str, query: str = "", /, **spec: Any) -> Answer:
    document = {**HEAD, "metadata": {"name": "time"}, "spec": spec}
    return patch(api, f"{SERVERS}/time?fieldManager={by}{query}", "apply", document)


def owners(answer: Answer) -> dict[str, list[Any]]:
    entries = answer.document["metadata"]["managedFields"]
    return {entry["manager"]: [entry["operation"], entry["fieldsV1"]] for entry in entries}


def test_a_json_patch_changes_what_it_names(api: Served) -> None:
    api.put(server(replicas=2))
    change = [
        {"op": "test", "path": "/spec/replicas", "value": 2},
        {"op": "replace", "path": "/spec/replicas", "value": 3},
        {"op": "add", "path": "/metadata/labels/team", "value": "x"},
    ]
    answer = patch(api, f"{SERVERS}/time", "json", change)
    assert answer.status == 200
    assert answer.document["spec"]["replicas"] == 3
    again = patch(api, f"{SERVERS}/time", "json", change)
    assert again.status == 422
    assert "operation 0: /spec/replicas is not" in again.document["message"]
    whole = patch(api, f"{SERVERS}/time", "json", [{"op": "remove", "path": ""}])
    assert whole.status == 422


def test_a_json_patch_may_name_the_version_it_is_for(api: Served) -> None:
    held = api.put(server())
    stale = [{"op": "replace", "path": "/metadata/resourceVersion", "value": "999"}]
    assert patch(api, f"{SERVERS}/time", "json", stale).status == 409
    stale[0]["value"] = held.metadata.resource_version
    assert patch(api, f"{SERVERS}/time", "json", stale).status == 200


def test_an_update_is_told_of_who_made_it(api: Served) -> None:
    api.ask("POST", f"{SERVERS}?fieldManager=maker", server().document())
    answer = patch(api, f"{SERVERS}/time", "merge", {"spec": {"replicas": 3}})
    found = owners(answer)
    assert found["probe"] == ["Update", {"f:spec": {"f:replicas": {}}}]
    assert "f:replicas" not in found["maker"][1]["f:spec"]
    same = patch(api, f"{SERVERS}/time", "merge", {"spec": {"replicas": 3}})
    assert same.document == answer.document
    entry = answer.document["metadata"]["managedFields"][0]
    assert (entry["apiVersion"], entry["fieldsType"]) == ("mooring.dev/v1alpha1", "FieldsV1")
    assert entry["time"].endswith("Z")


def test_what_another_applied_is_not_changed_without_force(api: Served) -> None:
    assert apply(api, "ada", source={"pypi": "x"}, replicas=2).status == 201
    refused = apply(api, "bob", replicas=3)
    assert (refused.status, refused.document["reason"]) == (409, "Conflict")
    assert refused.document["details"]["causes"] == [
        {
            "reason": "FieldManagerConflict",
            "message": 'conflict with "ada"',
            "field": ".spec.replicas",
        }
    ]
    assert apply(api, "bob", "&force=true", replicas=3).document["spec"]["replicas"] == 3
    left = apply(api, "ada", source={"pypi": "x"})
    assert left.document["spec"]["replicas"] == 3
    assert owners(left)["bob"] == ["Apply", {"f:spec": {"f:replicas": {}}}]
    assert apply(api, "bob").document["spec"]["replicas"] == 1


def test_lists_are_applied_by_their_keys(api: Served) -> None:
    apply(api, "ada", source={"pypi": "x"}, env=[{"name": "A", "value": "1"}])
    both = apply(api, "bob", env=[{"name": "B", "value": "2"}])
    assert [row["name"] for row in both.document["spec"]["env"]] == ["A", "B"]
    gone = apply(api, "ada", source={"pypi": "x"})
    assert [row["name"] for row in gone.document["spec"]["env"]] == ["B"]


def test_the_same_again_is_no_write(api: Served) -> None:
    first = apply(api, "ada", source={"pypi": "x"})
    assert apply(api, "ada", source={"pypi": "x"}).document == first.document


def test_who_owned_what_may_be_corrected(api: Served) -> None:
    made = apply(api, "ada", source={"pypi": "x"}, replicas=2)
    entries = made.document["metadata"]["managedFields"]
    entries[0]["manager"] = "bob"
    path = "/metadata/managedFields"
    change = [{"op": "replace", "path": path, "value": entries}]
    assert list(owners(patch(api, f"{SERVERS}/time", "json", change))) == ["bob"]
    change = [{"op": "replace", "path": path, "value": [{}]}]
    assert owners(patch(api, f"{SERVERS}/time", "json", change)) == {}


def test_what_nobody_can_own_says_nothing(api: Served) -> None:
    apply(api, "ada", source={"pypi": "x"})
    junk = {"k:broken": {}, "f:spec": {"k:3": {}, "f:env": {"k:{}": {".": {}}}}, "": {"": {}}}
    entries = [{"manager": "m", "operation": "Update", "fieldsV1": junk}, {"fieldsV1": junk}]
    change = [{"op": "add", "path": "/metadata/managedFields", "value": entries}]
    assert patch(api, f"{SERVERS}/time", "json", change).status == 200
    assert apply(api, "ada", source={"pypi": "x"}, env=[{"name": "A", "value": "x"}]).status == 200
    assert apply(api, "ada", "&force=true", source={"pypi": "y"}).status == 200


@pytest.mark.parametrize(
    ("query", "body", "status", "words"),
    [
        ("", b"{}", 400, "fieldManager is required"),
        ("?fieldManager=" + "x" * 129, b"{}", 400, "at most 128"),
        ("?fieldManager=me", b"a: {", 422, "line"),
        ("?fieldManager=me", b"[]", 422, "must be one document"),
        ("?fieldManager=me", b"kind: MCPServer\nkind: X\n", 422, "kind"),
        ("?fieldManager=me", b"metadata: {managedFields: [{}]}", 422, "must not be given"),
        ("?fieldManager=me", b"spec: {source: {pypi: x}, sauce: 1}", 422, "spec.sauce"),
        ("?fieldManager=me", b"metadata: {lables: {a: b}}", 422, "metadata.lables"),
        ("?fieldManager=me", b"metadata: {name: other}", 422, "spec"),
    ],
)
def test_what_cannot_be_applied_is_refused_in_words(
    api: Served, query: str, body: bytes, status: int, words: str
) -> None:
    kind = {"content-type": "application/apply-patch+yaml"}
    answer = api.ask("PATCH", f"{SERVERS}/time{query}", body, kind)
    assert answer.status == status
    assert words in answer.document["message"]


@pytest.mark.parametrize(
    ("kind", "query", "body", "status"),
    [
        ("json", "", b"{}", 422),
        ("json", "", b"[", 400),
        ("merge", "", b"[]", 400),
        ("merge", "?force=true", b"{}", 400),
        ("merge", "", b'{"metadata":' * 5000, 400),
    ],
)
def test_patches_that_make_no_sense_are_refused(
    api: Served, kind: str, query: str, body: bytes, status: int
) -> None:
    api.put(server())
    headers = {"content-type": f"application/{kind}-patch+json"}
    assert api.ask("PATCH", f"{SERVERS}/time{query}", body, headers).status == status


def test_nesting_without_end_is_refused(api: Served) -> None:
    api.put(server())
    deep = b'{"a":' * 900 + b"1" + b"}" * 900
    merge = {"content-type": "application/merge-patch+json"}
    answer = api.ask("PATCH", f"{SERVERS}/time", b'{"spec":' + deep + b"}", merge)
    assert answer.status in (400, 422)


def test_secrets_take_strategic_patches(api: Served) -> None:
    api.put(secret(token="old", user="ada"))
    change = {"data": {"token": "bmV3"}, "metadata": {"labels": {"a": "b"}}}
    answer = patch(api, f"{SECRETS}/creds", "strategic-merge", change)
    assert answer.status == 200
    assert answer.document["data"] == {"token": "", "user": ""}
    held = api.get(CREDS)
    assert (held.value("token"), held.value("user")) == ("new", "ada")
    odd = patch(api, f"{SECRETS}/creds", "strategic-merge", {"$patch": "odd"})
    assert odd.status == 422


def test_no_patch_reads_the_values_of_a_secret(api: Served) -> None:
    api.put(secret(token="s3cret"))
    value = api.get(CREDS).data["token"]
    tested = [{"op": "test", "path": "/data/token", "value": value}]
    assert patch(api, f"{SECRETS}/creds", "json", tested).status == 422
    copied = [{"op": "add", "path": "/metadata/annotations/x", "value": ""},
              {"op": "copy", "from": "/data/token", "path": "/metadata/annotations/x"}]  # fmt: skip
    answer = patch(api, f"{SECRETS}/creds", "json", copied)
    assert answer.document["metadata"]["annotations"] == {"x": ""}
    assert api.get(CREDS).value("token") == "s3cret"


def test_secrets_are_applied_and_keep_what_is_not_repeated(api: Served) -> None:
    path = f"{SECRETS}/creds?fieldManager=ada"
    document = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "creds"}}
    made = patch(api, path, "apply", {**document, "stringData": {"token": "s3cret", "b": "c"}})
    assert made.status == 201
    assert owners(made)["ada"][1] == {"f:data": {"f:b": {}, "f:token": {}}}
    assert "s3cret" not in made.body.decode()
    again = patch(api, path, "apply", {**document, "data": {"token": ""}})
    assert again.status == 200
    held = api.get(CREDS)
    assert (held.value("token"), held.value("b")) == ("s3cret", None)
    assert patch(api, path, "apply", document).status == 200
    assert api.get(CREDS).data == {}
    bare = {"metadata": {"name": "creds"}, "stringData": {"c": "d"}}
    assert owners(patch(api, path, "apply", bare))["ada"][1] == {"f:data": {"f:c": {}}}


def test_the_status_is_written_through_its_own_door(api: Served) -> None:
    api.put(server(replicas=2))
    change = {"status": {"phase": "Ready"}, "spec": {"replicas": 5}}
    answer = patch(api, f"{SERVERS}/time/status", "merge", change)
    assert answer.status == 200
    assert answer.document["status"]["phase"] == "Ready"
    assert answer.document["spec"]["replicas"] == 2
    entry = answer.document["metadata"]["managedFields"][-1]
    assert (entry["subresource"], entry["fieldsV1"]) == ("status", {"f:status": {"f:phase": {}}})
    whole = answer.document
    whole["status"]["phase"] = "Degraded"
    put = api.ask("PUT", f"{SERVERS}/time/status", whole)
    assert put.document["status"]["phase"] == "Degraded"
    assert api.ask("PUT", f"{SERVERS}/time/status", whole).status == 409
    through = patch(api, f"{SERVERS}/time", "merge", {"status": {"phase": "Failed"}})
    assert through.document["status"]["phase"] == "Degraded"


def test_a_status_is_applied(api: Served) -> None:
    api.put(server())
    condition = {"type": "X", "status": "True", "reason": "Y",
                 "lastTransitionTime": "2026-01-31T12:00:00Z"}  # fmt: skip
    document = {**HEAD, "metadata": {"name": "time"}, "status": {"conditions": [condition]}}
    path = f"{SERVERS}/time/status?fieldManager=x&force=true"
    answer = patch(api, path, "apply", document)
    assert answer.status == 200
    assert [each["type"] for each in answer.document["status"]["conditions"]] == ["X"]
    again = patch(api, path, "apply", document)
    assert again.document == answer.document
    assert patch(api, path.replace("time/", "none/"), "apply", document).status == 404


def test_owners_of_an_object_are_kept(api: Served) -> None:
    reference = {"apiVersion": "v1", "kind": "X", "name": "x", "uid": "u-1"}
    document = server().document()
    document["metadata"]["ownerReferences"] = [reference]
    made = api.ask("POST", SERVERS, document)
    assert made.document["metadata"]["ownerReferences"][0]["uid"] == "u-1"
    gone = patch(api, f"{SERVERS}/time", "merge", {"metadata": {"ownerReferences": None}})
    assert gone.document["metadata"]["ownerReferences"] == []
