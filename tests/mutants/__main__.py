"""``make mutants``: would the tests notice a small mistake in a module that decides?

Mutants are tried until the time is over; the next run goes on from there.
"""

from __future__ import annotations

import json
import random
import subprocess
import time
from pathlib import Path

import click

from tests.mutants.mutations import mutants_of
from tests.mutants.score import (
    ROOT,
    Kept,
    Mutant,
    Tally,
    digest_of,
    explained,
    modules,
    percent,
)

#: Where the tests run: there is no mutmut.
PYTHON = ROOT / ".venv" / "bin" / "python"
#: What the tests must notice, of a hundred mutants that are not explained.
AIM = 95.0
#: A mutant may take longer than the module: so many times, and so many seconds.
TIMES, SECONDS = 4, 10.0


class Trial:
    """The process that tries mutants of one module (see trial.py)."""

    def __init__(self, module: str, tests: list[str]) -> None:
        self._process = subprocess.Popen(
            [PYTHON, "-m", "tests.mutants.trial", module, *tests],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._patience = TIMES * self._answer() + SECONDS

    def outcome(self, mutant: Mutant) -> str:
        """Try one."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps([mutant.source, self._patience]) + "\n")
        self._process.stdin.flush()
        return self._answer()

    def end(self) -> None:
        self._process.communicate()

    def _answer(self):
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit(self._process.wait() or 1)
        return json.loads(line)


def try_module(module: str, tests: list[str], kept: Kept, until: float) -> Tally:
    """Try what is not known yet, in an order that is the same each time."""
    digest = digest_of(tests)
    why = [name for name in explained() if name.startswith(module)]
    tally, trial = Tally(module), None
    every = mutants_of(ROOT, module)
    if stale := set(why) - {mutant.name for mutant in every}:
        raise SystemExit(f"explained, but no mutant: {' and '.join(sorted(stale))}")
    random.Random(1).shuffle(every)
    for mutant in every:
        outcome = kept.find(mutant, digest)
        if outcome is None and time.monotonic() < until:
            trial = trial or Trial(module, tests)
            outcome = trial.outcome(mutant)
            kept.add(mutant, digest, outcome)
        tally.count(mutant, outcome, known=mutant.name in why)
    if trial is not None:
        trial.end()
    return tally


@click.command()
@click.option("--minutes", default=60.0, show_default=True, help="End after this time.")
@click.option("--only", default="", help="Only modules whose path has this in it.")
@click.option(
    "--results",
    type=click.Path(dir_okay=False, path_type=Path),
    default=ROOT / "build" / "mutants.jsonl",
    help="What earlier runs found; remove the file to begin anew.",
)
def main(minutes: float, only: str, results: Path) -> None:
    """Make small mistakes in the modules that decide, and see whether tests fail."""
    until = time.monotonic() + 60 * minutes
    kept = Kept.open(results)
    tallies = []
    for module, tests in modules().items():
        if only not in module:
            continue
        tally = try_module(module, tests, kept, until)
        tallies.append(tally)
        tried = tally.killed + len(tally.survivors)
        line = f"{percent([tally]):5.1f} %  {tally.killed:4} of {tried:4} noticed"
        more = f", {tally.explained} explained, {tally.untried} not tried yet"
        click.echo(f"{module:45} {line}{more}")
        for mutant in sorted(tally.survivors, key=lambda m: m.line):
            click.echo(f"    {mutant.line}: {mutant.was}\n      ==> {mutant.becomes}")
    score = percent(tallies)
    untried = sum(t.untried for t in tallies)
    click.echo(f"score: {score:.1f} %, {untried} not tried yet (a next run goes on)")
    raise SystemExit(0 if score >= AIM else 1)


if __name__ == "__main__":
    main()
