"""Hosts that were launched and do not claim their identity, with their consoles' words.

A host that cannot pull its image, or whose node does not come up, cannot report: only
its console tells why.  So operators read the console's last lines long before the
launch is given up.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime, timedelta

from attrs import define, field
from twisted.logger import Logger

from lae_flapp.grid import moves
from lae_flapp.grid.workshop import Workshop
from lae_flapp.journal import events, hosts
from lae_flapp.journal.hosts import HostRow
from lae_flapp.journal.transaction import ReadTx, WriteTx
from lae_protocol.process.deadline import DeadlinePassed
from lae_protocol.process.redaction import redact
from lae_provision.errors import ProvisionError

#: The kind of the event of the signup; its words are those of the mail.
LATE = "claim-late"
#: Lines of a console that are told, from its end.
MOST_LINES = 12
MOST_OF_A_LINE = 200  # characters
#: Consoles that are read in one look; the next look reads more.
AT_ONCE = 10

_COLOURS = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def late(
    rows: Sequence[HostRow], now: datetime, span: timedelta
) -> tuple[HostRow, ...]:
    """Tell which hosts were launched *span* ago and have not claimed.  Pure."""
    return tuple(
        row for row in rows if row.state == "launched" and now - row.changed_at >= span
    )


def last_lines(console: str) -> tuple[str, ...]:
    """Return the end of a console, without secrets and terminal commands.  Pure."""
    plain = _COLOURS.sub("", redact(console))
    lines = ("".join(filter(str.isprintable, line)) for line in plain.splitlines())
    shown = [line.strip()[:MOST_OF_A_LINE] for line in lines if line.strip()]
    return tuple(shown[-MOST_LINES:])


@define(eq=False)
class LateClaims:
    """Looks."""

    _shop: Workshop
    #: Of hosts that are late: what is told, the console's lines included.
    _told: dict[tuple[str, int], str] = field(factory=dict, init=False)

    _log = Logger()

    def words(self) -> dict[str, str]:
        """What is told of each signup whose host is late."""
        return {signup_id: what for (signup_id, _), what in self._told.items()}

    async def look(self) -> None:
        """Compare once; read the console of each host that is late now."""
        shop = self._shop
        rows, now = await shop.journal.read(_rows)
        span = timedelta(seconds=shop.limits.late_claim)
        found = {(row.signup_id, row.generation): row for row in late(rows, now, span)}
        self._told = {key: what for key, what in self._told.items() if key in found}
        fresh = [key for key in found if key not in self._told]
        for key in fresh[:AT_ONCE]:
            self._told[key] = await self._tell(found[key], now)

    async def _tell(self, row: HostRow, now: datetime) -> str:
        minutes = int((now - row.changed_at).total_seconds() // 60)
        sentence = (
            f"host {row.instance_id} has not claimed its identity {minutes} minutes"
            " after its launch"
        )
        what = f"{sentence}\n{await self._console(row.instance_id or '')}"
        self._log.error(
            "the host of {signup_id} does not claim its identity ({instance})",
            signup_id=row.signup_id,
            instance=row.instance_id,
        )
        await self._shop.journal.write(_note, row, what)
        return what

    async def _console(self, instance_id: str) -> str:
        try:
            output = await self._shop.hosts.console(instance_id)
        except (ProvisionError, DeadlinePassed) as e:
            return redact(f"the cloud does not tell its console: {e}")
        if output is None:
            return "the cloud does not know it (any more)"
        lines = last_lines(output.text)
        if not lines:
            return "its console is empty"
        return "\n".join(("its console ends with:", *lines))


def _rows(tx: ReadTx) -> tuple[tuple[HostRow, ...], datetime]:
    return hosts.all_live(tx), tx.now


def _note(tx: WriteTx, row: HostRow, what: str) -> None:
    """Once of each host, whatever a restarted daemon reads on its console."""
    before = events.since(tx, row.signup_id, 0)
    if not any(e.kind == LATE and e.at >= row.changed_at for e in before):
        why = what.replace("\n", " | ")
        events.note(tx, row.signup_id, LATE, moves.WHO, why)
