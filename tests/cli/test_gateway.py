"""`moor gateway` says in words what it lacks."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from mooring.cli.main import main


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield int(listener.getsockname()[1])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--api=http://127.0.0.1:1"], "expected unix:///PATH or https://HOST:PORT"),
        (["--api=https://127.0.0.1:1"], "callers show a token there"),
        (["--api=https://h:1", "--api-token-file=t"], "--session-key: a gateway elsewhere needs"),
        (["--listen=0.0.0.0:8470"], "only loopback addresses are served"),
        (["--listen=127.0.0.1:TAKEN"], "another program does. Fix: choose another with --listen"),
        (["--listen=127.0.0.1:0", "--gateway-name=7"], "expected a letter"),
        (["--listen=127.0.0.1:0", "--gateway-name=daemon"], "'daemon' is taken"),
        (
            ["--listen=127.0.0.1:0", "--api=https://h:1", "--api-token-file=/nowhere/token",
             "--session-key=KEYS"],
            "--api-token-file /nowhere/token: No such file",
        ),
    ],
)  # fmt: skip
def test_what_it_lacks_is_told(
    arguments: list[str],
    words: str,
    taken: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("MOORING_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "run"))
    keys = str(tmp_path / "keys")
    given = [each.replace("TAKEN", str(taken)).replace("KEYS", keys) for each in arguments]
    with pytest.raises(SystemExit) as ended:
        main(["gateway", *given])
    assert ended.value.code == 1
    assert words in capsys.readouterr().err
