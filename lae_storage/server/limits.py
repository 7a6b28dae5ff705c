"""What limits a node: its plan's quota and traffic, and its host's memory and disk.

A plan's traffic counts bytes to clients in a calendar month (UTC).  When it is used
up, the bytes of files pass at :data:`RATE` in each direction, all clients and both
protocols together; nothing is refused.  What keeps a grid alive waits for nothing:
versions, listings, leases, and changes of mutable slots of a directory's size.  While
the traffic lasts, all this costs one look at ``slowed``.

``docs/storage-layout.rst`` has the table of what is refused when.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from allmydata.interfaces import NoSpace
from attrs import define, field
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater

from lae_protocol.process.token_bucket import TokenBucket
from lae_storage.server.meter import Meter

#: Beyond the quota (or a tenth of it, if that is less) for small mutable slots: a
#: customer who is full and cannot change a directory can delete nothing.
RESERVE = 64 * 1024**2  # bytes
#: A slot up to this size may use the reserve; a directory is smaller.
SMALL_SLOT = 1024**2  # bytes

#: In each direction, when the month's traffic is used up.
RATE = 1024 * 1024  # bytes per second
#: What may pass at once then.
BURST = 4 * 1024 * 1024  # bytes
#: What one request waits at most: clients give up after 60 s.  So very many requests at
#: once are together faster than the rate.
LONGEST_WAIT = 30.0  # s
#: An operation on a mutable slot that carries no more waits for nothing.
DIRECTORY_SIZE = 1024 * 1024  # bytes

#: For unfinished uploads, on a disk with room.
MOST_SPOOL = 8 * 1024**3  # bytes
#: For shares that were just stored, on a disk with room.
MOST_DISK_CACHE = 256 * 1024**2  # bytes


class Suspended(Exception):
    """This storage is read-only until its subscription is paid again."""


@define
class Allowance:
    """*quota* in bytes, and whether writing is suspended; changed while serving."""

    quota: int
    suspended: bool = False

    def room(self, stored: int) -> int:
        """Bytes left for new immutable shares."""
        return 0 if self.suspended else max(0, self.quota - stored)

    def check_writing(self) -> None:
        """Raise :class:`Suspended` unless something may be written at all."""
        if self.suspended:
            raise Suspended("this storage is suspended: it can be read, not written")

    def check_growth(self, stored: int, growth: int, size: int) -> None:
        """Raise NoSpace unless a slot may grow by *growth* to *size* bytes.

        A change that makes nothing larger is never refused.
        """
        reserve = min(RESERVE, self.quota // 10) if size <= SMALL_SLOT else 0
        if growth > 0 and stored + growth > self.quota + reserve:
            raise NoSpace


# -- traffic -----------------------------------------------------------------------


def is_used_up(sent: int, traffic: int | None) -> bool:
    """Whether so much sent is beyond the month's traffic; None is no limit."""
    return traffic is not None and sent > traffic


@define(eq=False)
class Lane:
    """One direction of traffic: bytes beyond the burst wait until the rate allows."""

    reactor: IReactorTime
    _bucket: TokenBucket | None = None

    def take(self, size: int) -> float:
        """Take so many bytes; the seconds to wait, :data:`LONGEST_WAIT` at most."""
        now = self.reactor.seconds()
        if self._bucket is None:
            self._bucket = TokenBucket.full(RATE, BURST, now)
        return self._bucket.owe(size, now, LONGEST_WAIT)

    async def wait(self, size: int) -> None:
        """Wait until so many bytes may pass."""
        seconds = self.take(size)
        if seconds:
            await deferLater(self.reactor, seconds)


@define(eq=False)
class Pace:
    """Both directions, and whether they are slowed.

    *traffic* is the plan's, in bytes a month; None is no limit.
    """

    reactor: IReactorTime
    meter: Meter
    traffic: int | None = None
    slowed: bool = False
    to_clients: Lane = field(init=False)
    from_clients: Lane = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.to_clients, self.from_clients = Lane(self.reactor), Lane(self.reactor)

    async def wait_for_slot(self, sent: int, received: int) -> None:
        """Wait, where an operation on a mutable slot is larger than a directory's."""
        if sent > DIRECTORY_SIZE:
            await self.to_clients.wait(sent)
        if received > DIRECTORY_SIZE:
            await self.from_clients.wait(received)

    def update(self) -> None:
        """Decide again whether to slow; the meter knows earlier nodes' counts, too."""
        self.slowed = is_used_up(self.meter.sent_this_month(), self.traffic)


# -- the host ----------------------------------------------------------------------


@define(frozen=True)
class Limits:
    """Bytes that this process may take of its host.

    *read_memory* is for reads, *spool* disk for all unfinished uploads together,
    *disk_cache* disk for shares that were just stored.
    """

    read_memory: int = 32 * 1024 * 1024
    spool: int = MOST_SPOOL
    disk_cache: int = MOST_DISK_CACHE


def limits_for(free: int) -> Limits:
    """The limits on a disk with so many bytes free.

    An eighth is left for others, and of the rest an eighth at most is for shares that
    were just stored.
    """
    ours = free - free // 8
    disk_cache = min(MOST_DISK_CACHE, ours // 8)
    return Limits(spool=min(MOST_SPOOL, ours - disk_cache), disk_cache=disk_cache)


def limits_in(folder: Path) -> Limits:
    """The limits on the disk that *folder* will be on; it need not exist yet."""
    there = next(path for path in (folder, *folder.parents) if path.exists())
    return limits_for(shutil.disk_usage(there).free)


def clear_cache(folder: Path) -> None:
    """Make the folder, and delete what an earlier process left in it."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for left in (*folder.glob("upload-*"), folder / "shares"):
        if left.is_dir():
            shutil.rmtree(left, ignore_errors=True)
        else:
            left.unlink(missing_ok=True)
