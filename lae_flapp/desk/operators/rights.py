"""What each operator may do: all, only look, or, for deletions and refunds, only a
while after a second furl was shown.

The settings of the daemon say who, so that whoever has stolen a furl cannot change it.
"""

from __future__ import annotations

from typing import Any

from attrs import Factory, define
from twisted.internet.interfaces import IReactorTime

from lae_flapp.journal.secrets import hash_of, same_hash
from lae_flapp.settings import OperatorRights
from lae_protocol import box_messages as box
from lae_protocol import cost_messages as cost
from lae_protocol import looking_messages as look
from lae_protocol import operator_messages as ask
from lae_protocol import people_messages as people
from lae_protocol import refund_messages as refund
from lae_protocol import rollout_messages as rollout
from lae_protocol.messages import Refused
from lae_protocol.process.answer import Refusal
from lae_protocol.question import Question
from lae_protocol.secret import Secret

#: For how long deletions and refunds are open after a second furl was shown.
OPEN_FOR = 600.0  # s

#: What changes nothing: a read-only furl may ask it.
LOOKING: frozenset[type[Question[Any]]] = frozenset(
    {
        look.ListSignups,
        look.ListUsage,
        cost.ListCosts,
        look.ShowSignup,
        look.EventsSince,
        look.AskHealth,
        ask.AskPlans,
        refund.AskLastPayment,
        ask.ListHosts,
        ask.AskConsole,
        ask.ListEffects,
        ask.ShowEffect,
        box.ListInbox,
        box.ShowInboxEvent,
        box.ListOutbox,
        box.ShowMail,
        ask.AskSwitches,
        people.AskOperators,
        rollout.AskRollout,
    }
)
_READ_ONLY = Refused("not-now", "Your furl is read-only: it may look, and no more.")
_CLOSED = Refused(
    "not-now",
    "Deletions and refunds need your second furl: lae operator open FILE, and again"
    " after ten minutes.",
)
_NOT_YOURS = Refused("not-now", "This is not your second furl, or you have none.")


def loses(question: Question[Any]) -> bool:
    """Whether it deletes data, or gives money back.

    Who cancels what is about to be paid gives nothing back of their own will: that a
    payment which comes in that moment goes back is the system's own promise, kept to
    whoever pays too late, whoever ended it.
    """
    match question:
        case ask.DeleteData() | refund.RefundPayment():
            return True
        case ask.Cancel(seen="paid"):
            return True
        case _:
            return False


@define(eq=False)
class Rights:
    """Judges each question; a second furl that was shown is forgotten at a restart."""

    settings: OperatorRights
    clock: IReactorTime
    _open_until: dict[str, float] = Factory(dict)

    def raise_unless_may(self, name: str, question: Question[Any]) -> None:
        """Raise :class:`Refusal` for what this operator may not ask now."""
        if name in self.settings.read_only and type(question) not in LOOKING:
            raise Refusal(_READ_ONLY)
        if not self.settings.second_furls or not loses(question):
            return
        if self.clock.seconds() >= self._open_until.get(name, 0.0):
            raise Refusal(_CLOSED)

    def open(self, name: str, swissnum: Secret) -> None:
        """Open deletions and refunds to who shows their second furl, for a while.

        Raises :class:`Refusal` for another's, and for anything else.
        """
        known = {one.name: one.sha256 for one in self.settings.second_furls}
        if name not in known or not same_hash(known[name], hash_of(swissnum)):
            raise Refusal(_NOT_YOURS)
        self._open_until[name] = self.clock.seconds() + OPEN_FOR
