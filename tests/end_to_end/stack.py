"""The whole of S4 for the tests: the local cloud and the site are started once, the
daemon as often as a test kills it.
"""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import Any, Literal

import yaml
from attrs import define, field

from lae_localcloud.customer.story import Places
from lae_localcloud.demo.configuration import (
    prepare,
    write_daemon,
    write_site,
)
from lae_localcloud.demo.layout import Layout
from lae_localcloud.demo.once import client_tahoe
from lae_localcloud.demo.parts import (
    aws_step,
    image_step,
    metal_step,
    smtp_step,
    stripe_step,
    twistd_argv,
)
from lae_localcloud.demo.program import Program
from lae_localcloud.ports import free_ports, free_range
from lae_localcloud.state_folder import prepare_state_folder, write_private
from lae_protocol.process.crash import VARIABLE
from tests.end_to_end.arguments import Arguments
from tests.end_to_end.controls import Cloud, Control, Mailbox, Stripe
from tests.end_to_end.operating import Operator
from tests.end_to_end.process import PATIENCE, Process, until

_NODE_PORTS = 600
_CLOUD = ("aws", "smtp", "stripe")


#: A plan whose periods pass while a test looks.
HASTY = "s4-hasty-monthly"


def add_hasty_plan(path: Path) -> None:
    """Sell it, last of all."""
    file = yaml.safe_load(path.read_text())
    hasty = {
        **file["plans"][0],
        "plan_id": HASTY,
        "name": "Hasty",
        "grace": 1,
        "read_only": 1,
        "stopped": 3600,
        "data_kept": 2,
        "sold_below_cost": True,
    }
    file["plans"].append(hasty)
    path.write_text(yaml.safe_dump(file, sort_keys=False))


