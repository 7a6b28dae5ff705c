"""Switches: what an operator paused, and why."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from attrs import define
from sqlalchemy import String, Table, Text, delete, insert, select

from lae_flapp.journal import events
from lae_flapp.journal.columns import METADATA, Kept, Moment, Word, column
from lae_flapp.journal.transaction import ReadTx, WriteTx

SwitchName = Literal["signups", "launches", "deletions", "mails"]

SWITCHES = Table(
    "switches",
    METADATA,
    column(
        "name",
        Word(SwitchName),
        purpose="what is paused; no row, no pause",
        kept=Kept.JOURNAL,
        primary_key=True,
    ),
    column("paused_at", Moment, purpose="since when", kept=Kept.JOURNAL),
    column("who", String(80), purpose="by whom", kept=Kept.JOURNAL),
    column("why", Text, purpose="the site may say it", kept=Kept.JOURNAL),
)


@define(frozen=True)
class Pause:
    """Something is paused."""

    name: SwitchName
    paused_at: datetime
    who: str
    why: str


def pause(tx: WriteTx, name: SwitchName, who: str, why: str) -> None:
    """Pause it; if it was paused, the new reason stands, and since now."""
    tx.run(delete(SWITCHES).where(SWITCHES.c.name == name))
    tx.run(insert(SWITCHES).values(name=name, paused_at=tx.now, who=who, why=why))
    events.note(tx, None, f"paused-{name}", who, why)


def resume(tx: WriteTx, name: SwitchName, who: str) -> bool:
    """Let it go on; False if it was not paused, and nothing happens."""
    if not tx.run(delete(SWITCHES).where(SWITCHES.c.name == name)):
        return False
    tx.touched.nouns.add("switches")
    events.note(tx, None, f"resumed-{name}", who)
    return True


def paused(tx: ReadTx, name: SwitchName) -> Pause | None:
    """The pause, if there is one."""
    row = tx.first(select(SWITCHES).where(SWITCHES.c.name == name))
    return None if row is None else Pause(*row)


def every(tx: ReadTx) -> tuple[Pause, ...]:
    """All that is paused."""
    return tuple(Pause(*row) for row in tx.all(select(SWITCHES)))
