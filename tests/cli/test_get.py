"""`moor get` and `moor events`."""

import json
from typing import Any

import pytest
import yaml
from support.surface import Served, made, row, secret, server

Moor = Any
NOW = "2026-01-01T00:00:00Z"


def event(name: str, reason: str, at: str, about: str = "time", **more: Any) -> Any:
    return made(
        {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": name},
            "involvedObject": {"kind": "MCPServer", "name": about},
            "reason": reason,
            "message": f"{reason} happened",
            "lastTimestamp": at,
            **more,
        }
    )


def test_servers_in_a_table(fleet: Served, moor: Moor) -> None:
    said = moor("get", "servers")
    assert (said.code, said.err) == (0, "")
    assert said.out == (
        "NAME    READY   STATUS   RESTARTS   AGE\n"
        "gitea   0/1     Failed   0          3d\n"
        "time    2/2     Ready    1          3d\n"
    )


@pytest.mark.parametrize("word", ["server", "mcpservers", "mcpserver", "mcps", "SERVERS"])
def test_a_kind_goes_by_many_names(fleet: Served, moor: Moor, word: str) -> None:
    assert moor("get", word).out == moor("get", "servers").out


def test_more_columns_on_request(fleet: Served, moor: Moor) -> None:
    head, gitea, time = moor("get", "servers", "-o", "wide").lines
    assert head.split() == [
        "NAME", "READY", "STATUS", "RESTARTS", "AGE", "URL", "ERA", "SOURCE", "MESSAGE",
    ]  # fmt: skip
    assert gitea.endswith(
        "<none>      command: gitea-mcp -t stdio   Ready 0/1, 1 instance ERROR "
        '(exit 1, "missing API key")'
    )
    assert "stateless   pypi: mcp-server-time" in time


def test_instances_in_a_table(fleet: Served, moor: Moor) -> None:
    assert moor("get", "inst").lines == [
        "NAME      SERVER   STATUS   HEALTH    RESTARTS   SINCE       MESSAGE",
        'gitea-0   gitea    ERROR    unknown   0          <unknown>   exit 1, "missing API key"',
        "time-0    time     Ready    healthy   0          <unknown>",
        "time-1    time     Ready    healthy   1          <unknown>",
    ]
    assert moor("get", "inst", "time-1").lines[1].startswith("time-1")


def test_groups_and_secrets_in_tables(api: Served, moor: Moor) -> None:
    api.put(made({"apiVersion": "mooring.dev/v1alpha1", "kind": "MCPGroup",
                  "metadata": {"name": "tools"}, "spec": {"description": "all"}}))  # fmt: skip
    api.put(secret(token="s3cret", user="ada"))
    assert moor("get", "groups").lines == ["NAME    READY   AGE", "tools   0/0     3d"]
    assert moor("get", "secrets", "-o", "wide").lines == [
        "NAME    TYPE     DATA   AGE   KEYS",
        "creds   Opaque   2      3d    token,user",
    ]


def test_names_are_given_in_several_ways(fleet: Served, moor: Moor) -> None:
    for words in (["server", "time"], ["server/time"], ["servers", "time"]):
        assert [line.split()[0] for line in moor("get", *words).lines] == ["NAME", "time"]
    both = moor("get", "server/time", "instance/time-0")
    assert both.code == 0
    assert [line.split()[0] for line in both.lines] == ["NAME", "time", "NAME", "time-0"]


def test_json_is_an_array_for_a_list_and_an_object_for_a_name(fleet: Served, moor: Moor) -> None:
    listed = json.loads(moor("get", "servers", "-o", "json").out)
    assert [each["metadata"]["name"] for each in listed] == ["gitea", "time"]
    one = json.loads(moor("get", "server", "time", "-o", "json").out)
    assert one["metadata"]["name"] == "time"
    two = json.loads(moor("get", "server", "time", "gitea", "-o", "json").out)
    assert [each["metadata"]["name"] for each in two] == ["time", "gitea"]


def test_nothing_is_an_empty_array_and_no_error(api: Served, moor: Moor) -> None:
    for form in ("json", "yaml"):
        said = moor("get", "servers", "-o", form)
        assert (said.code, said.out, said.err) == (0, "[]\n", "")
    assert moor("get", "servers", "-o", "name").out == ""
    said = moor("get", "servers", "-n", "team-a")
    assert (said.code, said.out) == (0, "")
    assert said.err == "No servers found in namespace team-a.\n"
    assert moor("get", "servers", "-A").err == "No servers found.\n"


def test_yaml_can_be_applied_again(fleet: Served, moor: Moor) -> None:
    said = moor("get", "servers", "-o", "yaml")
    assert [each["metadata"]["name"] for each in yaml.safe_load_all(said.out)] == ["gitea", "time"]
    again = moor("apply", "-f", "-", text=said.out)
    assert again.out == "server/gitea unchanged\nserver/time unchanged\n"


def test_names_alone(fleet: Served, moor: Moor) -> None:
    fleet.put(server("far", namespace="team-a"))
    assert moor("get", "servers", "-o", "name", "-A").out == (
        "server/gitea\nserver/time\nserver/team-a/far\n"
    )


