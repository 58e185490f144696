"""A real kubectl, as people use it: the one on the path, and Debian's, which is years older."""

import json
import logging
import threading
from pathlib import Path

import pytest
import yaml
from support.kubectl import FOUND, SECONDS, Kubectl, kubectl
from support.surface import Served, made, row, server

from mooring.kinds.ref import Ref

pytestmark = pytest.mark.process

TIME = Ref("MCPServer", "default", "time")
CREDS = Ref("Secret", "default", "creds")
SERVER = """
apiVersion: mooring.dev/v1alpha1
kind: MCPServer
metadata: {name: time, labels: {team: x}}
spec:
  source: {pypi: mcp-server-time}
  replicas: 2
  env: [{name: A, value: x}]
"""
VIRTUAL = """
apiVersion: mooring.dev/v1alpha1
kind: VirtualMCPServer
metadata: {name: team}
spec:
  group: tools
  aggregation:
    strategy: prefix
    tools: {time: {filter: [a, b]}}
"""
SECRET = """
apiVersion: v1
kind: Secret
metadata: {name: creds}
stringData: {token: s3cret-one, user: ada}
"""


@pytest.fixture(params=FOUND, ids=["found", "old"][: len(FOUND)])
def k(request: pytest.FixtureRequest, api: Served, tmp_path: Path) -> Kubectl:
    return kubectl(request.param, api.url, tmp_path)


def done(k: Kubectl, *arguments: str, text: str | None = None, **environment: str) -> str:
    said = k(*arguments, text=text, **environment)
    assert said.code == 0, said.err
    return said.out


def apply(k: Kubectl, text: str, *arguments: str) -> str:
    return done(k, "apply", "-f", "-", *arguments, text=text)


def test_a_kubectl_is_there() -> None:
    assert FOUND


def test_apply_says_what_it_did(api: Served, k: Kubectl) -> None:
    assert apply(k, SERVER) == "mcpserver.mooring.dev/time created\n"
    assert apply(k, SERVER) == "mcpserver.mooring.dev/time unchanged\n"
    changed = SERVER.replace("replicas: 2", "replicas: 3").replace(", labels: {team: x}", "")
    assert apply(k, changed) == "mcpserver.mooring.dev/time configured\n"
    held = api.get(TIME)
    assert (held.spec.replicas, dict(held.metadata.labels)) == (3, {})
    dry = apply(k, SERVER, "--dry-run=server")
    assert dry == "mcpserver.mooring.dev/time configured (server dry run)\n"
    assert api.get(TIME) == held


def test_a_typing_error_is_found(api: Served, k: Kubectl) -> None:
    wrong = k("apply", "-f", "-", text=SERVER.replace("replicas", "replicaz"))
    assert wrong.code == 1
    assert "replicaz" in wrong.err
    assert api.get(TIME) is None
    wrong = k("apply", "-f", "-", "--validate=false", text=SERVER.replace("2", "200"))
    assert "at most 100" in wrong.err


def test_diff_shows_what_apply_would_change(api: Served, k: Kubectl) -> None:
    apply(k, SERVER)
    same = k("diff", "-f", "-", text=SERVER)
    assert (same.code, same.out) == (0, "")
    other = k("diff", "-f", "-", text=SERVER.replace("replicas: 2", "replicas: 3"))
    assert other.code == 1
    assert "-  replicas: 2\n+  replicas: 3\n" in other.out
    assert api.get(TIME).spec.replicas == 2


def test_server_side_apply_minds_whose_fields_are(api: Served, k: Kubectl) -> None:
    side = ("--server-side", "--field-manager")
    assert apply(k, SERVER, *side, "ada") == "mcpserver.mooring.dev/time serverside-applied\n"
    other = SERVER.replace("replicas: 2", "replicas: 3")
    refused = k("apply", "-f", "-", *side, "bob", text=other)
    assert refused.code == 1
    assert '"ada" owns .spec.replicas' in refused.err
    apply(k, other, *side, "bob", "--force-conflicts")
    assert api.get(TIME).spec.replicas == 3


def test_client_side_apply_becomes_server_side_apply(api: Served, k: Kubectl) -> None:
    apply(k, SERVER)
    apply(k, SERVER, "--server-side")
    apply(k, SERVER.replace("replicas: 2", "replicas: 3"), "--server-side", "--force-conflicts")
    assert api.get(TIME).spec.replicas == 3


