"""cosign's signatures: what is signed, where it is kept, whether it is right.  Pure.

The signature of an image is an image of its own in the same repository, under a tag
made of the digest.  Each of its layers is a text that names repository and digest, with
the signature of that text beside it.  Podman and skopeo read it where their policy says
``sigstoreSigned`` with public keys; a transparency log is not asked then.
"""

from __future__ import annotations

import base64
import binascii
import json
from typing import Any

from attrs import define
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from lae_provision.images.manifest import Document, digest_of_bytes

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
PAYLOAD = "application/vnd.dev.cosign.simplesigning.v1+json"
ANNOTATION = "dev.cosignproject.cosign/signature"
TYPE = "cosign container image signature"


@define(frozen=True)
class Signature:
    """A signed text, and the signature (DER) of it."""

    payload: bytes
    signature: bytes


class NotRight(Exception):
    """No host would take it; the text says why.  Sign it, or do not run it."""


def payload_of(repository: str, digest: str) -> bytes:
    """What is signed: *repository* is ``REGISTRY/NAME``."""
    told = {
        "critical": {
            "identity": {"docker-reference": repository},
            "image": {"docker-manifest-digest": digest},
            "type": TYPE,
        },
        "optional": {},
    }
    return json.dumps(told, separators=(",", ":")).encode()


def documents_of(signatures: tuple[Signature, ...]) -> tuple[Document, Document]:
    """The manifest and the configuration that hold these signatures."""
    layers = [
        {
            "mediaType": PAYLOAD,
            "digest": digest_of_bytes(one.payload),
            "size": len(one.payload),
            "annotations": {ANNOTATION: base64.b64encode(one.signature).decode()},
        }
        for one in signatures
    ]
    config = _document(
        {
            "architecture": "",
            "os": "",
            "config": {},
            "rootfs": {
                "type": "layers",
                "diff_ids": [layer["digest"] for layer in layers],
            },
        },
        CONFIG,
    )
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": {
            "mediaType": CONFIG,
            "digest": config.digest,
            "size": len(config.data),
        },
        "layers": layers,
    }
    return _document(manifest, MANIFEST), config


def layers_of(manifest: bytes) -> list[tuple[str, bytes]]:
    """Each payload's digest with its signature; raises :class:`NotRight`."""
    try:
        told = json.loads(manifest)
        return [
            (layer["digest"], base64.b64decode(layer["annotations"][ANNOTATION]))
            for layer in told["layers"]
            if layer["mediaType"] == PAYLOAD
        ]
    except (ValueError, KeyError, TypeError, binascii.Error):
        raise NotRight("its signature is not in cosign's format") from None


def load_key(pem: str) -> EllipticCurvePublicKey:
    """Read a public key; raises :class:`ValueError`."""
    key = load_pem_public_key(pem.encode())
    if not isinstance(key, EllipticCurvePublicKey):
        raise ValueError("not a key of an elliptic curve")  # noqa: TRY004
    return key


def is_signed_by(one: Signature, keys: tuple[EllipticCurvePublicKey, ...]) -> bool:
    """Whether any of the keys made this signature."""
    for key in keys:
        try:
            key.verify(one.signature, one.payload, ECDSA(SHA256()))
        except InvalidSignature:
            continue
        return True
    return False


def raise_if_not_signed(
    signatures: tuple[Signature, ...],
    keys: tuple[EllipticCurvePublicKey, ...],
    repository: str,
    digest: str,
) -> None:
    """Raise :class:`NotRight` unless one signature is of these keys, this repository
    and this digest: what ``keyPaths`` with ``matchRepository`` asks for.
    """
    if not signatures:
        raise NotRight("it is not signed")
    problems = []
    for one in signatures:
        if not is_signed_by(one, keys):
            problems.append("it is signed by another key")
            continue
        signed_repository, signed_digest = _read(one.payload)
        if signed_repository != repository:
            problems.append(f"its signature is for {signed_repository}")
        elif signed_digest != digest:
            problems.append(f"its signature is for {signed_digest}")
        else:
            return
    raise NotRight("; ".join(dict.fromkeys(problems)))


def _read(payload: bytes) -> tuple[str, str]:
    """Repository and digest of a text that was signed."""
    try:
        critical = json.loads(payload)["critical"]
        named = str(critical["identity"]["docker-reference"])
        digest = str(critical["image"]["docker-manifest-digest"])
        kind = critical["type"]
    except (ValueError, KeyError, TypeError):
        raise NotRight("what is signed is not cosign's") from None
    if kind != TYPE:
        raise NotRight("what is signed is not cosign's")
    repository, _, last = named.rpartition("/")
    return f"{repository}/{last.partition('@')[0].partition(':')[0]}", digest


def _document(told: Any, media_type: str) -> Document:
    data = json.dumps(told, sort_keys=True, separators=(",", ":")).encode()
    return Document(data, media_type)
