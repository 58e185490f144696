"""The certificate of the TLS door, of our own making.

An authority of ours (ten years, good for loopback names and those that were set) signs the
certificate that the door shows (a year). Clients are given the authority, so that a renewed
certificate needs no new kubeconfig. Both are files of ours that hold the private key as well. A
name that the authority is not good for makes another authority.
"""

import ssl
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from ipaddress import ip_address, ip_network
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from mooring.clock import Clock
from mooring.errors import Invalid
from mooring.sessions.keys import read_or_make, replace

LIFETIME = timedelta(days=365)
"""Of the certificate that the door shows."""
AUTHORITY_LIFETIME = timedelta(days=3650)
RENEWED_BEFORE = timedelta(days=30)
"""So long before its end a certificate is made anew."""
LIMIT = 64 * 1024

NAMES = ("localhost",)
ADDRESSES = ("127.0.0.1", "::1")

_SKEW = timedelta(hours=1)
"""By how much a client's clock may be behind ours."""


Pair = tuple[x509.Certificate, ec.EllipticCurvePrivateKey]
Extension = x509.SubjectAlternativeName | x509.NameConstraints


class Certificates:
    """The authority and the certificate in a directory, made on first use.

    `names`: further names and addresses that the certificate is to be good for; whoever gives none
    takes what is there.
    """

    def __init__(self, directory: Path, clock: Clock, names: Sequence[str] = ()) -> None:
        self.authority_file = directory / "api-authority.pem"
        self.file = directory / "api.pem"
        self._clock = clock
        self.names = tuple(_spelled(name) for name in names)

    def authority(self) -> bytes:
        """The authority's certificate, PEM, without its key."""
        certificate, _ = self._authority()
        return certificate.public_bytes(serialization.Encoding.PEM)

    def context(self) -> ssl.SSLContext:
        """What a server needs to show the certificate."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_alpn_protocols(["http/1.1"])
        self.show(context)
        return context

    def show(self, context: ssl.SSLContext) -> None:
        """Makes new connections of a context see the present certificate, renewed if need be."""
        authority, key = self._authority()

        def signed() -> bytes:
            return _signed((authority, key), self.names, self._clock.now())

        found, _ = self._kept(self.file, signed)
        try:
            found.verify_directly_issued_by(authority)
            stale = not _named(found, x509.SubjectAlternativeName) >= set(self.names)
        except (ValueError, TypeError, InvalidSignature):
            stale = True
        if stale:
            replace(self.file, signed())
        context.load_cert_chain(self.file)

    def _authority(self) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
        def make() -> bytes:
            return _authority(self.names, self._clock.now())

        found = self._kept(self.authority_file, make)
        if _named(found[0], x509.NameConstraints) >= set(self.names):
            return found
        replace(self.authority_file, make())
        return self._kept(self.authority_file, make)

    def _kept(
        self, path: Path, make: Callable[[], bytes]
    ) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
        found = _parsed(path, read_or_make(path, make, LIMIT))
        if found[0].not_valid_after_utc - self._clock.now() > RENEWED_BEFORE:
            return found
        replace(path, make())
        return _parsed(path, read_or_make(path, make, LIMIT))


def _parsed(path: Path, content: bytes) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    try:
        certificate = x509.load_pem_x509_certificate(content)
        key = serialization.load_pem_private_key(content, None)
    except ValueError:
        key = None
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        fix = f"key file {path}: holds no certificate with its key. Fix: remove it"
        raise Invalid("Invalid", f"{fix}, and another is made")
    return certificate, key


def _authority(names: Sequence[str], now: datetime) -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Mooring on this machine")])
    only_us = x509.NameConstraints([_permitted(each) for each in _all(names)], None)
    made = (
        _begun(name, name, key, now, AUTHORITY_LIFETIME)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .add_extension(only_us, critical=True)
        .sign(key, hashes.SHA256())
    )
    return _pem(made, key)


def _signed(signed_by: Pair, names: Sequence[str], now: datetime) -> bytes:
    authority, signer = signed_by
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Mooring")])
    ours = x509.SubjectAlternativeName([_general(each) for each in _all(names)])
    of_authority = x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key())
    made = (
        _begun(name, authority.subject, key, now, LIFETIME)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(ours, critical=False)
        .add_extension(of_authority, critical=False)
        .sign(signer, hashes.SHA256())
    )
    return _pem(made, key)


def _all(names: Sequence[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*NAMES, *ADDRESSES, *names)))


def _spelled(name: str) -> str:
    """A name as certificates spell it."""
    try:
        return str(ip_address(name.strip("[]")))
    except ValueError:
        return name.lower()


def _general(name: str) -> x509.GeneralName:
    """As a certificate names it."""
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _permitted(name: str) -> x509.GeneralName:
    """As an authority is good for it."""
    general = _general(name)
    return x509.IPAddress(ip_network(name)) if isinstance(general, x509.IPAddress) else general


def _named(certificate: x509.Certificate, where: type[Extension]) -> set[str]:
    """Names and addresses that a certificate, or an authority, is good for."""
    try:
        found = certificate.extensions.get_extension_for_class(where).value
    except x509.ExtensionNotFound:
        return set()
    names = found if isinstance(found, x509.SubjectAlternativeName) else found.permitted_subtrees
    return {str(each.value).partition("/")[0] for each in names or ()}


def _begun(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    now: datetime,
    lifetime: timedelta,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _SKEW)
        .not_valid_after(now + lifetime)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _pem(certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> bytes:
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return certificate.public_bytes(serialization.Encoding.PEM) + private
