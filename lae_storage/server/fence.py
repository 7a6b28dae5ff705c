"""Whether this node is still the one that serves its bucket.

The bucket holds the epoch of the node that took it last.  A node looks at it every
:data:`LOOK` seconds, and answers clients only within :data:`TERM` seconds after the
beginning of a look that found its own epoch there: so a superseded node acknowledges
and serves nothing later than that after its successor took the epoch, whether it can
reach S3 or not, and the successor knows when all that was acknowledged is to be seen.
"""

from __future__ import annotations

import json

from attrs import define
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure

from lae_protocol.process.deadline import DeadlinePassed, with_deadline
from lae_storage.s3.interface import IObjectStore, StoreError
from lae_storage.server import keys

_log = Logger()
#: Seconds between two looks, for one look, and before the next after one that failed.
LOOK, PATIENCE, SOON = 10.0, 8.0, 2.0
#: Seconds after the beginning of a good look in which this node answers.
TERM = 25.0
#: Seconds after its start from which a node sees all that another acknowledged: the
#: other's term, and what two clocks may differ in running.
SETTLED = TERM + 3.0


class Superseded(StoreError):
    """A later node has taken this bucket.  Do not try again from this one."""


class Unconfirmed(StoreError):
    """S3 has not told for too long that the bucket is still ours.  Try again later."""


@define(eq=False)
class Fence:
    """*taken* is the clock when the epoch was taken, *confirmed* when the last look
    that found it began (both in seconds of *reactor*).  *settled* is whether
    everything that earlier nodes acknowledged is known: see
    :mod:`lae_storage.server.housekeeping`.
    """

    store: IObjectStore
    reactor: IReactorTime
    epoch: int
    taken: float
    confirmed: float
    settled: bool
    newest: int = 0
    _watching: Deferred[None] | None = None

    def check(self) -> None:
        """Raise :class:`Superseded` or :class:`Unconfirmed` unless we may answer."""
        if self.newest > self.epoch:
            raise Superseded("Superseded", f"epoch {self.newest} after {self.epoch}")
        # A clock that was set back says nothing, either.
        if not 0 <= self.reactor.seconds() - self.confirmed <= TERM:
            raise Unconfirmed("Unconfirmed", "the bucket may be another node's by now")

    def open(self) -> bool:
        """Whether we may answer."""
        try:
            self.check()
        except StoreError:
            return False
        return True

    def saw(self, epoch: int) -> None:
        """Something written in *epoch* was read; raises :class:`Superseded`.

        Our index does not know what a later node stored, so we must not go on.
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
        """Look again and again, until :meth:`stop` or a later epoch."""
        self._watching = Deferred.fromCoroutine(self._watch())
        self._watching.addErrback(_ended)

    def stop(self) -> None:
        """Look no more."""
        if self._watching is not None:
            self._watching.cancel()

    async def _watch(self) -> None:
        while self.newest <= self.epoch:
            await deferLater(self.reactor, LOOK if await self._look() else SOON)

    async def _look(self) -> bool:
        """Whether a look told anything."""
        began = self.reactor.seconds()
        asked = self.store.get(keys.EPOCH_KEY)
        try:
            got = await with_deadline(self.reactor, PATIENCE, "the epoch", asked)
            self.saw(json.loads(got.data)["epoch"])
        except Superseded:
            return True
        except (StoreError, DeadlinePassed, ValueError, KeyError) as e:
            # An epoch that is gone or damaged confirms nothing.
            _log.warn("no word of the bucket's epoch: {why}", why=str(e))
            return False
        self.confirmed = began
        return True


def _ended(failure: Failure) -> None:
    if failure.check(CancelledError) is None:  # type: ignore[no-untyped-call]
        _log.failure("nobody looks at the bucket's epoch any more", failure)
