"""The machine that is deployed to: run a program on it, put a file, read a file.

Over ssh it is the system's own ``ssh`` with the user's own configuration, one
connection for all calls.  Nothing secret is ever in an argument: it goes by standard
input.
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

#: Seconds for what only looks or writes a little.
SOON = 60.0
#: What ssh itself ends with when it has no connection.
_SSH_FAILED = 255
_NOT_THERE = 66
_LAST_WORDS = 2000

# Whole or not at all, and on the disk: a file, then its name.
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
# Says who has it, or that it is ours, and then lives as long as its standard input.
_HOLD = """exec 9>>"$1"
if ! flock -n 9; then echo "held by $(cat "$1")"; exit 0; fi
printf '%s' "$2" > "$1"
echo ours
cat > /dev/null
"""


class RemoteError(Exception):
    """Something did not work on the machine; the text says what."""


class CommandFailed(RemoteError):
    """A program ran there and ended badly; *words* is what it said last."""

    def __init__(self, argv: Sequence[str], code: int, words: str) -> None:
        super().__init__(f"{_named(argv)}: {words or f'ended with {code}'}")
        self.code, self.words = code, words


class RemoteAway(RemoteError):
    """The machine cannot be reached, or the connection was lost: what was asked for
    may have happened.  Call again, and look.
    """


class LockHeld(RemoteError):
    """Somebody else deploys to this machine now."""


class Remote(Protocol):
    """One machine.  Nothing is tried again: the caller looks, and decides."""

    @property
    def name(self) -> str:
        """What people call it."""
        ...

    def run(
        self, argv: Sequence[str], *, data: bytes = b"", seconds: float = SOON
    ) -> str:
        """Run it to its end with *data* as its input; what it printed.

        Raises :class:`CommandFailed`; :class:`RemoteAway` too when it takes longer
        than *seconds*.
        """
        ...

    def put(self, source: Path, target: str, mode: int) -> None:
        """Copy a file there: whole, durable, and under its name only then."""
        ...

    def write(self, target: str, data: bytes, mode: int) -> None:
        """As :meth:`put`, from memory."""
        ...

    def read(self, path: str) -> bytes | None:
        """A file's bytes; None where there is none."""
        ...

    def lock(self, path: str, who: str) -> AbstractContextManager[None]:
        """Hold the lock as long as the context lasts, and no longer than we live.

        Raises :class:`LockHeld`, which names the holder.
        """
        ...


@define(frozen=True)
class Shell:
    """Runs everything through one prefix: none for this machine, ssh for another."""

    name: str
    #: Words before a command that one shell there reads; None: no shell, this machine.
    through: tuple[str, ...] | None = None
    #: How to become root there, where one is not.
    become: tuple[str, ...] = ()

    def run(
        self, argv: Sequence[str], *, data: bytes = b"", seconds: float = SOON
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
        """See :class:`Remote`: the kernel drops the lock when the holder's input ends,
        which it does when we end, however that happens.
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
                        f"another deployment is under way on {self.name}: {said}"
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
        seconds: float = SOON,
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
                    f"{self.name}: {_named(argv)} did not end within {seconds:.0f} s"
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
        return CommandFailed(argv, code, words[-_LAST_WORDS:])


def this_machine(become: tuple[str, ...] = ()) -> Shell:
    """The machine that we run on."""
    return Shell("this machine", None, become)


#: A socket's path has at most 104 bytes, of which ssh's own name takes 30.
_LONGEST_FOLDER = 60


def _place_of_socket() -> str | None:
    """Where ssh's socket can be, though the user's temporary folder is deep."""
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
    """Another machine, by the name that the user's own ssh configuration knows.

    One connection, opened by the first call and shared by the rest; it ends with the
    context.
    """
    with tempfile.TemporaryDirectory(prefix="s4-", dir=_place_of_socket()) as folder:
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
                timeout=SOON,
            )


def _spooled(data: bytes) -> IO[bytes]:
    """An open file with these bytes, which never has a name (they may be secret)."""
    stream = tempfile.TemporaryFile()  # noqa: SIM115  (its reader closes it)
    stream.write(data)
    stream.seek(0)
    return stream


def _read(stream: IO[bytes] | None) -> str:
    return "" if stream is None else stream.read().decode("utf-8", "replace").strip()


def _named(argv: Sequence[str]) -> str:
    """A command as people name it: programs and scripts without their long texts."""
    words = [os.path.basename(argv[0]), *argv[1:]]  # noqa: PTH119  (no path of ours)
    short = [w for w in words if "\n" not in w]
    return shlex.join(short)[:200]
