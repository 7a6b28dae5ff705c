"""A grid's keys that the running key does not open, opened with the recovery key."""

from __future__ import annotations

from lae_flapp.desk.operators.asked import Asker, known
from lae_flapp.desk.view import see
from lae_flapp.journal import events, identities, signups
from lae_flapp.journal.identities import IDENTITIES, Identity
from lae_flapp.journal.sealed import context_of
from lae_flapp.journal.transaction import ReadTx, WriteTx
from lae_protocol.ids import SignupId
from lae_protocol.messages import Done, Refused
from lae_protocol.process.answer import Refusal
from lae_protocol.recovery_messages import (
    AskSealedIdentity,
    GiveIdentity,
    SealedIdentity,
)
from lae_provision.errors import Refused as SealRefused
from lae_provision.identity.identities import read_identity


async def sealed_identity(by: Asker, asked: AskSealedIdentity) -> SealedIdentity:
    """The sealed document, for who has the recovery key."""

    def look(tx: ReadTx) -> SealedIdentity:
        row = _identity(tx, asked.signup_id)
        return SealedIdentity(row.vault_key, row.sealed)

    return await by.read(look)


async def take_identity(by: Asker, asked: GiveIdentity) -> Done:
    """Keep the opened keys under the journal's own key, and try again what waits."""
    sealer = by.desk.shop.sealer
    plain = asked.identity.reveal().encode()

    def kept(tx: WriteTx, who: str) -> Done:
        row = _identity(tx, asked.signup_id)
        try:
            identity = read_identity(plain, row.vault_key)
        except SealRefused as e:
            raise Refusal(Refused("malformed", f"Nothing changed: {e}")) from None
        if identity.grid_label != signups.get(tx, asked.signup_id).grid_label:
            said = "Nothing changed: these are the keys of another grid."
            raise Refusal(Refused("malformed", said))
        context = context_of(IDENTITIES, row.signup_id, row.generation)
        identities.recovered(tx, row, sealer.seal(plain, context))
        events.note(tx, asked.signup_id, "keys-recovered", who)
        signups.try_again(tx, asked.signup_id, who)
        return Done(see(tx, asked.signup_id, 0))

    return await by.write(kept)


def _identity(tx: ReadTx, signup_id: SignupId) -> Identity:
    known(tx, signup_id)
    row = identities.latest(tx, signup_id)
    if row is None:
        raise Refusal(Refused("not-now", "Its grid has no keys yet, or none any more."))
    return row