def test_get_in_every_form(api: Served, k: Kubectl) -> None:
    api.report(api.put(server(replicas=1)), phase="Ready", ready_instances=1, url="http://x/mcp")
    table = done(k, "get", "mcps").splitlines()
    assert table[0].split() == ["NAME", "READY", "STATUS", "RESTARTS", "AGE"]
    assert table[1].split()[:4] == ["time", "1/1", "Ready", "0"]
    assert "http://x/mcp" in done(k, "get", "mcpservers", "-o", "wide")
    assert done(k, "get", "mcps", "-o", "name") == "mcpserver.mooring.dev/time\n"
    assert json.loads(done(k, "get", "mcps", "time", "-o", "json"))["spec"]["replicas"] == 1
    assert yaml.safe_load(done(k, "get", "mcps", "-o", "yaml"))["items"][0]["kind"] == "MCPServer"
    jsonpath = "-o=jsonpath={.items[*].status.phase}"
    assert done(k, "get", "mcps", jsonpath) == "Ready"
    columns = done(k, "get", "mcps", "-A", "-o=custom-columns=N:.metadata.name")
    assert columns.split() == ["N", "time"]
    assert done(k, "get", "mcps", "-A").split()[0] == "NAMESPACE"
    assert "team=x" not in done(k, "get", "mcps", "--show-labels", "--sort-by=.metadata.name")
    missing = k("get", "mcps", "none")
    assert (missing.code, "NotFound" in missing.err) == (1, True)


def test_long_lists_are_read_in_pieces(api: Served, k: Kubectl) -> None:
    for number in range(7):
        api.put(server(f"s{number}", labels={"odd": str(number % 2)}))
    assert len(done(k, "get", "mcps", "--chunk-size=2", "-o", "name").split()) == 7
    assert len(done(k, "get", "mcps", "-l", "odd=1", "-o", "name").split()) == 3
    found = done(k, "get", "mcps", "--field-selector=metadata.name=s3", "-o", "name")
    assert found == "mcpserver.mooring.dev/s3\n"


def test_changes_are_watched(api: Served, k: Kubectl) -> None:
    api.put(server())
    with k.following("get", "mcps", "-w", "-o", "name") as process:
        clock = threading.Timer(SECONDS, process.kill)
        clock.start()
        assert process.stdout is not None
        assert process.stdout.readline() == "mcpserver.mooring.dev/time\n"
        api.put(server("other"))
        assert process.stdout.readline() == "mcpserver.mooring.dev/other\n"
        clock.cancel()


def test_namespaces_are_watched(api: Served, k: Kubectl) -> None:
    api.put(server())
    with k.following("get", "ns", "-w", "-o", "name") as process:
        clock = threading.Timer(SECONDS, process.kill)
        clock.start()
        assert process.stdout is not None
        assert process.stdout.readline() == "namespace/default\n"
        api.put(server(namespace="team-a"))
        assert process.stdout.readline() == "namespace/team-a\n"
        clock.cancel()


def test_a_key_that_is_no_longer_applied_goes_and_nobody_is_warned(api: Served, k: Kubectl) -> None:
    both = SECRET.replace("stringData: {token: s3cret-one, user: ada}", "data: {a: YQ==, b: Yg==}")
    for text, keys in ((both, {"a", "b"}), (both.replace(", b: Yg==", ""), {"a"})):
        said = k("apply", "-f", "-", text=text)
        assert (said.code, said.err) == (0, "")
        assert api.get(CREDS).data.keys() == keys
    assert api.get(CREDS).value("a") == "a"
    assert "YQ==" not in done(k, "get", "secret", "creds", "-o", "yaml")


def test_one_waits_until_it_is_ready(api: Served, k: Kubectl) -> None:
    api.put(server())
    condition = {
        "type": "Ready",
        "status": "True",
        "reason": "Up",
        "last_transition_time": "2026-01-01T00:00:00Z",
        "observed_generation": 1,
    }
    timer = threading.Timer(0.3, lambda: api.report(api.get(TIME), conditions=(condition,)))
    timer.start()
    waited = done(k, "wait", "--for=condition=Ready", "mcps/time", "--timeout=10s")
    timer.join()
    assert waited == "mcpserver.mooring.dev/time condition met\n"


def test_objects_are_changed_in_every_way(api: Served, k: Kubectl) -> None:
    api.put(server())
    replicas = '[{"op": "replace", "path": "/spec/replicas", "value": 4}]'
    done(k, "patch", "mcps", "time", "--type=json", "-p", replicas)
    assert api.get(TIME).spec.replicas == 4
    done(k, "patch", "mcps", "time", "--type=merge", "-p", '{"spec": {"replicas": 5}}')
    done(k, "label", "mcps", "time", "team=y")
    done(k, "annotate", "mcps", "time", "note=z")
    done(k, "edit", "mcps", "time", EDITOR="sed -i s/replicas:.5/replicas:\\ 6/")
    held = api.get(TIME)
    assert held.spec.replicas == 6
    assert held.metadata.labels == {"team": "y"}
    assert held.metadata.annotations["note"] == "z"
    refused = k("patch", "mcps", "time", "-p", "{}")
    assert (refused.code, "application/merge-patch+json" in refused.err) == (1, True)


def test_files_make_and_replace(api: Served, k: Kubectl) -> None:
    assert done(k, "create", "-f", "-", text=SERVER) == "mcpserver.mooring.dev/time created\n"
    assert "AlreadyExists" in k("create", "-f", "-", text=SERVER).err
    held = done(k, "get", "mcps", "time", "-o", "json")
    replaced = done(k, "replace", "-f", "-", text=held.replace('"replicas": 2', '"replicas": 3'))
    assert replaced == "mcpserver.mooring.dev/time replaced\n"
    assert api.get(TIME).spec.replicas == 3
    assert "Conflict" in k("replace", "-f", "-", text=held).err
    assert "mcpserver.mooring.dev/time" in done(k, "get", "mooring", "-o", "name")


