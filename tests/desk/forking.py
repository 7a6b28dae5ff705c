"""``lae`` without its start-up: one process has imported all, and forks for each run.

``forking.py`` reads a line of JSON for each group of runs, a list of ``[argv, env, out,
err]``, runs them side by side, and answers with the list of their exit codes.  Python's
imports take longer than a command does, and the commands are many.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from attrs import define


@define(frozen=True)
class Ran:
    """How a command ended."""

    code: int
    out: str
    err: str


class Forks:
    """The parent of all runs, as the tests see it."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(self, env: Mapping[str, str], *commands: Sequence[str]) -> list[Ran]:
        """Run them side by side."""
        with tempfile.TemporaryDirectory() as folder:
            files = [
                (Path(folder, f"{n}.out"), Path(folder, f"{n}.err"))
                for n in range(len(commands))
            ]
            asked = [
                [list(c), dict(env), str(out), str(err)]
                for c, (out, err) in zip(commands, files, strict=True)
            ]
            self._process.stdin.write(json.dumps(asked) + "\n")
            self._process.stdin.flush()
            codes = json.loads(self._process.stdout.readline())
            return [
                Ran(code, out.read_text("utf-8"), err.read_text("utf-8"))
                for code, (out, err) in zip(codes, files, strict=True)
            ]

    def end(self) -> None:
        self._process.stdin.close()
        self._process.wait(20)


def _child(argv: list[str], env: dict[str, str], out: str, err: str) -> None:
    for path, number in ((os.devnull, 0), (out, 1), (err, 2)):
        flags = os.O_RDONLY if number == 0 else os.O_WRONLY | os.O_CREAT | os.O_TRUNC
        os.dup2(os.open(path, flags, 0o600), number)
    os.environ.clear()
    os.environ.update(env)
    sys.argv = ["lae", *argv]
    # Its own pipe to wake by, not the parent's.
    reactor.removeReader(reactor.waker)
    reactor._internalReaders.discard(reactor.waker)
    reactor.waker = None
    reactor.installWaker()
    code = 1
    try:
        main()
    except SystemExit as e:
        code = e.code if isinstance(e.code, int) else 1
    except BaseException:  # noqa: BLE001  (it is printed as Python does)
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def serve() -> None:
    for line in sys.stdin:
        pids = []
        for argv, env, out, err in json.loads(line):
            pid = os.fork()
            if not pid:
                _child(argv, env, out, err)
            pids.append(pid)
        codes = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids]
        sys.stdout.write(json.dumps(codes) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    # A poll's table is a process's own; an epoll would be shared by all forks.
    from twisted.internet import pollreactor

    pollreactor.install()
    from importlib.metadata import entry_points

    from twisted.internet import reactor

    from lae_protocol.process import command
    from lae_protocol.process.command import main

    for entry in entry_points(group=command.GROUP):
        entry.load()
    serve()
