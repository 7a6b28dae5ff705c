"""Network namespaces by name: made, entered, listened in, removed."""

from __future__ import annotations

import ctypes
import os
import socket
import subprocess
from pathlib import Path
from threading import Thread

from attrs import define

_FOLDER = Path("/run/netns")
_CLONE_NEWNET = 0x40000000
_BACKLOG = 128
#: Bind-mounts a resolv.conf in a mount namespace of its own; the machine's stays.
_WITH_RESOLVER = 'mount --bind "$0" "$(readlink -f /etc/resolv.conf)" && exec "$@"'


def said(*argv: str, text: str = "") -> str:
    """What a program says; raises RuntimeError with its words where it fails."""
    done = subprocess.run(  # noqa: S603  (our own words)
        argv, input=text, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(f"{' '.join(argv)}: {done.stderr.strip()}\n{text}")
    return done.stdout


@define(frozen=True)
class Namespace:
    """One of them.  Every method blocks, for milliseconds."""

    name: str

    @property
    def path(self) -> Path:
        """Where the kernel shows it."""
        return _FOLDER / self.name

    def make(self) -> None:
        """An empty one, with loopback alone."""
        said("ip", "netns", "add", self.name)
        self.ip("link set lo up")

    def remove(self) -> None:
        """Nothing where there is none; its interfaces go with it."""
        if self.path.exists():
            said("ip", "netns", "del", self.name)

    def ip(self, *lines: str) -> None:
        """Commands of ``ip``, in one go."""
        argv = ("ip", "-netns", self.name, "-batch", "-")
        said(*argv, text="".join(f"{line}\n" for line in lines))

    def nft(self, rules: str) -> None:
        """Rules of nftables, all or none of them."""
        said(*self.words(), "nft", "-f", "-", text=rules)

    def words(self, resolver: Path | None = None) -> tuple[str, ...]:
        """What goes before a command that shall run in it, asking *resolver*'s server
        for names.
        """
        enter = ("nsenter", f"--net={self.path}")
        if resolver is None:
            return enter
        apart = ("unshare", "--mount", "--propagation", "private")
        return (*enter, *apart, "sh", "-c", _WITH_RESOLVER, str(resolver))

    def processes(self) -> list[int]:
        """Whoever runs in it."""
        if not self.path.exists():
            return []
        return [int(p) for p in said("ip", "netns", "pids", self.name).split()]

    def new_socket(self) -> socket.socket:
        """A socket of TCP there, while we stay where we are: a socket belongs to the
        namespace that it was made in.
        """
        made: list[socket.socket] = []
        failed: list[OSError] = []

        def enter_and_make() -> None:
            try:
                _enter(self.path)
                made.append(socket.socket())
            except OSError as e:
                failed.append(e)

        # A thread that ends at once: nothing else must ever run in that namespace.
        thread = Thread(target=enter_and_make)
        thread.start()
        thread.join()
        if failed:
            raise failed[0]
        return made[0]

    def listen(self, address: str, port: int, ttl: int | None = None) -> socket.socket:
        """One that listens there; *ttl* is that of all its answers."""
        s = self.new_socket()
        try:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if ttl is not None:
                s.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, ttl)
            s.setblocking(False)  # noqa: FBT003  (its own form)
            s.bind((address, port))
            s.listen(_BACKLOG)
        except OSError:
            s.close()
            raise
        return s


def all_namespaces() -> list[Namespace]:
    """Every one of this machine that has a name."""
    if not _FOLDER.exists():
        return []
    return [Namespace(p.name) for p in sorted(_FOLDER.iterdir())]


def _enter(path: Path) -> None:
    """Move this thread into a namespace; Python has a word for it from 3.12 on."""
    libc = ctypes.CDLL(None, use_errno=True)
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        if libc.setns(descriptor, _CLONE_NEWNET):
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), str(path))
    finally:
        os.close(descriptor)
