"""``make bench-hosts``: a customer's host on the metal level, and where its time goes.

Each signup gets a machine of its own: Ignition, systemd, podman and the signed image of
this tree.  The parts are told by the daemon's events and the machine's own journal, all
by one clock.
"""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
import time
from pathlib import Path

import click
from attrs import Factory, define

from lae_localcloud.customer.story import sign_up
from lae_localcloud.demo.layout import HOST_PORTS
from lae_localcloud.images import image_of_tree
from lae_localcloud.metal.requirements import why_not
from lae_localcloud.metal.root import make_root
from lae_provision.images.folder import Image
from tests.bench import report
from tests.bench.figures import Figure
from tests.bench.table import table, timings
from tests.end_to_end.process import until
from tests.end_to_end.stack import Stack
from tests.localcloud.conftest import CloudClients
from tests.metal.instance import Instance

NAME = "bench-hosts"
#: The parts of a launch, in their order, by what ends each.
PARTS = (
    "to systemd's first word (power, Ignition)",
    "to the pull (boot, log-in at the registry)",
    "to the image pulled, its signature checked",
    "to the claim (container, imports, a round trip)",
    "to the passed self-test",
)
#: From the bottom up (lae_provision/images/building.py).
LAYERS = ("Debian's packages", "PyPI's packages", "our own wheel")


class BenchFailed(Exception):
    """A host did not tell what it should."""


@define
class Measured:
    """Seconds of each part of each launch; of a second boot; KiB by program."""

    warm: list[list[float]] = Factory(list)
    cold: list[list[float]] = Factory(list)
    again: list[float] = Factory(list)
    resident: dict[str, int] = Factory(dict)


def evict(folder: Path) -> None:
    """Have the kernel forget what it holds of the files below."""
    os.sync()
    for here, _, names in os.walk(folder):
        for name in names:
            path = Path(here, name)
            if path.is_symlink() or not path.is_file():
                continue
            descriptor = os.open(path, os.O_RDONLY)
            try:
                os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
            finally:
                os.close(descriptor)


@define
class Bench:
    """One stack, and its hosts one after the other."""

    stack: Stack
    cloud: CloudClients
    _customers: int = 0

    def launch(self) -> tuple[Instance, list[float]]:
        """A customer's host, and the seconds of its parts."""
        self._customers += 1
        name = f"host-{self._customers}"
        signup = sign_up(self.stack.places(name), f"{name}@example.org", 300)
        (shown,) = self.stack.cloud.instances(signup.signup_id)
        host = Instance(self.cloud, shown["InstanceId"])
        detail = self.stack.operator.show(signup.signup_id)
        at = {e.kind: e.at.timestamp() for e in reversed(detail.events)}
        moments = [
            at["instance-launched"],
            self._said(host, r"^", "-b"),
            self._said(host, r"s4-pull: pulling", "-t", "s4-node"),
            self._said(host, r": [0-9a-f]{64}$", "-t", "s4-node"),
            at["claimed"],
            at["self-test-passed"],
        ]
        pairs = zip(moments[1:], moments, strict=False)
        return host, [later - earlier for later, earlier in pairs]

    def _said(self, host: Instance, words: str, *which: str) -> float:
        """When its journal said so first."""
        told = host.run("journalctl", *which, "-o", "short-unix", "--no-pager", "-q")
        for line in told.splitlines():
            if re.search(words, line):
                return float(line.split()[0])
        raise BenchFailed(f"the host said no {words}:\n{told[-2000:]}")

    def second_boot(self, host: Instance) -> float:
        """Seconds from EC2's reboot until the storage port answers a customer."""
        there = f"https://{host.public}:{HOST_PORTS[1]}/"
        inside = self.cloud.facts["inside"]
        ask = (*inside["client"], "curl", "-sk", "-o", "/dev/null", "-m", "1", there)

        def answers() -> bool:
            return subprocess.run(ask, check=False).returncode == 0

        before = host.console.count("systemd 2")
        began = time.monotonic()
        self.cloud.client("ec2").reboot_instances(InstanceIds=[host.instance_id])
        until(lambda: host.console.count("systemd 2") > before, "it boots", 60, 0.01)
        until(answers, "the host serves", 60, 0.01)
        return time.monotonic() - began

    def resident(self, host: Instance) -> dict[str, int]:
        """KiB of each program of the host."""
        found: dict[str, int] = {}
        for line in host.run("ps", "-eo", "rss=,comm=").splitlines():
            kib, name = line.split(None, 1)
            if name.strip() != "ps":
                found[name.strip()] = found.get(name.strip(), 0) + int(kib)
        return found

    def end(self, host: Instance) -> None:
        """It is not needed any more."""
        self.stack.cloud.halt(host.instance_id)
        host.wait_for("stopped")


