"""The rules of tests/conftest.py, tried on small suites of their own."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

TESTS = Path(__file__).resolve().parents[1]

GOOD = "def test_good():\n    pass\n"
FUNCTION = "import pytest\ndef test_one():\n    pytest.skip('no moon')\n"
MARKED = (
    "import pytest\n@pytest.mark.skipif(True, reason='no moon')\ndef test_one(): 0\n"
)
MODULE = "import pytest\npytest.skip('no moon', allow_module_level=True)\n"
TRIAL = (
    "from twisted.trial.unittest import SkipTest, TestCase\n"
    "class SomeTests(TestCase):\n"
    "    def test_one(self):\n"
    "        raise SkipTest('no moon')\n"
)
EXPECTED = "import pytest\n@pytest.mark.xfail\ndef test_one():\n    assert 0\n"
CHILD = (
    "import subprocess\n"
    "def test_one():\n"
    "    child = subprocess.Popen(['sleep', '60'], start_new_session=True)\n"
    "    open('child', 'w').write(str(child.pid))\n"
)


#: Bit n - 1 of the mask says that signal n is ignored.
HEARING = (
    "import subprocess\n"
    "def test_one():\n"
    "    said = subprocess.check_output(['cat', '/proc/self/status'], text=True)\n"
    "    (line,) = (s for s in said.splitlines() if s.startswith('SigIgn:'))\n"
    "    assert not int(line.split()[1], 16) & 0b11\n"
)
SEARCHING = (
    "from hypothesis import settings\n"
    "def test_one():\n"
    "    assert settings().deadline is None\n"
    "    assert settings().derandomize is {in_ci}\n"
)

SKIPS = {"function": FUNCTION, "marked": MARKED, "trial": TRIAL}


#: One process, or two of pytest-xdist.
WORKERS = pytest.mark.parametrize("workers", [0, 2])


def run(
    folder: Path,
    suites: dict[str, str],
    workers: int = 0,
    ignoring: str = "",
    **env: str,
) -> tuple[int, str]:
    """Run suites under our rules, and a good one; pytest's code and words."""
    rules = (TESTS / "conftest.py").read_text()
    assert "\nPATIENCE = 5.0" in rules
    (folder / "conftest.py").write_text(
        rules.replace("PATIENCE = 5.0", "PATIENCE = 0.3")
    )
    (folder / "tests").mkdir(exist_ok=True)
    shutil.copy(TESTS / "spread.py", folder / "tests" / "spread.py")
    for name, text in {"good": GOOD, **suites}.items():
        (folder / f"test_{name}.py").write_text(text)
    clean = {k: v for k, v in os.environ.items() if k not in {"CI", "S4_TEST_RUN"}}
    pytest_here = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider"]
    shell = ["sh", "-c", f"trap '' {ignoring}; exec \"$@\"", "sh"] if ignoring else []
    done = subprocess.run(
        [*shell, *pytest_here, "-rA", f"-n{workers}", str(folder)],
        cwd=folder,
        env={**clean, **env},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout


Said = tuple[int, str]


@pytest.fixture(scope="module", params=[0, 2])
def in_ci(request: pytest.FixtureRequest, tmp_path_factory: Any) -> Said:
    """All that is skipped, run with CI=true."""
    suites = {**SKIPS, "expected": EXPECTED}
    return run(tmp_path_factory.mktemp("ci"), suites, request.param, CI="true")


def test_a_skip_fails_in_ci_and_is_named(in_ci: Said) -> None:
    """With CI=true a skipped test fails the run, which says which and why."""
    code, said = in_ci
    assert code != 0
    told = [s for s in said.splitlines() if s.startswith("in CI no test may")]
    for name in SKIPS:
        (line,) = (s for s in told if f"test_{name}.py" in s)
        assert "no moon" in line


@WORKERS
def test_a_skipped_module_fails_in_ci(tmp_path: Path, workers: int) -> None:
    """With CI=true a module that skips itself fails the run, which says which."""
    code, said = run(tmp_path, {"module": MODULE}, workers, CI="true")
    assert code != 0
    assert "in CI no test may be skipped: test_module.py: Skipped: no moon" in said


def test_an_expected_failure_stays_one(in_ci: Said) -> None:
    """With CI=true an expected failure is no skip."""
    _, said = in_ci
    assert "1 xfailed" in said


@WORKERS
def test_a_skip_is_told_elsewhere(tmp_path: Path, workers: int) -> None:
    """Without CI a skipped test is skipped aloud, and the run succeeds."""
    code, said = run(tmp_path, {**SKIPS, "module": MODULE}, workers)
    assert code == 0
    assert "1 passed, 4 skipped" in said
    assert "no moon" in said


@WORKERS
def test_a_process_left_behind_fails_the_run(tmp_path: Path, workers: int) -> None:
    """A process that outlives the tests is named, and fails the run."""
    code, said = run(tmp_path, {"child": CHILD}, workers)
    try:
        assert code == 1
        (line,) = (s for s in said.splitlines() if "LEFT BEHIND by the tests" in s)
        assert "sleep 60" in line
    finally:
        os.kill(int((tmp_path / "child").read_text()), signal.SIGKILL)


def test_what_ends_with_its_worker_is_left_behind_all_the_same(tmp_path: Path) -> None:
    """A process that would end with the worker's pipe to it is named before that."""
    piped = CHILD.replace("'sleep', '60'", "'cat'").replace(
        "start_new_session", "stdin=subprocess.PIPE, start_new_session"
    )
    code, said = run(tmp_path, {"piped": piped + "    globals()['kept'] = child\n"}, 2)
    assert code == 1
    assert "LEFT BEHIND by the tests: process" in said
    assert ": cat" in said


def test_a_worker_that_dies_fails_the_run(tmp_path: Path) -> None:
    """A test that ends its worker is named, and so is the process that it left."""
    dying = CHILD + "    import os\n    os._exit(0)\n"
    code, said = run(tmp_path, {"child": dying}, 2)
    try:
        assert code == 1
        assert "FAILED test_child.py::test_one" in said
        assert "LEFT BEHIND by the tests: process" in said
    finally:
        os.kill(int((tmp_path / "child").read_text()), signal.SIGKILL)


@WORKERS
def test_what_a_test_starts_hears_signals(tmp_path: Path, workers: int) -> None:
    """Run in a shell's background or under nohup, the tests start programs that do not
    ignore SIGINT and SIGHUP.
    """
    code, said = run(tmp_path, {"hearing": HEARING}, workers, ignoring="INT HUP")
    assert code == 0, said


@pytest.mark.parametrize("ci", ["true", ""])
def test_a_search_has_no_deadline(tmp_path: Path, ci: str) -> None:
    """No example fails for being slow; in CI the examples are the same each time."""
    text = SEARCHING.format(in_ci=ci == "true")
    code, said = run(tmp_path, {"searching": text}, CI=ci)
    assert code == 0, said
