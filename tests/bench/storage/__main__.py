"""``make bench-storage``: our storage node beside upstream's on the disk.

Everything runs as processes on this machine: a real S3 server, the nodes, and for each
node an unmodified client of PyPI, through whose web API all is done.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import click
from attrs import Factory, define

from lae_storage.server.upload import SINGLE_PUT
from tests.bench import report
from tests.bench.storage import many, requests, restarts, small
from tests.bench.storage.section import FAR_LEAST, LEAST, Results, described
from tests.bench.storage.stage import DISK, NULL, OURS, Stage
from tests.bench.storage.transfers import (
    AGAIN,
    DOWN,
    UP,
    Transfers,
    alternate,
    read_again,
)

NAME = "bench-storage"
PROTOCOLS = ("GBS", "Foolscap")
#: Bytes that a share of some megabytes is longer than its file.
HASHES = 3000


@define(frozen=True)
class Amounts:
    """How often what is measured."""

    alternations: int
    small: int
    rounds: int
    kills: int
    shares: tuple[int, ...]


@define
class Bench:
    """Runs everything on one stage."""

    stage: Stage
    amounts: Amounts
    results: Results = Factory(Results)

    def run(self) -> Results:
        """All of it; small operations last, on a stage of their own."""
        with self.stage.running():
            self._run()
        self._shared()
        return self.results

    def _run(self) -> None:
        """1. whole files, beside the disk and a second disk;
        2. the same with an S3 that is farther away; 3. many clients at once; 4. what
        it costs at S3; 5. nodes that end and come again.
        """
        for megabytes in (m for m in LEAST if m * 1e6 < SINGLE_PUT):
            size = int(megabytes * 1e6) + HASHES
            self.results.last_byte[megabytes] = small.last_byte(
                self.stage.endpoint, self.stage.bucket(), size, self.amounts.small
            )
        for protocol in PROTOCOLS:
            self._near(protocol)
            self._far(protocol)
        self._many()
        self._costs()
        self._restarts()

    def _near(self, protocol: str) -> None:
        with self.stage.grids(DISK, NULL, OURS, protocol=protocol) as grids:
            ours = grids[-1]
            memory, told = [ours.memory()], []
            for megabytes in LEAST:
                # Medians of what takes less need more of it.
                times = self.amounts.alternations * (1 if megabytes >= 100 else 3)
                used = self.stage.cpu()
                told.append(alternate(grids, megabytes, protocol, times))
                if megabytes == max(LEAST):
                    self.results.s3_cpu = (self.stage.cpu() - used) / times
            for _ in range(10):
                alternate([ours], 100, protocol, 1)
                memory.append(ours.memory())
            self.results.memory[protocol] = memory
            read_again(grids, told)
            self.results.near += map(_told, told)

    def _far(self, protocol: str) -> None:
        later = ("first-byte=0.015",)
        times = self.amounts.alternations
        with self.stage.grids(DISK, OURS, protocol=protocol, more=later) as grids:
            told = [alternate(grids, m, protocol, times) for m in FAR_LEAST]
            read_again(grids, told)
            self.results.far += map(_told, told)

    def _many(self) -> None:
        with self.stage.grids(DISK, NULL, OURS, protocol="GBS") as grids:
            self.results.crowds = many.together(grids, self.amounts.rounds, 3)
        click.echo("64 clients at once: done")

    def _costs(self) -> None:
        file = self.stage.folder / "requests"
        more = (f"requests={file}",)
        with self.stage.grids(OURS, protocol="GBS", more=more) as (ours,):
            self.results.costs = requests.costs(ours, requests.Counting(file))
        click.echo("costs: done")

    def _restarts(self) -> None:
        for protocol in PROTOCOLS:
            with self.stage.grids(OURS, protocol=protocol) as (ours,):
                took = restarts.until_the_next_write(ours, self.amounts.kills)
                self.results.next_writes[protocol] = took
        for number, count in enumerate(self.amounts.shares):
            bucket, folder = self.stage.bucket(), self.stage.folder / f"many{number}"
            restarts.fill(self.stage.endpoint, bucket, count)
            took_to_serve = restarts.until_it_serves(
                folder, self.stage.endpoint, bucket
            )
            self.results.starts[count] = took_to_serve
            click.echo(f"serving {count:,} shares after {took_to_serve:.2f} s")

    def _shared(self) -> None:
        """Where the S3 server shares our processors: small operations, in which one
        process works at a time, and large files.
        """
        few = self.amounts.small
        with Stage(self.stage.folder / "shared", shared=True).running() as stage:
            self.results.put = small.one_put(stage.endpoint, stage.bucket(), 10 * few)
            for protocol in PROTOCOLS:
                self._small_but_farther(stage, protocol)
                with stage.grids(DISK, NULL, OURS, protocol=protocol) as grids:
                    self.results.small += small.measure(grids, protocol, few)
                    done = alternate(grids, 100, protocol, self.amounts.alternations)
                    read_again(grids, [done])
                    self.results.shared.append(_told(done))

    def _small_but_farther(self, stage: Stage, protocol: str) -> None:
        later = ("first-byte=0.03",)
        with stage.grids(OURS, protocol=protocol, more=later) as grids:
            for one in small.measure(grids, protocol, self.amounts.small):
                if one.operation == small.OVERWRITE:
                    self.results.far_overwrites[protocol] = one.milliseconds[OURS]


def _told(done: Transfers) -> Transfers:
    for direction in (UP, DOWN, AGAIN):
        click.echo(
            f"{done.megabytes:g} MB {direction} {done.protocol}: "
            + ", ".join(f"{n} {done.speed(direction, n):.1f} MB/s" for n in done.up)
        )
    return done


@click.command()
@click.option("--alternations", default=7, type=click.IntRange(1), help="Of 100 MB.")
@click.option(
    "--small", "few", default=40, type=click.IntRange(1), help="Each small one."
)
@click.option("--rounds", default=4, type=click.IntRange(1), help="Of 64 clients.")
@click.option("--kills", default=5, type=click.IntRange(1), help="Nodes killed.")
@click.option("--many/--few", "much", default=True, help="100,000 shares, too.")
@click.option("--write/--no-write", default=True, help="Into docs/benchmarks.rst.")
def main(
    alternations: int, few: int, rounds: int, kills: int, much: bool, write: bool
) -> None:
    """Measure the storage node, print the tables, and write them down."""
    folder, machine = Path(tempfile.mkdtemp(prefix="s4-bench-")), report.machine()
    shares = (10_000, 100_000) if much else (10_000,)
    stage = Stage(folder)
    try:
        amounts = Amounts(alternations, few, rounds, kills, shares)
        section = described(machine, Bench(stage, amounts).run())
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    click.echo("\n" + section)
    if write:
        report.write(NAME, section)


if __name__ == "__main__":
    main()
