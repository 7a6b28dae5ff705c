"""What a customer's storage did, counted by days (UTC) and kept in the bucket.

Each node writes objects of its own, ``meter/<day>/<epoch>``, so that no two write the
same; a day's count is the sum of its objects.  A node that is killed loses what it
counted since it wrote last.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from datetime import UTC, date, datetime
from typing import Any

from attrs import define, field
from twisted.internet.interfaces import IReactorTime

from lae_storage.s3.conditional import ConditionalWriter
from lae_storage.s3.interface import Bytes, IObjectStore, NotThere, StoreError
from lae_storage.server import keys

FORMAT = 1


@define
class Counts:
    """Bytes from and to clients, operations of the bucket by kind, and the bytes in
    the bucket when this was written last.
    """

    received: int = 0
    sent: int = 0
    requests: Counter[str] = field(factory=Counter)
    stored: int = 0

    def encode(self, token: str) -> bytes:
        """An object's content; *token* makes its ETag unlike any before."""
        document = {
            "format": FORMAT,
            "token": token,
            "received": self.received,
            "sent": self.sent,
            "requests": dict(sorted(self.requests.items())),
            "stored": self.stored,
        }
        return json.dumps(document, separators=(",", ":")).encode()

    @classmethod
    def decode(cls, data: bytes) -> Counts:
        """From an object's content; raises ValueError."""
        try:
            document: dict[str, Any] = json.loads(data)
            if document["format"] != FORMAT:
                raise ValueError("counts of another format")
            return cls(
                document["received"],
                document["sent"],
                Counter(document["requests"]),
                document["stored"],
            )
        except (KeyError, TypeError) as e:
            raise ValueError("no counts") from e


def total(counts: Iterable[Counts]) -> Counts:
    """The sum; *stored* is the last one's."""
    summed = Counts()
    for one in counts:
        summed.received += one.received
        summed.sent += one.sent
        summed.requests += one.requests
        summed.stored = one.stored
    return summed


@define(eq=False)
class Meter:
    """Counts for this process; *before* is what others had counted on *opened*."""

    reactor: IReactorTime
    _days: dict[date, Counts] = field(factory=dict)
    _etags: dict[date, str | None] = field(factory=dict)
    _opened: date | None = None
    _before: Counts = field(factory=Counts)

    def now(self) -> Counts:
        """This day's counts, to be added to."""
        day = self.day()
        if day not in self._days:
            self._days[day] = Counts()
        return self._days[day]

    def day(self) -> date:
        """The day in UTC."""
        return datetime.fromtimestamp(self.reactor.seconds(), UTC).date()

    def today(self) -> Counts:
        """The whole day until now, also what nodes before this one counted."""
        before = self._before if self._opened == self.day() else Counts()
        return total([before, self.now()])

    async def open(self, store: IObjectStore) -> None:
        """Read what was counted today before us; raises what S3 refuses."""
        day = self.day()
        self._before, self._opened = await counted_on(store, day), day

    async def keep(self, writer: ConditionalWriter, epoch: int, stored: int) -> None:
        """Write what was counted; raises what S3 refuses, and then nothing is lost."""
        self.now().stored = stored
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
                del self._days[day], self._etags[day]


async def _etag(store: IObjectStore, key: str) -> str | None:
    head = await store.head(key)
    return None if head is None else head.etag


async def counted_on(store: IObjectStore, day: date) -> Counts:
    """What all nodes wrote about a day; objects that are none of ours are left out."""
    found = []
    async for key in keys_under(store, keys.meter_prefix(day)):
        try:
            found.append(Counts.decode((await store.get(key)).data))
        except (NotThere, ValueError):
            continue
    return total(found)


async def keys_under(store: IObjectStore, prefix: str) -> Any:
    """The keys of all objects with the prefix, a page at a time."""
    after: str | None = None
    while True:
        page = await store.list_page(prefix, after)
        for line in page.objects:
            yield line.key
        after = page.after
        if after is None:
            return
