"""What an operator can do for one customer."""

from __future__ import annotations

from typing import Any

from lae_flapp.desk.operators import free
from lae_flapp.desk.operators.asked import Asked
from lae_flapp.desk.view import see
from lae_flapp.journal import contacts, events, outbox, signups
from lae_flapp.journal.transaction import ReadTx, WriteTx
from lae_flapp.life import asked_for
from lae_flapp.life.asked_for import AskedFor
from lae_protocol.address import Address, AddressRefused, parse_address
from lae_protocol.ids import MalformedId, SignupId, parse_signup_id
from lae_protocol.looking_messages import Named
from lae_protocol.messages import VERSION, Done, DoneAnswer, Refused, SignupState
from lae_protocol.operator_messages import (
    AskPlans,
    Cancel,
    DeleteData,
    GiveFree,
    GivenAnswer,
    Plans,
    PlansAnswer,
    Reactivate,
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

        await self._read(lambda tx: self._as_seen(tx, asked.signup_id, asked.seen))
        await self._desk.cancel(asked.signup_id, who, why, asked.at_once)
        self._desk.wakes.mails()
        return Done(await self._read(lambda tx: see(tx, asked.signup_id, 0)))

    @answers(VERSION, Reactivate, DoneAnswer)
    async def remote_reactivate_signup(self, asked: Reactivate, request_id: str) -> Any:
        """Take a cancellation back, or mail the owner of an ended one the way back."""
        del request_id
        return await self._turn(asked, asked_for.reactivate)

    @answers(VERSION, DeleteData, DoneAnswer)
    async def remote_delete_data(self, asked: DeleteData, request_id: str) -> Any:
        """Delete now what is kept of an ended one."""
        del request_id
        return await self._turn(asked, asked_for.delete)

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

    async def _turn(self, asked: Reactivate | DeleteData, work: AskedFor) -> Done:
        """Do it, if the operator saw what it is; the worker and the mails go on."""
        why = reason(asked.why)

        def turned(tx: WriteTx, who: str) -> Done:
            self._as_seen(tx, asked.signup_id, asked.seen)
            work(tx, asked.signup_id, who, why)
            return Done(see(tx, asked.signup_id, 0))

        done = await self._write(turned)
        self._desk.wakes.retry(asked.signup_id)
        self._desk.wakes.mails()
        return done

    def _as_seen(self, tx: ReadTx, signup_id: SignupId, seen: SignupState) -> None:
        self._known(tx, signup_id)
        state = signups.get(tx, signup_id).state
        if state != seen:
            said = f"Nothing changed: it is {state} now, not {seen}."
            raise Refusal(Refused("changed", said))

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
        outbox.put(tx, signup_id, "active", request_id)
        events.tell(tx, signup_id, "mail-resent", who)


def _letters(tx: WriteTx, signup_id: SignupId) -> list[outbox.Mail]:
    return [m for m in outbox.of(tx, signup_id) if m.kind == "active"]


def _address(text: str) -> Address:
    try:
        return parse_address(text)
    except AddressRefused as e:
        raise Refusal(Refused("bad-address", str(e), "email")) from None