def test_objects_are_deleted(api: Served, k: Kubectl) -> None:
    for name in ("time", "b", "c"):
        api.put(server(name, labels={"team": "x"}))
    assert "deleted" in done(k, "delete", "mcps", "time")
    assert "deleted" in done(k, "delete", "mcps", "-l", "team=x", "--grace-period=1")
    assert done(k, "get", "mcps", "-o", "name") == ""


def test_what_there_is_is_explained(k: Kubectl) -> None:
    resources = done(k, "api-resources")
    for word in ("mcps", "mcpinstances", "secrets", "events", "namespaces"):
        assert word in resources
    said = done(k, "explain", "mcps.spec.replicas")
    assert "How many instances are wanted" in said
    assert "<[]Object>" in done(k, "explain", "mcps.spec.env")
    assert "Base64 text by key" in done(k, "explain", "secrets")
    assert "Server Version" in done(k, "version")


def test_virtual_servers_are_applied_explained_and_deleted(api: Served, k: Kubectl) -> None:
    assert apply(k, VIRTUAL) == "virtualmcpserver.mooring.dev/team created\n"
    assert apply(k, VIRTUAL) == "virtualmcpserver.mooring.dev/team unchanged\n"
    shown = done(k, "get", "vmcp").splitlines()
    assert shown[0].split() == ["NAME", "BACKENDS", "TOOLS", "STATUS", "AGE"]
    assert shown[1].split()[:4] == ["team", "0/0", "0", "Pending"]
    assert "overrides" in done(k, "explain", "vmcp.spec.aggregation.tools")
    wrong = VIRTUAL.replace("prefix", "prefx")
    said = k("apply", "-f", "-", text=wrong)
    assert said.code == 1
    assert "prefix, priority, manual, none" in said.err
    mine = VIRTUAL.replace("[a, b]", "[a]")
    assert "configured" in apply(k, mine)
    held = api.get(Ref("VirtualMCPServer", "default", "team"))
    assert held.spec.aggregation.tools["time"].filter == ("a",)
    assert "deleted" in done(k, "delete", "vmcp", "team")


def test_maps_are_merged_by_their_keys_when_several_apply(api: Served, k: Kubectl) -> None:
    other = VIRTUAL.replace("time: {filter: [a, b]}", "files: {excludeAll: true}")
    for who, text in (("one", VIRTUAL), ("two", other)):
        apply(k, text, "--server-side", f"--field-manager={who}")
    held = api.get(Ref("VirtualMCPServer", "default", "team"))
    assert sorted(held.spec.aggregation.tools) == ["files", "time"]


def test_views_and_events_are_looked_at(api: Served, k: Kubectl) -> None:
    held = api.report(api.put(server()), instances=(row("time-0"),))
    about = {
        "apiVersion": "mooring.dev/v1alpha1",
        "kind": "MCPServer",
        "name": "time",
        "uid": held.metadata.uid,
    }
    api.put(
        made(
            {
                "apiVersion": "v1",
                "kind": "Event",
                "metadata": {"name": "e"},
                "involvedObject": about,
                "reason": "Started",
                "message": "time-0 is ready",
            }
        )
    )
    assert "time-0" in done(k, "get", "inst")
    assert "time-0 is ready" in done(k, "get", "events")
    mine = "involvedObject.apiVersion=mooring.dev/v1alpha1,involvedObject.name=time,source=mooring"
    assert "time-0 is ready" in done(k, "get", "events", "--field-selector", mine)
    if k("events", "--help").code == 0:  # a command of newer ones
        assert "time-0 is ready" in done(k, "events", "--for", "mcps/time")
    assert "Started" in done(k, "describe", "mcps", "time")
    assert done(k, "get", "ns").split()[3:5] == ["default", "Active"]


def test_secrets_never_come_back(api: Served, k: Kubectl, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    done(k, "create", "secret", "generic", "made", "--from-literal=token=s3cret-zero")
    assert api.get(Ref("Secret", "default", "made")).value("token") == "s3cret-zero"
    apply(k, SECRET)
    apply(k, SECRET.replace("s3cret-one", "s3cret-two"))
    assert (api.get(CREDS).value("token"), api.get(CREDS).value("user")) == ("s3cret-two", "ada")
    apply(k, SECRET.replace("s3cret-one", "s3cret-three"), "--server-side", "--force-conflicts")
    assert api.get(CREDS).value("token") == "s3cret-three"
    done(k, "label", "secret", "creds", "a=b")
    done(k, "edit", "secret", "creds", EDITOR="sed -i s/Opaque/Other/")
    assert (api.get(CREDS).value("token"), api.get(CREDS).type) == ("s3cret-three", "Other")
    shown = done(k, "get", "secrets", "-o", "yaml") + done(k, "describe", "secrets")
    for coded in ("s3cret", "czNjcmV0"):
        assert coded not in shown
        assert coded not in caplog.text
    assert "audit" in caplog.text
