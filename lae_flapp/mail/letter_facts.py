"""What a mail is about, looked up when it is sent: each function makes one letter."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

from attrs import define

from lae_flapp.effects.payments import GivenBack, Subscription
from lae_flapp.grid.furls import CustomerFurls
from lae_flapp.grid.requests import nickname
from lae_flapp.journal import (
    contacts,
    effects,
    events,
    gifts,
    lifecycles,
    outbox,
    receipts,
    signups,
)
from lae_flapp.journal.contacts import Contact
from lae_flapp.journal.lifecycles import Lifecycle
from lae_flapp.journal.outbox import Mail
from lae_flapp.journal.receipts import Receipt
from lae_flapp.journal.signups import Signup
from lae_flapp.journal.transaction import ReadTx
from lae_flapp.life.links import GOOD_FOR, Links, Purpose
from lae_flapp.mail.letters import (
    Active,
    Confirm,
    Deleted,
    Ended,
    Goodwill,
    Leaving,
    LogIn,
    Overdue,
    PaidBack,
    Plain,
    Staying,
    Troubled,
)
from lae_protocol import wire
from lae_protocol.messages import Plan
from lae_protocol.plan_words import span_in_words


@define(frozen=True)
class LetterSources:
    """Where letters get what the journal does not hold in plain: *furls* open sealed
    identities, *fetch* asks Stripe for a subscription, *links* seals what a mail's
    links may do.
    """

    furls: CustomerFurls
    fetch: Callable[[str], Awaitable[Subscription | None]]
    links: Links


@define(frozen=True)
class LetterFacts:
    """What one mail is about, as the journal has it now."""

    mail: Mail
    signup: Signup
    contact: Contact
    life: Lifecycle
    receipt: Receipt | None
    furl_known_elsewhere: bool
    was_withdrawn: bool
    is_gift: bool
    given_back: int
    now: datetime
    sources: LetterSources

    @property
    def plan(self) -> Plan:
        """The plan that was agreed."""
        return self.signup.agreement.plan

    @property
    def cancel_url(self) -> str:
        """The link by which whoever has the mail ends the subscription."""
        return self._link("cancel")

    @property
    def return_url(self) -> str:
        """The link by which whoever has the mail goes on, or comes back."""
        return self._link("return")

    @property
    def confirm_url(self) -> str:
        """The link by which whoever has the mail says that the address is theirs."""
        return self._link("confirm")

    @property
    def log_in_url(self) -> str:
        """The link by which whoever has the mail makes one browser the owner's."""
        return self._link("log-in")

    def _link(self, purpose: Purpose) -> str:
        number = self.contact.number
        return self.sources.links.url(self.signup, purpose, number, self.now)


def look_up(tx: ReadTx, mail: Mail, sources: LetterSources) -> LetterFacts:
    """Read what the journal has about the mail's signup."""
    signup_id = mail.signup_id
    return LetterFacts(
        mail,
        signups.get(tx, signup_id),
        contacts.current(tx, signup_id),
        lifecycles.get(tx, signup_id),
        receipts.find(tx, signup_id),
        outbox.furl_went_elsewhere(tx, signup_id),
        events.was_withdrawn(tx, signup_id),
        gifts.find(tx, signup_id) is not None,
        _given_back(tx, mail),
        tx.now,
        sources,
    )


def _given_back(tx: ReadTx, mail: Mail) -> int:
    """How much the refund gave back that the mail is about; 0 for any other mail."""
    if mail.kind != "goodwill":
        return 0
    # The occasion names the effect, which keeps what came of it.
    _, _, number = mail.occasion.partition(" ")
    outcome = effects.get(tx, int(number)).outcome or ""
    given: GivenBack = wire.decode(GivenBack, outcome.encode())
    return given.amount


async def write_active(facts: LetterFacts) -> Active:
    """The furl; raises what opening the identity raises."""
    signup = facts.signup
    furl = await facts.sources.furls.of(signup.signup_id)
    assert furl is not None, "mailed after the identity was made"
    status = f"{facts.sources.links.site_url}/signup/{signup.signup_id}"
    return Active(
        signup.signup_id,
        facts.plan,
        nickname(signup),
        furl,
        status,
        facts.cancel_url,
        facts.furl_known_elsewhere,
    )


