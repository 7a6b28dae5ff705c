"""Programs of ours without their start-up: one process has imported what they need, and
forks for each.  Python's imports take longer than most of what a test does with a
program, and the tests start hundreds.

Only the imports are shared: what is forked runs the very script that would have been
executed, with its own arguments, environment, folder, files, session and reactor.  What
a program imports itself, and in which order, is seen where one is really executed: each
level of tests does so at least once.

Run as a script, ``forks.py SOCKET ROOM MODULE...`` is the process that forks.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import gc
import importlib
import io
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import entry_points
from pathlib import Path
from typing import IO, Any, NoReturn, cast

#: What is forked has its own arguments where the kernel shows them, if they fit.
_ROOM = 2048  # bytes
_LARGEST_REQUEST = 200_000  # bytes
_PR_SET_PDEATHSIG = 1
_ARG_START, _ARG_END = 47, 48  # of /proc/PID/stat, counted from 0
#: What our programs import, by what imports the most.
OURS = ("twisted.scripts.twistd", "lae_flapp.service", "lae_site.service")
#: ... and an unmodified client.
TAHOE = ("allmydata.scripts.runner", "allmydata.client", "twisted.scripts.twistd")


class Forked:
    """One program, as :class:`subprocess.Popen` has it."""

    def __init__(self, pid: int, ending: int, pipes: Sequence[IO[Any] | None]) -> None:
        self.pid, self._ending = pid, ending
        self.stdin, self.stdout, self.stderr = pipes
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """What it ended with (-9: by SIGKILL); None while it runs."""
        try:
            return self.wait(0)
        except subprocess.TimeoutExpired:
            return None

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end; raises :class:`subprocess.TimeoutExpired`."""
        if self.returncode is None:
            waiting = select.poll()
            waiting.register(self._ending, select.POLLIN)
            if not waiting.poll(None if timeout is None else timeout * 1000):
                raise subprocess.TimeoutExpired(f"process {self.pid}", timeout or 0)
            # Nothing is said when the process that forks died, and so did all.
            said = os.read(self._ending, 16)
            os.close(self._ending)
            self.returncode = int(said) if said else -signal.SIGTERM
        return self.returncode

    def send_signal(self, number: int) -> None:
        """To it alone, if it still runs."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """``kill -9``."""
        self.send_signal(signal.SIGKILL)


class Forks:
    """The process that forks, as the tests see it; started when it is first needed."""

    def __init__(self, python: str = sys.executable, modules: Sequence[str] = OURS):
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            number = theirs.fileno()
            self._process = subprocess.Popen(
                [python, __file__, str(number), "-" * _ROOM, *modules],
                stdin=subprocess.DEVNULL,
                pass_fds=[number],
            )
        self.pid = self._process.pid
        self._line = ours
        self._turn = threading.Lock()

    def start(
        self,
        argv: Sequence[str | Path],
        *,
        env: Mapping[str, str],
        cwd: Path | None = None,
        stdin: int | IO[Any] = subprocess.DEVNULL,
        stdout: int | IO[Any] | None = None,
        stderr: int | IO[Any] | None = None,
    ) -> Forked:
        """Begin to run it, in a session of its own; it gets SIGTERM when we end.

        Text goes through what is ``subprocess.PIPE``.
        """
        theirs: list[int] = []
        kept: list[IO[Any] | None] = []
        for number, chosen in enumerate((stdin, stdout, stderr)):
            one, other = _opened(number, chosen)
            theirs.append(one)
            kept.append(other)
        ending, told = os.pipe()
        asked = [list(map(str, argv)), dict(env), str(cwd or Path.cwd())]
        try:
            with self._turn:
                text = json.dumps(asked).encode()
                socket.send_fds(self._line, [text], [*theirs, told])
                pid = int(self._line.recv(16))
        finally:
            for opened in (*theirs, told):
                os.close(opened)
        return Forked(pid, ending, kept)

    def run(
        self,
        argv: Sequence[str | Path],
        *,
        env: Mapping[str, str],
        cwd: Path | None = None,
        data: bytes = b"",
        timeout: float | None = None,
    ) -> subprocess.CompletedProcess[bytes]:
        """Run it to its end, which is SIGKILL after *timeout* seconds; it reads *data*."""
        with (
            tempfile.TemporaryFile() as given,
            tempfile.TemporaryFile() as out,
            tempfile.TemporaryFile() as err,
        ):
            given.write(data)
            given.seek(0)
            running = self.start(
                argv, env=env, cwd=cwd, stdin=given, stdout=out, stderr=err
            )
            try:
                code = running.wait(timeout)
            except subprocess.TimeoutExpired:
                running.kill()
                running.wait()
                raise
            for file in (out, err):
                file.seek(0)
            return subprocess.CompletedProcess(argv, code, out.read(), err.read())

    def end(self) -> None:
        """All that still run get SIGTERM."""
        self._line.close()
        self._process.wait(20)


def _opened(number: int, chosen: int | IO[Any] | None) -> tuple[int, IO[Any] | None]:
    """A descriptor for the program, and our end of the pipe if it is one."""
    if chosen == subprocess.PIPE:
        reading, writing = os.pipe()
        if number == 0:
            return reading, os.fdopen(writing, "w", encoding="utf-8")
        return writing, os.fdopen(reading, encoding="utf-8")
    if chosen == subprocess.DEVNULL:
        return os.open(os.devnull, os.O_RDWR), None
    if chosen is None:
        return os.dup(number), None
    return os.dup(chosen if isinstance(chosen, int) else chosen.fileno()), None


_OF_THIS_PROCESS: dict[str, Forks] = {}


def ours() -> Forks:
    """Forks our own programs, for all tests of this process."""
    return _kept(sys.executable, OURS)


def of_tahoe(python: str | Path) -> Forks:
    """Forks ``tahoe``, from the environment that this Python is of."""
    return _kept(str(python), TAHOE)


def _kept(python: str, modules: Sequence[str]) -> Forks:
    if python not in _OF_THIS_PROCESS:
        _OF_THIS_PROCESS[python] = Forks(python, modules)
    return _OF_THIS_PROCESS[python]


def end_all() -> None:
    """The tests of this process are over."""
    while _OF_THIS_PROCESS:
        _OF_THIS_PROCESS.popitem()[1].end()


# In the process that forks.


def _serve(line: socket.socket) -> tuple[list[Any], list[int]] | None:
    """Fork for each request; returns in the child, with what it shall run, and with
    None in the parent, when nobody will ask any more.
    """
    waiting = select.poll()
    waiting.register(line, select.POLLIN)
    running: dict[int, tuple[int, int]] = {}
    while True:
        for number, _ in waiting.poll():
            if number in running:
                waiting.unregister(number)
                _tell_the_end(number, *running.pop(number))
                continue
            text, files, _, _ = socket.recv_fds(line, _LARGEST_REQUEST, 4)
            if not text:
                return None
            pid = os.fork()
            if not pid:
                line.detach()
                return json.loads(text), files
            line.send(str(pid).encode())
            *given, told = files
            for one in given:
                os.close(one)
            ending = os.pidfd_open(pid)
            running[ending] = pid, told
            waiting.register(ending, select.POLLIN)


def _tell_the_end(ending: int, pid: int, told: int) -> None:
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    os.close(ending)
    try:
        os.write(told, str(code).encode())
    except BrokenPipeError:
        pass
    finally:
        os.close(told)


def _become(
    asked: list[Any], files: list[int], parent: int, room: tuple[int, int]
) -> list[str]:
    """The process that an exec would have made, but for its imports; its arguments."""
    argv, env, folder = asked
    os.setsid()
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGTERM), 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)
    reactor = cast("Any", sys.modules.get("twisted.internet.reactor"))
    if reactor is not None:
        # An epoll is shared by all forks, and so is the pipe that wakes a reactor.
        reactor._poller.close()
        reactor.waker.connectionLost(None)
    for number, file in enumerate(files[:3]):
        os.dup2(file, number)
    os.closerange(3, os.sysconf("SC_OPEN_MAX"))
    if reactor is not None:
        reactor.__init__()
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(env)
    time.tzset()
    tempfile.tempdir = None
    _show_arguments(argv, *room)
    # What was read before the child's files were there is a parent's.
    for name, number in (("stdout", 1), ("stderr", 2)):
        stream = cast("io.TextIOWrapper", getattr(sys, name))
        tty = os.isatty(number)
        stream.reconfigure(line_buffering=tty or name == "stderr")
    return cast("list[str]", argv)


def _room() -> tuple[int, int]:
    """Where the kernel has our arguments, as they were when we were executed."""
    stat = Path("/proc/self/stat").read_text("utf-8")
    # The second field, in brackets, may have blanks.
    fields = ["", "", *stat.rpartition(") ")[2].split()]
    return int(fields[_ARG_START]), int(fields[_ARG_END])


def _show_arguments(argv: Sequence[str], start: int, end: int) -> None:
    shown = b"\0".join(os.fsencode(word) for word in argv)[: end - start - 1]
    ctypes.memmove(start, shown.ljust(end - start, b"\0"), end - start)


def _run(argv: list[str]) -> None:
    """What an interpreter does with these arguments."""
    if argv[0] == sys.executable:
        argv = argv[1:]
    if argv[0] == "-m":
        sys.argv[:] = argv[1:]
        sys.path[0] = str(Path.cwd())
        runpy.run_module(argv[1], run_name="__main__", alter_sys=True)
    else:
        sys.argv[:] = argv
        sys.path[0] = str(Path(argv[0]).parent)
        runpy.run_path(argv[0], run_name="__main__")


def _end_as(program: Callable[[list[str]], None], argv: list[str]) -> NoReturn:
    """Run it, and end as an interpreter does; but what was imported is not taken apart,
    which would copy all memory that the forks share.
    """
    code: Any = 0
    try:
        program(argv)
    except SystemExit as e:
        code = e.code
    except BaseException:  # noqa: BLE001  (printed as an interpreter does)
        sys.excepthook(*sys.exc_info())
        code = 1
    if not (code is None or isinstance(code, int)):
        sys.stderr.write(f"{code}\n")
        code = 1
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    with contextlib.suppress(OSError, ValueError):
        sys.stdout.flush()
    with contextlib.suppress(OSError, ValueError):
        sys.stderr.flush()
    os._exit((code or 0) & 0xFF)


def main(number: str, _room_for_arguments: str, *modules: str) -> None:
    """Import, then fork until nobody asks any more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for module in modules:
        importlib.import_module(module)
    if "lae_flapp.service" in modules:
        for entry in entry_points(group="s4.commands"):
            entry.load()
    if len(threading.enumerate()) > 1:
        sys.exit(f"an import started a thread: {threading.enumerate()}")
    gc.collect()
    gc.freeze()
    room, us = _room(), os.getpid()
    line = socket.socket(fileno=int(number))
    if (taken := _serve(line)) is None:
        return
    for heard in (signal.SIGHUP, signal.SIGTERM):
        signal.signal(heard, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    _end_as(_run, _become(*taken, us, room))


if __name__ == "__main__":
    main(*sys.argv[1:])
