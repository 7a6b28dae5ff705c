"""The site's process: its options, and how its parts are put together."""

from __future__ import annotations

import re
import secrets
import time
from pathlib import Path
from typing import Any

from attrs import define
from prometheus_client import CollectorRegistry
from twisted.application.service import MultiService, Service
from twisted.application.strports import service as listening
from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python import usage
from twisted.python.failure import Failure

from lae_protocol.furl import Furl, NotAFurl, WrongFurl, parse_facet_furl
from lae_protocol.messages import Plan
from lae_protocol.process import readiness
from lae_protocol.process.call import Facet
from lae_protocol.process.deadline import DeadlinePassed, with_deadline
from lae_protocol.process.figures_port import FiguresPort, check_listen, of_copy
from lae_protocol.process.key_folder import KeyFolder
from lae_protocol.process.log import LoggedService
from lae_protocol.process.plans import load_plans
from lae_protocol.process.settings import SecretSource, SettingsError, load
from lae_protocol.process.steady import SteadyClock, install
from lae_protocol.process.tub import make_tub
from lae_protocol.secret import Secret
from lae_site.daemon_status import DaemonPoll
from lae_site.draining import Connections
from lae_site.figures import RequestFigures, own_figures, site_figures
from lae_site.front_desk import RemoteDesk
from lae_site.neighbours import Places
from lae_site.parts import make_parts
from lae_site.routes import make_web_server
from lae_site.settings import SiteSettings

_COPY = re.compile(r"[1-9][0-9]?")
#: Of a key that signs forms and makes owners' secrets.
_SHORTEST_KEY = 32  # characters
#: The process ends within this time, whatever its peers do.
STOP_WITHIN = 3.0  # s


@define(frozen=True)
class Held:
    """What is in the files that the settings name."""

    plans: tuple[Plan, ...]
    furl: Furl
    cookie_keys: tuple[Secret, ...]
    webhook_secrets: tuple[Secret, ...]


class Options(usage.Options):
    """``twistd lae-site --config FILE``."""

    synopsis = "[options]"
    longdesc = "The web site of S4: pages, payment taken, live progress."
    optParameters = [  # noqa: RUF012  (Twisted's way to declare options)
        ["config", "c", None, "The site's settings (see config/site.example.yaml)."],
        ["copy", None, "1", "The number of this copy, where several have one file."],
    ]

    settings: SiteSettings
    held: Held
    metrics_listen: str | None

    def postOptions(self) -> None:
        """Read everything that may be wrong before twistd goes into the background."""
        if self["config"] is None:
            raise usage.UsageError("--config FILE is needed")
        if not _COPY.fullmatch(self["copy"]):
            raise usage.UsageError("--copy: a number from 1 to 99 is expected")
        try:
            self.settings = load(Path(self["config"]), SiteSettings)
            self.held = read_all(self.settings)
        except SettingsError as e:
            raise usage.UsageError(str(e)) from None
        listen = of_copy(self.settings.metrics_listen, int(self["copy"]))
        try:
            check_listen(listen)
        except ValueError as e:
            raise usage.UsageError(f"--copy {self['copy']}: {e}") from None
        self.metrics_listen = listen


def read_all(settings: SiteSettings) -> Held:
    """Read the files; raises :class:`SettingsError`, which says what is wrong."""
    return Held(
        load_plans(settings.plans_file),
        _furl(settings.front_desk_furl),
        _cookie_keys(settings.cookie_keys),
        settings.webhook_secrets.read(),
    )


def _furl(source: SecretSource) -> Furl:
    try:
        return parse_facet_furl(source.read().reveal(), "f")
    except (NotAFurl, WrongFurl) as e:
        raise SettingsError(f"front_desk_furl: {source.name()}: {e}") from None


def _cookie_keys(folder: KeyFolder) -> tuple[Secret, ...]:
    files = folder.files()
    keys = tuple(file.read() for file in files)
    for file, key in zip(files, keys, strict=True):
        if len(key.reveal()) < _SHORTEST_KEY:
            raise SettingsError(
                f"cookie_keys: {file.path}: at least"
                f" {_SHORTEST_KEY} characters are expected"
            )
    return keys


class WebSite(MultiService):
    """The site's services.  They need a reactor, so they are made when the service
    starts, after twistd's fork.  *registry* has the metrics of this process.
    """

    _log = Logger()

    def __init__(
        self,
        options: Options,
        reactor: Any,
        registry: CollectorRegistry,
        steady: SteadyClock,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._options, self._reactor = options, reactor
        self._registry, self._steady = registry, steady
        self._end_visits: tuple[Any, Connections, Places] | None = None

    def startService(self) -> None:
        """Start the Tub, the front desk's client, the pages and the metrics."""
        options, reactor = self._options, self._reactor
        tub = make_tub()
        desk = Facet(reactor, tub, options.held.furl)
        parts = make_parts(
            options.settings,
            RemoteDesk(desk),
            plans=options.held.plans,
            cookie_keys=options.held.cookie_keys,
            webhook_secrets=options.held.webhook_secrets,
            reactor=reactor,
            randomness=secrets.token_bytes,
            wall=time.time,
        )
        desk.on_connect(parts.daemon.forget)
        registry = self._registry
        server = make_web_server(parts, reactor, RequestFigures(registry))
        port = listening(options.settings.listen, server, reactor)
        figures = FiguresPort(
            reactor, options.metrics_listen, site_figures(parts, registry)
        )
        own = own_figures(reactor, registry, self._steady.offset)
        poll = DaemonPoll(reactor, parts.daemon)
        for service in (tub, desk, poll, port, own, figures, Ready()):
            service.setServiceParent(self)
        self._end_visits = (port, server.connections, parts.streams)
        super().startService()  # type: ignore[no-untyped-call]

    def stopService(self) -> Deferred[None]:
        """Accept no more connections, answer the requests under way, then stop."""
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        if self._end_visits is not None:
            port, connections, streams = self._end_visits
            await port.stopService()
            await connections.drain(streams)
        await self._stop_parts()

    def _stop_parts(self) -> Deferred[None]:
        """Stop within :data:`STOP_WITHIN`: a Tub waits without limit for a paused peer
        to hang up.
        """
        stopping = super().stopService()  # type: ignore[no-untyped-call]
        ended = with_deadline(self._reactor, STOP_WITHIN, "stopping", stopping)
        return ended.addErrback(self._cut_short)

    def _cut_short(self, failure: Failure) -> None:
        failure.trap(DeadlinePassed)  # type: ignore[no-untyped-call]
        self._log.warn("{problem}; stopping without it", problem=str(failure.value))


class Ready(Service):
    """Tells the supervisor when the site is ready; started last, stopped first."""

    def startService(self) -> None:
        """Say that the port is bound."""
        super().startService()  # type: ignore[no-untyped-call]
        readiness.notify("READY=1")

    def stopService(self) -> None:
        """Say that the process is stopping."""
        readiness.notify("STOPPING=1")
        super().stopService()  # type: ignore[no-untyped-call]


def makeService(options: Options) -> LoggedService:
    """Make the service that twistd runs."""
    from twisted.internet import reactor  # noqa: PLC0415  (twistd chooses it first)

    top = LoggedService(options.parent, options.settings.log_format)
    registry = CollectorRegistry()
    steady = SteadyClock()
    install(reactor, steady)
    WebSite(options, reactor, registry, steady).setServiceParent(top)  # type: ignore[no-untyped-call]
    return top
