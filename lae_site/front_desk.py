"""What the site asks of the daemon, over a Foolscap furl."""

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

#: Stripe's answer stands behind these.
REGISTER = 20.0  # s
#: A webhook that takes longer is to be sent again.
WEBHOOK = 5.0  # s
ACTION = 8.0  # s
LOOK = 2.0  # s
#: The wait for a connection where there is none: a page must not hang on it.
CONNECT = 1.5  # s


class DeskAway(Exception):
    """The daemon is down, cannot be reached, did not answer in time, or is of another
    release.

    What was asked may have happened.  Ask again, with the same message.
    """


class FrontDesk(Protocol):
    """The daemon's front desk: it is asked one of
    :data:`lae_protocol.messages.FrontDeskQuestion`.
    """

    async def ask(
        self, question: Question[A], request_id: str | None = None
    ) -> A | Refused:
        """The answer, or a refusal, within the question's deadline; may be asked again.

        Raises :class:`DeskAway`.  *request_id* is the caller's, or made.
        """


def deadline(question: Question[Any]) -> float:
    """Seconds to wait for the answer."""
    match question:
        case Register() | PayAgain() | ReturnByLink():
            return REGISTER
        case StripeEvent():
            return WEBHOOK
        case Watch():
            return LOOK + question.patience
        case AskDoors() | AskPulse():
            return LOOK
        case _:
            return ACTION


@define(frozen=True)
class RemoteDesk:
    """The front desk of the daemon whose furl *facet* has."""

    facet: Facet
    _log = Logger()

    async def ask(
        self, question: Question[A], request_id: str | None = None
    ) -> A | Refused:
        """See :class:`FrontDesk`."""
        seconds = deadline(question)
        if not self.facet.connected:
            seconds = min(seconds, CONNECT)
        try:
            answer = await self.facet.ask(question, seconds, request_id)
        except FacetAway as e:
            raise DeskAway(str(e)) from None
        except FacetError as e:
            raise self._of_another_release(str(e)) from None
        if isinstance(answer, Refused) and answer.code in {"version", "not-known-here"}:
            raise self._of_another_release(answer.message)
        return answer

    def _of_another_release(self, problem: str) -> DeskAway:
        """For a visitor the same as a daemon that is away, for the operator not."""
        self._log.error("front desk: {problem}", problem=problem)
        return DeskAway(problem)
