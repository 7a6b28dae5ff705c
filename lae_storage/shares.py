"""The storage server of a customer's host, whose shares lie in the bucket.

:class:`lae_storage.host.Shares` says what the host needs of the storage server.
"""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

from attrs import define, field
from twisted.internet.defer import Deferred, succeed
from twisted.web.iweb import IAgent

from lae_protocol.aws.credentials import InstanceProfileCredentials
from lae_protocol.aws.metadata import MetadataService
from lae_protocol.host_messages import DayCounts, Desired, StoragePlace
from lae_protocol.messages import Requests
from lae_protocol.process.crowd import CrowdLimits
from lae_storage.agent.reporting import Usage
from lae_storage.s3.over_http import BucketPlace, HttpStore
from lae_storage.server.bucket import open_bucket
from lae_storage.server.caps import Caps
from lae_storage.server.limits import Allowance, limits_in
from lae_storage.server.meter import Meter
from lae_storage.server.plug import Backing, S3Client, client_class


@define(frozen=True)
class S3Shares:
    """Shares in one bucket; *client_class* is what upstream's node is built from."""

    backing: Backing
    client_class: type[S3Client] = field(init=False)

    def __attrs_post_init__(self) -> None:
        # attrs has no other way to set a field of a frozen class.
        object.__setattr__(self, "client_class", client_class(self.backing))

    def usage(self) -> Usage:
        """Return what the shares take now, from memory."""
        index, meter = self.backing.bucket.index, self.backing.bucket.meter
        fails, capped = self._fails(), Caps(meter, index, self.backing.allowance)
        at_cap = None if fails is not None else capped.problem()
        count = index.shares + sum(1 for _ in index.slots())
        return Usage(
            index.stored,
            count,
            index.advisories,
            meter.older_if_measured(),
            tuple(_counts_of(meter, day) for day in meter.days_to_report()),
            self.backing.bucket.pace.slowed,
            fails or at_cap,
            at_cap is not None,
        )

    def _fails(self) -> str | None:
        """What the host cannot do, through no client's doing."""
        bucket = self.backing.bucket
        # Of who is suspended the role may not write, as it should be.
        refused = None if self.backing.allowance.suspended else bucket.writes.problem()
        return bucket.fence.problem() or refused

    def obey(self, desired: Desired) -> None:
        """Take the quota and traffic, and be read-only unless serving is desired."""
        pace = self.backing.bucket.pace
        pace.traffic = desired.traffic
        pace.update()
        self.backing.allowance.quota = desired.quota
        if self.backing.allowance.suspended:
            # What was refused meanwhile says nothing of the time from now on.
            self.backing.bucket.writes.taken()
        self.backing.allowance.suspended = desired.state != "serving"

    def close(self) -> Deferred[None]:
        """Do nothing: all acknowledged writes are in S3 already."""
        return succeed(None)


def _counts_of(meter: Meter, day: date) -> DayCounts:
    counts = meter.of(day)
    requests = tuple(Requests(*one) for one in sorted(counts.requests.items()))
    return DayCounts(day, counts.received, counts.sent, requests)


async def open_shares(
    reactor: Any,
    agent: IAgent,
    metadata: MetadataService,
    place: StoragePlace,
    folder: Path,
    *,
    expire_days: int | None = None,
    crowd: CrowdLimits | None = None,
) -> S3Shares:
    """Open the bucket: check its layout, take its epoch, read its index.

    Unfinished uploads get an empty folder in *folder*.  A share that no lease held for
    *expire_days* is deleted; None deletes no share.  *crowd* limits the connections to
    the node's port.  Raises :class:`~lae_storage.s3.interface.StoreError` when S3
    refuses; trying again is safe.
    """
    credentials = InstanceProfileCredentials(reactor, metadata)
    where = BucketPlace(place.bucket, place.region, place.endpoint)
    store = HttpStore(reactor, agent, credentials, where)
    bucket = await open_bucket(store, reactor)
    allowance = Allowance(place.quota)
    uploads = folder / "uploads"
    return S3Shares(
        Backing(
            bucket,
            uploads,
            allowance,
            limits_in(uploads),
            expire_days=expire_days,
            crowd=crowd or CrowdLimits(),
        )
    )
