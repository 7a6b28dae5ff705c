"""Where a demo keeps what: everything is under one folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from attrs import define, field

from lae_localcloud.ports import free_ports

#: Of every host of the metal level, as in production: introducer and storage.
HOST_PORTS = (3456, 3457)


def _two_ports() -> tuple[int, int]:
    first, second = free_ports(2)
    return first, second


@define(frozen=True)
class Layout:
    """The paths of one run, and what its parts wrote about themselves."""

    root: Path
    site_port: int
    daemon_ports: tuple[int, int]
    #: Of the daemon's and the site's metrics.
    metrics_ports: tuple[int, int] = field(factory=_two_ports)

    @property
    def aws(self) -> Path:
        """The cloud's folder; instances are in ``instances/``."""
        return self.root / "aws"

    @property
    def smtp(self) -> Path:
        """The mail server's folder."""
        return self.root / "smtp"

    @property
    def maildir(self) -> Path:
        """Where mail arrives."""
        return self.root / "mail"

    @property
    def stripe(self) -> Path:
        """The local Stripe's folder."""
        return self.root / "stripe"

    @property
    def daemon(self) -> Path:
        """The daemon's own: journal, certificates, first furls."""
        return self.root / "daemon"

    @property
    def config(self) -> Path:
        """The settings of daemon and site, as an operator has them."""
        return self.root / "config"

    @property
    def secrets(self) -> Path:
        """What the settings name."""
        return self.config / "secrets"

    @property
    def front_desk_furl(self) -> Path:
        """Written by the daemon, read by the site."""
        return self.daemon / "front-desk.furl"

    @property
    def operator_furl(self) -> Path:
        """Written by the daemon for the first operator."""
        return self.daemon / "operator.furl"

    @property
    def state_file(self) -> Path:
        """For people and tests."""
        return self.root / "demo.json"

    @property
    def site_url(self) -> str:
        """What a person opens."""
        return f"http://localhost:{self.site_port}"

    @property
    def metrics_urls(self) -> dict[str, str]:
        """Where each process tells how it is: ``/metrics`` and ``/health``."""
        daemon, site = self.metrics_ports
        return {
            "daemon_metrics_url": f"http://127.0.0.1:{daemon}/metrics",
            "site_metrics_url": f"http://127.0.0.1:{site}/metrics",
        }

    def aws_facts(self) -> dict[str, Any]:
        """What the cloud wrote of itself."""
        return _read(self.aws / "aws.json")

    def smtp_facts(self) -> dict[str, Any]:
        """What the mail server wrote of itself."""
        return _read(self.smtp / "smtp.json")

    @property
    def image(self) -> Path:
        """The hosts' image: what there is to say of it (metal level)."""
        return self.root / "image"

    def image_facts(self) -> dict[str, Any]:
        """What a host runs, in the words of the daemon's settings."""
        return _read(self.image / "program.json")

    def stripe_endpoint(self) -> str:
        """Where the local Stripe is."""
        return str(_read(self.stripe / "endpoint.json")["stripe_endpoint"])


def _read(path: Path) -> dict[str, Any]:
    facts: dict[str, Any] = json.loads(path.read_text())
    return facts
