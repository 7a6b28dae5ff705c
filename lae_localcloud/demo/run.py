"""The demo, put together: which programs, after which others, and what is said."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import click
from twisted.internet import reactor as _reactor
from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThread

from lae_localcloud.customer.story import StoryFailed
from lae_localcloud.demo.configuration import (
    prepare,
    write_daemon,
    write_site,
)
from lae_localcloud.demo.launcher import Launcher
from lae_localcloud.demo.layout import Layout
from lae_localcloud.demo.once import perform_once, perform_signup
from lae_localcloud.demo.parts import (
    aws_step,
    image_step,
    metal_step,
    service_step,
    smtp_step,
    stripe_step,
)
from lae_localcloud.demo.program import Step
from lae_localcloud.demo.state import DemoState, Endpoints
from lae_localcloud.demo.supervisor import Supervisor
from lae_localcloud.demo.watching import Sources, Watching
from lae_localcloud.metal.root import cache_folder
from lae_localcloud.ports import free_ports, free_range
from lae_localcloud.running import run

Level = Literal["process", "metal"]

#: Two for each signup.
NODE_PORTS = 400

WELCOME = """
S4 runs on this machine.

  Open           {site_url}
  Test cards     4242 4242 4242 4242  works
                 4000 0000 0000 0002  is declined
                 4000 0025 0000 3155  asks for authentication
                 (any date to come, any three digits)
  Metrics        {daemon_metrics_url}  the daemon's
                 {site_metrics_url}  the site's
  Mail arrives   {maildir}/new
  Everything     {state_file}
  As operator    {lae} subscriptions list --furl-file {operator_furl_file}

Ctrl-C ends it.
"""

MAKING = """
Starting.  The hosts' root file system and image are made once and kept in {cache};
where they are not there yet, that takes some minutes: aws.log and image.log in
{logs} say how far it is.
"""

METAL = """
Hosts are machines with a network of their own.  A customer's programs reach them with
these words before each, as root:

  {words}
"""


def steps(layout: Layout, node_ports: tuple[int, int], level: Level) -> list[Step]:
    """The local cloud side by side; then the daemon; then the site."""
    webhook = f"{layout.site_url}/webhook/stripe"
    plans = layout.config / "plans.yaml"
    cloud: tuple[str, ...] = ("aws", "smtp", "stripe")
    aws = aws_step(layout.aws, "--ports", *map(str, node_ports))
    before: list[Step] = []
    if level == "metal":
        aws = metal_step(layout.aws, layout.daemon_ports[1])
        before = [image_step(layout.image, layout.aws)]
        cloud = (*cloud, "image")

    def configure() -> Path:
        return write_daemon(layout, node_ports)

    return [
        aws,
        *before,
        smtp_step(layout.smtp, layout.maildir),
        stripe_step(layout.stripe, plans, webhook),
        service_step("daemon", "lae-flapp", configure, cloud),
        service_step("site", "lae-site", lambda: write_site(layout), ("daemon",)),
    ]


def endpoints_of(layout: Layout) -> Endpoints:
    """What ``demo.json`` says of this run."""
    aws = layout.aws_facts()
    return Endpoints(
        site_url=layout.site_url,
        aws_endpoint=aws["aws_endpoint"],
        s3_endpoint=aws["s3_endpoint"],
        stripe_endpoint=layout.stripe_endpoint(),
        maildir=str(layout.maildir),
        access_key=aws["access_key"],
        secret_key=aws["secret_key"],
        region=aws["region"],
        operator_furl_file=str(layout.operator_furl),
        state_dir=str(layout.root),
        customer=tuple(() if aws["inside"] is None else aws["inside"]["client"]),
    )


class Demo:
    """What is done once all programs are ready."""

    def __init__(
        self,
        reactor: Any,
        layout: Layout,
        perform: Callable[..., object] | None,
        ended: Callable[[int], None],
    ) -> None:
        self._reactor, self._layout = reactor, layout
        self._perform, self._ended = perform, ended
        self._watching: Deferred[None] | None = None

    async def ready(self, supervisor: Supervisor) -> None:
        """Say where everything is; then perform what was asked for."""
        del supervisor
        endpoints = endpoints_of(self._layout)
        self._watch(endpoints)
        click.echo(
            WELCOME.format(
                site_url=endpoints.site_url,
                maildir=endpoints.maildir,
                state_file=self._layout.state_file,
                lae=Path(sys.executable).with_name("lae"),
                operator_furl_file=endpoints.operator_furl_file,
                **self._layout.metrics_urls,
            )
        )
        if endpoints.customer:
            click.echo(METAL.format(words=shlex.join(endpoints.customer)))
        if self._perform is not None:
            # Not waited for: a Ctrl-C meanwhile ends everything at once.
            performed = deferToThread(
                self._perform, endpoints, self._layout.root, click.echo
            )
            performed.addCallbacks(lambda _: self._ended(0), self._failed)

    def _failed(self, failure: Any) -> None:
        kind = "" if failure.check(StoryFailed) else f"{failure.type.__name__}: "
        click.echo(f"\nFAILED: {kind}{failure.getErrorMessage()}", err=True)
        self._ended(1)

    def _watch(self, endpoints: Endpoints) -> None:
        """Write ``demo.json``, and keep it true from here on."""
        aws = self._layout.aws_facts()
        state = DemoState(self._layout.state_file, endpoints)
        state.write(aws_control_url=aws["control_url"], **self._layout.metrics_urls)
        sources = Sources(
            self._layout.operator_furl,
            endpoints.stripe_endpoint,
            self._layout.maildir,
            aws["deployment"],
        )
        watching = Watching(self._reactor, sources, state)
        self._watching = Deferred.fromCoroutine(watching.run())


def run_demo(
    folder: Path, *, once: bool, signup: bool, port: int, level: Level = "process"
) -> int:
    """Run it until it is ended, or (*once*) until its customer is content."""
    reactor: Any = _reactor
    ports = free_ports(3)
    layout = Layout(folder, port or ports[0], (ports[1], ports[2]))
    prepare(layout)
    node_ports = free_range(NODE_PORTS)
    if level == "metal":
        click.echo(MAKING.format(cache=cache_folder(), logs=folder / "logs"))
    perform = perform_once if once else perform_signup if signup else None

    def part(end: Callable[[int], None]) -> Launcher:
        def ended(code: int) -> None:
            # After --signup alone, all goes on until somebody ends it.
            if once or code:
                end(code)

        demo = Demo(reactor, layout, perform, ended)
        return Launcher(
            reactor,
            folder,
            steps(layout, node_ports, level),
            end=end,
            then=demo.ready,
        )

    with (folder / "launcher.log").open("w", encoding="utf-8") as log:
        return run(reactor, part, lambda _: "", log)
