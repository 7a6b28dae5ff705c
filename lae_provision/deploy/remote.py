"""Programs and files on the host, reached directly or by ssh.

The system's ``ssh`` is used with the user's configuration, and one connection for all
calls.  Secrets are never arguments: they are sent by standard input.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import IO, Protocol

from attrs import define

TIMEOUT = 60.0  # s
#: The exit status of ssh itself when it has no connection.
_SSH_FAILED = 255
_NOT_THERE = 66
_LONGEST_OUTPUT = 2000  # characters

# The file is complete and on the disk before it gets its name.
_PUT = """set -eu
new="$1.new.$$"
trap 'rm -f "$new"' EXIT
umask 077
cat > "$new"
chmod "$2" "$new"
sync "$new"
mv -fT "$new" "$1"
sync "$(dirname "$1")"
"""
_READ = f'[ -e "$1" ] || exit {_NOT_THERE}; cat "$1"'
# Prints the lock's holder, or "ours"; then holds the lock until its input ends.
_HOLD = """exec 9>>"$1"
if ! flock -n 9; then echo "held by $(cat "$1")"; exit 0; fi
printf '%s' "$2" > "$1"
echo ours
cat > /dev/null
"""


class RemoteError(Exception):
    """Something failed on the machine; the text says what."""


class CommandFailed(RemoteError):
    """A program failed on the machine; *words* is the end of its output."""

    def __init__(self, argv: Sequence[str], code: int, words: str) -> None:
        super().__init__(f"{_short(argv)}: {words or f'ended with {code}'}")
        self.code, self.words = code, words


class RemoteAway(RemoteError):
    """The machine cannot be reached, or the connection was lost: the command may have
    been carried out.  Look at the machine before the next step.
    """


class LockHeld(RemoteError):
    """Another deployment to this machine is running."""


class Remote(Protocol):
    """One machine.  Nothing is retried here: the caller looks, and decides."""

    @property
    def name(self) -> str:
        """The machine's name, for people."""
        ...

    def run(
        self, argv: Sequence[str], *, data: bytes = b"", seconds: float = TIMEOUT
    ) -> str:
        """Run a program with *data* as its input; return what it printed.

        Raises :class:`CommandFailed`; and :class:`RemoteAway`, also when the program
        takes longer than *seconds*.
        """
        ...

    def put(self, source: Path, target: str, mode: int) -> None:
        """Copy a file to the machine; it gets its name when complete and durable."""
        ...

    def write(self, target: str, data: bytes, mode: int) -> None:
        """Write a file as :meth:`put` does, from memory."""
        ...

    def read(self, path: str) -> bytes | None:
        """Read a file; None if it does not exist."""
        ...

    def lock(self, path: str, who: str) -> AbstractContextManager[None]:
        """Hold the lock while the context lasts, and no longer than this process lives.

        Raises :class:`LockHeld`, which names the holder.
        """
        ...


