"""Documents in the form that was asked for."""

import json
from typing import Any

import pytest
import yaml

from mooring.cli.output import Writer, as_yaml, named

Captured = pytest.CaptureFixture[str]


def secret(name: str = "creds", namespace: str = "default", **more: Any) -> dict[str, Any]:
    return {
        "kind": "Secret",
        "metadata": {"name": name, "namespace": namespace},
        "type": "Opaque",
        "data": {"token": ""},
        **more,
    }


def written(capsys: Captured, form: str | None, *documents: Any, **options: Any) -> str:
    single = options.pop("single", False)
    Writer("Secret", form, **options).all(documents, single=single)
    return capsys.readouterr().out


def test_a_table_is_for_people(capsys: Captured) -> None:
    assert written(capsys, None, secret()) == (
        "NAME    TYPE     DATA   AGE\ncreds   Opaque   1      <unknown>\n"
    )
    assert "KEYS\n" in written(capsys, "wide", secret())
    assert written(capsys, None, secret(), namespaced=True, headless=True) == (
        "default   creds   Opaque   1   <unknown>\n"
    )


def test_json_is_pure(capsys: Captured) -> None:
    text = "naïve \x1b[31m"
    assert json.loads(written(capsys, "json", secret(type=text)))[0]["type"] == text
    one = written(capsys, "json", secret(), single=True)
    assert json.loads(one)["metadata"]["name"] == "creds"
    assert written(capsys, "json") == "[]\n"


def test_yaml_is_read_back_as_it_was(capsys: Captured) -> None:
    documents = [
        secret("a"),
        secret("b", annotations={"when": "2026-01-01", "on": "yes", "n": "1"}),
    ]
    assert list(yaml.safe_load_all(written(capsys, "yaml", *documents))) == documents
    assert written(capsys, "yaml") == "[]\n"
    assert list(yaml.safe_load(as_yaml({"b": 1, "a": 2}))) == ["b", "a"]


def test_names_are_refs(capsys: Captured) -> None:
    assert written(capsys, "name", secret(), secret("x", "team-a")) == (
        "secret/creds\nsecret/team-a/x\n"
    )
    assert named(secret()) == "secret/creds"


def test_what_comes_later_follows(capsys: Captured) -> None:
    writer = Writer("Secret", None)
    writer.more([])
    assert capsys.readouterr().out == ""
    writer.more([secret("a")])
    writer.more([secret("b")])
    assert capsys.readouterr().out.splitlines() == [
        "NAME   TYPE     DATA   AGE",
        "a      Opaque   1      <unknown>",
        "b      Opaque   1      <unknown>",
    ]
    for form in ("json", "yaml", "name"):
        Writer("Secret", form).more([secret("a"), secret("b")])
        said = capsys.readouterr().out
        if form == "json":
            assert [json.loads(line)["kind"] for line in said.splitlines()] == ["Secret"] * 2
        elif form == "yaml":
            assert len(list(yaml.safe_load_all(said))) == 2
        else:
            assert said == "secret/a\nsecret/b\n"