@define
class Stack:
    """All processes of one run, and how tests reach them."""

    layout: Layout
    node_ports: tuple[int, int]
    arguments: Arguments
    level: Literal["process", "metal"] = "process"
    running: dict[str, Process] = field(factory=dict)
    #: Every cookie that a browser of the tests was given.
    cookies: set[str] = field(factory=set)
    _operator: Operator | None = None

    @classmethod
    def new(cls, folder: Path, level: Literal["process", "metal"] = "process") -> Stack:
        """Nothing runs yet."""
        ports = free_ports(3)
        layout = Layout(
            prepare_state_folder(folder, clean=True), ports[0], (ports[1], ports[2])
        )
        prepare(layout)
        add_hasty_plan(layout.config / "plans.yaml")
        (folder / "logs").mkdir(mode=0o700)
        return cls(layout, free_range(_NODE_PORTS), Arguments(), level)

    # What runs.

    def start_aws(self) -> Process:
        """AWS, S3 and what instances need."""
        layout = self.layout
        step = aws_step(layout.aws, "--ports", *map(str, self.node_ports))
        if self.level == "metal":
            step = metal_step(layout.aws, layout.daemon_ports[1])
        return self.run(step.name, step.make()).ready(step.patience)

    def start_cloud(self) -> None:
        """AWS, S3, SMTP and Stripe side by side; the hosts' image where they have one."""
        layout = self.layout
        plans = layout.config / "plans.yaml"
        webhook = f"{layout.site_url}/webhook/stripe"
        others = [
            smtp_step(layout.smtp, layout.maildir),
            stripe_step(layout.stripe, plans, webhook),
        ]
        for step in others:
            self.run(step.name, step.make())
        if "aws" not in self.running:
            self.start_aws()
        for step in others:
            self.running[step.name].ready()
        if self.level == "metal":
            # Where it is in no cache, it is built first, which takes minutes.
            image = image_step(layout.image, layout.aws)
            assert self.run(image.name, image.make()).ended(image.patience) == 0
        write_daemon(layout, self.node_ports)

    def daemon_program(self, *options: str, **patience: int) -> Program:
        """``twistd lae-flapp``; *patience* changes that part of its settings."""
        path = self.layout.config / "daemon.yaml"
        if patience:
            settings = yaml.safe_load(path.read_text())
            settings["patience"] = {**settings.get("patience", {}), **patience}
            path = path.with_name("daemon-impatient.yaml")
            write_private(path, yaml.safe_dump(settings, sort_keys=False))
        return Program((*twistd_argv("lae-flapp"), *options, "--config", str(path)))

    def daemon_elsewhere(self, *options: str) -> Program:
        """The same daemon on other ports, as on another machine with the journal."""
        path = self.layout.config / "daemon.yaml"
        settings = yaml.safe_load(path.read_text())
        for tub, port in zip(("private_tub", "hosts_tub"), free_ports(2), strict=True):
            listen = f"tcp:{port}:interface=127.0.0.1"
            settings[tub] = {"listen": listen, "location": f"localhost:{port}"}
        path = path.with_name("daemon-elsewhere.yaml")
        write_private(path, yaml.safe_dump(settings, sort_keys=False))
        return Program((*twistd_argv("lae-flapp"), *options, "--config", str(path)))

    def journal_says(self, query: str, *values: str) -> list[Any]:
        """Read the journal from beside the daemon: for when nobody can be asked."""
        journal = self.layout.daemon / "journal" / "journal.sqlite"
        with closing(sqlite3.connect(f"file:{journal}?mode=ro", uri=True)) as opened:
            return opened.execute(query, values).fetchall()

    def journal_numbers(self) -> tuple[int, ...]:
        """How many rows the journal has of what only grows, and whose epoch it is."""
        return tuple(
            self.journal_says(query)[0][0]
            for query in (
                "SELECT COUNT(*) FROM events",
                "SELECT COUNT(*) FROM effects",
                "SELECT COUNT(*) FROM hosts",
                "SELECT COUNT(*) FROM outbox",
                "SELECT number FROM epoch",
            )
        )

    def start_daemon(self, *, crash_at: str = "", **patience: int) -> Process:
        """Run the daemon; one that is to crash may do so before it is ready."""
        env = {VARIABLE: crash_at} if crash_at else {}
        daemon = self.run("daemon", self.daemon_program(**patience), **env)
        if crash_at:
            daemon.ready_or_ended()
        else:
            daemon.ready()
            self.until_site_knows(up=True)
        return daemon

    def start_site(self) -> Process:
        """Run the site; the daemon's first start wrote the furl for it."""
        path = write_site(self.layout)
        argv = (*twistd_argv("lae-site"), "--config", str(path))
        return self.run("site", Program(argv)).ready()

    def run(self, name: str, program: Program, **env: str) -> Process:
        """Start one process; one log for all that have this name.

        The first is executed, as systemd does it; those that come after it are forked
        from a process that has imported the same.
        """
        log = self.layout.root / "logs" / f"{name}.log"
        self.running[name] = Process(name, program, log, env, forked=log.exists())
        return self.running[name]

    @property
    def daemon(self) -> Process:
        return self.running["daemon"]

    @property
    def site(self) -> Process:
        return self.running["site"]

    def stop(self) -> None:
        """All of them, the cloud last."""
        self.arguments.stop()
        if self._operator is not None:
            self._operator.stop()
        cloud = {
            name: self.running.pop(name) for name in _CLOUD if name in self.running
        }
        for process in (*self.running.values(), *cloud.values()):
            process.stop()

    def in_good_times(self) -> None:
        """No faults, fair weather, and daemon and site up: how each test begins."""
        self.cloud.control.calm()
        self.cloud.control.put("slowness", boot=0, visibility=0, profile=0, objects=0)
        self.smtp.calm()
        self.stripe.control.calm()
        self.stripe.weather()
        if self.daemon.code is not None:
            self.start_daemon()
        if self.site.code is not None:
            self.start_site()

    # How it is reached.

    @property
    def cloud(self) -> Cloud:
        return Cloud(self.layout.aws_facts())

    @property
    def smtp(self) -> Control:
        return Control(self.layout.smtp_facts()["control_url"])

    @property
    def stripe(self) -> Stripe:
        key = (self.layout.stripe / "secret-key").read_text().strip()
        return Stripe(self.layout.stripe_endpoint(), key)

    @property
    def mailbox(self) -> Mailbox:
        return Mailbox(self.layout.maildir)

    @property
    def operator(self) -> Operator:
        if self._operator is None:
            log = self.layout.root / "logs" / "operator.log"
            self._operator = Operator(self.layout.operator_furl, log)
        return self._operator

    def places(self, name: str) -> Places:
        """Where a customer of this name finds things."""
        inside = self.layout.aws_facts()["inside"]
        folder = self.layout.root / "customers" / name
        folder.mkdir(parents=True)
        return Places(
            self.layout.site_url,
            self.layout.stripe_endpoint(),
            self.layout.maildir,
            client_tahoe(),
            folder,
            () if inside is None else tuple(inside["client"]),
        )

    def bucket_of(self, signup_id: str) -> str:
        """The customer's."""
        label = self.operator.show(signup_id).row.grid_label
        return f"{self.layout.aws_facts()['deployment']}-{label}"

    def until_site_knows(self, *, up: bool, seconds: float = PATIENCE) -> None:
        """Wait until the site heard from the daemon that runs now (or knows that none
        does): it reuses what it heard last for some seconds, or until one connects.
        """
        import requests  # noqa: PLC0415

        if "site" not in self.running or self.site.code is not None:
            return

        def knows() -> bool:
            url = f"{self.layout.site_url}/health"
            told: dict[str, Any] = requests.get(url, timeout=15).json()
            answers: bool = told["daemon"]["answers"]
            if not (up and answers):
                return answers is up
            heard = time.monotonic() - told["daemon"]["seconds_since_answer"]
            # The age is told in tenths of a second.
            return heard - 0.1 > self.daemon.started

        until(
            knows,
            f"the site knows that the daemon is {'up' if up else 'down'}",
            seconds,
        )
