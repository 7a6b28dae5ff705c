"""The fence: whether this node is still the one that serves its bucket.

The bucket holds the epoch of the node that took the bucket last.  A node reads that
epoch every :data:`LOOK_EVERY` seconds.  It answers clients only within :data:`TERM`
seconds after the *beginning* of a look that found the node's own epoch there: when the
look's answer comes, another node may have the bucket already.  So a superseded node
acknowledges and serves nothing later than :data:`TERM` seconds after its successor took
the epoch, whether it can reach S3 or not, and the successor knows from when on it sees
everything that was acknowledged.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime

from attrs import define, field
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure

from lae_protocol.process.deadline import DeadlinePassed, with_deadline
from lae_storage.s3.conditional import ConditionalWriter
from lae_storage.s3.interface import (
    Bytes,
    ConditionFailed,
    Contended,
    Denied,
    IObjectStore,
    NotThere,
    StoreError,
    Unavailable,
)
from lae_storage.server import keys

_log = Logger()
LOOK_EVERY = 10.0  # s
LOOK_TIMEOUT = 8.0  # s
#: After a look that failed.
RETRY_AFTER = 2.0  # s
#: How long this node answers after the beginning of a look that found its epoch.
TERM = 25.0  # s
#: After its start, until a node sees all that another node acknowledged: the other's
#: term, and the difference that two clocks may gather meanwhile.
SETTLED_AFTER = TERM + 3.0  # s
#: A client's request waits so long for S3 to come back, before it is told "not now":
#: with what S3 may take after that, less than the patience of clients, 60 s.
HOLD = 25.0  # s
#: Times that another node may take the epoch at the same moment.
MOST_RACES = 5


class Superseded(StoreError):
    """A later node has taken this bucket.  This node never serves it again."""


class Unconfirmed(StoreError):
    """S3 has not confirmed for too long that the bucket is ours.  Try again later."""


@define(eq=False)
class Fence:
    """One node's hold on its bucket.

    *taken* is the time at which the epoch was taken, *confirmed* the time at which the
    last look that found this epoch began, both in seconds of *reactor*.  *newest* is
    the highest epoch that was seen.  *settled* says whether everything that earlier
    nodes acknowledged is known: see :mod:`lae_storage.server.housekeeping`.
    """

    store: IObjectStore
    reactor: IReactorTime
    epoch: int
    taken: float
    confirmed: float
    settled: bool
    newest: int = 0
    _watching: Deferred[None] | None = None
    #: Why the last look failed, and when the first of those that failed began.
    _failing: tuple[str, float] | None = None
    _held: set[Deferred[None]] = field(factory=set)

    def check(self) -> None:
        """Raise :class:`Superseded` or :class:`Unconfirmed` unless we may answer."""
        if self.newest > self.epoch:
            raise Superseded("Superseded", f"epoch {self.newest} after {self.epoch}")
        # A clock that was set back confirms nothing either.
        if not 0 <= self.reactor.seconds() - self.confirmed <= TERM:
            raise Unconfirmed(
                "Unconfirmed", "S3 cannot be used now: nothing is lost, try again later"
            )

    def is_open(self) -> bool:
        """Whether we may answer."""
        try:
            self.check()
        except StoreError:
            return False
        return True

    async def wait(self) -> None:
        """Wait, within bounds, while S3 is away: who asks then is answered late, or
        raises :class:`Unconfirmed`.  A superseded node makes nobody wait.
        """
        if self.newest > self.epoch or self.is_open():
            return
        opened: Deferred[None] = Deferred()
        self._held.add(opened)
        try:
            await with_deadline(self.reactor, HOLD, "the bucket", opened)
        except DeadlinePassed:
            self.check()
        finally:
            self._held.discard(opened)

    def problem(self) -> str | None:
        """Why this node answers nobody, and since when, for operators; None where it
        answers.
        """
        if self.newest > self.epoch:
            return "another node has the bucket: this one serves no more"
        if self.is_open():
            return None
        why, began = self._failing or ("its clock was set back", self.confirmed)
        since = datetime.fromtimestamp(began, UTC)
        return f"the bucket cannot be used since {since:%Y-%m-%d %H:%M} UTC: {why}"

    def note_epoch(self, epoch: int) -> None:
        """Take note of an epoch that was read in the bucket.

        Raises :class:`Superseded` for a later one: our index does not know what that
        node stored, so we must not go on.
        """
        if epoch > self.newest:
            self.newest = epoch
            if epoch > self.epoch:
                _log.error(
                    "another node took the bucket (epoch {newest} after {epoch}): "
                    "this one serves no more",
                    newest=epoch,
                    epoch=self.epoch,
                )
        if self.newest > self.epoch:
            raise Superseded("Superseded", f"epoch {self.newest} after {self.epoch}")

    def start(self) -> None:
        """Look at the epoch again and again, until :meth:`stop` or a later epoch."""
        self._watching = Deferred.fromCoroutine(self._watch())
        self._watching.addErrback(_log_end)

    def stop(self) -> None:
        """End the looks."""
        if self._watching is not None:
            self._watching.cancel()

    async def _watch(self) -> None:
        while self.newest <= self.epoch:
            await deferLater(
                self.reactor, LOOK_EVERY if await self._look() else RETRY_AFTER
            )

    async def _look(self) -> bool:
        """Look once; whether the bucket's epoch was found."""
        began = self.reactor.seconds()
        asked = self.store.get(keys.EPOCH_KEY)
        try:
            got = await with_deadline(self.reactor, LOOK_TIMEOUT, "the epoch", asked)
            self.note_epoch(json.loads(got.data)["epoch"])
        except Superseded:
            self._let_go()
            return True
        except (StoreError, DeadlinePassed, ValueError, KeyError) as e:
            # An epoch that is gone or damaged confirms nothing.
            _log.warn("the bucket's epoch could not be read: {why}", why=str(e))
            since = began if self._failing is None else self._failing[1]
            self._failing = _words_of(e), since
            return False
        self.confirmed, self._failing = began, None
        self._let_go()
        return True

    def _let_go(self) -> None:
        """Go on with what waited."""
        for opened in tuple(self._held):
            opened.callback(None)


