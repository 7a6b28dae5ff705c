"""Rows that no key of the settings opens any more: a key was removed that they need."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet

from attrs import Factory, define

from lae_flapp.journal import identities, sealed
from lae_flapp.journal.journal import Journal
from lae_flapp.journal.transaction import ReadTx

#: How the id of a wrapping key begins that is a file; of another only KMS can tell.
_FILE = "file:"


@define
class LostKeys:
    """Looks; *journal_keys* and *identity_keys* are the names of the settings' keys.

    *rows* says how many rows of each setting's keys nothing opens, as of the last look.
    """

    journal: Journal
    journal_keys: AbstractSet[bytes]
    identity_keys: AbstractSet[str]
    rows: Mapping[str, int] = Factory(dict)

    async def look(self) -> None:
        """Count them: every row is looked at, so not often."""
        self.rows = await self.journal.read(self._count)

    def _count(self, tx: ReadTx) -> Mapping[str, int]:
        by_key = identities.by_key(tx).items()
        counts = {
            "sealing.journal_keys": sealed.count_under_others(tx, self.journal_keys),
            "sealing.identity_keys": sum(
                many
                for key_id, many in by_key
                if key_id.startswith(_FILE) and key_id not in self.identity_keys
            ),
        }
        return {setting: many for setting, many in counts.items() if many}
