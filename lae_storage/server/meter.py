"""What a customer's storage did, counted by days (UTC) and kept in the bucket.

Each node writes objects of its own, ``meter/<day>/<epoch>``, so that no two write the
same; a day's count is the sum of its objects.  A node that is killed loses what it
counted since it wrote last.

A bucket keeps what was replaced or deleted for 30 days, and that is paid for.  A node
cannot know from its own work how much that is: what it deletes goes weeks later, by the
bucket's own rule.  So once a day all versions are listed, beside serving clients: a
request for each thousand of them, and a pause after each.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from typing import Any

from attrs import define, field
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater

from lae_storage.s3.conditional import ConditionalWriter
from lae_storage.s3.interface import Bytes, IObjectStore, NotThere, StoreError
from lae_storage.server import keys

#: The format of the objects.
FORMAT = 1
DAY = timedelta(days=1)
#: Between two pages of versions; a page takes some milliseconds of work.
LISTING_PAUSE = 0.2  # s


@define
class Counts:
    """Counts of one day, or of a part of it.

    *received* and *sent* are bytes from and to clients, *requests* operations of the
    bucket by kind.  *stored* and *noncurrent* are the bytes in the bucket when this was
    written last: of current versions, and of others (None where nobody measured).
    """

    received: int = 0
    sent: int = 0
    requests: Counter[str] = field(factory=Counter)
    stored: int = 0
    noncurrent: int | None = None

    def encode(self, token: str) -> bytes:
        """The bytes of an object; *token* makes its ETag unlike any before."""
        document = {
            "format": FORMAT,
            "token": token,
            "received": self.received,
            "sent": self.sent,
            "requests": dict(sorted(self.requests.items())),
            "stored": self.stored,
            "noncurrent": self.noncurrent,
        }
        return json.dumps(document, separators=(",", ":")).encode()

    @classmethod
    def decode(cls, data: bytes) -> Counts:
        """The counts of an object's bytes; raises ValueError."""
        try:
            document: dict[str, Any] = json.loads(data)
            if document["format"] != FORMAT:
                raise ValueError("counts of another format")
            return cls(
                document["received"],
                document["sent"],
                Counter(document["requests"]),
                document["stored"],
                # Nodes of the first releases did not measure.
                document.get("noncurrent"),
            )
        except (KeyError, TypeError) as e:
            raise ValueError("no counts") from e


def total(counts: Iterable[Counts]) -> Counts:
    """The sum; *stored* is of the last, *noncurrent* of the last that has it."""
    summed = Counts()
    for one in counts:
        summed.received += one.received
        summed.sent += one.sent
        summed.requests += one.requests
        summed.stored = one.stored
        if one.noncurrent is not None:
            summed.noncurrent = one.noncurrent
    return summed


