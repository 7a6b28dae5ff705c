"""Removing what a flood has left, a batch at a time."""

from __future__ import annotations

from datetime import datetime, timedelta

from lae_flapp.desk.operators.asked import Asker, reason
from lae_flapp.journal import events, inbox, retention, switches
from lae_flapp.journal.transaction import ReadTx, WriteTx
from lae_protocol.ids import SignupId
from lae_protocol.messages import Refused
from lae_protocol.process.answer import Refusal
from lae_protocol.removal_messages import Removed, RemoveHints, RemoveUnpaid

#: Payment pages that one question ends: Stripe is asked some times for each.
PAGES_AT_ONCE = 10
#: Nothing in a journal is older.
_OLDEST = 100 * 365 * 86_400  # s


async def remove_hints(by: Asker, asked: RemoveHints) -> Removed:
    """Remove hints that came before then; it is an event."""
    state, age = asked.state, _age(asked.older_than)
    if asked.only_count:
        return await by.read(
            lambda tx: Removed(0, inbox.removable(tx, state, tx.now - age))
        )

    def removed(tx: WriteTx, who: str) -> Removed:
        before = tx.now - age
        gone = inbox.remove(tx, state, before)
        if gone:
            what = f"{gone} {state} events of Stripe's"
            events.note(tx, None, "inbox-removed", who, what)
        return Removed(gone, inbox.removable(tx, state, before))

    return await by.write(removed)


async def remove_unpaid(by: Asker, asked: RemoveUnpaid) -> Removed:
    """Remove registrations that came before then: 1. who could still pay cannot any
    more, as Stripe says; 2. they go, each with an event.

    Raises :class:`Refusal` where Stripe does not answer, and while deletions pause.
    """
    why, age = reason(asked.why), _age(asked.older_than)
    if asked.only_count:
        return await by.read(
            lambda tx: Removed(0, retention.count_unpaid(tx, tx.now - age))
        )

    def payable(tx: ReadTx) -> tuple[datetime, tuple[SignupId, ...]]:
        _raise_if_paused(tx)
        before = tx.now - age
        return before, retention.payable(tx, before, PAGES_AT_ONCE)

    before, pages = await by.read(payable)
    for signup_id in pages:
        await by.desk.expire_sessions(signup_id)

    def removed(tx: WriteTx, who: str) -> Removed:
        _raise_if_paused(tx)
        gone = retention.purge_unpaid(tx, before, who, why)
        return Removed(len(gone), retention.count_unpaid(tx, before))

    return await by.write(removed)


def _age(seconds: int) -> timedelta:
    if not 0 <= seconds <= _OLDEST:
        raise Refusal(Refused("malformed", "the age is no number of seconds"))
    return timedelta(seconds=seconds)


def _raise_if_paused(tx: ReadTx) -> None:
    pause = switches.paused(tx, "deletions")
    if pause is not None:
        said = f"Nothing changed: {pause.who} has paused deletions: {pause.why}."
        raise Refusal(Refused("not-now", said))
