"""The instance that this host runs on, as its cloud's metadata service describes it."""

from __future__ import annotations

import json
from typing import Protocol

from attrs import define
from twisted.internet.defer import Deferred, gatherResults

from lae_protocol.aws.metadata import MetadataUnavailable

DOCUMENT = "/latest/dynamic/instance-identity/document"
#: Base64 of the RSA PKCS #1 v1.5 signature with SHA-256 over the document's bytes.
SIGNATURE = "/latest/dynamic/instance-identity/signature"
INSTANCE_ID = "/latest/meta-data/instance-id"


class Metadata(Protocol):
    """The part of the metadata service that is needed here."""

    def get(self, path: str) -> Deferred[bytes | None]:
        """Return the document at *path*, or None."""


@define(frozen=True)
class Instance:
    """An instance.  *launch_time* is the text of the document's ``pendingTime``, empty
    in a cloud without identity documents.  *signed_document* is JSON with two texts:
    ``document``, unchanged as the service gave it, and ``signature``.
    """

    instance_id: str
    launch_time: str
    signed_document: str | None


async def this_instance(metadata: Metadata) -> Instance:
    """Ask the metadata service.

    Raises :class:`~lae_protocol.aws.metadata.MetadataUnavailable`.
    """
    # The first request fetches the session token for the other two.
    name = await metadata.get(INSTANCE_ID)
    if not name:
        raise MetadataUnavailable("the instance has no id")
    document, signed = await gatherResults(
        [metadata.get(DOCUMENT), metadata.get(SIGNATURE)], consumeErrors=True
    )
    return Instance(
        name.decode("ascii", "replace").strip(),
        _launch_time(document),
        _signed(document, signed) if document and signed else None,
    )


def _signed(document: bytes, signature: bytes) -> str:
    texts = {
        "document": document.decode("utf-8", "replace"),
        "signature": "".join(signature.decode("ascii", "replace").split()),
    }
    return json.dumps(texts)


def _launch_time(document: bytes | None) -> str:
    if document is None:
        return ""
    try:
        return str(json.loads(document)["pendingTime"])
    except (ValueError, KeyError, TypeError):
        raise MetadataUnavailable("the identity document cannot be read") from None
