"""A file's objects, and every complaint about it with its line."""

import json

from mooring.kinds.manifest import read
from mooring.kinds.ref import Ref
from mooring.kinds.secret import Secret
from mooring.kinds.server import MCPServer

FLEET = """\
# The fleet.
apiVersion: mooring.dev/v1alpha1
kind: MCPServer
metadata: {name: time}
spec:
  source: {pypi: mcp-server-time}
---
---
apiVersion: v1
kind: Secret
metadata: {name: creds, namespace: team}
stringData: {token: "2026-01-01", since: 2026-01-01, at: 12:30, pin: "0042"}
"""


def said(text: str) -> list[str]:
    return [str(each) for each in read(text, "fleet.yaml").complaints]


def test_a_file_declares_its_objects_in_order() -> None:
    fleet = read(FLEET, "fleet.yaml")
    assert fleet.complaints == ()
    assert [(each.object.ref, each.line) for each in fleet.declared] == [
        (Ref("MCPServer", "default", "time"), 2),
        (Ref("Secret", "team", "creds"), 9),
    ]
    assert fleet.declared[0].document["spec"] == {"source": {"pypi": "mcp-server-time"}}


def test_dates_and_times_of_day_stay_text() -> None:
    creds = read(FLEET, "fleet.yaml").objects[1]
    assert isinstance(creds, Secret)
    found = {key: creds.value(key) for key in creds.data}
    assert found == {"token": "2026-01-01", "since": "2026-01-01", "at": "12:30", "pin": "0042"}


def test_objects_without_namespace_go_where_they_are_sent() -> None:
    namespaces = [each.metadata.namespace for each in read(FLEET, "f", "lab").objects]
    assert namespaces == ["lab", "team"]


def test_a_relative_working_directory_is_relative_to_the_file() -> None:
    def where(wanted: str, directory: str) -> list[str | None]:
        text = FLEET.split("---")[0] + f"  workingDirectory: {wanted}\n"
        servers = read(text, "f", directory=directory).objects
        return [each.spec.working_directory for each in servers if isinstance(each, MCPServer)]

    assert where("notes", "/srv/fleet") == ["/srv/fleet/notes"]
    assert where("../x/./y", "/srv/fleet") == ["/srv/x/y"]
    assert where("/opt", "/srv/fleet") == ["/opt"]
    assert where("notes", "") == []


def test_every_complaint_has_its_line_and_its_object() -> None:
    text = """\
apiVersion: mooring.dev/v1alpha1
kind: MCPServer
metadata:
  name: time
  name: clock
spec:
  source:
    pypi: x
    npm: y
  replicas: 500
  env:
    - name: A
      value: 8080
    - {name: B, value: yes}
---
kind: MCPSever
metadata: {name: other}
---
apiVersion: mooring.dev/v1alpha1
kind: MCPGroup
metadata: {name: Team One}
"""
    assert said(text) == [
        "fleet.yaml:5:3: server/time: metadata.name: is given twice",
        "fleet.yaml:7:3: server/time: spec.source: needs exactly one of command, pypi, npm, "
        "image, url; found pypi and npm",
        "fleet.yaml:10:3: server/time: spec.replicas: must be at most 100, found 500",
        "fleet.yaml:13:7: server/time: spec.env[0].value: must be text, found a number "
        "(put it in quotes)",
        "fleet.yaml:14:17: server/time: spec.env[1].value: must be text, found true or false "
        "(put it in quotes)",
        "fleet.yaml:16:1: document 2: kind: must be one of "
        "MCPServer, MCPGroup, VirtualMCPServer, Secret, Event; "
        "found MCPSever (did you mean MCPServer?)",
        "fleet.yaml:21:12: group/Team One: metadata.name: must be lower-case letters, digits "
        "and '-' (in Secrets and Events also '.'), with a letter or digit at both ends; "
        "found Team One",
    ]


