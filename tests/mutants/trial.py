"""A process that tries mutants of one module: ``trial.py MODULE TESTS...``.

It reads a line of JSON for each (the mutated source, and how many seconds its tests may
take) and answers with what came of it.  Each mutant has a process of its own, forked
when all is imported that does not import the module itself; there the import system
gives the mutant in the module's place, so that no file is ever changed.
"""

from __future__ import annotations

import importlib
import json
import os
import select
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.util import spec_from_file_location
from pathlib import Path
from types import CodeType

ROOT = Path(__file__).resolve().parents[2]
#: Seconds that the tests of what is not mutated may take.
LONGEST = 600.0
#: A forked process may not share these with its parent.
_NOT_BEFORE_FORK = frozenset({"twisted.internet.reactor"})
_OPTIONS = (
    *("-x", "-q", "-p", "no:cacheprovider", "-p", "no:xdist"),
    *("--timeout=0", "--hypothesis-profile=mutants"),
)


class Loader(SourceFileLoader):
    """Gives a module another source than its file's."""

    def __init__(self, name: str, path: str, source: str) -> None:
        super().__init__(name, path)
        self._source = source

    def get_code(self, fullname: str) -> CodeType:
        """Compile the mutant."""
        return compile(self._source, self.path, "exec", dont_inherit=True)


class Finder(MetaPathFinder):
    """Finds the mutant; *source* None: the module cannot be imported."""

    def __init__(self, name: str, path: Path, source: str | None) -> None:
        self._name, self._path, self._source = name, path, source

    def find_spec(
        self, fullname: str, path: object = None, target: object = None
    ) -> ModuleSpec | None:
        if fullname == self._name and self._source is not None:
            loader = Loader(fullname, str(self._path), self._source)
            return spec_from_file_location(fullname, self._path, loader=loader)
        if self._source is None and fullname in {self._name, *_NOT_BEFORE_FORK}:
            raise ImportError(fullname)
        return None


def run_tests(tests: Sequence[str], folder: Path) -> int:
    """Run pytest in this process; its exit code."""
    # The search of Hypothesis is the same for each mutant, and a failure is enough: its
    # shortest example is of no use.
    from hypothesis import Phase, settings  # noqa: PLC0415  (after the fork)

    settings.register_profile(
        "mutants",
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.explicit, Phase.generate],
    )
    import pytest  # noqa: PLC0415

    return int(pytest.main([*_OPTIONS, f"--basetemp={folder}", *tests]))


def in_child(work: Callable[[Path], int], seconds: float) -> str:
    """Do it in a process of its own, which ends after so many seconds."""
    folder = Path(tempfile.mkdtemp(prefix="s4-mutant-"))
    pid = os.fork()
    if not pid:
        code = 1
        try:
            os.setsid()
            silence = os.open(os.devnull, os.O_RDWR)
            for number in range(3):
                os.dup2(silence, number)
            code = work(folder / "tests")
        finally:
            os._exit(code)
    ended = os.pidfd_open(pid)
    in_time, _, _ = select.select([ended], [], [], seconds)
    os.close(ended)
    with suppress(ProcessLookupError):
        # Its children as well.
        os.killpg(pid, signal.SIGKILL)
    _, status = os.waitpid(pid, 0)
    shutil.rmtree(folder, ignore_errors=True)
    if not in_time:
        return "too slow"
    return "survived" if os.waitstatus_to_exitcode(status) == 0 else "killed"


def say(answer: float | str) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


def main(module: str, tests: Sequence[str]) -> None:
    name = module.removesuffix(".py").replace("/", ".")
    path = ROOT / module
    os.environ["HYPOTHESIS_STORAGE_DIRECTORY"] = tempfile.mkdtemp(prefix="s4-mutants-")
    imported = Path(os.environ["HYPOTHESIS_STORAGE_DIRECTORY"], "imported")

    def undisturbed(folder: Path) -> int:
        code = run_tests(tests, folder)
        imported.write_text(json.dumps(list(sys.modules)))
        return code

    if in_child(undisturbed, LONGEST) != "survived":
        raise SystemExit(f"{module}: its tests fail already: {' '.join(tests)}")
    none = Finder(name, path, None)
    sys.meta_path.insert(0, none)
    for other in json.loads(imported.read_text()):
        if other.startswith(("tests.", "test_", "__m")) or "conftest" in other:
            continue
        try:
            importlib.import_module(other)
        except Exception:  # noqa: BLE001  (then each child imports it)
            continue
    sys.meta_path.remove(none)
    begun = time.monotonic()
    if in_child(lambda folder: run_tests(tests, folder), LONGEST) != "survived":
        raise SystemExit(f"{module}: its tests fail in a forked process")
    say(time.monotonic() - begun)
    for line in sys.stdin:
        source, seconds = json.loads(line)

        def mutated(folder: Path, source: str = source) -> int:
            sys.meta_path.insert(0, Finder(name, path, source))
            return run_tests(tests, folder)

        say(in_child(mutated, seconds))
    shutil.rmtree(imported.parent)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