async def write_confirm(facts: LetterFacts) -> Confirm:
    """The link, and nothing else of anybody's."""
    good_for = _good_for("confirm")
    return Confirm(facts.mail.signup_id, facts.plan, facts.confirm_url, good_for)


async def write_log_in(facts: LetterFacts) -> LogIn:
    """The link, and for how long it is good."""
    good_for = _good_for("log-in")
    return LogIn(facts.mail.signup_id, facts.plan, facts.log_in_url, good_for)


def _good_for(purpose: Purpose) -> str:
    return span_in_words(int(GOOD_FOR[purpose].total_seconds()))


async def write_plain(facts: LetterFacts) -> Plain:
    """The plan, and no more."""
    return Plain(facts.mail.signup_id, facts.plan)


async def write_refunded(facts: LetterFacts) -> PaidBack:
    """That the money goes back, and whether the customer wished that."""
    return PaidBack(facts.mail.signup_id, facts.plan, facts.was_withdrawn)


async def write_goodwill(facts: LetterFacts) -> Goodwill:
    """How much of the last payment goes back."""
    return Goodwill(facts.mail.signup_id, facts.plan, facts.given_back)


async def write_troubled(facts: LetterFacts) -> Troubled:
    """What is wrong with the signup."""
    problem = facts.signup.problem or "see its events"
    return Troubled(facts.mail.signup_id, facts.signup.state, problem)


async def write_leaving(facts: LetterFacts) -> Leaving:
    """When it ends, and until when the data is kept then."""
    life, plan = facts.life, facts.plan
    until = life.ends_at or life.paid_until or facts.mail.queued_at
    kept_until = until + timedelta(seconds=plan.data_kept)
    return Leaving(facts.mail.signup_id, plan, until, kept_until, facts.return_url)


async def write_staying(facts: LetterFacts) -> Staying:
    """The link by which to cancel after all."""
    return Staying(facts.mail.signup_id, facts.plan, facts.cancel_url)


async def write_ended(facts: LetterFacts) -> Ended:
    """Until when the data is kept, and how to come back; a gift cannot."""
    until = facts.life.kept_until or facts.mail.queued_at
    way = None if facts.is_gift else facts.return_url
    return Ended(facts.mail.signup_id, facts.plan, until, way)


async def write_deleted(facts: LetterFacts) -> Deleted:
    """The receipt."""
    receipt = facts.receipt
    assert receipt is not None, "mailed after the data was deleted"
    return Deleted(
        facts.mail.signup_id,
        facts.plan,
        receipt.number,
        receipt.bucket,
        receipt.deleted_at,
        receipt.used_bytes,
    )


async def write_past_due(facts: LetterFacts) -> Overdue:
    """When the storage becomes read-only; raises what the payment service raises."""
    return await _write_overdue(facts, facts.plan.grace)


async def write_suspended(facts: LetterFacts) -> Overdue:
    """When the host goes; raises what the payment service raises."""
    return await _write_overdue(facts, facts.plan.read_only)


async def write_stopped(facts: LetterFacts) -> Overdue:
    """When the subscription ends; raises what the payment service raises."""
    return await _write_overdue(facts, facts.plan.stopped)


async def _write_overdue(facts: LetterFacts, seconds: int) -> Overdue:
    then = facts.mail.queued_at + timedelta(seconds=seconds)
    pay = await _pay_url(facts)
    return Overdue(facts.mail.signup_id, facts.plan, then, pay, facts.cancel_url)


async def _pay_url(facts: LetterFacts) -> str | None:
    """Stripe's page of the invoice; None where it is paid by now."""
    name = facts.life.subscription
    seen = None if name is None else await facts.sources.fetch(name)
    return None if seen is None or seen.pay_url is None else seen.pay_url.reveal()
