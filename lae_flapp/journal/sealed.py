"""Everything in the journal that is sealed under the daemon's own key.

A seal is bound to its row, so that no sealed value can be put in another's place: its
context is the table and the key that names the row, whatever is sealed.
"""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from typing import Any

from attrs import define, field
from sqlalchemy import (
    Column,
    ColumnElement,
    Select,
    Table,
    and_,
    func,
    select,
    tuple_,
    union_all,
    update,
)

from lae_flapp.journal.effects import EFFECTS
from lae_flapp.journal.errors import BadCursor
from lae_flapp.journal.hosts import HOSTS
from lae_flapp.journal.identities import IDENTITIES
from lae_flapp.journal.transaction import ReadTx, WriteTx

#: Where a sealed value says which key sealed it: behind one byte of version.
_KEY_NAME = (2, 8)


def context_of(table: Table, *key: object) -> str:
    """What a seal is bound to: the table, and the key of the row."""
    return " ".join((table.name, *map(str, key)))


@define(frozen=True)
class _Sealed:
    """A column whose values are sealed in the rows where *which* is so; *key* names the
    row, and is known before the row is written.
    """

    column: Column[Any]
    key: tuple[Column[Any], ...]
    which: ColumnElement[bool]

    def values_of(self, place: str) -> tuple[Any, ...]:
        """Read the key out of a context; raises :class:`BadCursor`."""
        parts = place.split(" ", len(self.key) - 1)
        if len(parts) != len(self.key):
            raise BadCursor("not a cursor")
        try:
            return tuple(
                column.type.python_type(part)
                for column, part in zip(self.key, parts, strict=True)
            )
        except ValueError:
            raise BadCursor("not a cursor") from None


_SEALED = {
    one.column.table.name: one
    for one in (
        _Sealed(
            EFFECTS.c.request,
            (EFFECTS.c.token,),
            and_(EFFECTS.c.sealed, EFFECTS.c.request.is_not(None)),
        ),
        _Sealed(
            HOSTS.c.furl_sealed,
            (HOSTS.c.signup_id, HOSTS.c.generation),
            HOSTS.c.furl_sealed.is_not(None),
        ),
        _Sealed(
            IDENTITIES.c.recovered,
            (IDENTITIES.c.signup_id, IDENTITIES.c.generation),
            IDENTITIES.c.recovered.is_not(None),
        ),
    )
}


@define(frozen=True)
class SealedValue:
    """One value; *context* is what its seal is bound to, and the cursor after it."""

    context: str
    sealed: bytes = field(repr=False)


def after(tx: ReadTx, cursor: str | None, limit: int) -> tuple[SealedValue, ...]:
    """The next values, table by table, each in its key's order.

    *cursor* is the context of the last one; raises :class:`BadCursor` for another.
    """
    names = list(_SEALED)
    name, _, place = (names[0] if cursor is None else cursor).partition(" ")
    if name not in _SEALED:
        raise BadCursor("not a cursor")
    found: list[SealedValue] = []
    for one in names[names.index(name) :]:
        where = _SEALED[one]
        query = select(where.column, *where.key).where(where.which)
        if one == name and cursor is not None:
            query = query.where(tuple_(*where.key) > where.values_of(place))
        rows = tx.all(query.order_by(*where.key).limit(limit - len(found)))
        table = where.column.table
        found += [SealedValue(context_of(table, *row[1:]), row[0]) for row in rows]
        if len(found) >= limit:
            break
    return tuple(found)


def count(tx: ReadTx) -> int:
    """How many there are."""
    counts = (
        tx.scalar(select(func.count()).select_from(one.column.table).where(one.which))
        for one in _SEALED.values()
    )
    return sum(map(int, counts))


def count_under_others(tx: ReadTx, known: AbstractSet[bytes]) -> int:
    """How many are sealed under keys of other names than these."""
    lost = 0
    for one in _SEALED.values():
        key = func.substr(one.column, *_KEY_NAME).label("key")
        query = select(key, func.count().label("many")).where(one.which)
        rows = tx.all(query.group_by(key))
        lost += sum(int(row.many) for row in rows if bytes(row.key) not in known)
    return lost


def replace(tx: WriteTx, value: SealedValue, sealed: bytes) -> None:
    """Put the same, sealed anew, in its place."""
    name, _, place = value.context.partition(" ")
    one = _SEALED[name]
    here = (c == v for c, v in zip(one.key, one.values_of(place), strict=True))
    table = one.column.table
    tx.run(update(table).where(*here).values({one.column.name: sealed}))


def every(tx: ReadTx, limit: int = 500) -> Iterator[SealedValue]:
    """All of them, some at a time."""
    cursor: str | None = None
    while batch := after(tx, cursor, limit):
        yield from batch
        cursor = batch[-1].context


def key_names() -> str:
    """Plain SQL for the name of the key of each sealed value, for a file without a
    daemon.
    """
    names: list[Select[Any]] = [
        select(func.substr(one.column, *_KEY_NAME)).where(one.which)
        for one in _SEALED.values()
    ]
    return str(union_all(*names).compile(compile_kwargs={"literal_binds": True}))
