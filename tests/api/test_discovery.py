"""Clients of Kubernetes find out what there is."""

import pytest
from support.surface import BASE, Served


def test_the_groups_are_told(api: Served) -> None:
    groups = api.ask("GET", "/apis").document["groups"]
    assert [group["name"] for group in groups] == ["mooring.dev", "view.mooring.dev"]
    for group in groups:
        assert api.ask("GET", f"/apis/{group['name']}").document == group
        assert group["preferredVersion"]["version"] == "v1alpha1"
    assert api.ask("GET", "/api").document["versions"] == ["v1"]


@pytest.mark.parametrize(
    ("path", "version", "names"),
    [
        ("/api/v1", "v1", {"secrets", "events", "namespaces"}),
        (
            "/apis/mooring.dev/v1alpha1",
            "mooring.dev/v1alpha1",
            {
                *("mcpservers", "mcpgroups", "virtualmcpservers"),
                *("mcpservers/status", "mcpgroups/status", "virtualmcpservers/status"),
            },
        ),
        (
            "/apis/view.mooring.dev/v1alpha1",
            "view.mooring.dev/v1alpha1",
            {
                "mcpinstances",
                "mcpinstances/log",
                "mcpinstances/probe",
                "mcpservers/tools",
                "mcpservers/call",
                "virtualmcpservers/tools",
                "virtualmcpservers/call",
                "virtualmcpservers/view",
            },
        ),
    ],
)
def test_the_kinds_of_a_group_are_told(
    api: Served, path: str, version: str, names: set[str]
) -> None:
    found = api.ask("GET", path).document
    assert found["kind"] == "APIResourceList"
    assert found["groupVersion"] == version
    assert {entry["name"] for entry in found["resources"]} == names


def test_every_kind_that_is_told_of_can_be_listed(api: Served) -> None:
    for path in ("/api/v1", "/apis/mooring.dev/v1alpha1", "/apis/view.mooring.dev/v1alpha1"):
        for entry in api.ask("GET", path).document["resources"]:
            if "list" in entry["verbs"]:
                assert api.ask("GET", f"{path}/{entry['name']}").status == 200


def test_what_may_only_be_looked_at_says_so(api: Served) -> None:
    entries = api.ask("GET", "/api/v1").document["resources"]
    verbs = {entry["name"]: entry["verbs"] for entry in entries}
    assert verbs["events"] == ["get", "list", "watch"]
    assert {"create", "delete", "patch", "update"} <= set(verbs["secrets"])


def test_the_version_says_where_clients_connect(api: Served) -> None:
    found = api.ask("GET", "/version").document
    assert found["gitVersion"].startswith("v")
    assert found["endpoints"] == BASE


def test_it_says_that_it_lives(api: Served) -> None:
    answer = api.ask("GET", "/healthz")
    assert (answer.status, answer.body) == (200, b"ok")


V2 = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
V2BETA1 = V2.replace("v=v2", "v=v2beta1")


@pytest.mark.parametrize("path", ["/api", "/apis"])
@pytest.mark.parametrize(
    ("accept", "version"),
    [
        (f"{V2},{V2BETA1},application/json", "v2"),
        (f"{V2BETA1}, application/json", "v2beta1"),
        (f"{V2.replace('v=v2', 'v=v9')},{V2BETA1}", "v2beta1"),
        (f"application/json,{V2}", ""),
        ("*/*", ""),
        (V2.replace("v=v2", "v=v9"), ""),
    ],
)
def test_who_asks_for_everything_at_once_gets_it_in_the_form_that_he_knows(
    api: Served, path: str, accept: str, version: str
) -> None:
    answer = api.ask("GET", path, headers={"accept": accept})
    assert answer.headers["vary"] == "Accept"
    if version:
        assert answer.document["apiVersion"] == f"apidiscovery.k8s.io/{version}"
        assert answer.headers["content-type"] == V2.replace("v=v2", f"v={version}")
    else:
        assert answer.document["kind"] != "APIGroupDiscoveryList"
        assert answer.headers["content-type"] == "application/json"


def test_everything_at_once_is_what_the_single_documents_say(api: Served) -> None:
    for path, below in (("/api", "/api"), ("/apis", "/apis/")):
        for group in api.ask("GET", path, headers={"accept": V2}).document["items"]:
            name = group["metadata"].get("name", "")
            (version,) = group["versions"]
            told = api.ask("GET", f"{below}{name}/{version['version']}").document["resources"]
            flat = {}
            for found in version["resources"]:
                assert found["responseKind"].keys() == {"group", "version", "kind"}
                if found["verbs"]:
                    flat[found["resource"]] = found
                for part in found.get("subresources", ()):
                    flat[f"{found['resource']}/{part['subresource']}"] = part
            assert {
                name: (found["responseKind"]["kind"], found["verbs"])
                for name, found in flat.items()
            } == {entry["name"]: (entry["kind"], entry["verbs"]) for entry in told}
            scopes = {each["resource"]: each["scope"] for each in version["resources"]}
            assert scopes.get("namespaces", "Cluster") == "Cluster"
            assert scopes.get("mcpservers", "Namespaced") == "Namespaced"
