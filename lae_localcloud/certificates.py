"""The certificates of the local cloud: of an authority, a server, a signer."""

from __future__ import annotations

import ipaddress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from attrs import define
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from lae_localcloud.state_folder import write_private

VALID_FOR = timedelta(days=365)


@define(frozen=True)
class Certificates:
    """The files: the authority, the server's certificate, and its key (0600)."""

    authority: Path
    certificate: Path
    key: Path


def make_certificates(folder: Path, *hosts: str) -> Certificates:
    """Make an authority and a certificate for this machine and *hosts*, in *folder*.

    The authority's key is not kept.
    """
    made = Certificates(folder / "ca.pem", folder / "server.pem", folder / "key.pem")
    authority_key = ec.generate_private_key(ec.SECP256R1())
    key = ec.generate_private_key(ec.SECP256R1())
    authority = _authority(authority_key)
    server = _server(key.public_key(), authority, authority_key, hosts)
    made.authority.write_bytes(authority.public_bytes(serialization.Encoding.PEM))
    made.certificate.write_bytes(server.public_bytes(serialization.Encoding.PEM))
    text = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    write_private(made.key, text.decode())
    return made


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def self_sign(
    key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey, name: str
) -> x509.Certificate:
    """Make a self-signed certificate of *key*."""
    named = _name(name)
    return _builder(named, named, key.public_key()).sign(key, hashes.SHA256())


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    public: ec.EllipticCurvePublicKey | rsa.RSAPublicKey,
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + VALID_FOR)
        .add_extension(
            x509.SubjectKeyIdentifier.from_public_key(public), critical=False
        )
    )


def _authority(key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    name = _name("S4 local cloud")
    basic = x509.BasicConstraints(ca=True, path_length=0)
    usage = x509.KeyUsage(
        digital_signature=False,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=True,
        crl_sign=True,
        encipher_only=False,
        decipher_only=False,
    )
    builder = _builder(name, name, key.public_key())
    builder = builder.add_extension(basic, critical=True)
    return builder.add_extension(usage, critical=True).sign(key, hashes.SHA256())


def _server(
    public: ec.EllipticCurvePublicKey,
    authority: x509.Certificate,
    authority_key: ec.EllipticCurvePrivateKey,
    hosts: tuple[str, ...],
) -> x509.Certificate:
    names = x509.SubjectAlternativeName(
        [
            *map(x509.DNSName, dict.fromkeys(("localhost", *hosts))),
            x509.IPAddress(ipaddress.ip_address("127.0.0.1")),
        ]
    )
    issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(
        authority_key.public_key()
    )
    purpose = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
    basic = x509.BasicConstraints(ca=False, path_length=None)
    builder = _builder(_name("localhost"), authority.subject, public)
    for extension in (names, issuer, purpose, basic):
        builder = builder.add_extension(extension, critical=False)
    return builder.sign(authority_key, hashes.SHA256())
