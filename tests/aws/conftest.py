"""A real TLS server with a private authority, and doubles of IAgent."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable

import pytest
from attrs import define, field
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from twisted.internet.defer import Deferred, succeed
from twisted.internet.error import ConnectionAborted
from twisted.internet.ssl import (
    Certificate,
    PrivateCertificate,
    trustRootFromCertificates,
)
from twisted.python.failure import Failure
from twisted.web.client import ResponseDone
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgent, IResponse
from zope.interface import implementer


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


class Authority:
    """A private certificate authority."""

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._certificate = self._build("Private CA", self._key, None, ca=True)
        pem = self._certificate.public_bytes(serialization.Encoding.PEM)
        self.trust_root = trustRootFromCertificates([Certificate.loadPEM(pem)])

    def _build(
        self,
        common: str,
        key: ec.EllipticCurvePrivateKey,
        names: list[x509.GeneralName] | None,
        *,
        ca: bool,
    ) -> x509.Certificate:
        now = dt.datetime.now(dt.UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(_name(common))
            .issuer_name(_name("Private CA"))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(days=1))
            .not_valid_after(now + dt.timedelta(days=1))
            .add_extension(
                x509.BasicConstraints(ca=ca, path_length=None), critical=True
            )
        )
        if names is not None:
            builder = builder.add_extension(
                x509.SubjectAlternativeName(names), critical=False
            )
        return builder.sign(self._key, hashes.SHA256())

    def server(self, common: str, names: list[x509.GeneralName] | None) -> object:
        """A context factory of a server with such a certificate."""
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = self._build(common, key, names, ca=False)
        pem = certificate.public_bytes(serialization.Encoding.PEM) + key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        return PrivateCertificate.loadPEM(pem).options()


@implementer(IResponse)
@define
class CannedResponse:
    """A response that is there whole, or whose end the test decides."""

    code: int
    body: bytes = b""
    headers: Headers = field(factory=Headers)
    deliver: bool = True
    protocol: object = None
    aborted: bool = False
    version = (b"HTTP", 1, 1)
    phrase = b""
    length = 0
    request = None
    previousResponse = None

    def deliverBody(self, protocol: object) -> None:
        self.protocol = protocol
        protocol.makeConnection(self)
        if self.deliver:
            protocol.dataReceived(self.body)
            protocol.connectionLost(Failure(ResponseDone()))

    def abortConnection(self) -> None:
        self.aborted = True
        self.protocol.connectionLost(Failure(ConnectionAborted()))

    def setPreviousResponse(self, response: object) -> None:
        raise NotImplementedError


@define(frozen=True)
class Sent:
    method: bytes
    uri: bytes
    headers: Headers
    producer: object


@implementer(IAgent)
@define
class ScriptedAgent:
    """Answers each request by a function of the test's, and remembers it."""

    answer: Callable[[Sent], object]
    sent: list[Sent] = field(factory=list)

    def request(
        self,
        method: bytes,
        uri: bytes,
        headers: Headers | None = None,
        bodyProducer: object = None,
    ) -> Deferred:
        self.sent.append(Sent(method, uri, headers or Headers(), bodyProducer))
        result = self.answer(self.sent[-1])
        return result if isinstance(result, Deferred) else succeed(result)


@pytest.fixture
def authority() -> Authority:
    return Authority()


@pytest.fixture
def doubles() -> object:
    """This module's doubles, for tests in other files."""

    class Doubles:
        Agent, Response = ScriptedAgent, CannedResponse

    return Doubles
