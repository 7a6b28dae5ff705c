"""What the site asks of the daemon, over a Foolscap furl."""

from __future__ import annotations

from typing import Any, Protocol, cast

from attrs import define
from twisted.logger import Logger

from lae_protocol.messages import (
    AskDoors,
    AskPulse,
    CorrectAddress,
    DoneAnswer,
    DoorsAnswer,
    EventAnswer,
    Owner,
    PulseAnswer,
    Register,
    RegisterAnswer,
    StripeEvent,
    ViewAnswer,
    Watch,
)
from lae_protocol.process.call import Facet, FacetAway, FacetError

#: Seconds to wait for an answer.  Stripe's answer stands behind a registration;
#: a webhook that takes longer than 5 s is to be sent again.
REGISTER, WEBHOOK, ACTION, LOOK = 20.0, 5.0, 8.0, 2.0
#: Seconds to wait for a connection where there is none: a page must not hang on it.
CONNECT = 1.5


class DeskAway(Exception):
    """The daemon is down, cannot be reached, or did not answer in time.

    What was asked may have happened.  Ask again, with the same message.
    """


class FrontDesk(Protocol):
    """The daemon's front desk.  Each question ends within its deadline, with an answer
    (a refusal is one) or with :class:`DeskAway`; each may be asked again.
    """

    async def doors(self) -> DoorsAnswer:
        """Ask whether signups are open."""

    async def pulse(self) -> PulseAnswer:
        """Ask how the daemon is; one of an older release does not know the question."""

    async def register(self, register: Register) -> RegisterAnswer:
        """Journal a signup and open its Checkout session; the same ids, the same
        signup.
        """

    async def take_stripe_event(self, event: StripeEvent) -> EventAnswer:
        """Hand over a webhook whose signature was checked."""

    async def returned_from_checkout(self, owner: Owner) -> ViewAnswer:
        """Have the session fetched now: the browser may overtake the webhook."""

    async def pay_again(self, owner: Owner) -> RegisterAnswer:
        """Open another session, after the old one is expired."""

    async def watch(self, watch: Watch) -> ViewAnswer:
        """Wait for what comes after an event's number, at most ``watch.patience``."""

    async def resend_mail(self, owner: Owner) -> DoneAnswer:
        """Mail the furl once more."""

    async def correct_address(self, correct: CorrectAddress) -> DoneAnswer:
        """Use another mail address, while the first is not confirmed."""

    async def cancel(self, owner: Owner) -> DoneAnswer:
        """End the subscription, or give up an unpaid signup."""


@define(frozen=True)
class RemoteDesk:
    """The front desk of the daemon whose furl *facet* has."""

    facet: Facet
    _log = Logger()

    async def _ask(self, method: str, message: Any, answer: Any, seconds: float) -> Any:
        if not self.facet.connected:
            seconds = min(seconds, CONNECT)
        try:
            return await self.facet.call(method, message, answer, seconds)
        except FacetAway as e:
            raise DeskAway(str(e)) from None
        except FacetError as e:
            # A daemon of another release, or one that is broken: for a visitor the
            # same as one that is away, for the operator not.
            self._log.error("front desk: {problem}", problem=str(e))
            raise DeskAway(str(e)) from None

    async def doors(self) -> DoorsAnswer:
        """See :class:`FrontDesk`."""
        answer = await self._ask("doors", AskDoors(), DoorsAnswer, LOOK)
        return cast("DoorsAnswer", answer)

    async def pulse(self) -> PulseAnswer:
        """See :class:`FrontDesk`."""
        answer = await self._ask("pulse", AskPulse(), PulseAnswer, LOOK)
        return cast("PulseAnswer", answer)

    async def register(self, register: Register) -> RegisterAnswer:
        """See :class:`FrontDesk`."""
        answer = await self._ask("register", register, RegisterAnswer, REGISTER)
        return cast("RegisterAnswer", answer)

    async def take_stripe_event(self, event: StripeEvent) -> EventAnswer:
        """See :class:`FrontDesk`."""
        answer = await self._ask("take_stripe_event", event, EventAnswer, WEBHOOK)
        return cast("EventAnswer", answer)

    async def returned_from_checkout(self, owner: Owner) -> ViewAnswer:
        """See :class:`FrontDesk`."""
        answer = await self._ask("returned_from_checkout", owner, ViewAnswer, ACTION)
        return cast("ViewAnswer", answer)

    async def pay_again(self, owner: Owner) -> RegisterAnswer:
        """See :class:`FrontDesk`."""
        answer = await self._ask("pay_again", owner, RegisterAnswer, REGISTER)
        return cast("RegisterAnswer", answer)

    async def watch(self, watch: Watch) -> ViewAnswer:
        """See :class:`FrontDesk`."""
        seconds = LOOK + watch.patience
        return cast("ViewAnswer", await self._ask("watch", watch, ViewAnswer, seconds))

    async def resend_mail(self, owner: Owner) -> DoneAnswer:
        """See :class:`FrontDesk`."""
        answer = await self._ask("resend_mail", owner, DoneAnswer, ACTION)
        return cast("DoneAnswer", answer)

    async def correct_address(self, correct: CorrectAddress) -> DoneAnswer:
        """See :class:`FrontDesk`."""
        answer = await self._ask("correct_address", correct, DoneAnswer, ACTION)
        return cast("DoneAnswer", answer)

    async def cancel(self, owner: Owner) -> DoneAnswer:
        """See :class:`FrontDesk`."""
        answer = await self._ask("cancel", owner, DoneAnswer, ACTION)
        return cast("DoneAnswer", answer)
