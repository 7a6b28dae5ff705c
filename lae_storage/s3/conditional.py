"""A conditional write carried through to a certain end.

The reply to a conditional PUT may be lost.  Repeating it blindly would meet its own
first try and call that a conflict (aws-sdk-java-v2 issue 6580); giving up would call
a done write a failure.  So each write carries a token of its writer in the object's
metadata, and what became of it is read back: *ours*, *not there (yet)*, or
*somebody else's*.  Sending the same request again is then safe: its condition is on
the ETag that was read, so at most one of the two can take effect, and both carry the
same token and the same bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from random import Random

from attrs import define, field
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater

from lae_protocol.process.retry import pause
from lae_storage.s3.interface import (
    Body,
    ConditionFailed,
    Contended,
    IObjectStore,
    Unclear,
)

#: The metadata's name of the writer's token.
WRITER = "s4-writer"
ATTEMPTS, FIRST_PAUSE, LONGEST_PAUSE = 5, 0.1, 3.0
#: Seconds after its beginning in which a write may be sent again.
WITHIN = 15.0


@define(frozen=True)
class Written:
    """A write that is in S3 under this ETag."""

    etag: str


@define
class ConditionalWriter:
    """Writes objects on a condition; *token* makes a fresh token for each write."""

    store: IObjectStore
    reactor: IReactorTime
    token: Callable[[], str]
    rng: Random = field(repr=False)

    async def put(
        self,
        key: str,
        body: Body,
        expected: str | None,
        metadata: Mapping[str, str] | None = None,
    ) -> Written:
        """Write where the object has the ETag *expected* (None: where there is none).

        Raises ConditionFailed when somebody else's object is there, and Unclear when
        even looking did not tell: the write may have happened, or happen yet.
        """
        token = self.token()
        marked = {**(metadata or {}), WRITER: token}
        last = self.reactor.seconds() + WITHIN
        for attempt in range(ATTEMPTS):
            try:
                return Written(
                    await self.store.put(key, body, marked, expected, expected is None)
                )
            except (ConditionFailed, Contended, Unclear):
                etag = await self._found(key, token, expected)
            if etag is not None:
                return Written(etag)
            if self.reactor.seconds() >= last:
                break
            await deferLater(
                self.reactor, pause(attempt, self.rng, FIRST_PAUSE, LONGEST_PAUSE)
            )
        raise Unclear("NoCertainty", key)

    async def _found(self, key: str, token: str, expected: str | None) -> str | None:
        """The ETag where the write is done; None where it may be sent again."""
        head = await self.store.head(key)
        if head is not None and head.metadata.get(WRITER) == token:
            return head.etag
        if (head.etag if head is not None else None) != expected:
            raise ConditionFailed("PreconditionFailed", key)
        return None
