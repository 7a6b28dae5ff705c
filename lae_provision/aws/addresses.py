"""Hosts' DNS records on Route 53, through txAWS' client."""

from __future__ import annotations

from ipaddress import AddressValueError, IPv4Address
from urllib.parse import urlencode

from attrs import define, field
from twisted.internet import task

from lae_provision.aws.channel import LARGEST_ANSWER, Channel
from lae_provision.aws.whole import WholeAnswerAgent
from lae_provision.doors import IAddresses
from lae_provision.errors import AlreadyThere, Refused
from lae_provision.txaws3.clients import (
    A,
    AWSServiceEndpoint,
    Change,
    ChangeClient,
    Name,
    RRSet,
    RRSetKey,
    delete_rrset,
    upsert_rrset,
)

#: Short, since a host may be replaced, and as long a resolver may lead to an address
#: that is somebody else's by then (docs/decisions/host.rst).
TTL = 60  # s
#: Route 53's own limit.
PAGE = 300  # records
#: Where the next page begins: the parameters, and what the last answer calls them.
_NEXT = {
    "name": "NextRecordName",
    "type": "NextRecordType",
    "identifier": "NextRecordIdentifier",
}


@define(frozen=True)
class Route53Addresses(IAddresses):
    """See :class:`~lae_provision.doors.IAddresses`; A records of one hosted zone."""

    channel: Channel
    zone_id: str
    _client: ChangeClient = field(init=False)

    @_client.default
    def _make_client(self) -> ChangeClient:
        channel = self.channel
        return ChangeClient(
            agent=WholeAnswerAgent(
                channel.reactor,
                channel.agent("route53"),
                channel.patience.seconds,
                LARGEST_ANSWER,
            ),
            # The agent signs.
            creds=None,
            region=channel.endpoints.signed_region("route53"),
            endpoint=AWSServiceEndpoint(channel.endpoints.url("route53") + "/"),
            cooperator=task,
        )

    async def _record(self, name: str) -> RRSet | None:
        label = Name(name)
        # By name and type: a listing of the whole zone would lack later pages, and
        # records that txAWS cannot parse.  The listing begins *at* the name, so its
        # first record may have another name.
        found = await self.channel.attempt(
            lambda: self._client.list_resource_record_sets(
                self.zone_id, maxitems=1, name=label, type="A"
            ),
            "route53",
        )
        record = found.get(RRSetKey(label, "A"))
        if record is not None and not isinstance(record, RRSet):
            raise AlreadyThere(
                "InvalidChangeBatch", f"{name} is an alias that we did not make"
            )
        return record

    async def find(self, name: str) -> str | None:
        """Find the address in the name's own A record."""
        record = await self._record(name)
        return None if record is None else min(str(a.address) for a in record.records)

    async def make(self, name: str, address: str) -> str:
        """Create or change the record; Refused for anything but an IPv4 address."""
        try:
            records = {A(IPv4Address(address))}
        except AddressValueError:
            raise Refused("InvalidAddress", "not an IPv4 address") from None
        wanted = RRSet(label=Name(name), type="A", ttl=TTL, records=records)
        return await self._change(upsert_rrset(wanted))

    async def unmake(self, name: str) -> str | None:
        """Delete the record as it is now."""
        record = await self._record(name)
        if record is None:
            return None
        try:
            return await self._change(delete_rrset(record))
        except Refused:
            # Deleted or changed since it was read, by a request whose answer was lost.
            if await self._record(name) is not None:
                raise
            return None

    async def is_served(self, change: str) -> bool:
        """Ask for the change's status: PENDING, and then INSYNC."""
        path = f"/2013-04-01/change/{change}"
        told = await self.channel.rest("route53", "GET", path)
        return told.findtext("ChangeInfo/Status") == "INSYNC"

    async def list(self) -> dict[str, str]:
        """Read the zone page by page; what is no plain A record is left out."""
        found: dict[str, str] = {}
        begin: dict[str, str] = {}
        while True:
            asked = urlencode({"maxitems": str(PAGE), **begin})
            page = await self.channel.rest(
                "route53", "GET", f"/2013-04-01/hostedzone/{self.zone_id}/rrset?{asked}"
            )
            for record in page.iter("ResourceRecordSet"):
                values = [v.text or "" for v in record.iter("Value")]
                if record.findtext("Type") == "A" and values:
                    found[_plain(record.findtext("Name") or "")] = min(values)
            if page.findtext("IsTruncated") != "true":
                return found
            begin = {
                parameter: told
                for parameter, field in _NEXT.items()
                if (told := page.findtext(field))
            }

    async def _change(self, change: Change) -> str:
        named = await self.channel.attempt(
            lambda: self._client.change_resource_record_sets(self.zone_id, [change]),
            "route53",
        )
        return str(named).rpartition("/")[2]


def _plain(name: str) -> str:
    """Read a name as Route 53 writes it: whole, with the asterisk escaped."""
    return name.replace("\\052", "*").rstrip(".").lower()
