"""What holds for every test: in CI none is skipped, a run leaves nothing behind, a
search has no deadline, and what a test starts hears signals.

With pytest-xdist the run is several processes.  Each worker looks for what its own
tests left running, and tells the controller, which looks once more when all workers
are gone: nothing that they started may outlive them either.
"""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pytest
from hypothesis import settings
from twisted.logger import globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from lae_localcloud.models.wrong import VARIABLE
from tests import forks

if TYPE_CHECKING:
    from tests.spread import Spread

ROOT = Path(__file__).resolve().parents[1]
IN_CI = os.environ.get("CI", "") == "true"
#: In the environment of every process that a test starts, and that its children keep:
#: our process id, behind which a worker has its own name.
MARK = "S4_TEST_RUN"
PATIENCE = 5.0
#: Searches for garbage at most, until one finds none.
_ROUNDS = 5

# No example fails by a slow machine: the suite runs where much else does.  In CI the
# examples follow from the test alone, so that a red run is the commit's doing and not
# the seed's; everywhere else each run searches anew.
settings.register_profile("s4", deadline=None, derandomize=IN_CI, print_blob=True)
settings.load_profile("s4")

left_behind = pytest.StashKey[list[str]]()
untracked_before = pytest.StashKey[set[str]]()


def _survive(_number: int, _frame: object) -> None:
    """Go on: nohup asked for that.  What is started has the default all the same."""


def pytest_configure() -> None:
    """What a test starts hears SIGINT and SIGHUP: a shell's background job ignores the
    one, nohup the other, and a program inherits what is ignored, but no handler.
    """
    heard = {signal.SIGINT: signal.default_int_handler, signal.SIGHUP: _survive}
    for number, handler in heard.items():
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, handler)


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


# First: what is marked is chosen by this hook, too.
@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(
    config: pytest.Config, items: list[pytest.Item]
) -> None:
    """Where tests are chosen by marks, tests/spread.py says which are long."""
    if not config.getoption("markexpr"):
        return
    from tests.spread import takes_long  # noqa: PLC0415  (only where marks are used)

    for item in items:
        if takes_long(item.nodeid):
            item.add_marker("long")


@pytest.hookimpl(trylast=True)
def pytest_collection_finish() -> None:
    """What the imports made stays to the end: no search for garbage looks there again,
    which took a third of the time of the tests that need no other process.
    """
    gc.collect()
    gc.freeze()


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


@pytest.fixture(scope="session", autouse=True)
def wrong_requests(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where the local cloud writes each request that is in no model of AWS's."""
    told = tmp_path_factory.mktemp("wrong") / "requests"
    told.touch()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(VARIABLE, str(told))
        yield told


@pytest.fixture(autouse=True)
def no_wrong_requests(
    wrong_requests: Path, request: pytest.FixtureRequest
) -> Iterator[None]:
    """A request that AWS or Stripe would not understand is an error of the test that
    made it, whatever came of it.  ``asks_wrongly`` marks tests that mean to.
    """
    before = wrong_requests.stat().st_size
    yield
    with wrong_requests.open() as told:
        told.seek(before)
        said = told.read()
    meant = request.node.get_closest_marker("asks_wrongly") is not None
    assert bool(said) == meant, said or "nothing was asked wrongly"


@pytest.fixture(scope="session", autouse=True)
def forked_programs() -> Iterator[None]:
    """What forks our programs ends with the tests, and so does what it forked."""
    yield
    forks.end_all()


@pytest.fixture(scope="module", autouse=True)
def no_garbage_of_others() -> None:
    """What the module before left waiting ends here: collected in the middle of a test,
    its last words would be taken for that test's.  At the end of its own module pytest
    still held what the last test was given.  What ends may leave more behind: a
    coroutine that was waiting runs its last lines only then.
    """
    for _ in range(_ROUNDS):
        if not gc.collect():
            break


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
    """Processes with our mark, or one of our workers', that still run."""
    ours = os.environ[MARK]
    for process in psutil.process_iter():
        try:
            mark = process.environ().get(MARK, "")
        except psutil.Error:
            continue
        if f"{mark}/".startswith(f"{ours}/") and process.pid != os.getpid():
            yield process


def _left_running() -> list[str]:
    """What still runs after a while, in words."""
    end = time.monotonic() + PATIENCE
    while (running := list(_started_by_us())) and time.monotonic() < end:
        psutil.wait_procs(running, timeout=0.2)
    return [f"process {p.pid}: {' '.join(p.cmdline())}" for p in running]


def _as_worker(config: pytest.Config) -> dict[str, Any] | None:
    """What a worker was told by its controller; None in a controller."""
    return getattr(config, "workerinput", None)


# First: the workers are started in this hook, too.
@pytest.hookimpl(tryfirst=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    session.config.stash[left_behind] = []
    if worker := _as_worker(session.config):
        os.environ[MARK] += f"/{worker['workerid']}"
    else:
        os.environ[MARK] = str(os.getpid())
        session.config.stash[untracked_before] = _untracked()


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """A worker has ended; one that crashed tells nothing."""
    told = getattr(node, "workeroutput", {}).get(MARK, [])
    node.config.stash[left_behind] += told


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Spread | None:
    """Workers get tests by tests/spread.py, unless another way was asked for."""
    if config.getoption("dist") != "load":
        return None
    from tests.spread import Spread  # noqa: PLC0415  (only where pytest-xdist is used)

    return Spread(config, log)


# Last: the workers are ended in this hook, too.
@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    found = session.config.stash[left_behind]
    found += [line for line in _left_running() if line not in found]
    if _as_worker(session.config) is not None:
        session.config.workeroutput[MARK] = found  # type: ignore[attr-defined]
        return
    # Elsewhere than in CI somebody may be writing code meanwhile.
    if IN_CI:
        new = _untracked() - session.config.stash[untracked_before]
        found += [f"file {name}" for name in sorted(new)]
    if found and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    for line in config.stash.get(left_behind, []):
        terminalreporter.write_line(f"LEFT BEHIND by the tests: {line}", red=True)


@pytest.fixture
def logged() -> Iterator[list[Any]]:
    """What is logged meanwhile."""
    seen: list[Any] = []
    globalLogPublisher.addObserver(seen.append)
    yield seen
    globalLogPublisher.removeObserver(seen.append)
