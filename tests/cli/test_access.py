"""`moor kubeconfig` and `moor token`."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from support import surface
from support.surface import Served

from mooring.programs import places


@pytest.fixture
def keys(data_dir: Path) -> Path:
    return places.of(str(data_dir)).keys


@pytest.fixture(autouse=True)
def runtime(data_dir: Path) -> None:
    """As `moor up` leaves it: for us alone."""
    places.prepare(places.of(str(data_dir)))


def test_a_kubeconfig_is_data_on_stdout(moor: Any, api: Served) -> None:
    said = moor("kubeconfig", "-n", "team")
    assert (said.code, said.err) == (0, "")
    document = yaml.safe_load(said.out)
    assert document["clusters"][0]["cluster"]["server"] == surface.DOOR
    assert document["contexts"][0]["context"]["namespace"] == "team"
    token = moor("token").out.strip()
    assert document["users"][0]["user"]["token"] == token


def test_a_closed_door_is_said_in_words(
    moor: Any, api: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api.script, "door", lambda: "")
    said = moor("kubeconfig")
    assert (said.code, said.out) == (1, "")
    assert "--api-listen off" in said.err


def test_without_a_mooring_there_is_no_address_to_print(moor: Any) -> None:
    assert moor("kubeconfig").code == 5


def test_a_token_is_kept_until_it_is_rotated(moor: Any, keys: Path) -> None:
    first = moor("token").out
    assert moor("token").out == first
    second = moor("token", "rotate").out
    assert second != first
    assert moor("token").out == second


def test_a_token_can_be_had_before_mooring_ever_ran(moor: Any, keys: Path) -> None:
    for path in keys.parent.iterdir():
        path.rmdir()
    keys.parent.rmdir()
    assert moor("token").code == 0
    assert (keys / "api.token").stat().st_mode & 0o777 == 0o600


def test_a_token_open_to_others_is_refused(moor: Any, keys: Path) -> None:
    moor("token")
    (keys / "api.token").chmod(0o644)
    said = moor("token")
    assert (said.code, said.out) == (6, "")
    assert "chmod 600" in said.err
