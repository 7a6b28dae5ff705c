"""What holds for every test: in CI none is skipped, and a run leaves nothing behind."""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from collections.abc import Generator, Iterator
from pathlib import Path

import psutil
import pytest
from twisted.trial.unittest import SynchronousTestCase

ROOT = Path(__file__).resolve().parents[1]
IN_CI = os.environ.get("CI", "") == "true"
#: In the environment of every process that a test starts, and that its children keep.
MARK = "S4_TEST_RUN"
PATIENCE = 5.0

left_behind = pytest.StashKey[list[str]]()
untracked_before = pytest.StashKey[set[str]]()


def _fail_if_skipped(
    report: pytest.TestReport | pytest.CollectReport,
) -> pytest.TestReport | pytest.CollectReport:
    """In CI a skip is a failure; an expected failure stays one."""
    if IN_CI and report.skipped and not hasattr(report, "wasxfail"):
        why = report.longrepr
        reason = why[2] if isinstance(why, tuple) else str(why)
        report.outcome = "failed"
        report.longrepr = f"in CI no test may be skipped: {report.nodeid}: {reason}"
    return report


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport() -> Generator[
    None, pytest.TestReport, pytest.TestReport
]:
    report = yield
    _fail_if_skipped(report)
    return report


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_make_collect_report() -> Generator[
    None, pytest.CollectReport, pytest.CollectReport
]:
    report = yield
    _fail_if_skipped(report)
    return report


@pytest.fixture(scope="session", autouse=True)
def temporary_folders(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """All temporary files are made among pytest's, which removes them in time: those
    of processes that a test kills, and trial's, which would be in the checkout.
    """
    base = tmp_path_factory.mktemp("tmp")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TMPDIR", str(base))
        patch.setattr(tempfile, "tempdir", str(base))
        patch.setattr(
            SynchronousTestCase,
            "mktemp",
            lambda _: str(Path(tempfile.mkdtemp()) / "temp"),
        )
        yield


def _untracked() -> set[str]:
    """Files of the checkout that git neither has nor ignores."""
    said = subprocess.run(
        ["git", "ls-files", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    return set(said.stdout.splitlines())


def _started_by_us() -> Iterator[psutil.Process]:
    """Processes with our mark, other than ourselves, that still run."""
    for process in psutil.process_iter():
        try:
            mark = process.environ().get(MARK)
        except psutil.Error:
            continue
        if mark == str(os.getpid()) and process.pid != os.getpid():
            yield process


def pytest_sessionstart(session: pytest.Session) -> None:
    os.environ[MARK] = str(os.getpid())
    session.config.stash[untracked_before] = _untracked()


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    end = time.monotonic() + PATIENCE
    while (running := list(_started_by_us())) and time.monotonic() < end:
        psutil.wait_procs(running, timeout=0.2)
    found = [f"process {p.pid}: {' '.join(p.cmdline())}" for p in running]
    # Elsewhere than in CI somebody may be writing code meanwhile.
    if IN_CI:
        new = _untracked() - session.config.stash[untracked_before]
        found += [f"file {name}" for name in sorted(new)]
    session.config.stash[left_behind] = found
    if found and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    for line in config.stash.get(left_behind, []):
        terminalreporter.write_line(f"LEFT BEHIND by the tests: {line}", red=True)
