"""What the agent of a launched instance says, and what its cloud says of it."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import (
    RSAPrivateKey,
    generate_private_key,
)
from cryptography.hazmat.primitives.hashes import SHA256

from lae_flapp.desk.claims import claim_text
from lae_protocol.host_messages import Claim
from tests.twins.ground import START

LAUNCH = datetime.fromtimestamp(START, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def cloud_key() -> RSAPrivateKey:
    return generate_private_key(public_exponent=65537, key_size=1024)


def claim_of(
    key: Ed25519PrivateKey,
    instance_id: str = "i-1",
    launch_time: str = LAUNCH,
    document: str | None = None,
) -> Claim:
    """What the agent of an instance says."""
    return Claim(
        key.public_key().public_bytes_raw(),
        key.sign(claim_text(instance_id, launch_time)),
        instance_id,
        launch_time,
        document,
    )


def document_of(
    signer: RSAPrivateKey, instance_id: str = "i-1", at: str = LAUNCH
) -> str:
    """The identity document, signed, as the agent passes it on."""
    text = json.dumps({"instanceId": instance_id, "pendingTime": at})
    signature = signer.sign(text.encode(), PKCS1v15(), SHA256())
    return json.dumps(
        {"document": text, "signature": base64.b64encode(signature).decode()}
    )
