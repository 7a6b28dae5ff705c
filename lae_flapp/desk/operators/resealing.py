"""Sealing anew what an older key sealed, some rows at a time.

Any batch may be the last for a while (Ctrl-C, a restart): both keys open until the
older one is taken out of the settings, and what is sealed anew is passed over.
"""

from __future__ import annotations

from lae_flapp.journal import events, sealed
from lae_flapp.journal.transaction import WriteTx
from lae_protocol.messages import Refused
from lae_protocol.operator_messages import Resealed
from lae_protocol.process.answer import Refusal
from lae_provision.doors import Sealer
from lae_provision.errors import Refused as SealRefused

#: More would hold up other writes.
LARGEST_BATCH = 500


def batch(
    tx: WriteTx, sealer: Sealer, cursor: str | None, limit: int, who: str
) -> Resealed:
    """One batch after *cursor*; raises :class:`Refusal` for what no key opens."""
    values = sealed.after(tx, cursor, max(1, min(limit, LARGEST_BATCH)))
    old = [value for value in values if not sealer.is_newest(value.sealed)]
    for value in old:
        try:
            plain = sealer.unseal(value.sealed, value.context)
        except SealRefused as e:
            said = f"{value.context} does not open: {e.message}"
            raise Refusal(Refused("not-now", said)) from None
        sealed.replace(tx, value, sealer.seal(plain, value.context))
    last = values[-1].context if values else None
    if cursor is None:
        events.note(tx, None, "reseal", who)
    return Resealed(len(values), len(old), sealed.count(tx), last)
