"""``make bench-release``: what visitors and customers notice of a release.

A host with a systemd of its own, two copies of the site, real processes; visitors load
pages without a pause and customers sign up, while releases and rollbacks go on.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import click
from attrs import Factory, define

from lae_localcloud.state_folder import write_private
from tests.bench import report
from tests.bench.figures import Figure
from tests.bench.table import aim, table, timings
from tests.deploy.machine import ROOT, Machine, why_not
from tests.deploy.ssh import SshServer
from tests.deploy.traffic import Customers, Visitors
from tests.deploy.world import Tree, World
from tests.end_to_end.checks import check_served
from tests.end_to_end.stack import Stack

NAME = "bench-release"


class BenchFailed(Exception):
    """What was measured is not what it should be."""


@define
class Measured:
    """Seconds, one value for each release; and what visitors met in all of them."""

    #: The daemon restarted by systemctl, with no release: what cannot be less.
    floor: list[float] = Factory(list)
    away: list[float] = Factory(list)
    whole: list[float] = Factory(list)
    back: list[float] = Factory(list)
    slowest: list[float] = Factory(list)
    answered: int = 0
    refused: int = 0
    paid: int = 0
    lost: int = 0
    told_to_wait: int = 0


def daemon_away(world: World) -> float:
    """Seconds from the daemon's last stop to when it said that it is ready."""
    names = ("ActiveExitTimestampMonotonic", "ActiveEnterTimestampMonotonic")
    wanted = [word for name in names for word in ("-p", name)]
    said = world.machine.run("systemctl", "show", *wanted, "s4-daemon").stdout
    told = dict(line.split("=", 1) for line in said.splitlines())
    return (int(told[names[1]]) - int(told[names[0]])) / 1e6


def measure(world: World, releases: int, customers_each: int = 1) -> Measured:
    """Release and roll back *releases* times; the first release must run already."""
    found = Measured()
    for number in range(releases):
        world.machine.run("systemctl", "restart", "s4-daemon")
        found.floor.append(daemon_away(world))
        world.tree.write("docs/of-the-benchmark.rst", f"{number}\n")
        world.tree.commit(f"release {number}")
        with (
            Visitors(world.site_url, pause=0.01) as visitors,
            Customers(world.stack, customers_each) as customers,
        ):
            for act, seconds in (("release", found.whole), ("rollback", found.back)):
                began = time.monotonic()
                done = world.release() if act == "release" else world.lae(act)
                if done.returncode:
                    raise BenchFailed(f"{act}: {done.stdout}{done.stderr}")
                seconds.append(time.monotonic() - began)
                found.away.append(daemon_away(world))
        found.slowest.append(visitors.slowest)
        found.answered += sum(visitors.answered.values())
        found.refused += len(visitors.refused)
        found.paid += len(customers.paid)
        found.lost += len(customers.failed)
        found.told_to_wait += customers.told_to_wait
        for customer in customers.paid:
            check_served(world.stack, customer)
        click.echo(f"{number + 1}: away {found.away[-2]:.3f}, {found.away[-1]:.3f} s")
    return found


def described(machine: str, found: Measured) -> str:
    """The section of the document."""
    floor = Figure("floor: systemctl restart s4-daemon", tuple(found.floor))
    away = Figure("daemon away in a release or rollback", tuple(found.away))
    figures = (
        floor,
        away,
        Figure("slowest page meanwhile", tuple(found.slowest)),
        Figure("whole lae deploy release", tuple(found.whole)),
        Figure("whole lae deploy rollback", tuple(found.back)),
    )
    counts = (
        ("pages loaded", str(found.answered)),
        ("pages refused", str(found.refused)),
        ("customers who paid, all served", str(found.paid)),
        ("customers lost", str(found.lost)),
        ("forms answered with 'again in a minute'", str(found.told_to_wait)),
    )
    ratio = away.p50 / floor.p50
    return "\n".join(
        [
            machine,
            timings(figures, floor),
            table(("in all of them", "number"), counts),
            aim("pages refused", found.refused, 0, "")
            + aim("customers lost", found.lost, 0, "")
            + aim("daemon away ÷ floor, p50", ratio, 2, ""),
        ]
    )


def start(folder: Path) -> World:
    """A cloud, a machine, and a first release on it."""
    stack = Stack.new(folder / "stack")
    stack.start_cloud()
    machine = Machine(folder / "machine", (ROOT, folder))
    machine.boot()
    server = SshServer(folder / "ssh", machine)
    world = World(stack, machine, Tree.new(folder / "tree"), server)
    settings = world.settings(folder / "etc")
    listen = f"127.0.0.1:{stack.layout.site_port}"
    tree = str(world.tree.folder)
    first = ("first", "--source", tree, "--config", str(settings), "--listen", listen)
    done = world.lae(*first)
    if done.returncode:
        raise BenchFailed(done.stdout + done.stderr)
    furl = machine.run("cat", "/var/lib/s4/operator.furl").stdout
    stack.layout.daemon.mkdir(exist_ok=True)
    write_private(stack.layout.operator_furl, furl)
    return world


@click.command()
@click.option("--n", default=5, type=click.IntRange(1), help="Releases, and back.")
@click.option("--write/--no-write", default=True, help="Into docs/benchmarks.rst.")
def main(n: int, write: bool) -> None:
    """Measure releases, print the table, and write it down."""
    reason = why_not()
    if reason is not None:
        raise click.ClickException(reason)
    machine = report.machine()
    with tempfile.TemporaryDirectory(prefix="s4-bench-") as folder:
        world = start(Path(folder))
        try:
            section = described(machine, measure(world, n))
        finally:
            world.machine.stop()
            world.stack.stop()
    click.echo("\n" + section)
    if write:
        report.write(NAME, section)


if __name__ == "__main__":
    main()
