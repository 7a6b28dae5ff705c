"""``twistd lae-node --config FILE``: the process on a customer's host."""

from __future__ import annotations

import os
from importlib import import_module
from pathlib import Path
from random import SystemRandom
from typing import Any

from twisted.application.service import IService
from twisted.python import usage

from lae_protocol.aws.agent import pooled_agent
from lae_protocol.aws.metadata import MetadataService, metadata_endpoint
from lae_protocol.host_messages import StoragePlace
from lae_protocol.process.log import LoggedService
from lae_protocol.process.settings import SettingsError, load
from lae_storage.agent.tub import agent_tub
from lae_storage.agent.volume import Volume
from lae_storage.agent.wish import ProgramFiles
from lae_storage.host import Host, Shares, Surroundings
from lae_storage.settings import NodeSettings


class Options(usage.Options):
    """The command line after ``twistd lae-node``."""

    optParameters = [["config", "c", None, "the node's settings (YAML)"]]  # noqa: RUF012
    settings: NodeSettings
    program: ProgramFiles

    def postOptions(self) -> None:
        """Read the settings; twistd ends with one line for a mistake in them."""
        if not self["config"]:
            raise usage.UsageError("--config FILE is needed")
        config = Path(self["config"]).resolve()
        try:
            self.settings = load(config, NodeSettings)
        except SettingsError as e:
            raise usage.UsageError(str(e)) from None
        # No setting names root's file: an older image, to which the host may go back,
        # would refuse the setting.
        self.program = ProgramFiles(
            config.with_name("program.json"), self.settings.state_folder / "program"
        )


def makeService(options: Options) -> IService:
    """Wire the process; the service opens nothing before it starts."""
    # twistd chooses the reactor before it calls this.
    from twisted.internet import reactor  # noqa: PLC0415

    settings = options.settings
    top = LoggedService(options.parent, settings.log_format)
    host = Host(
        _surroundings(reactor, settings, options.program),
        Volume(settings.state_folder),
        settings.bootstrap_furl.read,
        settings.s3_endpoint,
        settings.report_seconds,
    )
    host.setServiceParent(top)  # type: ignore[no-untyped-call]
    return top


def _surroundings(
    reactor: Any, settings: NodeSettings, program: ProgramFiles
) -> Surroundings:
    agent = pooled_agent(reactor)
    endpoint = metadata_endpoint(settings.metadata_url, os.environ)
    metadata = MetadataService(reactor, agent, endpoint)

    async def open_shares(place: StoragePlace, volume: Volume) -> Shares:
        # Imported late: the module imports upstream, which a thread does meanwhile.
        shares = import_module("lae_storage.shares")
        opened: Shares = await shares.open_shares(
            reactor,
            agent,
            metadata,
            place,
            volume.storage,
            expire_days=settings.expire_leases_after_days,
            crowd=settings.crowd(),
        )
        return opened

    return Surroundings(
        reactor,
        SystemRandom(),
        metadata,
        agent_tub,
        open_shares,
        reactor.stop,
        program,
        settings.crowd(),
    )
