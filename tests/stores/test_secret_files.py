"""Secrets in a directory of files."""

import os
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from mooring.core.secret_places import LIMIT, Found, NoSecret, SecretPlace, SecretValue
from mooring.stores.secret_files import SecretFiles
from mooring.stores.secret_variables import SecretVariables

Run = Callable[[Coroutine[Any, Any, None]], None]
TOKEN = SecretPlace("directory", "default", "gitea-creds", "token")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Where the value of TOKEN is, with nothing in it yet."""
    directory = tmp_path / "gitea-creds"
    directory.mkdir()
    return directory / "token"


def put(file: Path, content: str | bytes) -> None:
    file.write_bytes(content.encode() if isinstance(content, str) else content)


def remove(file: Path) -> None:
    file.unlink(missing_ok=True)


async def read(tmp_path: Path, place: SecretPlace = TOKEN) -> Found:
    return await SecretFiles(tmp_path, b"pepper").read(place)


async def value(tmp_path: Path, place: SecretPlace = TOKEN) -> str:
    found = await read(tmp_path, place)
    assert isinstance(found, SecretValue), found
    return found.value


async def wrong(directory: Path, place: SecretPlace = TOKEN) -> NoSecret:
    found = await read(directory, place)
    assert isinstance(found, NoSecret), found
    return found


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("s3cret", "s3cret"),
        ("s3cret\n", "s3cret"),
        ("s3cret\r\n", "s3cret"),
        ("s3cret\n\n", "s3cret\n"),
        (" s3cret\r", " s3cret\r"),
        ("-----BEGIN\nkey\n-----END\n", "-----BEGIN\nkey\n-----END"),
    ],
)
def test_one_line_end_at_the_end_is_no_part_of_a_value(
    run: Run, file: Path, content: str, expected: str
) -> None:
    async def test() -> None:
        put(file, content)
        assert await value(file.parents[1]) == expected

    run(test())


def test_a_secret_as_kubernetes_mounts_it_is_read_and_noticed(run: Run, tmp_path: Path) -> None:
    async def test() -> None:
        mounted = tmp_path / "gitea-creds"
        for version in ("v1", "v2"):
            (mounted / version).mkdir(parents=True)
            (mounted / version / "token").write_text(version)
        (mounted / "..data").symlink_to("v1")
        (mounted / "token").symlink_to("..data/token")
        files = SecretFiles(tmp_path, b"")
        before = await files.stamps([TOKEN])
        assert await value(tmp_path) == "v1"
        (mounted / "..new").symlink_to("v2")
        (mounted / "..new").rename(mounted / "..data")
        assert await files.stamps([TOKEN]) != before
        assert await value(tmp_path) == "v2"

    run(test())


def test_a_value_keeps_its_mark_when_its_file_is_made_anew(run: Run, file: Path) -> None:
    async def test() -> None:
        marks = []
        for content in ("one", "one\n", "two"):
            remove(file)
            put(file, content)
            found = await read(file.parents[1])
            assert isinstance(found, SecretValue)
            marks.append(found.mark)
        assert marks[0] == marks[1] != marks[2]

    run(test())


def test_a_namespace_has_a_directory_of_its_own(run: Run, tmp_path: Path) -> None:
    async def test() -> None:
        place = SecretPlace("directory", "team-a", "gitea-creds", "token")
        (tmp_path / "team-a" / "gitea-creds").mkdir(parents=True)
        (tmp_path / "team-a" / "gitea-creds" / "token").write_text("of the team")
        assert await value(tmp_path, place) == "of the team"
        assert (await wrong(tmp_path)).reason == "SecretNotFound"
        into = SecretPlace("directory", "default", "team-a", "gitea-creds")
        assert (await wrong(tmp_path, into)).reason == "SecretUnusable"

    run(test())


def test_what_is_missing_is_named(run: Run, tmp_path: Path) -> None:
    async def test() -> None:
        found = await wrong(tmp_path)
        path = tmp_path / "gitea-creds"
        assert (found.reason, found.wrong) == (
            "SecretNotFound",
            f'secret "gitea-creds" does not exist (no directory {path})',
        )
        assert found.remedy == f"put the value into {path / 'token'}"
        path.mkdir()
        found = await wrong(tmp_path)
        assert found.reason == "SecretKeyNotFound"
        assert f"(no file {path / 'token'})" in found.wrong
        found = await wrong(tmp_path / "nowhere")
        assert found.reason == "SecretStoreUnreadable"
        assert f"the secrets directory {tmp_path / 'nowhere'} cannot be read" in found.wrong
        assert "--secrets-dir" in found.remedy

    run(test())


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "SecretEmpty"),
        (b"\n", "SecretEmpty"),
        (b"\xff", "SecretUnusable"),
        (b"a\0b", "SecretUnusable"),
        (b"x" * (LIMIT + 1), "SecretUnusable"),
    ],
)
def test_what_is_no_value_is_refused(run: Run, file: Path, content: bytes, reason: str) -> None:
    async def test() -> None:
        put(file, content)
        found = await wrong(file.parents[1])
        assert found.reason == reason
        assert str(file) in found.wrong

    run(test())


@pytest.mark.parametrize("key", [".", ".."])
def test_no_key_leads_out_of_its_secret(run: Run, file: Path, key: str) -> None:
    async def test() -> None:
        place = SecretPlace("directory", "default", "gitea-creds", key)
        assert (await wrong(file.parents[1], place)).reason == "SecretUnusable"

    run(test())


def test_what_is_no_file_is_not_waited_for(run: Run, file: Path) -> None:
    async def test() -> None:
        os.mkfifo(file)
        assert (await wrong(file.parents[1])).reason == "SecretUnusable"

    run(test())


@pytest.mark.skipif(os.getuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_is_named(run: Run, file: Path) -> None:
    async def test() -> None:
        put(file, "s3cret")
        os.chmod(file, 0)
        found = await wrong(file.parents[1])
        assert found.reason == "SecretUnreadable"
        assert str(file) in found.wrong

    run(test())


def test_a_directory_that_does_not_answer_is_told_of(run: Run, tmp_path: Path) -> None:
    async def test() -> None:
        found = await SecretFiles(tmp_path, b"", seconds=0).read(TOKEN)
        assert isinstance(found, NoSecret)
        assert (found.reason, "does not answer" in found.wrong) == ("SecretStoreUnreadable", True)
        assert await SecretFiles(tmp_path, b"", seconds=0).stamps([TOKEN]) == {TOKEN: "silent"}

    run(test())


def test_every_change_of_a_file_is_noticed_and_nothing_else(run: Run, file: Path) -> None:
    async def test() -> None:
        files = SecretFiles(file.parents[1], b"")
        seen = [await files.stamps([TOKEN])]
        for content in ("one", "three"):
            put(file, content)
            seen.append(await files.stamps([TOKEN]))
        remove(file)
        assert await files.stamps([TOKEN]) == seen[0]
        assert len({str(stamps) for stamps in seen}) == 3

    run(test())


def test_variables_never_move(run: Run) -> None:
    async def test() -> None:
        variables = SecretVariables({"P_GITEA_CREDS_TOKEN": "v"}, "P_", b"")
        found = await variables.read(TOKEN)
        assert isinstance(found, SecretValue)
        assert found.value == "v"
        assert await variables.stamps([TOKEN]) == await variables.stamps([TOKEN])

    run(test())
