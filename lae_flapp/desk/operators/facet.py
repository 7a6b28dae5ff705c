"""What one named operator may ask; the name stands in every event."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from lae_flapp.desk.operators import (
    boxes,
    costing,
    helping,
    lists,
    looking,
    recovered_keys,
    refunding,
    removing,
    running,
    steering,
)
from lae_flapp.desk.operators.asked import Asker
from lae_flapp.desk.operators.desk import OperatorDesk
from lae_flapp.desk.operators.rights import LOOKING
from lae_flapp.journal.threads import asked_by
from lae_protocol import box_messages as box
from lae_protocol import cost_messages as cost
from lae_protocol import looking_messages as look
from lae_protocol import operator_messages as ask
from lae_protocol import people_messages as people
from lae_protocol import recovery_messages as recovery
from lae_protocol import refund_messages as refund
from lae_protocol import removal_messages as removal
from lae_protocol import rollout_messages as rollout
from lae_protocol.process.answer import Answering
from lae_protocol.process.budget import CallShare
from lae_protocol.question import Question
from lae_protocol.remote import OPERATOR
from lae_protocol.secret import Secret

#: What answers each question of an operator.
ANSWERS: Mapping[type[Question[Any]], Callable[[Asker, Any], Awaitable[Any]]] = {
    **dict.fromkeys(lists.NOUNS, lists.rows),
    cost.ListCosts: costing.list_costs,
    look.ShowSignup: looking.show_signup,
    look.EventsSince: looking.events_since,
    look.AskHealth: running.health,
    ask.RetrySignup: helping.retry_signup,
    ask.Resend: helping.resend_mail,
    ask.Cancel: helping.cancel_signup,
    ask.Reactivate: helping.reactivate_signup,
    ask.DeleteData: helping.delete_data,
    refund.AskLastPayment: refunding.last_payment,
    refund.RefundPayment: refunding.refund,
    ask.AskPlans: helping.plans,
    ask.GiveFree: helping.give_free,
    ask.LogOut: helping.log_out,
    ask.ReplaceHost: helping.replace_host,
    ask.AskConsole: looking.console,
    ask.ShowEffect: looking.show_effect,
    box.ShowInboxEvent: boxes.show_event,
    box.RetryInboxEvent: boxes.retry_event,
    removal.RemoveHints: removing.remove_hints,
    removal.RemoveUnpaid: removing.remove_unpaid,
    box.ShowMail: boxes.show_mail,
    box.RetryMail: boxes.retry_mail,
    ask.AskSwitches: running.show_switches,
    ask.Pause: running.pause,
    ask.Resume: running.resume,
    people.AskOperators: running.list_operators,
    people.AddOperator: running.add_operator,
    people.RenewFurl: running.renew_furl,
    people.RevokeOperator: running.revoke_operator,
    people.ShowSecondFurl: running.show_second_furl,
    ask.BackUp: running.back_up,
    ask.Reseal: running.reseal,
    rollout.AskRollout: steering.show_rollout,
    rollout.StartRollout: steering.start,
    rollout.SteerRollout: steering.steer,
    recovery.AskSealedIdentity: recovered_keys.sealed_identity,
    recovery.GiveIdentity: recovered_keys.take_identity,
}


def operator_facet(
    desk: OperatorDesk, swissnum: Secret, share: CallShare | None = None
) -> Answering:
    """The facet of whoever holds this furl; looked up anew at each question."""

    async def answer(question: Any, request_id: str) -> Any:
        asker = Asker(desk, swissnum, request_id)
        if type(question) not in LOOKING:
            name = await desk.journal.read(asker.name)
            desk.rights.raise_unless_may(name, question)
        return await ANSWERS[type(question)](asker, question)

    return Answering(OPERATOR, asked_by("operators", answer), share)