def test_namespaces_are_chosen_before_or_after_the_command(fleet: Served, moor: Moor) -> None:
    fleet.put(server("far", namespace="team-a"))
    after = moor("get", "servers", "-n", "team-a", "-o", "name")
    before = moor("-n", "team-a", "get", "servers", "-o", "name")
    assert after.out == before.out == "server/team-a/far\n"
    assert moor("get", "server/team-a/far", "-o", "name").out == "server/team-a/far\n"
    everywhere = moor("get", "servers", "-A")
    assert everywhere.lines[0].startswith("NAMESPACE   NAME")
    assert everywhere.lines[-1].startswith("team-a      far")


def test_labels_select(fleet: Served, moor: Moor) -> None:
    assert moor("get", "servers", "-l", "team=core", "-o", "name").out == "server/time\n"
    wrong = moor("get", "servers", "-l", "a b")
    assert wrong.code == 1
    assert "label selector" in wrong.err


def test_a_table_without_its_head(fleet: Served, moor: Moor) -> None:
    said = moor("get", "servers", "--no-headers")
    assert said.lines[0] == "gitea   0/1   Failed   0   3d"


def test_what_is_missing_is_named_after_what_is_there(fleet: Served, moor: Moor) -> None:
    said = moor("get", "servers", "time", "nobody", "noone")
    assert said.code == 3
    assert said.lines[1].startswith("time")
    assert said.err == (
        "Error: server/nobody does not exist\nserver/noone does not exist. "
        "To see what there is: moor get servers\n"
    )


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["get", "sevrers"], "there is no kind 'sevrers'. Did you mean servers?"),
        (["get"], "which kind?"),
        (["get", "server/"], "names no object"),
        (["get", "a/b/c/d"], "names no object"),
        (["get", "servers", "-o", "xml"], "is not one of"),
        (["get", "servers", "--wide"], "No such option"),
    ],
)
def test_wrong_usage_ends_with_2(moor: Moor, arguments: list[str], words: str) -> None:
    said = moor(*arguments)
    assert said.code == 2
    assert words in said.err
    assert said.out == ""


def test_a_watch_shows_changes_as_they_happen(fleet: Served, begin: Any) -> None:
    running = begin("get", "servers", "-w")
    assert running.line() == "NAME    READY   STATUS   RESTARTS   AGE"
    assert running.line().startswith("gitea")
    assert running.line() == "time    2/2     Ready    1          3d"
    fleet.report(server("time"), phase="Degraded", ready_instances=1, instances=(row("time-0"),))
    assert running.line() == "time    1/2     Degraded   0          3d"
    fleet.put(server("a-long-name"))
    assert running.line() == "a-long-name   0/1     Pending    0          3d"
    fleet.stop()
    assert running.finish() == 5


def test_one_object_is_watched_in_any_form(fleet: Served, begin: Any) -> None:
    running = begin("get", "server", "time", "-w", "-o", "name")
    assert running.line() == "server/time"
    fleet.put(server("other"))
    fleet.report(server("time"), phase="Degraded")
    assert running.line() == "server/time"
    fleet.stop()
    running.finish()


def test_watched_json_is_one_document_a_line(fleet: Served, begin: Any) -> None:
    running = begin("get", "inst", "-w", "-o", "json")
    names = [json.loads(running.line())["metadata"]["name"] for _ in range(3)]
    assert names == ["gitea-0", "time-0", "time-1"]
    fleet.report(server("time"), instances=(row("time-0", "Restarting"),))
    states = {json.loads(running.line())["status"]["state"] for _ in range(2)}
    assert "Restarting" in states
    fleet.stop()
    running.finish()


def test_events_are_told_in_order(api: Served, moor: Moor) -> None:
    api.put(event("b", "Started", "2026-01-01T00:01:00Z"))
    api.put(event("a", "Exited", "2026-01-01T00:02:00Z", type="Warning", count=4))
    api.put(event("c", "Installed", "2026-01-01T00:00:00Z", about="other"))
    said = moor("events")
    assert said.lines[0].split() == ["LAST", "SEEN", "TYPE", "REASON", "OBJECT", "COUNT", "MESSAGE"]
    assert [line.split()[2:5] for line in said.lines[1:]] == [
        ["Installed", "server/other", "1"],
        ["Started", "server/time", "1"],
        ["Exited", "server/time", "4"],
    ]
    assert moor("get", "events").out == said.out
    about = moor("events", "--for", "server/time")
    assert [line.split()[2] for line in about.lines[1:]] == ["Started", "Exited"]
    reasons = [each["reason"] for each in json.loads(moor("events", "-o", "json").out)]
    assert reasons == ["Installed", "Started", "Exited"]


def test_what_servers_say_cannot_steer_the_terminal(api: Served, moor: Moor) -> None:
    api.report(api.put(server("time")), message="\x1b[2Jgone \u202egnp", phase="Failed")
    said = moor("get", "servers", "-o", "wide")
    assert r"\x1b[2Jgone \u202egnp" in said.out


@pytest.mark.parametrize("form", ["json", "yaml"])
def test_whose_each_field_is_is_not_for_people(fleet: Served, moor: Moor, form: str) -> None:
    change = b'{"spec": {"replicas": 2}}'
    path = "/apis/mooring.dev/v1alpha1/namespaces/default/mcpservers/time"
    merge = {"content-type": "application/merge-patch+json"}
    changed = fleet.ask("PATCH", path, change, merge).document
    assert fleet.ask("GET", path).document == changed
    assert "managedFields" not in moor("get", "server", "time", "-o", form).out