@define(eq=False)
class Meter:
    """Counts of this process; *_before* are those of other processes, by day.

    *noncurrent* is what any node measured last, *replaced* the bytes that this node
    made noncurrent since; *opened* says whether what others counted is known.
    """

    reactor: IReactorTime
    noncurrent: int | None = None
    replaced: int = 0
    opened: bool = False
    _days: dict[date, Counts] = field(factory=dict)
    _etags: dict[date, str | None] = field(factory=dict)
    _before: dict[date, Counts] = field(factory=dict)

    def now(self) -> Counts:
        """The counts of today and of this process, to be added to."""
        day = self.day()
        if day not in self._days:
            self._days[day] = Counts()
        return self._days[day]

    def older(self) -> int:
        """Bytes of noncurrent versions, as far as is known.

        Between two measurements it only grows: what goes is seen by the next.
        """
        return (self.noncurrent or 0) + self.replaced

    def older_if_measured(self) -> int | None:
        """The same; None where nobody measured, so that most may be missing."""
        return None if self.noncurrent is None else self.older()

    def measured(self, noncurrent: int, replaced_before: int) -> None:
        """Take what was measured; *replaced_before* is what had been replaced when that
        began, and so is in it.
        """
        self.noncurrent = noncurrent
        self.replaced -= replaced_before

    def moved(self) -> int:
        """Bytes to and from clients, as far as this process counted them."""
        return sum(c.sent + c.received for c in self._days.values())

    def day(self) -> date:
        """Today, in UTC."""
        return datetime.fromtimestamp(self.reactor.seconds(), UTC).date()

    def of(self, day: date) -> Counts:
        """The whole day until now, with what earlier nodes counted."""
        return total(c[day] for c in (self._before, self._days) if day in c)

    def today(self) -> Counts:
        """Today until now."""
        return self.of(self.day())

    def days_to_report(self) -> tuple[date, ...]:
        """The days to report: today, and yesterday if anything was counted then.

        None until it is known what others counted: a part would pass for the whole.
        """
        today = self.day()
        if not self.opened:
            return ()
        counted = today - DAY in self._before or today - DAY in self._days
        return (today, today - DAY) if counted else (today,)

    def sent_this_month(self) -> int:
        """Bytes to clients in this calendar month (UTC), until now."""
        first = self.day().replace(day=1)
        known = (self._before, self._days)
        return sum(c.sent for days in known for d, c in days.items() if d >= first)

    async def open(self, store: IObjectStore) -> None:
        """Read what was counted before us, this month and yesterday.

        Raises what S3 refuses.
        """
        self._before = await counted_since(store, self._first())
        if self.noncurrent is None:
            days = sorted(self._before.items())
            self.noncurrent = total(counts for _, counts in days).noncurrent
        self.opened = True

    def _first(self) -> date:
        return min(self.day().replace(day=1), self.day() - DAY)

    async def write(self, writer: ConditionalWriter, epoch: int, stored: int) -> None:
        """Write what was counted; raises what S3 refuses, and then no count is lost."""
        now = self.now()
        now.stored, now.noncurrent = stored, self.older_if_measured()
        for day in sorted(self._days):
            key = keys.meter_key(day, epoch)
            body = Bytes(self._days[day].encode(writer.token()))
            try:
                # Ours alone: only an earlier write of our own can be there.
                known = day in self._etags
                etag = self._etags.get(day) if known else await _etag(writer.store, key)
                written = await writer.put(key, body, etag)
            except StoreError:
                self._etags.pop(day, None)
                raise
            self._etags[day] = written.etag
            if day != self.day():
                self._close(day)

    def _close(self, day: date) -> None:
        """Move a day that is over and written to those before."""
        self._before[day] = self.of(day)
        del self._days[day], self._etags[day]
        for old in [d for d in self._before if d < self._first()]:
            del self._before[old]


async def _etag(store: IObjectStore, key: str) -> str | None:
    head = await store.head(key)
    return None if head is None else head.etag


async def counted_on(store: IObjectStore, day: date) -> Counts:
    """What all nodes counted on a day; objects of other kinds are left out."""
    found = [key async for key in _keys_under(store, keys.meter_prefix(day))]
    return (await _read(store, found)).get(day, Counts())


async def counted_since(store: IObjectStore, day: date) -> dict[date, Counts]:
    """What all nodes counted on each day from this one on."""
    after = f"{keys.METER}{day.isoformat()}"
    return await _read(store, [k async for k in _keys_under(store, keys.METER, after)])


async def _read(store: IObjectStore, found: list[str]) -> dict[date, Counts]:
    """The sums by day of the objects with these keys, in the order of their nodes."""
    by_day: dict[date, list[tuple[int, Counts]]] = {}
    for key in found:
        try:
            day, epoch = keys.read_meter(key)
            counts = Counts.decode((await store.get(key)).data)
        except (NotThere, ValueError):
            continue
        by_day.setdefault(day, []).append((epoch, counts))
    return {
        day: total(counts for _, counts in sorted(ones, key=lambda one: one[0]))
        for day, ones in by_day.items()
    }


async def _keys_under(
    store: IObjectStore, prefix: str, after: str | None = None
) -> Any:
    """The keys of all objects with the prefix, a page at a time."""
    while True:
        page = await store.list_page(prefix, after)
        for line in page.objects:
            yield line.key
        after = page.after
        if after is None:
            return


async def measure_noncurrent(store: IObjectStore, reactor: IReactorTime) -> int:
    """The bytes of all versions that are not current; raises what S3 refuses."""
    found, after = 0, None
    while True:
        page = await store.versions_page(after)
        found += page.noncurrent
        after = page.after
        if after is None:
            return found
        await deferLater(reactor, LISTING_PAUSE)
