"""``make bench-s3_clients``: the data path's S3 client beside others, on a real server."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

import click

from tests.bench import report
from tests.bench.s3_client import CLIENTS
from tests.bench.storage.stage import Stage
from tests.bench.table import table

NAME = "bench-s3-clients"
_HEAD = (
    "client",
    "PUT ms",
    "up s",
    "up CPU s",
    "down s",
    "down CPU s",
    "MiB",
    "CPU ratio",
)


def _once(name: str, endpoint: str, bucket: str) -> dict[str, float]:
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench.s3_client", name, endpoint, bucket],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    found: dict[str, float] = json.loads(done.stdout)
    return found


def _row(name: str, runs: list[dict[str, float]], unit: float) -> tuple[str, ...]:
    figures = {key: median(run[key] for run in runs) for key in runs[0]}
    cpu = figures["up_cpu"] + figures["down_cpu"]
    return (
        name,
        f"{figures['put_ms']:.2f}",
        *(f"{figures[key]:.2f}" for key in ("up", "up_cpu", "down", "down_cpu")),
        f"{figures['mib']:.0f}",
        f"{cpu / unit:.2f}",
    )


@click.command()
@click.option("--n", default=5, type=click.IntRange(1), help="Runs of each, in turn.")
@click.option("--write/--no-write", default=True, help="Into docs/benchmarks.rst.")
def main(n: int, write: bool) -> None:
    """Measure the clients, print the table, and write it down."""
    folder, machine = Path(tempfile.mkdtemp(prefix="s4-bench-")), report.machine()
    runs: dict[str, list[dict[str, float]]] = {name: [] for name in CLIENTS}
    stage = Stage(folder)
    try:
        with stage.running():
            for _ in range(n):
                for name in CLIENTS:
                    runs[name].append(_once(name, stage.endpoint, stage.bucket()))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    ours = runs["ours"]
    unit = median(r["up_cpu"] for r in ours) + median(r["down_cpu"] for r in ours)
    rows = [_row(name, each, unit) for name, each in runs.items()]
    section = f"{machine}\n{table(_HEAD, rows)}"
    click.echo("\n" + section)
    if write:
        report.write(NAME, section)


if __name__ == "__main__":
    main()
