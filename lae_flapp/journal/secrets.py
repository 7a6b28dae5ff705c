"""How the journal keeps secrets that it only has to recognise: as hashes.

All of them have at least 128 random bits, so that a plain SHA-256 is enough.
"""

from __future__ import annotations

import hashlib
import hmac

from lae_protocol.secret import Secret


def hash_of(secret: Secret) -> str:
    """SHA-256 in hex."""
    return hashlib.sha256(secret.reveal().encode()).hexdigest()


def same_hash(kept: str, given: str) -> bool:
    """Compare two hashes in constant time."""
    return hmac.compare_digest(kept, given)