def measure(bench: Bench, n: int, n_cold: int) -> Measured:
    """*n* launches with all in memory, *n_cold* with the root file system on disk."""
    found = Measured()
    root = make_root(click.echo)
    registry = bench.stack.layout.aws / "registry"
    # The first one fills what is filled once.
    host, _ = bench.launch()
    bench.end(host)
    for number in range(n):
        host, parts = bench.launch()
        found.warm.append(parts)
        found.again.append(bench.second_boot(host))
        found.resident = bench.resident(host)
        bench.end(host)
        click.echo(f"{number + 1}: {sum(parts):.2f} s, again {found.again[-1]:.2f} s")
    for _ in range(n_cold):
        evict(root)
        evict(registry)
        host, parts = bench.launch()
        found.cold.append(parts)
        bench.end(host)
    return found


def described(machine: str, image: Image, found: Measured) -> str:
    """The section of the document."""
    whole = Figure("launch to the passed self-test, warm", tuple(map(sum, found.warm)))
    columns = zip(PARTS, zip(*found.warm, strict=True), strict=True)
    figures = [
        whole,
        *(Figure(f" {part}", values) for part, values in columns),
        Figure("second boot: EC2's reboot to an answer", tuple(found.again)),
        Figure("launch, root file system not in memory", tuple(map(sum, found.cold))),
    ]
    own = image.layers[-1]
    sizes = [
        *(
            (name, _mb(layer.size))
            for name, layer in zip(LAYERS, image.layers, strict=True)
        ),
        ("the whole image", _mb(image.size)),
        ("pulled when our code alone changed", _mb(own.size + len(image.config.data))),
    ]
    memory = sorted(found.resident.items(), key=lambda one: -one[1])
    resident = [(name, f"{kib / 1024:.1f}") for name, kib in memory]
    return "\n".join(
        [
            machine,
            timings(figures, whole),
            table(("image, compressed", "MB"), sizes),
            table(("resident on a host", "MiB"), resident),
        ]
    )


def _mb(size: int) -> str:
    return f"{size / 1e6:.1f}"


@click.command()
@click.option("--n", default=5, type=click.IntRange(1), help="Launches, all in memory.")
@click.option("--cold", default=2, type=click.IntRange(1), help="Launches from disk.")
@click.option("--write/--no-write", default=True, help="Into docs/benchmarks.rst.")
def main(n: int, cold: int, write: bool) -> None:
    """Measure hosts, print the tables, and write them down."""
    reason = why_not()
    if reason is not None:
        raise click.ClickException(reason)
    machine = report.machine()
    image = image_of_tree("node")
    with tempfile.TemporaryDirectory(prefix="s4-bench-") as folder:
        stack = Stack.new(Path(folder) / "stack", "metal")
        try:
            stack.start_cloud()
            stack.start_daemon()
            stack.start_site()
            stack.until_site_knows(up=True)
            bench = Bench(stack, CloudClients(stack.layout.aws_facts()))
            section = described(machine, image, measure(bench, n, cold))
        finally:
            stack.stop()
    click.echo("\n" + section)
    if write:
        report.write(NAME, section)


if __name__ == "__main__":
    main()
