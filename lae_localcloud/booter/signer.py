"""The key that signs instance identity documents, in the way of AWS."""

from __future__ import annotations

import base64

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from lae_localcloud.certificates import self_sign

_KEY_SIZE = 2048  # bits


class IdentitySigner:
    """Signs with a key of its own; documents are checked with its certificate."""

    def __init__(self) -> None:
        self._key = rsa.generate_private_key(public_exponent=65537, key_size=_KEY_SIZE)

    def sign(self, document: bytes) -> str:
        """Sign with PKCS #1 v1.5 and SHA-256; in base64, as AWS does."""
        return base64.b64encode(
            self._key.sign(document, padding.PKCS1v15(), hashes.SHA256())
        ).decode()

    def certificate(self) -> bytes:
        """Return the self-signed certificate, in PEM."""
        made = self_sign(self._key, "local cloud")
        return made.public_bytes(serialization.Encoding.PEM)