@define(frozen=True)
class Shell:
    """Runs everything through one prefix: none for this machine, ssh for another."""

    name: str
    #: The words of ssh before a command; None for this machine, without a shell.
    through: tuple[str, ...] | None = None
    #: How to become root there, if needed.
    become: tuple[str, ...] = ()

    def run(
        self, argv: Sequence[str], *, data: bytes = b"", seconds: float = TIMEOUT
    ) -> str:
        """See :class:`Remote`."""
        return self._run(argv, data=data, seconds=seconds).decode("utf-8", "replace")

    def put(self, source: Path, target: str, mode: int) -> None:
        """See :class:`Remote`."""
        with source.open("rb") as stream:
            argv = ("sh", "-c", _PUT, "put", target, f"{mode:o}")
            self._run(argv, stdin=stream, seconds=600)

    def write(self, target: str, data: bytes, mode: int) -> None:
        """See :class:`Remote`."""
        self._run(("sh", "-c", _PUT, "put", target, f"{mode:o}"), data=data)

    def read(self, path: str) -> bytes | None:
        """See :class:`Remote`."""
        try:
            return self._run(("sh", "-c", _READ, "read", path))
        except CommandFailed as e:
            if e.code == _NOT_THERE:
                return None
            raise

    @contextmanager
    def lock(self, path: str, who: str) -> Iterator[None]:
        """See :class:`Remote`: the holder drops the lock when its input ends, which
        happens when this process ends for whatever reason.
        """
        argv = self._argv(("sh", "-c", _HOLD, "lock", path, who))
        with subprocess.Popen(  # noqa: S603  (the prefix is ours, the words are quoted)
            argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        ) as holder:
            assert holder.stdin is not None
            assert holder.stdout is not None
            try:
                said = holder.stdout.readline().decode("utf-8", "replace").strip()
                if said.startswith("held by"):
                    raise LockHeld(
                        f"another deployment is running on {self.name}: {said}"
                    )
                if said != "ours":
                    raise self._failed(argv, holder.wait(), _read(holder.stderr))
                yield
            finally:
                holder.stdin.close()

    def _argv(self, argv: Sequence[str]) -> list[str]:
        whole = [*self.become, *argv]
        if self.through is None:
            return whole
        return [*self.through, shlex.join(whole)]

    def _run(
        self,
        argv: Sequence[str],
        *,
        data: bytes = b"",
        stdin: IO[bytes] | None = None,
        seconds: float = TIMEOUT,
    ) -> bytes:
        if stdin is None:
            stdin = _spooled(data)
        with stdin:
            try:
                done = subprocess.run(  # noqa: S603  (the prefix is ours, words quoted)
                    self._argv(argv),
                    check=False,
                    stdin=stdin,
                    capture_output=True,
                    timeout=seconds,
                )
            except subprocess.TimeoutExpired:
                raise RemoteAway(
                    f"{self.name}: {_short(argv)} did not end within {seconds:.0f} s"
                ) from None
            except OSError as e:
                raise CommandFailed(argv, 127, str(e)) from None
        if done.returncode:
            words = done.stderr.decode("utf-8", "replace").strip()
            if not words:
                words = done.stdout.decode("utf-8", "replace").strip()
            raise self._failed(argv, done.returncode, words)
        return done.stdout

    def _failed(self, argv: Sequence[str], code: int, words: str) -> RemoteError:
        if self.through is not None and code == _SSH_FAILED:
            last = words.splitlines()[-1] if words else "no connection"
            return RemoteAway(f"{self.name}: {last}")
        return CommandFailed(argv, code, words[-_LONGEST_OUTPUT:])


def this_machine(become: tuple[str, ...] = ()) -> Shell:
    """Return the machine that this process runs on."""
    return Shell("this machine", None, become)


#: A socket's path has at most 104 bytes, and ssh adds up to 30 to the folder's.
_LONGEST_FOLDER = 60  # bytes


def _choose_socket_folder() -> str | None:
    """Choose a short folder for ssh's socket if the temporary folder's path is long."""
    deep = len(tempfile.gettempdir()) > _LONGEST_FOLDER
    return "/tmp" if deep else None  # noqa: S108  (mkdtemp makes a private one in it)


@contextmanager
def over_ssh(
    destination: str,
    *,
    config: Path | None = None,
    become: tuple[str, ...] = (),
    ssh: str = "ssh",
) -> Iterator[Shell]:
    """Connect to another machine, by a name from the user's ssh configuration.

    The first call opens the one connection; it ends with the context.
    """
    with tempfile.TemporaryDirectory(
        prefix="s4-", dir=_choose_socket_folder()
    ) as folder:
        given = () if config is None else ("-F", str(config))
        options = (
            "-oBatchMode=yes",
            "-oConnectTimeout=15",
            "-oServerAliveInterval=5",
            "-oServerAliveCountMax=4",
            "-oControlMaster=auto",
            "-oControlPersist=30",
            f"-oControlPath={folder}/c",
        )
        through = (ssh, *given, *options, "--", destination)
        try:
            yield Shell(destination, through, become)
        finally:
            subprocess.run(  # noqa: S603  (our own words)
                [ssh, *given, *options, "-O", "exit", "--", destination],
                check=False,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=TIMEOUT,
            )


def _spooled(data: bytes) -> IO[bytes]:
    """Write *data*, which may be secret, to an open file without a name."""
    stream = tempfile.TemporaryFile()  # noqa: SIM115  (its reader closes it)
    stream.write(data)
    stream.seek(0)
    return stream


def _read(stream: IO[bytes] | None) -> str:
    return "" if stream is None else stream.read().decode("utf-8", "replace").strip()


def _short(argv: Sequence[str]) -> str:
    """Shorten a command for messages: without the text of scripts."""
    words = [os.path.basename(argv[0]), *argv[1:]]  # noqa: PTH119  (no path of ours)
    short = [w for w in words if "\n" not in w]
    return shlex.join(short)[:200]
