"""``make attack``: each attack against a demo, and what a customer feels meanwhile.

The attacker is held to half a core.  Under each, a customer's page, signup and write go
on, each within twice of what it takes in quiet, for 95 of 100.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

import click
from attrs import define

from tests.attack.attacks import ATTACKS, Attack
from tests.attack.felt import Customers, Felt
from tests.bench import report
from tests.bench.figures import percentile
from tests.bench.stage import Stage
from tests.bench.table import table

NAME = "attack"
#: More than in quiet, for 95 of 100.
LIMIT = 2.0
_KINDS = ("pages", "signups", "writes")


@define(frozen=True)
class Outcome:
    """What one attack was answered, and what a customer felt under it."""

    attack: Attack
    tally: Counter[str]
    felt: Felt


def ratios(felt: Felt, quiet: Felt) -> dict[str, float]:
    """The 95th percentiles, in units of the quiet ones; infinite where none worked."""
    found = {}
    for kind in _KINDS:
        values = getattr(felt, kind)
        unit = percentile(getattr(quiet, kind), 95)
        found[kind] = percentile(values, 95) / unit if values else float("inf")
    return found


def failures(quiet: Felt, outcomes: list[Outcome]) -> list[str]:
    """What does not hold, in sentences."""
    found = [f"in quiet: {one}" for one in quiet.failed]
    for one in outcomes:
        name, spared = one.attack.name, one.attack.signups_go_on
        found += [
            f"{name}: {said}"
            for said in one.felt.failed
            if spared or not said.startswith("sign_up")
        ]
        found += [
            f"{name}: {kind} took {ratio:.1f} times as long"
            for kind, ratio in ratios(one.felt, quiet).items()
            if ratio > LIMIT and (spared or kind != "signups")
        ]
        if not one.attack.harmless and not one.attack.refused(one.tally):
            found.append(f"{name}: nothing was refused: {dict(one.tally)}")
    return found


def described(quiet: Felt, outcomes: list[Outcome]) -> str:
    """The tables."""
    ninety = [f"{percentile(getattr(quiet, kind), 95):.3f} s" for kind in _KINDS]
    rows = [("in quiet, p95", *ninety, "0", f"{quiet.used:.0%}", "")]
    rows += [
        (
            one.attack.name,
            *(f"{ratio:.2f} x" for ratio in ratios(one.felt, quiet).values()),
            str(len(one.felt.failed)),
            f"{one.felt.used:.0%}",
            f"{one.tally.total():,} / {one.attack.refused(one.tally):,}",
        )
        for one in outcomes
    ]
    head = (
        "attack",
        "page",
        "signup",
        "write",
        "failed",
        "daemon, site",
        "asked / refused",
    )
    bounds = [(one.attack.name, one.attack.bound) for one in outcomes]
    said = (
        "*Page*, *signup* and *write*: the 95th percentile, in units of the quiet one."
        "  *Daemon, site*: the part of one core that both used together."
    )
    return f"{said}\n\n{table(head, rows)}\n{table(('attack', 'bound'), bounds)}"


def attack(
    one: Attack, root: Path, customers: Customers, seconds: float, signups: int
) -> Outcome:
    """Run the attacker beside the customers."""
    served = customers.served.visit
    command = [sys.executable, "-m", "tests.attack.attacker", one.name, str(root)]
    attacker = subprocess.Popen(
        [*command, served.site_url, served.signup_id, f"--seconds={seconds}"],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        felt = customers.live(seconds, signups)
        said, _ = attacker.communicate(timeout=120)
    finally:
        attacker.kill()
    return Outcome(one, Counter(json.loads(said or "{}")), felt)


@click.command(help=__doc__)
@click.option("--seconds", default=40.0, show_default=True, help="of each attack")
@click.option("--signups", default=6, show_default=True, help="under each, at least")
@click.option("--only", multiple=True, type=click.Choice(list(ATTACKS)))
@click.option("--write/--no-write", default=True, help="docs/benchmarks.rst")
def main(seconds: float, signups: int, only: tuple[str, ...], *, write: bool) -> None:
    machine = report.machine()
    with tempfile.TemporaryDirectory(prefix="s4-attack-") as folder:
        stage = Stage(Path(folder) / "demo")
        stage.start()
        customers = Customers(stage)
        try:
            customers.begin(Path(folder) / "client")
            kept = stage.running()
            click.echo("in quiet ...")
            quiet = customers.live(seconds, signups)
            outcomes = []
            for name in only or ATTACKS:
                stage.stop_all(but=kept)
                click.echo(f"{name} ...")
                outcomes.append(
                    attack(ATTACKS[name], stage.folder, customers, seconds, signups)
                )
        finally:
            customers.end()
            stage.stop()
    section = described(quiet, outcomes)
    wrong = failures(quiet, outcomes)
    click.echo(f"{section}\n" + "\n".join(wrong or ["All of it holds."]))
    if write:
        verdict = [f"* DOES NOT HOLD: {one}." for one in wrong] or ["All of it holds."]
        report.write(NAME, "\n".join([machine, section, *verdict]))
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
