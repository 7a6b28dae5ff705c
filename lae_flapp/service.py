"""``twistd lae-flapp --config FILE``: the signup daemon's process."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry
from twisted.application.service import IService
from twisted.python import usage

from lae_flapp.grid.ignition import load_renderer
from lae_flapp.money.stripe.check import key_problems
from lae_flapp.settings import DaemonSettings
from lae_flapp.wiring.daemon import Daemon
from lae_flapp.wiring.doors import Secrets, read_secrets
from lae_protocol.messages import Plan
from lae_protocol.process.log import LoggedService
from lae_protocol.process.plans import load_plans
from lae_protocol.process.settings import SettingsError, load
from lae_protocol.process.steady import SteadyClock, install
from lae_provision.aws.key_file import FileDataKeys
from lae_provision.identity.journal_sealer import JournalSealer


class Options(usage.Options):
    """The command line after ``twistd lae-flapp``."""

    synopsis = "[options]"
    longdesc = "The signup daemon of S4: journal, routine, mail."
    optParameters = [  # noqa: RUF012  (Twisted's way to declare options)
        ["config", "c", None, "The daemon's settings (see config/daemon.example.yaml)."]
    ]
    optFlags = [  # noqa: RUF012
        [
            "take-over",
            None,
            "Take the journal from a daemon that cannot be stopped.",
        ]
    ]

    settings: DaemonSettings
    secrets: Secrets
    plans: tuple[Plan, ...]

    def postOptions(self) -> None:
        """Read all that can be wrong before twistd goes into the background."""
        if self["config"] is None:
            raise usage.UsageError("--config FILE is needed")
        try:
            self.settings = load(Path(self["config"]).resolve(), DaemonSettings)
            self.secrets, self.plans = read_all(self.settings)
        except SettingsError as e:
            raise usage.UsageError(str(e)) from None


def read_all(settings: DaemonSettings) -> tuple[Secrets, tuple[Plan, ...]]:
    """Read the files that the settings name; raises :class:`SettingsError`, which says
    what is wrong.
    """
    try:
        settings.raise_if_unfilled()
    except ValueError as e:
        raise SettingsError(str(e)) from None
    secrets = read_secrets(settings)
    problems = key_problems(secrets.stripe_keys, settings.stripe.mode)
    if problems:
        raise SettingsError("; ".join(problems))
    try:
        JournalSealer(secrets.journal_keys)
        if secrets.identity_keys:
            FileDataKeys(secrets.identity_keys)
    except ValueError as e:
        raise SettingsError(f"sealing: {e}") from None
    root = settings.mail.trust_root
    if root is not None and not root.is_file():
        raise SettingsError(f"mail.trust_root: {root}: no such file")
    for cell in settings.cells:
        load_renderer(settings.aws, cell)
    return secrets, load_plans(settings.plans_file)


def makeService(options: Options) -> IService:
    """What twistd asks for; nothing is opened before the service starts."""
    from twisted.internet import reactor  # noqa: PLC0415  (twistd chooses it first)

    # fissix makes a folder under HOME when it translates; services may have none.
    os.environ.setdefault("XDG_CACHE_HOME", str(options.settings.state / "cache"))
    top = LoggedService(options.parent, options.settings.log_format)
    loop: Any = reactor
    steady = SteadyClock()
    install(loop, steady)
    daemon = Daemon(
        reactor=loop,
        settings=options.settings,
        secrets=options.secrets,
        plans=options.plans,
        take_over=bool(options["take-over"]),
        registry=CollectorRegistry(),
        steady=steady,
    )
    daemon.setServiceParent(top)  # type: ignore[no-untyped-call]
    return top
