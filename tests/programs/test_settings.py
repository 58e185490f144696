"""Settings: given, else from the environment, else a default; nonsense is refused in words."""

from dataclasses import fields

import pytest

from mooring.cli.gateway import gateway
from mooring.cli.up import serve
from mooring.errors import Invalid
from mooring.programs.settings import Settings, load, reference


def test_the_command_line_wins_over_the_environment() -> None:
    environ = {"MOORING_DATA": "/from/environment", "MOORING_LISTEN": "127.0.0.1:1"}
    settings = load({"data_dir": "/given", "listen": None}, environ)
    assert settings.data_dir == "/given"
    assert settings.address == ("127.0.0.1", 1)


def test_the_default_data_directory_is_in_the_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    monkeypatch.setenv("HOME", "/home/ada")
    assert load({}, {}).data_dir == "/home/ada/.local/share/mooring"
    monkeypatch.setenv("XDG_DATA_HOME", "/elsewhere")
    assert load({}, {}).data_dir == "/elsewhere/mooring"


@pytest.mark.parametrize("listen", ["8470x", "localhost", "127.0.0.1:70000", "127.0.0.1:"])
def test_an_address_that_is_none_is_refused(listen: str) -> None:
    with pytest.raises(Invalid, match="expected HOST:PORT"):
        _ = Settings(listen=listen).address


@pytest.mark.parametrize("listen", ["0.0.0.0:8470", "192.168.1.2:80", "[::]:80", "example.org:80"])
def test_only_loopback_is_listened_on(listen: str) -> None:
    with pytest.raises(Invalid, match="only loopback"):
        _ = Settings(listen=listen).address


@pytest.mark.parametrize(
    ("listen", "address"),
    [
        ("localhost:8470", ("127.0.0.1", 8470)),
        ("[::1]:8470", ("::1", 8470)),
        (":9000", ("127.0.0.1", 9000)),
        ("127.0.0.1:0", ("127.0.0.1", 0)),
    ],
)
def test_an_address_is_understood(listen: str, address: tuple[str, int]) -> None:
    assert Settings(listen=listen).address == address


def test_the_api_listens_on_loopback_or_nowhere() -> None:
    assert Settings().api_address == ("127.0.0.1", 8471)
    assert Settings(api_listen="[::1]:9").api_address == ("::1", 9)
    assert Settings(api_listen="off").api_address is None
    with pytest.raises(Invalid, match=r"--api-listen .*only loopback.*MOORING_API_NAMES"):
        _ = Settings(api_listen="0.0.0.0:1").api_address
    named = Settings(api_listen="0.0.0.0:1", api_names="mooring.internal")
    assert named.api_address == ("0.0.0.0", 1)
    with pytest.raises(Invalid, match="expected HOST:PORT"):
        _ = Settings(api_listen="on").api_address


def test_the_keepers_patience_is_a_number() -> None:
    with pytest.raises(Invalid, match="MOORING_KEEPER_ALONE_SECONDS"):
        load({}, {"MOORING_KEEPER_ALONE_SECONDS": "soon"})


@pytest.mark.parametrize("workers", ["0", "65", "two", "-1", "1.5", "²"])
def test_the_number_of_workers_is_refused_in_words(workers: str) -> None:
    with pytest.raises(Invalid, match=r"--workers .*from 1 to 64"):
        load({"workers": workers}, {})


def test_workers_are_counted() -> None:
    assert load({}, {}).worker_count == 1
    assert load({"workers": "4"}, {"MOORING_WORKERS": "2"}).worker_count == 4


def test_the_reference_names_every_setting() -> None:
    page = reference()
    named = {item.metadata["variable"] for item in fields(Settings)}
    assert all(f"| `{name}` |" in page for name in named)
    assert len(named) == len(Settings.__slots__)


@pytest.mark.parametrize("text", ["0", "-1", "ten", "1.5", "²", "99999999999"])
@pytest.mark.parametrize(
    "name", ["session_idle_seconds", "session_lifetime_seconds", "session_limit", "workers"]
)
def test_numbers_are_numbers(name: str, text: str) -> None:
    with pytest.raises(Invalid, match="expected a number from 1 to"):
        load({name: text}, {})


def test_a_password_on_the_command_line_is_refused_and_not_repeated() -> None:
    address = "redis://:hush-hush@cache/0"
    with pytest.raises(Invalid, match="can be read by others") as caught:
        load({"session_store": address}, {})
    assert "hush" not in caught.value.message
    assert load({}, {"MOORING_SESSION_STORE": address}).session_store == address


def test_every_option_of_the_reference_is_one() -> None:
    rows = [
        line.split("|")[1].strip(" `") for line in reference().splitlines() if "MOORING" in line
    ]
    known = {option for each in (*serve.params, *gateway.params) for option in each.opts}
    assert {row for row in rows if row} - known == set()
