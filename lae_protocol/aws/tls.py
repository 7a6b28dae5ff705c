"""Whose certificates we believe."""

from __future__ import annotations

from ipaddress import ip_address

from OpenSSL import SSL
from OpenSSL.crypto import X509
from service_identity import CertificateError, VerificationError
from service_identity.hazmat import (
    DNS_ID,
    IPAddress_ID,
    ServiceID,
    verify_service_identity,
)
from service_identity.pyopenssl import extract_patterns
from twisted.internet.interfaces import IOpenSSLClientConnectionCreator
from twisted.logger import Logger
from twisted.protocols.tls import TLSMemoryBIOProtocol
from twisted.web.client import BrowserLikePolicyForHTTPS
from twisted.web.iweb import IPolicyForHTTPS
from zope.interface import implementer

_log = Logger()


def _peer(host: str) -> ServiceID:
    try:
        return IPAddress_ID(str(ip_address(host)))
    except ValueError:
        return DNS_ID(host)


def speaks_for(certificate: X509, host: str) -> bool:
    """Whether its subjectAltName has this host name or address; without one, no."""
    try:
        verify_service_identity(extract_patterns(certificate), [_peer(host)], [])
    except (CertificateError, VerificationError, ValueError) as e:
        # CertificateError: there is no subjectAltName, or none that can be read.
        _log.error(
            "refused the certificate of {host}: {kind}",
            host=host,
            kind=type(e).__name__,
        )
        return False
    return True


@implementer(IOpenSSLClientConnectionCreator)
class _NamedPeerCreator:
    def __init__(self, inner: IOpenSSLClientConnectionCreator, host: str) -> None:
        self._inner, self._host = inner, host

    def clientConnectionForTLS(
        self, tlsProtocol: TLSMemoryBIOProtocol
    ) -> SSL.Connection:
        connection = self._inner.clientConnectionForTLS(tlsProtocol)
        # In the place of Twisted's own check, which asks the same question and takes
        # "this certificate cannot be asked" for a yes.
        connection.set_verify(
            SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT, self._check
        )
        return connection

    def _check(
        self,
        _connection: SSL.Connection,
        certificate: X509,
        _error: int,
        depth: int,
        ok: int,
    ) -> bool:
        try:
            return bool(ok) and (depth > 0 or speaks_for(certificate, self._host))
        except Exception:  # noqa: BLE001  (inside OpenSSL it would be lost, and pass)
            _log.failure("while checking the certificate of {host}", host=self._host)
            return False


@implementer(IPolicyForHTTPS)
class NamedPeerPolicy:
    """Browsers' rules, and whatever is wrong with a certificate is a refusal.

    Twisted 26.10 logs, and then accepts for any host, a certificate of a trusted
    authority that has no subjectAltName at all.  *trust_root*: a private authority
    in the place of the system's, as ``trustRootFromCertificates`` makes it.
    """

    def __init__(self, trust_root: object | None = None) -> None:
        self._inner: IPolicyForHTTPS = BrowserLikePolicyForHTTPS(trust_root)  # type: ignore[no-untyped-call]

    def creatorForNetloc(
        self, hostname: bytes, port: int
    ) -> IOpenSSLClientConnectionCreator:
        """What checks the peer at this host; the port makes no difference."""
        inner = self._inner.creatorForNetloc(hostname, port)
        return _NamedPeerCreator(inner, hostname.decode("ascii"))