def _words_of(error: Exception) -> str:
    """Whether S3 refuses or is silent; without keys of objects."""
    match error:
        case Denied(code=code):
            return f"S3 refuses it ({code})"
        case Unavailable(code=code):
            return f"S3 cannot be reached, or fails ({code})"
        case DeadlinePassed():
            return "S3 does not answer"
        case _:
            return "the epoch in it is gone or damaged"


async def take_epoch(
    store: IObjectStore,
    writer: ConditionalWriter,
    token: Callable[[], str],
    reactor: IReactorTime,
) -> Fence:
    """Make this node the one that serves the bucket.

    Raises :class:`Contended` where other nodes keep taking the epoch.
    """
    for _ in range(MOST_RACES):
        before, etag = 0, None
        try:
            got = await store.get(keys.EPOCH_KEY)
        except NotThere:
            pass
        else:
            before, etag = json.loads(got.data)["epoch"], got.head.etag
        began = reactor.seconds()
        taken = {"epoch": before + 1, "token": token(), "at": began}
        try:
            await writer.put(keys.EPOCH_KEY, Bytes(json.dumps(taken).encode()), etag)
        except ConditionFailed:
            continue
        # Nobody else's shares can be in a bucket that nobody had.
        now, first = reactor.seconds(), before == 0
        return Fence(store, reactor, before + 1, now, began, first)
    raise Contended("EpochTaken", "other nodes keep taking this bucket")


def _log_end(failure: Failure) -> None:
    if failure.check(CancelledError) is None:  # type: ignore[no-untyped-call]
        _log.failure("the looks at the bucket's epoch ended", failure)