def test_bad_yaml_is_a_complaint_with_its_line() -> None:
    assert said(FLEET + "---\nspec:\n\t- x\n") == [
        "fleet.yaml:15:1: is not valid YAML: found character that cannot start any token "
        "(indent with spaces; YAML allows no tabs)"
    ]
    assert said("a: b: c") == [
        "fleet.yaml:1:5: is not valid YAML: mapping values are not allowed in this context "
        "(text with ': ' in it needs quotes)"
    ]
    assert read(FLEET + "---\n}", "f").objects == read(FLEET, "f").objects


def test_a_list_declares_its_items() -> None:
    text = """\
apiVersion: v1
kind: List
items:
- apiVersion: mooring.dev/v1alpha1
  kind: MCPGroup
  metadata: {name: a}
- apiVersion: mooring.dev/v1alpha1
  kind: MCPGroup
  metadata: {name: b}
  spec: {descripton: x}
- {}
"""
    fleet = read(text, "fleet.yaml")
    assert [str(each.ref) for each in fleet.objects] == ["group/a"]
    assert [str(each) for each in fleet.complaints] == [
        "fleet.yaml:10:10: group/b: spec.descripton: unknown field (did you mean description?)",
        "fleet.yaml:11:3: document 1, item 3: kind: is required; "
        "known kinds are MCPServer, MCPGroup, VirtualMCPServer, Secret, Event",
    ]
    assert said("kind: MCPGroupList\nitems: 5") == [
        "fleet.yaml:2:1: document 1: items: must be a list of objects"
    ]


def test_json_is_read_too() -> None:
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "a"},
        "stringData": {"smile": "😀 \\ud83d\n\t/", "plain": "ü"},
    }
    for text in (json.dumps(secret), json.dumps(secret, indent="\t", ensure_ascii=False)):
        fleet = read(text, "a.json")
        assert fleet.complaints == ()
        (made,) = fleet.objects
        assert isinstance(made, Secret)
        assert {key: made.value(key) for key in made.data} == secret["stringData"]
    secret["kind"] = "Secrte"
    (complaint,) = read(json.dumps(secret, indent=2), "a.json").complaints
    assert (complaint.line, complaint.source) == (3, "a.json")


def test_an_object_is_declared_once() -> None:
    twice = FLEET + "---\n" + FLEET
    assert said(twice) == [
        "fleet.yaml:15:1: server/time: is declared twice, first in line 2",
        "fleet.yaml:22:1: secret/team/creds: is declared twice, first in line 9",
    ]


def test_files_without_documents_declare_nothing() -> None:
    for text in ("", "\n", "# only a comment\n", "---\n---\n", "\ufeff"):
        assert read(text, "f").declared == read(text, "f").complaints == ()


def test_what_is_no_object_is_complained_about() -> None:
    assert said("just text") == [
        "fleet.yaml:1:1: document 1: must be a mapping with fields, found text"
    ]
    assert said("- a\n- b") == [
        "fleet.yaml:1:1: document 1: must be a mapping with fields, found a list"
    ]


def test_what_a_file_declares_is_not_printed_with_its_secrets() -> None:
    text = "apiVersion: v1\nkind: Secret\nmetadata: {name: a}\nstringData: {t: hunter2}"
    manifest = read(text, "f")
    assert manifest.declared[0].document["stringData"] == {"t": "hunter2"}
    assert "hunter2" not in repr(manifest)


def test_no_complaint_repeats_a_secret() -> None:
    for value in ("[hunter2]", "{hunter2: x}", "!!int hunter2", "!x hunter2", "&a [hunter2]"):
        text = f"apiVersion: v1\nkind: Secret\nmetadata: {{name: a}}\nstringData: {{t: {value}}}"
        assert said(text)
        assert "hunter2" not in " ".join(said(text))
    assert "hunter2" not in " ".join(said("stringData: {token: hunter2: x"))
