"""``make bench-backup``: how late the backup is, and what it costs, by customers.

A journal with so many served customers, whose hosts report as often as real ones do;
real Litestream; a real S3 server behind a counter of requests and bytes.
"""

from __future__ import annotations

import asyncio
import sqlite3
import statistics
import tempfile
import threading
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import click
from attrs import Factory, define
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from lae_flapp.journal.journal import Journal
from lae_flapp.journal.meta import home_of
from lae_flapp.journal.threads import SameThread
from tests.backup.conftest import BUCKET, Desk, settings_in, synced
from tests.bench import many_signups, report
from tests.bench.table import aim, table
from tests.storage.conftest import S3Server, start_weed
from tests.twins.journal import answer

NAME = "bench-backup"
#: A host reports so often, and the daemon beats.
REPORT_EVERY = 60.0  # s
BEAT_EVERY = 15.0  # s
#: Between two looks at how late the backup is: as signups that wait for it come.
PROBE_EVERY = 0.5  # s
DAY = 86_400.0  # s
_REPORT = '{"healthy": true, "used": 123456789, "traffic": 98765432, "problem": ""}'


@define
class Counter:
    """Passes connections on to *port* of this machine, and counts."""

    port: int
    sent: int = 0
    requests: dict[str, int] = Factory(dict)
    listens: int = 0

    def start(self) -> None:
        """Listen, in a thread of its own."""
        ready = threading.Event()
        threading.Thread(
            target=asyncio.run, args=(self._run(ready),), daemon=True
        ).start()
        ready.wait(10)

    async def _run(self, ready: threading.Event) -> None:
        server = await asyncio.start_server(self._met, "127.0.0.1", 0)
        self.listens = server.sockets[0].getsockname()[1]
        ready.set()
        await server.serve_forever()

    async def _met(self, inward: Any, back: Any) -> None:
        answers, outward = await asyncio.open_connection("127.0.0.1", self.port)
        await asyncio.gather(
            self._pass(inward, outward, counted=True),
            self._pass(answers, back, counted=False),
        )

    async def _pass(self, source: Any, target: Any, *, counted: bool) -> None:
        while data := await source.read(1 << 16):
            if counted:
                self.sent += len(data)
                verb = data[:8].partition(b" ")[0].decode("ascii", "replace")
                if verb in {"GET", "PUT", "POST", "HEAD", "DELETE"}:
                    self.requests[verb] = self.requests.get(verb, 0) + 1
            target.write(data)
            await target.drain()
        target.close()


@define
class Measured:
    customers: int
    commits: int
    seconds: float
    lags: list[float]
    sent: int
    requests: dict[str, int]
    journal: int


def measure(customers: int, seconds: float) -> Measured:
    """1. A journal, filled; 2. Litestream, with a whole copy in the bucket; 3. commits as
    with so many hosts, while from time to time somebody waits for the backup.
    """
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        server, endpoint = start_weed(folder / "weed")
        s3 = S3Server(endpoint)
        s3.make_bucket(BUCKET)
        s3.version(BUCKET)
        counter = Counter(int(endpoint.rpartition(":")[2]))
        counter.start()
        settings = settings_in(folder / "state", f"http://127.0.0.1:{counter.listens}")
        settings.state.mkdir(mode=0o700)
        desk = Desk(settings, s3, server)
        try:
            return _measured(desk, counter, customers, seconds)
        finally:
            desk.end()
            server.kill()
            server.wait()


def _measured(desk: Desk, counter: Counter, customers: int, seconds: float) -> Measured:
    path = desk.settings.journal
    path.parent.mkdir(mode=0o700)
    journal = Journal(
        path, home_of(desk.settings), Clock(), SameThread(), backed_up=True
    )
    answer(Deferred.fromCoroutine(journal.open()))
    answer(Deferred.fromCoroutine(journal.close()))
    many_signups.fill(path, customers)
    desk.start()
    desk.sync()
    before, asked = counter.sent, dict(counter.requests)
    commits, lags = _commit(desk, customers, seconds)
    return Measured(
        customers,
        commits,
        seconds,
        lags,
        counter.sent - before,
        {k: v - asked.get(k, 0) for k, v in counter.requests.items()},
        path.stat().st_size,
    )


def _commit(desk: Desk, customers: int, seconds: float) -> tuple[int, list[float]]:
    """Commit as so many hosts and the daemon do; how long who waited has waited."""
    pause = 1 / (customers / REPORT_EVERY + 1 / BEAT_EVERY)
    lags: list[float] = []
    over = threading.Event()

    def probe() -> None:
        while not over.wait(PROBE_EVERY):
            begun = time.monotonic()
            if synced(desk.settings, 10):
                lags.append(time.monotonic() - begun)

    probing = threading.Thread(target=probe)
    probing.start()
    commits, until, due = 0, time.monotonic() + seconds, time.monotonic()
    with closing(sqlite3.connect(desk.settings.journal, isolation_level=None)) as db:
        for pragma in ("synchronous=FULL", "wal_autocheckpoint=0", "busy_timeout=5000"):
            db.execute(f"PRAGMA {pragma}")
        while time.monotonic() < until:
            due += pause
            time.sleep(max(0.0, due - time.monotonic()))
            db.execute("BEGIN IMMEDIATE")
            db.execute(
                "UPDATE hosts SET report = ?, reported_at = ? WHERE rowid = ?",
                (_REPORT, f"2026-11-30T{commits:09}", 1 + commits % customers),
            )
            db.execute("UPDATE epoch SET beat_at = ?", (f"2026-11-30T{commits:09}",))
            db.execute("COMMIT")
            commits += 1
    over.set()
    probing.join()
    return commits, lags


def described(machine: str, found: list[Measured]) -> str:
    """The section of the document."""
    head = (
        *("customers", "commits/s", "lag p50", "lag p99", "lag max"),
        *("MB a day", "PUT a day", "other requests a day", "journal, MB"),
    )
    rows = []
    for one in found:
        day = DAY / one.seconds
        puts = one.requests.get("PUT", 0)
        others = sum(one.requests.values()) - puts
        rows.append(
            (
                str(one.customers),
                f"{one.commits / one.seconds:.2f}",
                f"{statistics.median(one.lags):.3f}",
                f"{_p99(one.lags):.3f}",
                f"{max(one.lags):.3f}",
                f"{one.sent * day / 1e6:.0f}",
                f"{puts * day:.0f}",
                f"{others * day:.0f}",
                f"{one.journal / 1e6:.1f}",
            )
        )
    worst = max(_p99(one.lags) for one in found)
    return "\n".join(
        [machine, table(head, rows), aim("backup lag, p99", worst, 5, " s")]
    )


def _p99(values: list[float]) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))]


@click.command()
@click.option("--customers", multiple=True, type=int, default=(10, 1000))
@click.option("--seconds", default=120.0, help="How long each is measured.")
@click.option("--write/--no-write", default=True, help="Into docs/benchmarks.rst.")
def main(customers: tuple[int, ...], seconds: float, *, write: bool) -> None:
    """Measure the journal's continuous backup."""
    machine = report.machine()
    found = [measure(many, seconds) for many in customers]
    section = described(machine, found)
    click.echo(section)
    if write:
        report.write(NAME, section)


if __name__ == "__main__":
    main()
