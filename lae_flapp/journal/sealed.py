"""Everything in the journal that is sealed under the daemon's own key, in one order:
requests of effects, furls of hosts.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

from attrs import define, field
from sqlalchemy import Select, String, cast, func, select, update

from lae_flapp.journal.effects import EFFECTS
from lae_flapp.journal.errors import BadCursor
from lae_flapp.journal.hosts import HOSTS
from lae_flapp.journal.transaction import ReadTx, WriteTx

Source = Literal["effect", "host"]
_ORDER: tuple[Source, ...] = ("effect", "host")
#: Numbers in the order of their text.
_WIDE = 19


@define(frozen=True)
class SealedValue:
    """One value.  *place* orders all of a source; *names* are what its seal is bound
    to: step and token of an effect, a host's signup and generation.
    """

    source: Source
    place: str
    names: tuple[str, ...]
    sealed: bytes = field(repr=False)

    @property
    def cursor(self) -> str:
        """Where to go on after this one."""
        return f"{self.source} {self.place}"


def after(tx: ReadTx, cursor: str | None, limit: int) -> tuple[SealedValue, ...]:
    """The next values; raises :class:`BadCursor`."""
    source, _, place = (cursor or "effect ").partition(" ")
    if source not in _ORDER:
        raise BadCursor("not a cursor")
    found: list[SealedValue] = []
    for one in _ORDER[_ORDER.index(source) :]:
        query, ordered = _query(one)
        if one == source:
            query = query.where(ordered > place)
        rows = tx.all(query.order_by(ordered).limit(limit - len(found)))
        found += [
            SealedValue(one, row[0], tuple(map(str, row[2:])), row[1]) for row in rows
        ]
        if len(found) >= limit:
            break
    return tuple(found)


def count(tx: ReadTx) -> int:
    """How many there are."""
    return sum(
        int(tx.scalar(select(func.count()).select_from(_query(one)[0].subquery())))
        for one in _ORDER
    )


def replace(tx: WriteTx, value: SealedValue, sealed: bytes) -> None:
    """Put the same, sealed anew, in its place."""
    names = value.names
    match value.source:
        case "effect":
            here = update(EFFECTS).where(EFFECTS.c.token == names[0])
            tx.run(here.values(request=sealed))
        case "host":
            here = update(HOSTS).where(
                HOSTS.c.signup_id == names[0], HOSTS.c.generation == int(names[1])
            )
            tx.run(here.values(furl_sealed=sealed))


def every(tx: ReadTx, limit: int = 500) -> Iterator[SealedValue]:
    """All of them, some at a time."""
    cursor: str | None = None
    while batch := after(tx, cursor, limit):
        yield from batch
        cursor = batch[-1].cursor


def _query(source: Source) -> tuple[Select[Any], Any]:
    """Place, sealed value, names; and the place to order by."""
    place: Any
    query: Select[Any]
    match source:
        case "effect":
            number = cast(EFFECTS.c.number, String)
            place = func.substr("0" * _WIDE + number, -_WIDE)
            query = select(place, EFFECTS.c.request, EFFECTS.c.token)
            held = EFFECTS.c.request.is_not(None)
            return query.where(EFFECTS.c.sealed, held), place
        case "host":
            t = HOSTS.c
            place = t.signup_id + " " + cast(t.generation, String)
            query = select(place, t.furl_sealed, t.signup_id, t.generation)
            return query.where(t.furl_sealed.is_not(None)), place
