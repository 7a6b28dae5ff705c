"""Collecting what no lease holds any more; off unless a policy is set.

A share goes when it had leases and the last of them ended the policy's days ago.  A
mutable slot's is deleted as a client would do it, by a conditional write.  An
immutable share's object cannot be deleted on a condition that means something (the same
bytes stored again have the same ETag), and a DELETE may arrive late, so:

1. the lease object, replaced on its condition, says that the share is *gone*: a lease
   that another node adds meanwhile makes one of the two fail and look again; from here
   on nobody is told that the share is here, and nobody may store it;
2. the object is deleted;
3. when no DELETE of ours can arrive any more, the lease object ceases to say so, and
   the share may be stored anew.

What a node leaves between these steps the next one takes up, when no request of the
dead one can arrive any more.
"""

from __future__ import annotations

from collections.abc import Callable

from attrs import define
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

from lae_storage.server import keys
from lae_storage.server.allowance import Allowance
from lae_storage.server.bucket import OpenBucket
from lae_storage.server.lease import Leases
from lae_storage.server.leases import ImmutableLeases
from lae_storage.server.slots import Slots

_log = Logger()
DAY = 24 * 60 * 60
#: Seconds that no request outlives: S3 refuses a signature of 15 minutes' age.
LATE = 20 * 60.0
#: Seconds after a node's start before it collects anything.
OFFICE = 60 * 60.0


@define(eq=False)
class Expiry:
    """*days* is the policy: after so many without a lease a share goes, None never.

    *clock* is that of the leases; *forget* is told the key of each share that goes.
    """

    bucket: OpenBucket
    slots: Slots
    leases: ImmutableLeases
    allowance: Allowance
    clock: IReactorTime
    days: int | None
    forget: Callable[[str], None]

    async def collect(self) -> None:
        """Walk all shares once; raises what S3 refuses, for the next day's walk."""
        if self.days is None or self.allowance.suspended:
            return
        before = self.clock.seconds() - self.days * DAY

        def ended(held: Leases) -> bool:
            return bool(held) and all(lease.expires < before for lease in held)

        index, slots = self.bucket.index, 0
        for storage_index in list(index.slots()):
            self.bucket.fence.check()
            slots += await self.slots.delete_ended(storage_index, ended)
        deleted = {}
        for storage_index in index.leased_or_immutable():
            self.bucket.fence.check()
            gone = await self._delete(storage_index, ended)
            if gone:
                deleted[storage_index] = gone
        _log.info(
            "collected: {slots} mutable shares, {shares} immutable",
            slots=slots,
            shares=sum(len(gone) for gone in deleted.values()),
        )
        if deleted:
            await deferLater(self.bucket.fence.reactor, LATE)
        for storage_index, gone in deleted.items():
            self.bucket.fence.check()
            await self.leases.unmark_gone(storage_index, gone)

    async def _delete(
        self, storage_index: bytes, ended: Callable[[Leases], bool]
    ) -> frozenset[int]:
        gone = await self.leases.mark_gone(storage_index, ended)
        for number in gone:
            key = keys.immutable_key(storage_index, number)
            self.forget(key)
            self.bucket.fence.check()
            await self.bucket.store.delete(key)
        return gone
