"""The key that signs instance identity documents, as AWS's own does."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.x509.oid import NameOID

_BITS = 2048


class IdentitySigner:
    """Makes its key when it is made; the certificate is for whoever checks."""

    def __init__(self) -> None:
        self._key = rsa.generate_private_key(public_exponent=65537, key_size=_BITS)

    def sign(self, document: bytes) -> str:
        """PKCS #1 v1.5 with SHA-256, in base64, as the ``signature`` item has it."""
        return base64.b64encode(
            self._key.sign(document, padding.PKCS1v15(), hashes.SHA256())
        ).decode()

    def certificate(self) -> bytes:
        """Self-signed, PEM."""
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "local cloud")])
        now = datetime.now(UTC)
        made = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(self._key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=365))
            .sign(self._key, hashes.SHA256())
        )
        return made.public_bytes(serialization.Encoding.PEM)
