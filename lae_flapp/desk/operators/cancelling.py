"""Ending a signup because an operator says so, or because a gift's time is over."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from attrs import define

from lae_flapp.journal import gifts, lifecycles, signups
from lae_flapp.journal.errors import StateChanged
from lae_flapp.journal.journal import Journal
from lae_flapp.journal.transaction import WriteTx
from lae_flapp.life import ending
from lae_protocol.ids import SignupId
from lae_protocol.messages import Refused
from lae_protocol.process.answer import Refusal


@define(frozen=True)
class Cancelling:
    """*expire_sessions* ends what could still be paid."""

    journal: Journal
    expire_sessions: Callable[[SignupId], Awaitable[object]]

    async def cancel(
        self,
        signup_id: SignupId,
        who: str,
        why: str,
        at_once: bool = False,  # noqa: FBT001, FBT002  (handed on by the desk)
    ) -> None:
        """Cancel it; of a gift no paid time is waited for, since it has none.

        Whoever comes second is told what it is by then.  Raises
        :class:`~lae_protocol.process.answer.Refusal`.
        """

        def state(tx: Any) -> str:
            return signups.get(tx, signup_id).state

        if await self.journal.read(state) == "paying":
            # It may turn out to have been paid a moment before.
            await self.expire_sessions(signup_id)

        def ended(tx: WriteTx) -> None:
            before = signups.get(tx, signup_id).state
            wish = lifecycles.get(tx, signup_id).wish
            done = ending.cancel(tx, signup_id, who, why, at_once=at_once)
            if done == "over" or before == "refunding":
                raise _nothing(f"it is {before} already")
            if done == "leaving" and wish == "leave":
                raise _nothing("it is cancelled, and ends with the paid period")

        try:
            await self.journal.write(ended)
        except StateChanged as e:
            said = f"It is {e.actual} by now: look again."
            raise Refusal(Refused("changed", said)) from None

    async def end_gifts(self) -> None:
        """End those whose time is over; what cannot be ended now has a problem."""
        for gift in await self.journal.read(gifts.ended):
            try:
                await self.cancel(gift.signup_id, "daemon", "the gift's time is over")
            except Refusal as e:
                problem = f"its time is over: {e.refused.message}"
                await self.journal.write(signups.set_problem, gift.signup_id, problem)


def _nothing(because: str) -> Refusal:
    return Refusal(Refused("not-now", f"Nothing to do: {because}."))
