"""How a gateway reaches the API: whom it trusts, and what it shows."""

import ssl
from pathlib import Path

import pytest

from mooring.clock import SystemClock
from mooring.errors import Invalid
from mooring.programs.door import authority_of
from mooring.programs.places import Places
from mooring.programs.reaching import reach


def test_on_a_unix_socket_nothing_is_shown() -> None:
    found = reach("unix:///run/m/api.sock", "", "")
    assert found.here
    assert (found.who()(), found.tls()) == ((), None)


def test_elsewhere_the_token_is_shown_as_it_is_now(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("first\n")
    found = reach("https://10.0.0.1:8471", str(token), "")
    assert not found.here
    who = found.who()
    assert who() == ((b"authorization", b"Bearer first"),)
    (tmp_path / "new").write_text("second")
    (tmp_path / "new").rename(token)
    assert who() == ((b"authorization", b"Bearer second"),)
    token.unlink()
    assert who() == ((b"authorization", b"Bearer second"),)


@pytest.mark.parametrize("content", ["", "two words", "\n"])
def test_what_is_no_token_is_refused(tmp_path: Path, content: str) -> None:
    token = tmp_path / "token"
    token.write_text(content)
    with pytest.raises(Invalid, match="holds no token"):
        reach("https://10.0.0.1:8471", str(token), "").who()


def test_the_authority_is_the_only_one_that_is_trusted(tmp_path: Path) -> None:
    (tmp_path / "keys").mkdir()
    authority = tmp_path / "ca.pem"
    authority.write_text(authority_of(Places(tmp_path, tmp_path), SystemClock()))
    context = reach("https://127.0.0.1:1", "t", str(authority)).tls()
    assert context is not None
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert len(context.get_ca_certs()) == 1


def test_a_file_that_is_no_certificate_is_refused(tmp_path: Path) -> None:
    authority = tmp_path / "ca.pem"
    authority.write_text("nothing")
    with pytest.raises(Invalid, match="Fix: moor token authority"):
        reach("https://127.0.0.1:1", "t", str(authority)).tls()
