"""The site's client of the daemon's front desk, over a Foolscap furl."""

from __future__ import annotations

from typing import Any, Protocol

from attrs import define
from twisted.logger import Logger

from lae_protocol.messages import (
    AskDoors,
    AskPulse,
    PayAgain,
    Refused,
    Register,
    ReturnByLink,
    StripeEvent,
    Watch,
)
from lae_protocol.process.call import Facet, FacetAway, FacetError
from lae_protocol.question import A, Question

#: The daemon asks Stripe before it answers; a visitor looks at a page that does nothing
#: meanwhile, and may send the same form again.
REGISTER_TIMEOUT = 10.0  # s
#: Stripe sends a webhook again that takes longer.
WEBHOOK_TIMEOUT = 5.0  # s
ACTION_TIMEOUT = 8.0  # s
LOOK_TIMEOUT = 2.0  # s
#: The longest wait while there is no connection: no page may hang on that.
CONNECT_TIMEOUT = 1.5  # s


class DeskAway(Exception):
    """The daemon is down, cannot be reached, did not answer in time, or runs another
    release.

    The request may have been carried out.  Send the same message again.
    """


class FrontDesk(Protocol):
    """The daemon's front desk, which answers every
    :data:`lae_protocol.messages.FrontDeskQuestion`.
    """

    async def ask(
        self, question: Question[A], request_id: str | None = None
    ) -> A | Refused:
        """Get the answer, or a refusal, within the question's deadline.

        A question may be asked again.  Raises :class:`DeskAway`.  Without *request_id*
        a new one is made.
        """


def deadline(question: Question[Any]) -> float:
    """Return the seconds to wait for the answer."""
    match question:
        case Register() | PayAgain() | ReturnByLink():
            return REGISTER_TIMEOUT
        case StripeEvent():
            return WEBHOOK_TIMEOUT
        case Watch():
            return LOOK_TIMEOUT + question.patience
        case AskDoors() | AskPulse():
            return LOOK_TIMEOUT
        case _:
            return ACTION_TIMEOUT


@define(frozen=True)
class RemoteDesk:
    """The front desk behind the furl of *facet*."""

    facet: Facet
    _log = Logger()

    async def ask(
        self, question: Question[A], request_id: str | None = None
    ) -> A | Refused:
        """See :class:`FrontDesk`."""
        seconds = deadline(question)
        if not self.facet.connected:
            seconds = min(seconds, CONNECT_TIMEOUT)
        try:
            answer = await self.facet.ask(question, seconds, request_id)
        except FacetAway as e:
            raise DeskAway(str(e)) from None
        except FacetError as e:
            raise self._report_other_release(str(e)) from None
        if isinstance(answer, Refused) and answer.code in {"version", "not-known-here"}:
            raise self._report_other_release(answer.message)
        return answer

    def _report_other_release(self, problem: str) -> DeskAway:
        """Log an error for the operator; to a visitor the daemon just seems away."""
        self._log.error("front desk: {problem}", problem=problem)
        return DeskAway(problem)
