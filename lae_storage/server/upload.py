"""A share on its way into the bucket: seen by nobody until it is whole there.

Requests are opened with the first bytes and go along with what the client sends, so
that S3 has nearly all of a share when its last byte arrives.  Where a client is slow
they are taken back, and what they were to send goes when it is whole.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from attrs import define, field
from twisted.internet.defer import Deferred

from lae_storage.s3.interface import ConditionFailed
from lae_storage.server.bucket import OpenBucket
from lae_storage.server.one_put import OnePut
from lae_storage.server.parts import Parts
from lae_storage.server.spool import Spool

#: Shares up to this size are sent in one request, larger ones in parts.
ONE_PUT = 16 * 1024 * 1024
#: Bytes compared at once with somebody else's share.
PIECE = 4 * 1024 * 1024


class SomebodyElses(Exception):
    """Another writer stored other data under this share's name first."""


@define(eq=False)
class Upload:
    """Carries a spool into one object.

    The object appears at once and whole, on the condition that there is none.
    """

    bucket: OpenBucket
    key: str
    spool: Spool
    metadata: Mapping[str, str]
    _way: OnePut | Parts = field(init=False)

    def __attrs_post_init__(self) -> None:
        way = OnePut if self.spool.length <= ONE_PUT else Parts
        self._way = way(self.bucket, self.key, self.spool, self.metadata)

    def advance(self) -> None:
        """Send what is here."""
        self._way.advance()

    async def keep_up(self) -> None:
        """Wait while the client is far ahead.

        Raises what makes sending fail: the upload is lost then.
        """
        await self._way.keep_up()

    async def finish(self) -> None:
        """Make it an object; raises :class:`SomebodyElses` or a StoreError.

        The same bytes stored by another writer before are as good as ours.
        """
        try:
            await self._way.finish()
        except ConditionFailed:
            if not await self._same_is_there():
                raise SomebodyElses(self.key) from None
        except Exception:
            # Whatever it is: the spool is closed next, and nobody may read it then.
            await self._way.abandon()
            raise

    async def _same_is_there(self) -> bool:
        await self._way.abandon()
        ours, theirs = hashlib.sha256(), hashlib.sha256()
        for at in range(0, max(self.spool.length, 1), PIECE):
            got = await self.bucket.store.get(self.key, at, PIECE)
            if got.head.size != self.spool.length:
                return False
            theirs.update(got.data)
            ours.update(self.spool.read(at, PIECE))
        return ours.digest() == theirs.digest()

    def stop(self) -> Deferred[None]:
        """Send no more (the client gave up); clean up behind its back."""
        return Deferred.fromCoroutine(self._way.abandon())
