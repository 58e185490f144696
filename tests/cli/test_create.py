"""`moor create secret`."""

from pathlib import Path
from typing import Any

import pytest
from support.surface import Served

from mooring.kinds.ref import Ref

Moor = Any
CREDS = Ref("Secret", "default", "creds")


def test_values_come_from_options_files_and_env_files(
    api: Served, moor: Moor, tmp_path: Path
) -> None:
    (tmp_path / "key.pem").write_bytes(b"-----BEGIN\n")
    env = tmp_path / ".env"
    env.write_text("# comment\n\nexport A=1\nB = 'two words'\nC=\"x=y\"\nD=\n")
    said = moor(
        "create", "secret", "creds", "--from-literal", "token=a=b", "--from-literal", "empty=",
        "--from-file", str(tmp_path / "key.pem"), "--from-file", f"tls={tmp_path / 'key.pem'}",
        "--from-env-file", str(env),
    )  # fmt: skip
    assert (said.code, said.out) == (0, "secret/creds created\n")
    held = api.get(CREDS)
    assert {key: held.value(key) for key in held.data} == {
        "token": "a=b",
        "empty": "",
        "key.pem": "-----BEGIN\n",
        "tls": "-----BEGIN\n",
        "A": "1",
        "B": "two words",
        "C": "x=y",
        "D": "",
    }


def test_values_are_never_printed(api: Served, moor: Moor) -> None:
    said = moor("create", "secret", "creds", "--from-literal", "token=s3cret")
    again = moor("create", "secret", "creds", "--from-literal", "token=s3cret")
    typo = moor("create", "secret", "creds", "--from-literal", "s3cret")
    wrong = moor("create", "secret", "Creds!", "--from-literal", "token=s3cret")
    assert [each.code for each in (said, again, typo, wrong)] == [0, 1, 2, 1]
    assert "exists" in again.err
    for each in (said, again, typo, wrong):
        assert "s3cret" not in each.out + each.err


def test_a_key_is_added_to_a_secret_that_is_there(api: Served, moor: Moor) -> None:
    moor("create", "secret", "creds", "--from-literal", "user=me")
    said = moor("create", "secret", "creds", "--from-literal", "token=s3cret")
    assert (said.code, said.out) == (0, "secret/creds configured\n")
    held = api.get(CREDS)
    assert {key: held.value(key) for key in held.data} == {"user": "me", "token": "s3cret"}


def test_a_value_is_replaced_only_where_that_is_said(api: Served, moor: Moor) -> None:
    moor("create", "secret", "creds", "--from-literal", "token=one", "--from-literal", "user=me")
    refused = moor("create", "secret", "creds", "--from-literal", "token=two")
    assert (refused.code, "has token already. To replace it: --overwrite" in refused.err) == (
        1,
        True,
    )
    assert api.get(CREDS).value("token") == "one"
    said = moor("create", "secret", "creds", "--from-literal", "token=two", "--overwrite")
    assert (said.code, said.out) == (0, "secret/creds configured\n")
    held = api.get(CREDS)
    assert {key: held.value(key) for key in held.data} == {"user": "me", "token": "two"}


def test_a_secret_lives_in_a_namespace(api: Served, moor: Moor) -> None:
    said = moor("create", "secret", "creds", "-n", "team-a", "--from-literal", "a=b")
    assert said.out == "secret/team-a/creds created\n"
    assert api.get(Ref("Secret", "team-a", "creds")).value("a") == "b"


def test_bytes_that_are_no_text_are_kept(api: Served, moor: Moor, tmp_path: Path) -> None:
    (tmp_path / "raw").write_bytes(b"\xff\x00")
    moor("create", "secret", "creds", "--from-file", str(tmp_path / "raw"))
    assert api.get(CREDS).data["raw"] == "/wA="


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["creds"], 2, "a secret needs values"),
        (["creds", "--from-file", "/nowhere"], 1, "cannot read /nowhere"),
        (["creds", "--from-env-file", "{env}"], 1, ":1: expected KEY=VALUE"),
        ([], 2, "Missing argument"),
    ],
)
def test_what_makes_no_secret_is_told(
    api: Served, moor: Moor, tmp_path: Path, arguments: list[str], code: int, words: str
) -> None:
    (tmp_path / "env").write_text("nonsense\n")
    said = moor("create", "secret", *(each.format(env=tmp_path / "env") for each in arguments))
    assert said.code == code
    assert words in said.err
