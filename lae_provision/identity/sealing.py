"""Identities at rest: readable with the running key or the offline recovery key.

A sealed document is one line of JSON.  Its text is encrypted twice: with AES-256-GCM
under a data key of its own, which a KMS key or a key file wraps, and with ``age`` to
the public half of a recovery key that is kept offline.  What it is (format, signup,
generation, wrapping key) stands in the clear and is bound to the ciphertext, so that
a document put in another's place is refused.
"""

from __future__ import annotations

import base64
import json
import os
from typing import Any

import pyrage
from attrs import define
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from lae_protocol.secret import Secret
from lae_provision.errors import Refused

FORMAT = 1
NONCE_BYTES = 12

Context = tuple[tuple[str, str], ...]


@define(frozen=True)
class Envelope:
    """A sealed document, taken apart.  *recovery* is empty with no recovery key."""

    format: int
    key_id: str
    context: Context
    wrapped: bytes
    nonce: bytes
    ciphertext: bytes
    recovery: bytes

    def bound(self) -> bytes:
        """What the ciphertext is bound to, in one unambiguous form."""
        return _json([self.format, self.key_id, self.context])


def seal(
    plain: bytes,
    context: Context,
    data_key: tuple[Secret, bytes, str],
    recovery_recipients: tuple[str, ...],
) -> bytes:
    """Seal under a fresh *data_key* (key, wrapped key, id of the wrapping key)."""
    key, wrapped, key_id = data_key
    nonce = os.urandom(NONCE_BYTES)
    bound = _json([FORMAT, key_id, context])
    sealed = Envelope(
        FORMAT,
        key_id,
        context,
        wrapped,
        nonce,
        _cipher(key).encrypt(nonce, plain, bound),
        _for_recovery(plain, context, recovery_recipients),
    )
    return _to_bytes(sealed)


def open_envelope(envelope: Envelope, key: Secret) -> bytes:
    """The text again; :class:`~lae_provision.errors.Refused` if anything changed."""
    try:
        return _cipher(key).decrypt(
            envelope.nonce, envelope.ciphertext, envelope.bound()
        )
    except InvalidTag:
        raise Refused("seal", "a sealed document is damaged or not ours") from None


def read_envelope(sealed: bytes, context: Context) -> Envelope:
    """Take a sealed document apart and see that it says it is *context*'s."""
    try:
        fields = json.loads(sealed)
        envelope = Envelope(
            fields["format"],
            fields["key_id"],
            tuple((str(k), str(v)) for k, v in fields["context"]),
            *(_unbase64(fields[name]) for name in _BINARY),
        )
    except (ValueError, KeyError, TypeError):
        raise Refused("seal", "not a sealed document") from None
    if envelope.format != FORMAT:
        raise Refused("seal-format", f"sealed in format {envelope.format}, not ours")
    if envelope.context != context:
        raise Refused("seal-context", "a sealed document of something else")
    return envelope


def recover(sealed: bytes, context: Context, recovery_key: Secret) -> bytes:
    """Open the ``age`` copy with the offline key (``AGE-SECRET-KEY-1…``)."""
    envelope = read_envelope(sealed, context)
    try:
        identity = pyrage.x25519.Identity.from_str(recovery_key.reveal())
        found = json.loads(pyrage.decrypt(envelope.recovery, [identity]))
        inner = tuple((str(k), str(v)) for k, v in found["context"])
        plain = _unbase64(found["plain"])
    except (pyrage.DecryptError, pyrage.IdentityError, ValueError, KeyError):
        raise Refused("seal-recovery", "the recovery key does not open this") from None
    if inner != context:
        raise Refused("seal-context", "a recovery copy of something else")
    return plain


_BINARY = ("wrapped", "nonce", "ciphertext", "recovery")


def _cipher(key: Secret) -> AESGCM:
    return AESGCM(_unbase64(key.reveal()))


def _for_recovery(plain: bytes, context: Context, recipients: tuple[str, ...]) -> bytes:
    if not recipients:
        return b""
    to = [pyrage.x25519.Recipient.from_str(r) for r in recipients]
    copy: bytes = pyrage.encrypt(
        _json({"context": context, "plain": _base64(plain)}), to
    )
    return copy


def _to_bytes(envelope: Envelope) -> bytes:
    clear = {
        "format": envelope.format,
        "key_id": envelope.key_id,
        "context": envelope.context,
    }
    hidden = {name: _base64(getattr(envelope, name)) for name in _BINARY}
    return _json(clear | hidden)


def _json(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":"), sort_keys=True).encode()


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def _unbase64(text: str) -> bytes:
    return base64.b64decode(text, validate=True)
