"""What ``make mutants`` says of tests is true."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.mutants import trial
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

MODULE = "lae_flapp/life/due.py"
TESTS = "tests/life/test_due.py"


def mutant(source: str = "x = 2\n") -> Mutant:
    return Mutant(MODULE, 1, "x = 1", "x = 2", source)


def test_each_module_and_its_tests_exist() -> None:
    """The list names modules that decide, and tests of today."""
    for module, tests in modules().items():
        assert (ROOT / module).is_file(), module
        assert tests
        for test in tests:
            assert (ROOT / test).exists(), test


def test_what_is_explained_is_of_a_module_of_the_list() -> None:
    """Each explanation is one line: the module, what was, what becomes, and why."""
    for name, why in explained().items():
        module, _, rest = name.partition(": ")
        assert module in modules(), name
        was, arrow, _ = rest.partition(" ==> ")
        assert arrow, name
        assert why, name
        text = " ".join((ROOT / module).read_text("utf-8").split())
        assert " ".join(was.split()) in text, name


def test_a_mistake_is_noticed_and_a_comment_is_not() -> None:
    """In the mutant's process the module is the mutant, whose tests fail or do not;
    the file is as it was, and the next mutant begins anew.
    """
    before = (ROOT / MODULE).read_text("utf-8")
    later = "max(until, now + reminded_before(plan) / 2)"
    assert later in before
    sooner = before.replace(later, later.replace("max", "min"))
    hanging = before + "while True: pass\n"
    asked = [(before + "# a word\n", 60), (sooner, 60), (hanging, 3), (before, 60)]
    told = subprocess.run(
        [sys.executable, trial.__file__, MODULE, TESTS],
        input="".join(json.dumps(one) + "\n" for one in asked),
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    _, *outcomes = map(json.loads, told.stdout.splitlines())
    assert outcomes == ["survived", "killed", "too slow", "survived"]
    assert (ROOT / MODULE).read_text("utf-8") == before


def test_tests_that_fail_anyway_judge_nothing(tmp_path: Path) -> None:
    """Where the tests fail without a mutant, that is said, and none is tried."""
    (tmp_path / "test_bad.py").write_text("def test_bad(): assert 0\n")
    told = subprocess.run(
        [sys.executable, trial.__file__, MODULE, tmp_path / "test_bad.py"],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert told.returncode == 1
    assert "its tests fail already" in told.stderr


@pytest.mark.parametrize(
    ("outcome", "again"), [("killed", "killed"), ("survived", None)]
)
def test_a_next_run_goes_on(tmp_path: Path, outcome: str, again: str | None) -> None:
    """What was found is known to the next run; what survived is tried once more when
    the tests have changed.
    """
    Kept.open(tmp_path / "kept").add(mutant(), "old", outcome)
    kept = Kept.open(tmp_path / "kept")
    assert kept.find(mutant(), "old") == outcome
    assert kept.find(mutant(), "new") == again
    assert kept.find(mutant("x = 3\n"), "old") is None


def test_a_changed_test_is_another(tmp_path: Path) -> None:
    """The digest is of the tests' text."""
    one = tmp_path / "test_one.py"
    one.write_text("1")
    before = digest_of([str(one)])
    assert digest_of([str(tmp_path)]) == before
    one.write_text("2")
    assert digest_of([str(one)]) != before


def test_the_score() -> None:
    """It is the share of those that were noticed, among all that were tried and are
    not explained.
    """
    tally = Tally(MODULE)
    for outcome in ("killed", "too slow", "killed", "survived", None):
        tally.count(mutant(), outcome, known=False)
    tally.count(mutant(), "survived", known=True)
    assert (tally.killed, tally.explained, tally.untried) == (3, 1, 1)
    assert percent([tally]) == 75.0
    assert percent([Tally(MODULE)]) == 100.0
