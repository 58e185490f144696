"""Stores of secrets beside Secret objects, as the settings say."""

from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from mooring.core.secret_places import SecretPlace, SecretValue
from mooring.errors import Invalid
from mooring.programs import places
from mooring.programs.places import Places
from mooring.programs.secrets import outer_secrets
from mooring.programs.settings import Settings

Run = Callable[[Coroutine[Any, Any, None]], None]


@pytest.fixture
def here(tmp_path: Path) -> Places:
    found = Places(tmp_path / "data", tmp_path / "run")
    places.prepare(found)
    return found


def test_variables_that_hold_secrets_are_taken_out_of_the_environment(
    run: Run, here: Places
) -> None:
    async def test() -> None:
        own = {"MOORING_SECRET_CREDS_TOKEN": "s3cret", "MOORING_DATA": "/d", "PATH": "/bin"}
        found = outer_secrets(Settings(), here, own)
        assert own == {"MOORING_DATA": "/d", "PATH": "/bin"}
        place = SecretPlace("environment", "default", "creds", "token")
        value = await found.stores["environment"].read(place)
        assert isinstance(value, SecretValue)
        assert value.value == "s3cret"

    run(test())


def test_a_directory_is_a_store_where_one_is_set(here: Places, tmp_path: Path) -> None:
    assert set(outer_secrets(Settings(), here, {}).stores) == {"environment"}
    settings = Settings(secrets_dir=str(tmp_path))
    assert set(outer_secrets(settings, here, {}).stores) == {"environment", "directory"}


def test_marks_hold_for_one_installation_and_its_restarts(here: Places, tmp_path: Path) -> None:
    other = Places(tmp_path / "other", tmp_path / "run")
    places.prepare(other)
    peppers = [outer_secrets(Settings(), where, {}).pepper for where in (here, here, other)]
    assert peppers[0] == peppers[1] != peppers[2]


@pytest.mark.parametrize("prefix", ["P", "9_", "A-_", "_A"])
def test_a_prefix_that_could_take_other_variables_along_is_refused(
    here: Places, prefix: str
) -> None:
    with pytest.raises(Invalid, match="--secrets-env-prefix"):
        outer_secrets(Settings(secrets_env_prefix=prefix), here, {"PATH": "/bin"})
