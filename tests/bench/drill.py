"""``make bench-drill``: how long it takes until everything is built from the backup, and
proved, by customers.

A journal with so many served customers, each with keys sealed to the recovery key and a
host with a furl of its own; Litestream's objects lie in a folder.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

import click
from attrs import define
from twisted.internet.defer import Deferred
from twisted.internet.task import react

from lae_flapp.disaster.proving import prove
from lae_flapp.disaster.rebuilding import build
from lae_flapp.disaster.shelf import FolderShelf
from tests.bench import report
from tests.bench.table import table
from tests.disaster.ground import HOME, Machine

NAME = "bench-drill"


@define(frozen=True)
class Measured:
    """In seconds; *journal* in bytes."""

    customers: int
    built: float
    proved: float
    heard: int
    journal: int


async def measure(reactor: Any, customers: int, folder: Path) -> Measured:
    """Build and prove once, in an empty *folder*."""
    machine = Machine(folder / "machine", folder / "bucket")
    machine.install()
    machine.fill(range(customers))
    machine.back_up()
    shelf = FolderShelf(machine.bucket, HOME.deployment)
    key, began = machine.recovery_key, time.monotonic()
    built = await build(shelf, key, folder / "into", click.echo)
    there = time.monotonic()
    proof = await prove(reactor, built, key, machine.vault, click.echo)
    return Measured(
        customers,
        there - began,
        time.monotonic() - there,
        proof.heard,
        machine.journal.stat().st_size,
    )


def described(machine: str, found: list[Measured]) -> str:
    """The section of the document."""
    head = ("customers", "built, s", "proved, s", "hosts heard", "journal, MB")
    rows = [
        (
            str(one.customers),
            f"{one.built:.1f}",
            f"{one.proved:.1f}",
            str(one.heard),
            f"{one.journal / 1e6:.1f}",
        )
        for one in found
    ]
    return "\n".join([machine, table(head, rows)])


@click.command()
@click.option("--customers", multiple=True, type=int, default=(100, 10_000))
@click.option("--write/--no-write", default=True, help="Into docs/benchmarks.rst.")
def main(customers: tuple[int, ...], *, write: bool) -> None:
    """Measure a drill."""
    machine, found = report.machine(), list[Measured]()

    async def measuring(reactor: Any) -> None:
        for many in customers:
            with tempfile.TemporaryDirectory() as folder:
                found.append(await measure(reactor, many, Path(folder)))
        section = described(machine, found)
        click.echo(section)
        if write:
            report.write(NAME, section)

    react(lambda reactor: Deferred.fromCoroutine(measuring(reactor)))


if __name__ == "__main__":
    main()
