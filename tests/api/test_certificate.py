"""Certificates of our own making: what a client believes, and when they are made anew."""

import ssl
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID

from mooring.api.certificate import AUTHORITY_LIFETIME, LIFETIME, RENEWED_BEFORE, Certificates
from mooring.clock import SystemClock
from mooring.errors import Invalid
from mooring.testing.clock import START, FakeClock


def shown(certificates: Certificates) -> x509.Certificate:
    certificates.context()
    return x509.load_pem_x509_certificate(certificates.file.read_bytes())


def shaken_hands(server: ssl.SSLContext, authority: bytes, name: str) -> None:
    """A handshake in memory; raises what the client has against it."""
    client = ssl.create_default_context(cadata=authority.decode())
    client.verify_flags |= ssl.VERIFY_X509_STRICT
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [
        client.wrap_bio(to_client, to_server, server_hostname=name),
        server.wrap_bio(to_server, to_client, server_side=True),
    ]
    while ends:
        for end in tuple(ends):
            try:
                end.do_handshake()
                ends.remove(end)
            except ssl.SSLWantReadError:
                continue


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost", "::1"])
def test_clients_believe_it_under_every_loopback_name(tmp_path: Path, name: str) -> None:
    certificates = Certificates(tmp_path, SystemClock())
    shaken_hands(certificates.context(), certificates.authority(), name)


def test_clients_believe_it_under_no_other_name(tmp_path: Path) -> None:
    certificates = Certificates(tmp_path, SystemClock())
    with pytest.raises(ssl.SSLCertVerificationError):
        shaken_hands(certificates.context(), certificates.authority(), "mooring.example")


@pytest.mark.parametrize("name", ["127.0.0.1", "mooring.internal", "10.1.2.3", "fd00::7"])
def test_with_further_names_they_believe_it_under_those_too(tmp_path: Path, name: str) -> None:
    further = ("mooring.internal", "10.1.2.3", "fd00::7")
    certificates = Certificates(tmp_path, SystemClock(), further)
    shaken_hands(certificates.context(), certificates.authority(), name)
    with pytest.raises(ssl.SSLCertVerificationError):
        shaken_hands(certificates.context(), certificates.authority(), "example.com")


def test_a_further_name_makes_another_authority_once(tmp_path: Path) -> None:
    loopback = Certificates(tmp_path, SystemClock()).authority()
    named = Certificates(tmp_path, SystemClock(), ["Mooring.Internal", "[FD00:0::7]"])
    server = named.context()
    authority = named.authority()
    assert authority != loopback
    shaken_hands(server, authority, "mooring.internal")
    for names in ((), ("mooring.internal",), ("fd00::0007",)):
        again = Certificates(tmp_path, SystemClock(), names)
        again.context()
        assert again.authority() == authority
    assert shown(named) == shown(Certificates(tmp_path, SystemClock()))


def test_files_are_made_once_and_for_us_alone(tmp_path: Path) -> None:
    certificates = Certificates(tmp_path, SystemClock())
    first = shown(certificates)
    files = [certificates.file, certificates.authority_file]
    assert [path.stat().st_mode & 0o777 for path in files] == [0o600, 0o600]
    assert shown(Certificates(tmp_path, SystemClock())) == first
    assert b"PRIVATE" not in certificates.authority()


def later(path: Path, passed: timedelta) -> Certificates:
    """As a program finds them that starts then."""
    return Certificates(path, FakeClock(START + passed))


def test_a_certificate_is_renewed_before_it_ends_and_its_authority_stays(tmp_path: Path) -> None:
    first = shown(later(tmp_path, timedelta()))
    authority = later(tmp_path, timedelta()).authority()
    due = LIFETIME - RENEWED_BEFORE
    assert shown(later(tmp_path, due - timedelta(days=1))) == first
    second = shown(later(tmp_path, due + timedelta(days=1)))
    assert second.not_valid_after_utc > first.not_valid_after_utc
    assert later(tmp_path, due).authority() == authority


def test_an_authority_that_ends_takes_its_certificate_along(tmp_path: Path) -> None:
    first = later(tmp_path, timedelta()).authority()
    due = AUTHORITY_LIFETIME - RENEWED_BEFORE
    shown(later(tmp_path, due - timedelta(days=1)))
    renewed = later(tmp_path, due + timedelta(days=1))
    certificate, authority = shown(renewed), renewed.authority()
    assert authority != first
    certificate.verify_directly_issued_by(x509.load_pem_x509_certificate(authority))


def test_the_authority_is_good_for_nobody_else(tmp_path: Path) -> None:
    found = x509.load_pem_x509_certificate(Certificates(tmp_path, SystemClock()).authority())
    allowed = found.extensions.get_extension_for_class(x509.NameConstraints)
    assert allowed.critical
    assert {str(name.value) for name in allowed.value.permitted_subtrees or ()} == {
        "localhost",
        "127.0.0.1/32",
        "::1/128",
    }
    assert found.subject.get_attributes_for_oid(NameOID.COMMON_NAME)


def test_a_file_that_holds_no_certificate_is_refused_in_words(tmp_path: Path) -> None:
    certificates = Certificates(tmp_path, SystemClock())
    certificates.authority_file.touch(0o600)
    certificates.authority_file.write_bytes(b"nonsense")
    with pytest.raises(Invalid, match="Fix: remove it"):
        certificates.context()


def test_times_are_of_the_clock(tmp_path: Path) -> None:
    clock = FakeClock()
    found = shown(Certificates(tmp_path, clock))
    now: datetime = clock.now()
    assert found.not_valid_before_utc <= now < found.not_valid_after_utc
