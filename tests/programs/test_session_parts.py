"""How sessions are kept, made from settings, and told to gateways of their own."""

import argparse
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from mooring.clock import SystemClock
from mooring.core.session_record import Until
from mooring.errors import Invalid
from mooring.programs import places
from mooring.programs.session_parts import SessionParts, add_arguments, parsed, session_parts
from mooring.programs.settings import load
from mooring.sessions.open_sessions import Terms

SECRET = "hush-hush"
PASSWORD = "MOORING_SESSION_STORE_PASSWORD"


def parts(tmp_path: Path, **environ: str) -> SessionParts:
    settings = load({"data_dir": str(tmp_path)}, environ)
    return session_parts(settings, places.of(str(tmp_path)), environ)


def passed_on(given: SessionParts, **environ: str) -> SessionParts:
    """The same in another process."""
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    return parsed(parser.parse_args(given.arguments()), environ)


def test_without_a_word_it_is_a_file_in_the_data_directory(tmp_path: Path) -> None:
    found = parts(tmp_path)
    assert found.store == str(tmp_path / "sessions.db")
    assert found.key == tmp_path / "keys" / "sessions.key"
    assert found.terms == Terms(1800.0, 86400, 20_000)
    assert passed_on(found) == found


def test_what_is_set_arrives(tmp_path: Path) -> None:
    environ = {
        "MOORING_SESSION_STORE": "memory",
        "MOORING_SESSION_KEY": "/etc/mooring/shared.key",
        "MOORING_SESSION_IDLE_SECONDS": "60",
        "MOORING_SESSION_LIFETIME_SECONDS": "3600",
        "MOORING_SESSION_LIMIT": "5",
    }
    found = parts(tmp_path, **environ)
    assert found == SessionParts(Path("/etc/mooring/shared.key"), "memory", Terms(60.0, 3600, 5))
    assert passed_on(found) == found


@pytest.mark.parametrize("store", ["redis", "postgres://db", "sqlite3", "/var/sessions.db"])
def test_a_store_that_is_none_is_refused(tmp_path: Path, store: str) -> None:
    with pytest.raises(Invalid, match="expected sqlite, memory, or redis"):
        parts(tmp_path, MOORING_SESSION_STORE=store)


def test_workers_need_a_store_that_they_share(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match="several workers"):
        parts(tmp_path, MOORING_SESSION_STORE="memory", MOORING_WORKERS="2")


@pytest.mark.parametrize("way", ["address", "variable", "file"])
def test_a_password_reaches_every_process_and_no_command_line(tmp_path: Path, way: str) -> None:
    file = tmp_path / "password"
    file.write_text(f"{SECRET}\n")
    environ = {
        "address": {"MOORING_SESSION_STORE": f"rediss://u:{SECRET}@cache?ca=/ca.pem&prefix=a"},
        "variable": {PASSWORD: SECRET},
        "file": {f"{PASSWORD}_FILE": str(file), PASSWORD: "another"},
    }[way]
    environ.setdefault("MOORING_SESSION_STORE", "rediss://u@cache?prefix=a&ca=/ca.pem")
    found = parts(tmp_path, **environ)
    assert found.password == SECRET
    assert found.store == "rediss://u@cache:6379/0?prefix=a&ca=%2Fca.pem"
    assert SECRET not in repr(found) + " ".join(found.arguments())
    assert passed_on(found, **environ) == found


def test_a_password_file_that_is_not_there_is_said_in_words(tmp_path: Path) -> None:
    environ = {"MOORING_SESSION_STORE": "redis://cache", f"{PASSWORD}_FILE": "/nowhere/password"}
    with pytest.raises(Invalid, match="/nowhere/password: No such file"):
        parts(tmp_path, **environ)


@pytest.mark.parametrize("store", ["memory", "sqlite"])
def test_the_store_that_was_meant_is_opened(tmp_path: Path, run: Any, store: str) -> None:
    async def test() -> None:
        async with parts(tmp_path, MOORING_SESSION_STORE=store).records(SystemClock()) as records:
            await records.create(b"k", b"v", Until(2e9, 3e9))
            assert await records.read(b"k")

    run(test())
    assert (tmp_path / "sessions.db").exists() == (store == "sqlite")


@pytest.mark.process
def test_who_uses_no_redis_does_not_load_what_speaks_to_one() -> None:
    code = "import sys, mooring.programs.daemon, mooring.programs.gateway; print(*sys.modules)"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=30, check=True)
    assert b"mooring.programs.gateway" in said.stdout.split()
    assert b"redis" not in said.stdout.split()
