"""``make bench-rollout``: how long a rollout takes, and for how long it refuses customers.

The first is of simulated hosts, which report each minute on a clock of their own, to a
real journal and desk.  The second is of real hosts as processes, whose storage port is
knocked at all the time.
"""

from __future__ import annotations

import socket
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import click
import yaml
from attrs import Factory, define

from lae_localcloud.booter.booter import PROGRAMS
from lae_localcloud.booter.programs import Programs
from lae_localcloud.demo.parts import twistd_argv
from lae_localcloud.state_folder import write_private
from lae_protocol.ids import signup_id_of_form
from lae_protocol.operator_messages import AskPlans, GiveFree
from lae_protocol.rollout_messages import AskRollout, StartRollout
from tests.bench import report
from tests.bench.figures import Figure
from tests.bench.table import aim, table, timings
from tests.end_to_end.process import until
from tests.end_to_end.stack import Stack
from tests.rollout.conftest import MEMORY
from tests.rollout.fleet import NEW, Fleet

NAME = "bench-rollout"
#: Between two knocks at a port.
KNOCK = 0.02  # s
PATIENCE = 3600.0  # s
#: What the issue allows a customer to be refused.
REFUSED_AT_MOST = 5.0  # s
NODE = (*twistd_argv("lae-node"), "--config", "etc/s4/node.yaml")


@define(frozen=True)
class Simulated:
    """Minutes on the hosts' clock, and seconds of the daemon's looks."""

    hosts: int
    minutes: float
    looks: tuple[float, ...]


def simulate(hosts: int, canaries: int, step: int) -> Simulated:
    """A good program on so many hosts, without pauses between the steps."""
    with tempfile.TemporaryDirectory(prefix="s4-bench-", dir=MEMORY) as folder:
        fleet = Fleet(Path(folder) / "journal")
        fleet.start()
        try:
            for _ in range(hosts):
                fleet.add_host()
            fleet.begin(canaries=canaries, step=step, pause=0)
            began, looks = fleet.clock.seconds(), []
            while fleet.rollout.state == "going":
                fleet.clock.advance(60)
                for host in fleet.hosts.values():
                    fleet.report(host)
                before = time.perf_counter()
                fleet.look()
                looks.append(time.perf_counter() - before)
            assert fleet.running(NEW) == hosts
            minutes = (fleet.clock.seconds() - began) / 60
        finally:
            fleet.stop()
    return Simulated(hosts, minutes, tuple(looks))


@define
class Knocking:
    """Knocks at one port without a pause; adds up for how long nobody opened."""

    port: int
    refused: float = 0.0
    _ended: threading.Event = Factory(threading.Event)
    _thread: threading.Thread | None = None

    def begin(self) -> None:
        """From now on."""
        self._thread = threading.Thread(target=self._knock)
        self._thread.start()

    def end(self) -> float:
        """Tell the seconds."""
        self._ended.set()
        assert self._thread is not None
        self._thread.join()
        return self.refused

    def _knock(self) -> None:
        since: float | None = None
        while not self._ended.wait(KNOCK):
            now = time.monotonic()
            try:
                socket.create_connection(("127.0.0.1", self.port), 5).close()
            except OSError:
                since = now if since is None else since
            else:
                self.refused += 0.0 if since is None else time.monotonic() - since
                since = None


def refused(customers: int) -> tuple[float, ...]:
    """Seconds that each customer's storage port was closed in a whole rollout."""
    with tempfile.TemporaryDirectory(prefix="s4-bench-") as folder:
        stack = Stack.new(Path(folder) / "s4")
        try:
            stack.start_cloud()
            path = stack.layout.config / "daemon.yaml"
            settings = yaml.safe_load(path.read_text())
            settings["cells"][0]["node"] = {"report_seconds": 5}
            write_private(path, yaml.safe_dump(settings, sort_keys=False))
            stack.start_daemon(rollout=1)
            stack.start_site()
            _serve(stack, customers)
            knocking = [Knocking(port) for port in _storage_ports(stack)]
            for one in knocking:
                one.begin()
            try:
                _roll_out(stack)
            finally:
                found = tuple(one.end() for one in knocking)
        finally:
            stack.stop()
    return found


def _serve(stack: Stack, customers: int) -> None:
    (plan, *_) = stack.operator.insist(AskPlans()).plans
    for number in range(customers):
        signup_id = signup_id_of_form(f"bench {number}".encode())
        email = f"c{number}@example.org"
        stack.operator.insist(GiveFree(signup_id, email, plan.plan_id, "bench"))

    def all_run() -> bool:
        told = stack.operator.insist(AskRollout())
        return sum(one.hosts for one in told.running if one.image) == customers

    until(all_run, "all are served", PATIENCE, pause=1.0)


def _storage_ports(stack: Stack) -> Sequence[int]:
    query = "SELECT port FROM ports WHERE purpose = 'storage' ORDER BY port"
    return [port for (port,) in stack.journal_says(query)]


def _roll_out(stack: Stack) -> None:
    program = Programs(stack.layout.aws / PROGRAMS).publish(2, NODE)
    stack.operator.insist(StartRollout(program, 1, 25, 0, "bench"))

    def is_over() -> bool:
        rollout = stack.operator.insist(AskRollout()).rollout
        return rollout is not None and rollout.state in {"finished", "gone-back"}

    until(is_over, "the rollout is over", PATIENCE, pause=1.0)
    rollout = stack.operator.insist(AskRollout()).rollout
    if rollout is None or rollout.state != "finished":
        sys.exit(f"the rollout failed: {rollout}")


def described(machine: str, simulated: Simulated, closed: Sequence[float]) -> str:
    """The section of the document."""
    looks = Figure("a look of the daemon at all hosts", simulated.looks)
    ports = Figure("a customer's storage port is closed", tuple(closed))
    counts = (
        ("simulated hosts", str(simulated.hosts)),
        ("minutes of the whole rollout, without pauses", f"{simulated.minutes:.0f}"),
        ("customers with real hosts", str(len(closed))),
    )
    return "\n".join(
        [
            machine,
            timings((looks, ports), looks),
            table(("in all", "number"), counts),
            aim("seconds refused, at most", max(closed), REFUSED_AT_MOST, " s"),
        ]
    )


@click.command()
@click.option("--hosts", default=1000, type=click.IntRange(1), help="Simulated ones.")
@click.option("--customers", default=100, type=click.IntRange(1), help="Real hosts.")
@click.option("--write/--no-write", default=True, help="Into docs/benchmarks.rst.")
def main(hosts: int, customers: int, write: bool) -> None:
    """Measure rollouts, print the table, and write it down."""
    machine = report.machine()
    simulated = simulate(hosts, max(1, hosts // 100), 10)
    section = described(machine, simulated, refused(customers))
    click.echo("\n" + section)
    if write:
        report.write(NAME, section)


if __name__ == "__main__":
    main()
