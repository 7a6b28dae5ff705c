"""``make bench-operations``: what operators wait for, with many customers."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import click
from attrs import Factory, define

from tests.bench import many_signups, report
from tests.bench.figures import Figure
from tests.bench.table import aim, timings
from tests.end_to_end.stack import Stack

NAME = "bench-operations"
LAE = Path(sys.executable).with_name("lae")

#: The same rows by the database alone, printed by the same Python.
RAW = """
import sqlite3, sys
rows = sqlite3.connect(sys.argv[1]).execute('''
    SELECT s.signup_id, s.state, c.typed, s.plan_id, s.grid_label, h.instance_id,
           s.changed_at FROM signups s
    JOIN contacts c ON c.signup_id = s.signup_id AND c.until IS NULL
    LEFT JOIN hosts h ON h.signup_id = s.signup_id AND h.state != 'gone'
    WHERE c.folded LIKE '%' || ? || '%' ORDER BY s.number DESC''', (sys.argv[2],))
for row in rows:
    print(*row, sep='  ')
"""


@define
class Clock:
    """Runs commands as an operator does, and takes their times."""

    env: dict[str, str]
    times: dict[str, list[float]] = Factory(dict)

    def note(self, name: str, seconds: float) -> None:
        """One more of this name."""
        self.times.setdefault(name, []).append(seconds)

    def figure(self, name: str) -> Figure:
        """All of this name."""
        return Figure(name, tuple(self.times[name]))

    def timed(self, name: str, argv: Sequence[object]) -> str:
        """Run to the end; what it printed."""
        begun = time.perf_counter()
        done = subprocess.run(
            list(map(str, argv)),
            env=self.env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=True,
        )
        self.note(name, time.perf_counter() - begun)
        return done.stdout

    def streamed(self, name: str, argv: Sequence[object], rows: int) -> None:
        """Run to the end, and note when the first row (after its header) came."""
        begun = time.perf_counter()
        with subprocess.Popen(
            list(map(str, argv)), env=self.env, stdout=subprocess.PIPE
        ) as running:
            assert running.stdout is not None
            running.stdout.readline()
            assert running.stdout.readline()
            self.note(f"{name}: first row", time.perf_counter() - begun)
            more = len(running.stdout.read().splitlines())
        self.note(f"{name}: whole list", time.perf_counter() - begun)
        assert running.returncode == 0
        assert more == rows - 1, f"{more + 1} rows, not {rows}"


@define
class Bench:
    """One stack, and one journal of *signups*."""

    stack: Stack
    signups: int
    n: int
    clock: Clock

    @property
    def journal(self) -> Path:
        """The daemon's."""
        return self.stack.layout.daemon / "journal" / "journal.sqlite"

    def run(self) -> None:
        """1. restarts with nobody; 2. with everybody; 3. lists and searches; 4. a copy,
        and its restoring.
        """
        self.stack.start_cloud()
        self._restarts("floor: restart of the daemon, nobody in the journal")
        many_signups.fill(self.journal, self.signups)
        self._restarts(f"restart of the daemon, {self.signups} signups")
        self.stack.start_daemon()
        self._lists()
        self.stack.daemon.stop()
        self._restores()

    def _restarts(self, name: str) -> None:
        for number in range(self.n + 1):
            begun = time.perf_counter()
            daemon = self.stack.start_daemon()
            took = time.perf_counter() - begun
            daemon.stop()
            # The first start of all makes what the others find.
            if number:
                self.clock.note(name, took)

    def _lists(self) -> None:
        clock, some = self.clock, "@mail7.example.org"
        for _ in range(self.n):
            clock.timed("floor: python -c pass", [sys.executable, "-c", "pass"])
            clock.timed("lae --help", [LAE, "--help"])
            clock.timed("start-up: subscriptions list --help", [LAE, *LIST, "--help"])
            raw = [sys.executable, "-c", RAW, self.journal]
            clock.timed("floor: all rows by sqlite3 alone", [*raw, ""])
            clock.streamed("subscriptions list", [LAE, *LIST, "--all"], self.signups)
            clock.timed("floor: a search by sqlite3 alone", [*raw, some])
            clock.streamed(
                "subscriptions search",
                [LAE, "subscriptions", "search", some, "--all"],
                len(range(7, self.signups, 50)),
            )

    def _restores(self) -> None:
        clock, folder = self.clock, self.stack.layout.root
        daemon = ["--daemon", self.stack.layout.config / "daemon.yaml"]
        for number in range(self.n):
            copy = folder / f"copy-{number}.sqlite"
            clock.timed("journal backup", [LAE, "journal", "backup", *daemon, copy])
            clock.timed("journal check", [LAE, "journal", "check", *daemon])
            _note(clock, "floor: the file copied and synced", lambda c=copy: _synced(c))
            restore = [LAE, "journal", "restore", *daemon, "--yes", copy]
            clock.timed("journal restore", restore)
            copy.unlink()


LIST = ("subscriptions", "list")


def _note(clock: Clock, name: str, work: Callable[[], object]) -> None:
    begun = time.perf_counter()
    work()
    clock.note(name, time.perf_counter() - begun)


def _synced(path: Path) -> None:
    target = path.with_suffix(".raw")
    shutil.copyfile(path, target)
    descriptor = os.open(target, os.O_RDONLY)
    os.fsync(descriptor)
    os.close(descriptor)
    target.unlink()


def described(machine: str, bench: Bench, size: int) -> str:
    """The section of the document."""
    clock, count = bench.clock, bench.signups
    figures = [clock.figure(name) for name in clock.times]
    unit = clock.figure("floor: python -c pass")
    start_up = clock.figure("start-up: subscriptions list --help").p50

    def after(name: str) -> float:
        return clock.figure(name).p95 - start_up

    aims = (
        ("lae --help, p95", clock.figure("lae --help").p95, 0.25),
        (
            "list: first row after start-up, p95",
            after("subscriptions list: first row"),
            0.3,
        ),
        ("list: whole after start-up, p95", after("subscriptions list: whole list"), 2),
        (
            "search: first row after start-up, p95",
            after("subscriptions search: first row"),
            0.3,
        ),
        (
            "search: whole after start-up, p95",
            after("subscriptions search: whole list"),
            2,
        ),
        (
            f"restart of the daemon, {count} signups, p95",
            clock.figure(f"restart of the daemon, {count} signups").p95,
            5,
        ),
    )
    return "\n".join(
        [
            machine,
            f"The journal of {count} signups has {size / 2**20:.0f} MiB.\n",
            timings(figures, unit),
            "".join(aim(what, value, limit, " s") for what, value, limit in aims),
        ]
    )


@click.command()
@click.option("--signups", default=10_000, type=click.IntRange(100))
@click.option("--n", default=10, type=click.IntRange(1), help="How often each.")
@click.option("--write/--no-write", default=True, help="Into docs/benchmarks.rst.")
def main(signups: int, n: int, write: bool) -> None:
    """Measure what operators wait for, print the table, and write it down."""
    machine = report.machine()
    folder = Path(tempfile.mkdtemp(prefix="s4-bench-"))
    stack = Stack.new(folder / "stack")
    env = {**os.environ, "S4_OPERATOR_FURL_FILE": str(stack.layout.operator_furl)}
    bench = Bench(stack, signups, n, Clock(env))
    try:
        bench.run()
        section = described(machine, bench, bench.journal.stat().st_size)
    finally:
        stack.stop()
        shutil.rmtree(folder, ignore_errors=True)
    click.echo("\n" + section)
    if write:
        report.write(NAME, section)


if __name__ == "__main__":
    main()
