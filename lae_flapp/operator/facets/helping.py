"""What an operator can do for one customer."""

from __future__ import annotations

from typing import Any

from lae_flapp.facets.view import see
from lae_flapp.journal import contacts, events, outbox, signups
from lae_flapp.journal.transaction import WriteTx
from lae_flapp.operator import free
from lae_flapp.operator.facets.asked import Asked
from lae_protocol.address import Address, AddressRefused, parse_address
from lae_protocol.ids import MalformedId, SignupId, parse_signup_id
from lae_protocol.messages import VERSION, Done, DoneAnswer, Named, Refused
from lae_protocol.operator_messages import (
    AskPlans,
    Cancel,
    GiveFree,
    GivenAnswer,
    Plans,
    PlansAnswer,
    Resend,
)
from lae_protocol.process.answer import Refusal, answers

#: The longest reason that is kept.
LONGEST_REASON = 500


def reason(text: str) -> str:
    """A reason that can be kept and shown; raises :class:`Refusal`."""
    why = " ".join(text.split())
    if not why or len(why) > LONGEST_REASON or not why.isprintable():
        said = f"a reason of 1 to {LONGEST_REASON} printable characters is needed"
        raise Refusal(Refused("malformed", said))
    return why


class Helping(Asked):
    """Each change is an event with the operator's name, then work is woken."""

    @answers(VERSION, Named, DoneAnswer)
    async def remote_retry_signup(self, asked: Named, request_id: str) -> Any:
        """Try what is stuck now, not when its turn comes."""
        del request_id

        def noted(tx: WriteTx, who: str) -> Done:
            self._known(tx, asked.signup_id)
            events.note(tx, asked.signup_id, "retry", who)
            return Done(see(tx, asked.signup_id, 0))

        done = await self._write(noted)
        self._desk.wakes.retry(asked.signup_id)
        return done

    @answers(VERSION, Resend, DoneAnswer)
    async def remote_resend_mail(self, asked: Resend, request_id: str) -> Any:
        """Mail the furl once more; to another address from now on, if one is given."""
        to = None if asked.email is None else _address(asked.email)

        def queued(tx: WriteTx, who: str) -> Done:
            self._known(tx, asked.signup_id)
            self._resend(tx, asked, to, who, request_id)
            return Done(see(tx, asked.signup_id, 0))

        done = await self._write(queued)
        self._desk.wakes.mails()
        return done

    @answers(VERSION, Cancel, DoneAnswer)
    async def remote_cancel_signup(self, asked: Cancel, request_id: str) -> Any:
        """End it: what that means depends on how far it is."""
        del request_id
        why, who = reason(asked.why), await self._who()

        def seen(tx: Any) -> None:
            self._known(tx, asked.signup_id)
            state = signups.get(tx, asked.signup_id).state
            if state != asked.seen:
                said = f"Nothing changed: it is {state} now, not {asked.seen}."
                raise Refusal(Refused("changed", said))

        await self._read(seen)
        await self._desk.cancel(asked.signup_id, who, why, asked.at_once)
        return Done(await self._read(lambda tx: see(tx, asked.signup_id, 0)))

    @answers(VERSION, AskPlans, PlansAnswer)
    async def remote_plans(self, asked: AskPlans, request_id: str) -> Any:
        """What can be given."""
        del asked, request_id
        await self._who()
        return Plans(self._desk.selling.plans)

    @answers(VERSION, GiveFree, GivenAnswer)
    async def remote_give_free(self, asked: GiveFree, request_id: str) -> Any:
        """A subscription free of charge; the same again finds it."""
        del request_id
        why, to = reason(asked.why), _address(asked.email)
        try:
            parse_signup_id(asked.signup_id)
        except MalformedId:
            return Refused("malformed", "the signup id")
        selling = self._desk.selling

        def given(tx: WriteTx, who: str) -> Done:
            free.give(tx, selling, asked, to, who=who, why=why)
            return Done(see(tx, asked.signup_id, 0))

        done = await self._write(given)
        self._desk.wakes.retry(asked.signup_id)
        return done

    def _resend(
        self, tx: WriteTx, asked: Resend, to: Address | None, who: str, request_id: str
    ) -> None:
        signup_id: SignupId = asked.signup_id
        known = contacts.current(tx, signup_id)
        if known.typed != asked.seen:
            said = "Nothing changed: the address is another one by now. Look again."
            raise Refusal(Refused("changed", said))
        if to is not None:
            contacts.correct(tx, signup_id, to.as_typed, to.for_smtp, by_operator=True)
            events.tell(tx, signup_id, "address-corrected", who)
        elif known.state == "bouncing":
            said = "Mail to this address is refused: give another with --to."
            raise Refusal(Refused("not-now", said))
        if signups.get(tx, signup_id).state not in {"active", "past-due"}:
            if to is None:
                said = "There is no mail to send yet: the storage is not ready."
                raise Refusal(Refused("not-now", said))
            # It goes to the new address when there is something to send.
            return
        if any(m.state == "waiting" for m in _letters(tx, signup_id)):
            # It goes to the address of the time when it is sent: now.
            return
        message_id = self._desk.shop.new_message_id()
        outbox.put(tx, signup_id, "active", message_id, request_id)
        events.tell(tx, signup_id, "mail-resent", who)


def _letters(tx: WriteTx, signup_id: SignupId) -> list[outbox.Mail]:
    return [m for m in outbox.of(tx, signup_id) if m.kind == "active"]


def _address(text: str) -> Address:
    try:
        return parse_address(text)
    except AddressRefused as e:
        raise Refusal(Refused("bad-address", str(e), "email")) from None
