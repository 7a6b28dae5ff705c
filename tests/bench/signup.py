"""``make bench-signup``: from the payment to the furl, the mail and the first file.

Everything runs as processes on this machine, as ``make demo`` runs it.  The customers
know S4 only from outside; between two of them the floor is measured.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import attrs
import click
from attrs import Factory, define

from tests.bench import floor, report
from tests.bench.customer import Customer
from tests.bench.figures import Moments
from tests.bench.section import Results, described
from tests.bench.stage import Stage, StageFailed
from tests.bench.waiting_client import WaitingClient

NAME = "bench-signup"


@define(frozen=True)
class Amounts:
    """How often what is measured."""

    n: int
    files: int
    at_once: int
    kills: int


@define
class Bench:
    """Runs everything on one stage."""

    stage: Stage
    amounts: Amounts
    results: Results = Factory(Results)
    _customers: int = 0

    def run(self) -> Results:
        """1. signups one after the other, each after a floor; some with a client
        that waits; 2. hosts killed under a running client; 3. many signups at once;
        4. what each process holds then.
        """
        every = max(1, self.amounts.n // max(1, self.amounts.files))
        for number in range(self.amounts.n):
            self._floor()
            self._one()
            if number % every == 0 and len(self.results.with_file) < self.amounts.files:
                self._one_with_file()
        self._kills()
        self._together()
        self.results.memory = self.stage.memory()
        self.stage.stop_all()
        self._nothing_was_doubled()
        return self.results

    def _customer(self, **more: Any) -> Customer:
        self._customers += 1
        address = f"customer-{self._customers}@example.org"
        return Customer(self.stage.places(), address, **more)

    def _floor(self) -> None:
        places = self.stage.places()
        took = floor.measure(places.tahoe, places.folder / "floor")
        self.results.floor.append(took)

    def _one(self) -> None:
        customer = self._customer()
        customer.go_to_checkout()
        moments = customer.pay()
        self.results.alone.append(moments)
        click.echo(_line(len(self.results.alone), moments, self.results.floor[-1]))
        self.stage.stop_all()

    def _client(self) -> WaitingClient:
        places = self.stage.places()
        client = WaitingClient(places.folder / "client", places.tahoe)
        client.prepare()
        return client

    def _one_with_file(self) -> None:
        client = self._client()
        try:
            customer = self._customer(on_furl=client.go)
            customer.go_to_checkout()
            moments = customer.pay()
            moments = attrs.evolve(moments, stored=client.stored_at())
        finally:
            client.close()
        self.results.with_file.append(moments)
        click.echo(_line(len(self.results.with_file), moments))
        self.stage.stop_all()

    def _kills(self) -> None:
        client = self._client()
        try:
            customer = self._customer(on_furl=client.go)
            customer.go_to_checkout()
            customer.pay()
            client.stored_at()
            (host,) = self.stage.running()
            for number in range(self.amounts.kills):
                self.stage.wait_for_host(host, 1 + number)
                client.write_until_it_works()
                killed = time.monotonic()
                self.stage.kill_host(host)
                client.write_until_it_works()
                self.results.recovered.append(time.monotonic() - killed)
                click.echo(f"written {self.results.recovered[-1]:.3f} s after a kill")
        finally:
            client.close()
        self.stage.stop_all()

    def _together(self) -> None:
        customers = [self._customer() for _ in range(self.amounts.at_once)]
        for customer in customers:
            customer.go_to_checkout()
        with ThreadPoolExecutor(len(customers)) as threads:
            paying = [threads.submit(customer.pay) for customer in customers]
            self.results.together = [each.result() for each in paying]
        for number, moments in enumerate(self.results.together, 1):
            click.echo(_line(number, moments))
        mails = [m for c in customers for m in self.stage.message_ids(c.address)]
        if not len(mails) == len(set(mails)) == len(customers):
            raise StageFailed(f"{len(customers)} customers got {len(mails)} mails")

    def _nothing_was_doubled(self) -> None:
        """As many hosts and subscriptions as customers, each another's."""
        for what, signups in (
            ("instances", self.stage.launched_for()),
            ("subscriptions", self.stage.subscribed()),
        ):
            if not len(signups) == len(set(signups)) == self._customers:
                raise StageFailed(
                    f"{self._customers} customers, {len(signups)} {what} "
                    f"of {len(set(signups))} signups"
                )


def _line(number: int, moments: Moments, floor_took: float | None = None) -> str:
    parts = [
        f"{number:3}: furl {moments.since_payment(moments.furl):.3f}",
        f"mail {moments.since_payment(moments.mail):.3f}",
    ]
    if moments.stored is not None:
        parts.append(f"file {moments.since_payment(moments.stored):.3f}")
    if floor_took is not None:
        parts.append(f"floor {floor_took:.3f}")
    return ", ".join(parts)


@click.command()
@click.option("--n", default=50, type=click.IntRange(1), help="Signups in turn.")
@click.option("--files", default=10, type=click.IntRange(1), help="With a client.")
@click.option("--at-once", default=10, type=click.IntRange(1), help="Signups at once.")
@click.option("--kills", default=5, type=click.IntRange(1), help="Hosts killed.")
@click.option("--state-dir", type=click.Path(path_type=Path), help="Kept, if given.")
@click.option("--write/--no-write", default=True, help="Into docs/benchmarks.rst.")
def main(
    n: int, files: int, at_once: int, kills: int, state_dir: Path | None, write: bool
) -> None:
    """Measure signups, print the tables, and write them down."""
    folder = state_dir or Path(tempfile.mkdtemp(prefix="s4-bench-"))
    stage, machine = Stage(folder), report.machine()
    bench = Bench(stage, Amounts(n, files, at_once, kills))
    try:
        stage.start()
        section = described(machine, bench.run())
    finally:
        stage.stop()
    if state_dir is None:
        shutil.rmtree(folder)
    click.echo("\n" + section)
    if write:
        report.write(NAME, section)


if __name__ == "__main__":
    main()
