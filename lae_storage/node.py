"""The introducer and the storage node, two Tubs in one process.

Both are upstream's, built by upstream's own functions from the folders.  Only what
serves upstream's developers is left out: a Tub for remote logs in each node, whose key
takes 100 ms, and a folder of incident logs, which would hold furls.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from allmydata import client as tahoe_client
from allmydata import node as tahoe_node
from allmydata.introducer.server import _IntroducerNode
from allmydata.util.i2p_provider import create as create_i2p_provider
from allmydata.util.tor_provider import create as create_tor_provider
from attrs import define
from twisted.application.service import MultiService
from twisted.internet.defer import Deferred

from lae_protocol.process.crowd import CrowdLimits
from lae_protocol.process.gate import gate_before
from lae_storage.announcing import OwnIntroducer
from lae_storage.folders import Folders


class _Plain:
    """Leaves the developers' logs out of upstream's nodes."""

    def create_log_tub(self) -> None:
        """Make no Tub for remote logs."""

    def setup_logging(self) -> None:
        """Write no incident files: the process has one log."""


class Introducer(_Plain, _IntroducerNode):
    """The introducer."""


@define(frozen=True)
class Nodes:
    """Both nodes, built and not yet started; *service* starts and stops them."""

    service: MultiService
    introducer: Any
    storage: Any

    def start(self, parent: MultiService) -> None:
        """Listen and announce under *parent*; raises :class:`NotListening`."""
        self.service.setServiceParent(parent)  # type: ignore[no-untyped-call]
        for node in (self.storage, self.introducer):
            for listener in node.tub.getListeners():
                # Foolscap only logs a port that cannot be bound.
                if listener._lp is None:  # noqa: SLF001
                    raise NotListening(f"{node.NODETYPE}: another process has the port")


class NotListening(Exception):
    """Another process has the port.  Try again when that process has ended."""


async def build_nodes(
    reactor: Any, folders: Folders, storage_class: Any, crowd: CrowdLimits
) -> Nodes:
    """Build both nodes.  *storage_class* is a subclass of upstream's ``_Client``;
    *crowd* limits the connections to the introducer's port.
    """
    introducer = _build_introducer(reactor, folders.introducer)
    gate_before(reactor, introducer.tub, crowd)
    announcer = introducer.getServiceNamed("introducer")
    storage = await _build_storage(folders.storage, storage_class, announcer)
    service = MultiService()  # type: ignore[no-untyped-call]
    # A client that hears of the storage node connects to it, so the storage node
    # listens before the introducer does.
    storage.setServiceParent(service)
    introducer.setServiceParent(service)
    for node in (introducer, storage):
        node.tub.unsafeTracebacks = False
    return Nodes(service, introducer, storage)


def _build_introducer(reactor: Any, folder: Path) -> Any:
    config = tahoe_node.read_config(str(folder), "client.port")
    i2p = create_i2p_provider(reactor, config)
    tor = create_tor_provider(reactor, config)
    handlers = tahoe_node.create_connection_handlers(config, i2p, tor)
    options = tahoe_node.create_tub_options(config)
    tub = tahoe_node.create_main_tub(config, options, *handlers, i2p, tor)
    return Introducer(config, tub, i2p, tor)


def _build_storage(folder: Path, storage_class: Any, announcer: Any) -> Deferred[Any]:
    plain = type(storage_class.__name__, (_Plain, storage_class), {})
    announcing: Callable[..., OwnIntroducer] = lambda *arguments: OwnIntroducer(  # noqa: E731
        announcer, *arguments
    )
    built: Deferred[Any] = tahoe_client.create_client_from_config(
        tahoe_client.read_config(str(folder), "client.port"),
        _client_factory=plain,
        _introducer_factory=announcing,
    )
    return built
