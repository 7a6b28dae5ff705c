"""Whether a claim is of the instance that was launched; all of it pure."""

from __future__ import annotations

import base64
import json

from attrs import define
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509 import load_pem_x509_certificate

from lae_flapp.cell_settings import CellSettings
from lae_flapp.journal.hosts import HostRow
from lae_protocol.host_messages import Claim


def load_cloud_keys(cell: CellSettings) -> tuple[RSAPublicKey, ...]:
    """What checks the signatures of identity documents; raises ValueError."""
    found = []
    for path in cell.identity_certificates:
        key = load_pem_x509_certificate(path.read_bytes()).public_key()
        if not isinstance(key, RSAPublicKey):
            raise ValueError(f"{path}: not of an RSA key")  # noqa: TRY004  (of the file)
        found.append(key)
    return tuple(found)


class _Unreadable(Exception):
    """The identity document is none.  Ask an operator, not again."""


@define(frozen=True)
class _Document:
    """What the cloud says of an instance, and its signature over the very bytes."""

    text: bytes
    signature: bytes
    instance_id: str


def claim_text(instance_id: str, launch_time: str) -> bytes:
    """What the agent signs."""
    return b"s4 claim v1\0" + instance_id.encode() + b"\0" + launch_time.encode()


def is_signed(claim: Claim) -> bool:
    """Whether the claimer holds the private half of the key that it shows."""
    try:
        key = Ed25519PublicKey.from_public_bytes(claim.public_key)
        key.verify(claim.signature, claim_text(claim.instance_id, claim.launch_time))
    except (InvalidSignature, ValueError):
        return False
    return True


def what_is_wrong(
    claim: Claim, host: HostRow, cloud_keys: tuple[RSAPublicKey, ...]
) -> str | None:
    """Why the claim is not of *host*, for an operator; None where it is.

    *cloud_keys* check the signature of the identity document; where there are any,
    a claim must show a document.  The instance's id decides: it is never given twice,
    and nobody promises that the times of EC2's answers and documents agree (a stop and
    a start change both, one after the other).
    """
    if claim.instance_id != host.instance_id:
        return "it names another instance"
    if claim.identity_document is None:
        return "it has no identity document" if cloud_keys else None
    try:
        document = _read(claim.identity_document)
    except _Unreadable:
        return "its identity document cannot be read"
    if document.instance_id != host.instance_id:
        return "its identity document is of another instance"
    if cloud_keys and not any(_verifies(key, document) for key in cloud_keys):
        return "its identity document is not signed by the cloud"
    return None


def _read(text: str) -> _Document:
    """JSON with the texts ``document`` (JSON again) and ``signature`` (base64)."""
    try:
        signed = json.loads(text)
        content = json.loads(signed["document"])
        return _Document(
            text=signed["document"].encode(),
            signature=base64.b64decode(signed["signature"], validate=True),
            instance_id=str(content["instanceId"]),
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise _Unreadable from None


def _verifies(key: RSAPublicKey, document: _Document) -> bool:
    try:
        key.verify(document.signature, document.text, PKCS1v15(), SHA256())
    except InvalidSignature:
        return False
    return True
