"""Files of `-f`, and what the API says of them."""

import io
import sys
from pathlib import Path

import pytest
from support.surface import Served

from mooring.cli.client import Api
from mooring.cli.failures import FAILED, USAGE, Failure
from mooring.cli.files import change, mind_failures, named, post, read

GROUP = "apiVersion: mooring.dev/v1alpha1\nkind: MCPGroup\nmetadata: {{name: {}}}\n"


def test_a_file_knows_its_name_and_its_directory(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("x")
    (file,) = read([str(tmp_path / "a.yaml")])
    assert (file.name, file.text) == (str(tmp_path / "a.yaml"), b"x")
    assert file.directory == str(tmp_path)


def test_a_directory_is_its_manifests_in_order(tmp_path: Path) -> None:
    for name in ("b.yml", "a.yaml", "c.json", "notes.txt", "sub.yaml.bak"):
        (tmp_path / name).write_text(name)
    assert [file.text for file in read([str(tmp_path)])] == [b"a.yaml", b"b.yml", b"c.json"]


def test_standard_input_is_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"x")))
    (file,) = read(["-"])
    assert (file.name, file.text, file.directory) == ("stdin", b"x", str(Path.cwd()))


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(Failure, match="which file") as none:
        read([])
    assert none.value.code == USAGE
    with pytest.raises(Failure, match="No such file") as missing:
        read([str(tmp_path / "x.yaml")])
    assert missing.value.code == FAILED
    with pytest.raises(Failure, match="holds no manifests"):
        read([str(tmp_path)])


def test_complaints_of_all_files_come_together(api: Served, tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(GROUP.format("A"))
    (tmp_path / "b.yaml").write_text(GROUP.format("fine"))
    (tmp_path / "c.yaml").write_text(GROUP.format("c") + "spec: {descripton: x}\n")
    client = Api(str(api.path))
    with pytest.raises(Failure) as caught:
        change(client, read([str(tmp_path)]), "default")
    first, second, summary = caught.value.message.splitlines()
    assert "a.yaml:3:12: " in first
    assert "did you mean description?" in second
    assert summary == "2 problems, so nothing was changed"
    assert client.get("/apis/mooring.dev/v1alpha1/mcpgroups")["items"] == []


def test_what_became_of_each_object_is_told(api: Served, tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(GROUP.format("a"))
    (tmp_path / "b.yaml").write_text(GROUP.format("b"))
    client, files = Api(str(api.path)), read([str(tmp_path)])

    def outcomes(rows: list[dict[str, str]]) -> list[str]:
        return [f"{named(row)} {row['outcome']}" for row in rows]

    assert outcomes(post(client, files, "team-a", dry_run=True)) == [
        "group/team-a/a created",
        "group/team-a/b created",
    ]
    assert outcomes(change(client, files, "default")) == ["group/a created", "group/b created"]
    assert outcomes(change(client, files, "default", method="DELETE")) == [
        "group/a deleted",
        "group/b deleted",
    ]


def test_a_refusal_without_complaints_is_passed_on(api: Served, tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_bytes(b"\xff\xfe")
    with pytest.raises(Failure, match="not UTF-8"):
        post(Api(str(api.path)), read([str(tmp_path)]), "default")


def test_single_objects_that_failed_are_named() -> None:
    rows = [
        {"kind": "MCPGroup", "namespace": "default", "name": "a", "outcome": "created"},
        {"kind": "MCPGroup", "namespace": "x", "name": "b", "outcome": "failed",
         "status": {"message": "the disk is full"}},
    ]  # fmt: skip
    with pytest.raises(Failure, match="group/x/b: the disk is full"):
        mind_failures(rows)
    mind_failures(rows[:1])
