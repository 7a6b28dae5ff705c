"""How often this deployment was recovered from its backup, as this journal knows it.

``lae disaster recover`` writes an event with the number of its recovery into the
journal that it restores (:mod:`.restoring`).
"""

from __future__ import annotations

from lae_flapp.journal import events
from lae_flapp.journal.transaction import ReadTx

#: The kind of the event; its *why* is the number.
RECOVERED = "disaster-recovered"


def newest(tx: ReadTx) -> int:
    """Tell the number of this journal's last recovery; 0 for none."""
    found = events.newest_of(tx, RECOVERED)
    return 0 if found is None else int(found.why or "0")
