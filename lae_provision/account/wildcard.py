"""The wildcard record of the customers' zone.

A resolver that asks for a customer's name before its record exists would cache its
absence for long (the zone's negative TTL).  With a wildcard the resolver gets an unused
address, and caches that for a minute.
"""

from __future__ import annotations

from xml.etree.ElementTree import Element
from xml.sax.saxutils import escape

from attrs import define

from lae_provision.account.api import AccountApi
from lae_provision.account.difference import Difference, missing
from lae_provision.aws.addresses import TTL
from lae_provision.aws.channel import none_on

THING = "wildcard record"
#: RFC 5737: an address for documentation, which nobody uses.
NOWHERE = "192.0.2.1"
_NAMESPACE = "https://route53.amazonaws.com/doc/2013-04-01/"
_MISSING = frozenset({"NoSuchHostedZone"})
_TYPES = ("A", "AAAA", "CNAME")


@define(frozen=True)
class Wildcard:
    """The wanted record: ``*.zone`` in the hosted zone."""

    zone: str
    zone_id: str

    @property
    def name(self) -> str:
        """The record's name."""
        return f"*.{self.zone}"


@define(frozen=True)
class NoZone:
    """The account has no such hosted zone, or it has another name."""

    name: str | None = None


@define(frozen=True)
class NoRecord:
    """The zone has no such record."""


@define(frozen=True)
class Record:
    """The record as it is; *ttl* is None for an AWS alias."""

    type: str
    ttl: int | None
    values: tuple[str, ...] = ()


Seen = NoZone | NoRecord | Record


def find_differences(wanted: Wildcard, seen: Seen) -> tuple[Difference, ...]:
    """Find what differs.  Pure."""
    match seen:
        case NoZone(name=None):
            remedy = (
                f"make a hosted zone for {wanted.zone}, delegate the name to it, and"
                " put its id into cells.dns_zone_id"
            )
            found = f"no hosted zone {wanted.zone_id}"
            return (Difference(THING, wanted.name, found, "there", None, remedy),)
        case NoZone():
            found = f"{wanted.zone_id} is the zone {seen.name}"
            remedy = "correct cells.dns_zone or cells.dns_zone_id"
            return (Difference(THING, wanted.name, found, "there", None, remedy),)
        case NoRecord():
            return (missing(THING, wanted.name, f"an A record, {NOWHERE}"),)
        case Record():
            if seen.ttl is None or seen.ttl <= TTL:
                return ()
            found, want = f"cached for {seen.ttl} s", f"for {TTL} s"
            return (Difference(THING, wanted.name, found, want, "ttl"),)


@define(frozen=True)
class Wildcards:
    """Finds and makes the wildcard record."""

    api: AccountApi
    wanted: Wildcard

    async def find(self) -> Seen:
        """Find the wildcard record."""
        zone = await none_on(
            _MISSING,
            self.api.route53(
                "GetHostedZone", "GET", f"/hostedzone/{self.wanted.zone_id}"
            ),
        )
        if zone is None:
            return NoZone()
        name = (zone.findtext("HostedZone/Name") or "").rstrip(".")
        if name != self.wanted.zone.rstrip("."):
            return NoZone(name)
        for kind in _TYPES:
            found = await self._record(kind)
            if found is not None:
                return found
        return NoRecord()

    async def make(self, step: str, seen: Seen) -> None:
        """Make the record, or shorten its TTL; safe to repeat."""
        record = Record("A", TTL, (NOWHERE,))
        if step == "ttl" and isinstance(seen, Record):
            record = Record(seen.type, TTL, seen.values)
        await self.api.route53(
            "ChangeResourceRecordSets",
            "POST",
            f"/hostedzone/{self.wanted.zone_id}/rrset/",
            _upsert(self.wanted.name, record),
        )

    async def _record(self, kind: str) -> Record | None:
        # The listing begins at the name, so its first record may have another name.
        listed = await self.api.route53(
            "ListResourceRecordSets",
            "GET",
            f"/hostedzone/{self.wanted.zone_id}/rrset"
            f"?maxitems=1&name={self.wanted.name.replace('*', '%2A')}&type={kind}",
        )
        found = listed.find(".//ResourceRecordSet")
        if found is None or not self._is_ours(found, kind):
            return None
        ttl = found.findtext("TTL")
        return Record(
            kind,
            None if ttl is None else int(ttl),
            tuple(v.text or "" for v in found.iter("Value")),
        )

    def _is_ours(self, record: Element, kind: str) -> bool:
        # Route 53 writes an escaped asterisk.
        name = (record.findtext("Name") or "").replace("\\052", "*").rstrip(".")
        wanted = self.wanted.name.rstrip(".")
        return name == wanted and record.findtext("Type") == kind


def _upsert(name: str, record: Record) -> bytes:
    values = "".join(
        f"<ResourceRecord><Value>{escape(v)}</Value></ResourceRecord>"
        for v in record.values
    )
    return (
        f'<ChangeResourceRecordSetsRequest xmlns="{_NAMESPACE}"><ChangeBatch><Changes>'
        "<Change><Action>UPSERT</Action><ResourceRecordSet>"
        f"<Name>{escape(name)}</Name><Type>{record.type}</Type><TTL>{record.ttl}</TTL>"
        f"<ResourceRecords>{values}</ResourceRecords>"
        "</ResourceRecordSet></Change></Changes></ChangeBatch>"
        "</ChangeResourceRecordSetsRequest>"
    ).encode()
