"""Where our storage server is plugged into upstream's node.

Upstream builds its node from a class that it is given; ours overrides the two methods
that make the storage server and announce it.  No installed module is changed.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from allmydata import storage_client
from allmydata.client import _Client, anonymous_storage_enabled, storage_enabled
from attrs import define, field
from foolscap.api import Tub
from foolscap.furl import decode_furl
from twisted.internet import reactor
from twisted.internet.ssl import CertificateOptions
from twisted.protocols.tls import TLSMemoryBIOFactory

from lae_protocol.process.crowd import CrowdLimits
from lae_protocol.process.gate import Gate, gate_before
from lae_storage.allocator import keep
from lae_storage.server.bucket import OpenBucket
from lae_storage.server.foolscap_front import FoolscapFront, send_long_strings_plainly
from lae_storage.server.http_front import GuardedSite, HttpFront
from lae_storage.server.limits import Allowance, Limits
from lae_storage.server.storage_server import S3StorageServer


@define(frozen=True)
class Backing:
    """What a node's storage server is built from.

    *folder* is for unfinished uploads and is cleared when the server is made.  A share
    that no lease held for *expire_days* is deleted; None deletes none.  *crowd* limits
    the connections at the storage port.
    """

    bucket: OpenBucket
    folder: Path
    allowance: Allowance
    limits: Limits = field(factory=Limits)
    expire_days: int | None = None
    crowd: CrowdLimits = field(factory=CrowdLimits)


class S3Client(_Client):
    """Upstream's node with shares in S3; :func:`client_class` gives it its backing."""

    backing: Backing

    def get_anonymous_storage_server(self) -> S3StorageServer:
        """The one storage server of this node, made when first asked for."""
        try:
            made: S3StorageServer = self.getServiceNamed(S3StorageServer.name)
        except KeyError:
            made = S3StorageServer(
                self.backing.bucket,
                self.nodeid,
                self.backing.folder,
                self.backing.allowance,
                self.backing.limits,
                expire_days=self.backing.expire_days,
                stats_provider=self.stats_provider,
            )
            made.setServiceParent(self)
        return made

    def startService(self) -> None:
        """Start; the process is this node's alone, so its allocator may be tuned."""
        super().startService()
        keep()

    def init_storage(self, announceable_storage_servers: list[Any]) -> None:
        """Serve under both protocols on the Tub's port, and announce it."""
        del announceable_storage_servers  # upstream's plugins are not used
        if not (
            storage_enabled(self.config) and anonymous_storage_enabled(self.config)
        ):
            return
        if not self._is_tub_listening():
            raise ValueError("storage is enabled, but the tub is not listening")
        server = self.get_anonymous_storage_server()
        gate = gate_before(reactor, self.tub, self.backing.crowd)
        send_long_strings_plainly(self.tub)
        furl_file = self.config.get_private_path("storage.furl").encode()
        furl = self.tub.registerReference(FoolscapFront(server), furlFile=furl_file)
        announcement: dict[str, Any] = {
            "permutation-seed-base32": self._init_permutation_seed(server),
            "anonymous-storage-FURL": furl,
        }
        # A Tub made with ``force_foolscap`` has no HTTPS to switch to.
        if hasattr(self.tub.negotiationClass, "add_storage_server"):
            swissnum = decode_furl(furl)[2].encode("ascii")
            nurls = serve_http(self.tub, server, swissnum, self.backing.folder, gate)
            self.storage_nurls = nurls
            texts = {nurl.to_text() for nurl in nurls}
            announcement[storage_client.ANONYMOUS_STORAGE_NURLS] = texts
        for introducer in self.introducer_clients:
            introducer.publish("storage", announcement, self._node_private_key)


def serve_http(
    tub: Tub, server: S3StorageServer, swissnum: bytes, folder: Path, gate: Gate
) -> set[Any]:
    """Answer HTTPS on the Tub's port with our front; the NURLs to announce.

    Upstream makes one negotiation class for each Tub, which is told its HTTPS factory.
    Upstream's own front is made along with the NURLs, and then not used.
    """
    negotiation = tub.negotiationClass
    nurls: set[Any] = negotiation.add_storage_server(server, swissnum)
    certificate = tub.myCertificate
    options = CertificateOptions(
        privateKey=certificate.privateKey.original, certificate=certificate.original
    )
    front = HttpFront(reactor, server, swissnum)
    site = GuardedSite(front, swissnum, folder, gate.admit)
    negotiation.https_factory = TLSMemoryBIOFactory(options, False, site)  # noqa: FBT003
    return nurls


def client_class(backing: Backing) -> type[S3Client]:
    """The class to give to upstream as ``_client_factory``."""
    return type("S3Client", (S3Client,), {"backing": backing})
