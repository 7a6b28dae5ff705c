"""Ending a signup because an operator says so, as far as it has come."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from attrs import define

from lae_flapp.facets.wishes import give_up_unpaid
from lae_flapp.journal import signups
from lae_flapp.journal.errors import StateChanged
from lae_flapp.journal.journal import Journal
from lae_protocol.ids import SignupId
from lae_protocol.messages import Refused
from lae_protocol.process.answer import Refusal


@define(frozen=True)
class Cancelling:
    """*expire_sessions* ends what could still be paid, *refund* gives the money back of
    what is not served.
    """

    journal: Journal
    expire_sessions: Callable[[SignupId], Awaitable[object]]
    refund: Callable[[SignupId, str, str], Awaitable[object]]

    async def cancel(self, signup_id: SignupId, who: str, why: str) -> None:
        """Unpaid: it is over.  Paid and not served: the money goes back.

        Whoever comes second is told what it is by then, in a :class:`Refusal`.
        """
        state = await self._state(signup_id)
        if state == "paying":
            await self.expire_sessions(signup_id)
            # It may have been paid a moment before.
            state = await self._state(signup_id)
        try:
            await self._end(state, signup_id, who, why)
        except StateChanged as e:
            said = f"It is {e.actual} by now, not {state}: look again."
            raise Refusal(Refused("changed", said)) from None

    async def _end(self, state: str, signup_id: SignupId, who: str, why: str) -> None:
        match state:
            case "registered" | "expired":
                await self.journal.write(give_up_unpaid, signup_id, who, why)
            case "paid":
                await self.refund(signup_id, who, why)
            case "cancelled" | "refunding" | "refunded":
                said = f"Nothing to do: it is {state} already."
                raise Refusal(Refused("not-now", said))
            case _:
                said = f"What is {state} cannot be ended by this command yet."
                raise Refusal(Refused("not-now", said))

    async def _state(self, signup_id: SignupId) -> str:
        def state(tx: Any) -> str:
            return signups.get(tx, signup_id).state

        return await self.journal.read(state)
