"""Ending a signup because an operator says so, as far as it has come."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from attrs import define

from lae_flapp.journal import capacity, gifts, signups
from lae_flapp.journal.errors import StateChanged
from lae_flapp.journal.journal import Journal
from lae_flapp.journal.transaction import WriteTx
from lae_flapp.signup import turns
from lae_protocol.ids import SignupId
from lae_protocol.messages import Refused
from lae_protocol.process.answer import Refusal


@define(frozen=True)
class Cancelling:
    """*expire_sessions* ends what could still be paid; *end* journals, in one
    transaction, what cancelling means in the signup's state (by whom, why, and whether
    at once); *nudge* wakes its worker.
    """

    journal: Journal
    expire_sessions: Callable[[SignupId], Awaitable[object]]
    end: Callable[[WriteTx, SignupId, str, str, bool], object]
    nudge: Callable[[SignupId], object]

    async def cancel(
        self,
        signup_id: SignupId,
        who: str,
        why: str,
        at_once: bool = False,  # noqa: FBT001, FBT002  (handed on by the desk)
    ) -> None:
        """Cancel it; of a gift no paid time is waited for.

        Whoever comes second is told what it is by then.

        Raises :class:`~lae_protocol.process.answer.Refusal`.
        """

        def state(tx: Any) -> str:
            return signups.get(tx, signup_id).state

        if await self.journal.read(state) == "paying":
            # It may turn out to have been paid a moment before.
            await self.expire_sessions(signup_id)
        try:
            await self.journal.write(self._ended, signup_id, who, why, at_once)
        except StateChanged as e:
            said = f"It is {e.actual} by now: look again."
            raise Refusal(Refused("changed", said)) from None
        self.nudge(signup_id)

    def _ended(
        self,
        tx: WriteTx,
        signup_id: SignupId,
        who: str,
        why: str,
        at_once: bool,  # noqa: FBT001
    ) -> None:
        free = gifts.find(tx, signup_id) is not None
        self.end(tx, signup_id, who, why, at_once or free)

    async def end_gifts(self) -> None:
        """End those whose time is over; what cannot be ended now has a problem."""
        for gift in await self.journal.read(gifts.ended):
            try:
                await self.cancel(gift.signup_id, "daemon", "the gift's time is over")
            except Refusal as e:
                problem = f"its time is over: {e.refused.message}"
                await self.journal.write(signups.set_problem, gift.signup_id, problem)


def end_unserved(
    tx: WriteTx,
    signup_id: SignupId,
    who: str,
    why: str,
    at_once: bool,  # noqa: FBT001
) -> None:
    """Unpaid: it is over.  Paid and not served: the money goes back; both *at_once*.

    Raises :class:`Refusal` for what is served or over.
    """
    del at_once
    state = signups.get(tx, signup_id).state
    match state:
        case "registered" | "expired":
            signups.move(
                tx,
                signup_id,
                {state},
                "cancelled",
                kind="cancelled",
                who=who,
                why=why,
            )
            capacity.release(tx, signup_id)
        case "paid":
            turns.give_up(tx, signup_id, who, why)
        case "paying":
            raise StateChanged(f"signup {signup_id}", state)
        case "cancelled" | "refunding" | "refunded":
            said = f"Nothing to do: it is {state} already."
            raise Refusal(Refused("not-now", said))
        case _:
            said = f"What is {state} cannot be ended by this command yet."
            raise Refusal(Refused("not-now", said))
