"""Time passes: what is due is done, from the journal, again and again."""

from __future__ import annotations

from datetime import datetime
from typing import assert_never

from twisted.logger import Logger

from lae_flapp.grid.workshop import Workshop
from lae_flapp.journal import lifecycles, outbox, sessions, signups
from lae_flapp.journal.errors import StateChanged
from lae_flapp.journal.signups import Signup
from lae_flapp.journal.transaction import ReadTx, WriteTx
from lae_flapp.life import ending
from lae_flapp.life.due import TIMED, Timed, Turn, deletion_after_reminder, due
from lae_flapp.life.looking import Subscriptions
from lae_protocol.ids import SignupId
from lae_protocol.process.crash import crash_point, declare
from lae_protocol.process.deadline import DeadlinePassed
from lae_provision.errors import ProvisionError

WHO = "daemon"
BEFORE = declare("lifecycle.turn.before", "it is due, and nothing is journaled")
AFTER = declare("lifecycle.turn.after", "the state and the mail's row are journaled")


class Times:
    """Looks at every signup in whose state a time runs."""

    _log = Logger()

    def __init__(self, shop: Workshop, subscriptions: Subscriptions) -> None:
        self._shop, self._subscriptions = shop, subscriptions

    async def look(self) -> None:
        """Do what is due; what fails is due again the next time."""
        for signup_id, turn in await self._shop.journal.read(_all_due):
            try:
                await self._do(signup_id, turn)
            except StateChanged:
                continue
            except (ProvisionError, DeadlinePassed) as e:
                self._log.warn(
                    "{signup_id}: {turn} waits: {problem}",
                    signup_id=signup_id,
                    turn=turn,
                    problem=str(e),
                )

    async def _do(self, signup_id: SignupId, turn: Turn) -> None:
        if turn in {"suspend", "stop", "end-unpaid"}:
            # It may be paid by now, and the webhook be on its way.
            life = await self._shop.journal.read(lifecycles.get, signup_id)
            if life.subscription is not None:
                await self._subscriptions.look(life.subscription, WHO)
        crash_point(BEFORE)
        if await self._shop.journal.write(self._turn, signup_id, turn):
            crash_point(AFTER)

    def _turn(self, tx: WriteTx, signup_id: SignupId, turn: Turn) -> bool:
        """Do the turn, if it is still the one that is due."""
        signup = signups.get(tx, signup_id)
        if due(_timed(tx, signup), tx.now) != turn:
            return False
        match turn:
            case "suspend":
                ending.suspend(tx, signup)
            case "stop":
                ending.stop(tx, signup)
            case "end-unpaid":
                ending.end(tx, signup, WHO, "never paid again")
            case "remind":
                self._remind(tx, signup)
            case "delete":
                ending.delete(tx, signup, WHO, "the time of the data is over")
            case _:
                assert_never(turn)
        return True

    def _remind(self, tx: WriteTx, signup: Signup) -> None:
        until = lifecycles.get(tx, signup.signup_id).kept_until
        assert until is not None, "only what is kept is due for this"
        until = deletion_after_reminder(signup.agreement.plan, until, tx.now)
        lifecycles.change(tx, signup.signup_id, kept_until=until)
        outbox.put(tx, signup.signup_id, "reminder", _occasion(until))


def _timed(tx: ReadTx, signup: Signup) -> Timed:
    signup_id = signup.signup_id
    until = lifecycles.get(tx, signup_id).kept_until
    reminders = [m.occasion for m in outbox.of(tx, signup_id) if m.kind == "reminder"]
    return Timed(
        signup.state,
        signup.changed_at,
        signup.agreement.plan,
        until,
        paying=any(s.state == "open" for s in sessions.of(tx, signup_id)),
        reminded=until is not None and _occasion(until) in reminders,
    )


def _all_due(tx: ReadTx) -> tuple[tuple[SignupId, Turn], ...]:
    found = []
    for signup in signups.in_states(tx, TIMED):
        turn = due(_timed(tx, signup), tx.now)
        if turn is not None:
            found.append((signup.signup_id, turn))
    return tuple(found)


def _occasion(until: datetime) -> str:
    """One reminder of each date."""
    return f"{until:%Y-%m-%dT%H:%M:%S}"
