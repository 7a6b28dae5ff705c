"""The demo, put together: which programs, after which others, and what is said."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
from twisted.internet import reactor as _reactor
from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThread

from lae_protocol.process.resources import config_folder
from lae_provision.localcloud.customer.story import StoryFailed
from lae_provision.localcloud.demo.configuration import (
    Ground,
    prepare_secrets,
    read_facts,
    write_settings,
)
from lae_provision.localcloud.demo.launcher import Launcher
from lae_provision.localcloud.demo.once import perform_once, perform_signup, places_of
from lae_provision.localcloud.demo.parts import (
    aws_step,
    smtp_step,
    stripe_step,
    twistd_program,
)
from lae_provision.localcloud.demo.ports import free_ports, free_range
from lae_provision.localcloud.demo.program import Program, Step
from lae_provision.localcloud.demo.state import DemoState, Endpoints
from lae_provision.localcloud.demo.supervisor import Supervisor
from lae_provision.localcloud.demo.watching import Sources, Watching
from lae_provision.localcloud.running import run

#: Two for each signup.
NODE_PORTS = 400

WELCOME = """
S4 runs on this machine.

  Open           {site_url}
  Test cards     4242 4242 4242 4242  works
                 4000 0000 0000 0002  is declined
                 4000 0025 0000 3155  asks for authentication
                 (any date to come, any three digits)
  Mail arrives   {maildir}/new
  Everything     {state_file}
  As operator    {lae} subscriptions list --furl-file {operator_furl_file}

Ctrl-C ends it.
"""


class Demo:
    """One run in *folder*."""

    def __init__(self, reactor: Any, folder: Path, site_port: int) -> None:
        self._reactor, self.folder = reactor, folder
        ports = free_ports(3)
        self.site_port = site_port or ports[0]
        self._tub_ports = ports[1:]
        self._node_ports = free_range(NODE_PORTS)
        self.maildir = folder / "mail"
        self._watching: Deferred[None] | None = None

    def steps(self) -> list[Step]:
        """The local cloud side by side; then the daemon; then the site."""
        folder = self.folder
        plans = config_folder() / "plans.yaml"
        webhook = f"http://localhost:{self.site_port}/webhook/stripe"
        return [
            aws_step(folder / "aws"),
            smtp_step(folder / "smtp", self.maildir),
            stripe_step(folder / "stripe", plans, webhook),
            Step("daemon", self._daemon, after=("aws", "smtp", "stripe"), restart=True),
            Step("site", self._site, after=("daemon",), restart=True),
        ]

    def _daemon(self) -> Program:
        if not (self.folder / "daemon.yaml").exists():
            prepare_secrets(self.folder)
            write_settings(self._ground())
        return twistd_program("lae-flapp", self.folder / "daemon.yaml")

    def _site(self) -> Program:
        return twistd_program("lae-site", self.folder / "site.yaml")

    def _ground(self) -> Ground:
        folder = self.folder
        stripe = json.loads((folder / "stripe" / "endpoint.json").read_text("utf-8"))
        return Ground(
            folder=folder,
            aws=read_facts(folder / "aws" / "aws.json"),
            stripe_endpoint=stripe["stripe_endpoint"],
            stripe_folder=folder / "stripe",
            smtp=json.loads((folder / "smtp" / "smtp.json").read_text("utf-8")),
            site_port=self.site_port,
            private_port=self._tub_ports[0],
            hosts_port=self._tub_ports[1],
            node_ports=self._node_ports,
        )

    def endpoints(self) -> Endpoints:
        """What ``demo.json`` says of this run."""
        ground = self._ground()
        return Endpoints(
            site_url=ground.site_url,
            aws_endpoint=ground.aws["aws_endpoint"],
            s3_endpoint=ground.aws["s3_endpoint"],
            stripe_endpoint=ground.stripe_endpoint,
            maildir=str(self.maildir),
            access_key=ground.aws["access_key"],
            secret_key=ground.aws["secret_key"],
            region=ground.aws["region"],
            operator_furl_file=str(self.folder / "daemon" / "operator.furl"),
            state_dir=str(self.folder),
        )

    def watch(self, endpoints: Endpoints) -> DemoState:
        """Write ``demo.json``, and keep it true from here on."""
        state = DemoState(self.folder / "demo.json", endpoints)
        aws = self._ground().aws
        state.write(aws_control_url=aws["control_url"])
        sources = Sources(
            Path(endpoints.operator_furl_file),
            endpoints.stripe_endpoint,
            self.maildir,
            aws["deployment"],
        )
        watching = Watching(self._reactor, sources, state)
        self._watching = Deferred.fromCoroutine(watching.run())
        return state


def run_demo(folder: Path, *, once: bool, signup: bool, port: int) -> int:
    """Run it until it is ended, or (*once*) until its customer is content."""
    reactor: Any = _reactor
    made = Demo(reactor, folder, port)

    def part(end: Callable[[int], None]) -> Launcher:
        async def then(supervisor: Supervisor) -> None:
            del supervisor
            endpoints = made.endpoints()
            state = made.watch(endpoints)
            _welcome(endpoints, state)
            if not (once or signup):
                return
            perform = perform_once if once else perform_signup
            try:
                await deferToThread(perform, places_of(endpoints, folder), click.echo)
            except Exception as e:  # noqa: BLE001  (whatever failed, the demo failed)
                kind = "" if isinstance(e, StoryFailed) else f"{type(e).__name__}: "
                click.echo(f"\nFAILED: {kind}{e}", err=True)
                end(1)
            else:
                if once:
                    end(0)

        return Launcher(reactor, folder, made.steps(), end=end, then=then)

    with (folder / "launcher.log").open("w", encoding="utf-8") as log:
        return run(reactor, part, lambda _: "", log)


def _welcome(endpoints: Endpoints, state: DemoState) -> None:
    click.echo(
        WELCOME.format(
            site_url=endpoints.site_url,
            maildir=endpoints.maildir,
            state_file=state.path,
            lae=Path(sys.executable).with_name("lae"),
            operator_furl_file=endpoints.operator_furl_file,
        )
    )
