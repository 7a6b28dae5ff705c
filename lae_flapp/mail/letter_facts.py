"""What the letters of a subscription's life say, looked up when they are sent."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta

from attrs import define

from lae_flapp.grid.doors import Subscription
from lae_flapp.journal import gifts, lifecycles, receipts
from lae_flapp.journal.journal import Journal
from lae_flapp.journal.lifecycles import Lifecycle
from lae_flapp.journal.outbox import Mail
from lae_flapp.journal.receipts import Receipt
from lae_flapp.journal.signups import Signup
from lae_flapp.journal.transaction import ReadTx
from lae_flapp.life.links import Links
from lae_flapp.mail.letters import (
    Deleted,
    Ended,
    Leaving,
    LifeLetter,
    Overdue,
    Recovered,
    Staying,
)
from lae_protocol.ids import SignupId


@define(frozen=True)
class _Known:
    life: Lifecycle
    receipt: Receipt | None
    given: bool


@define(frozen=True)
class LetterFacts:
    """Asks the journal, and *fetch* (a subscription by its name, from Stripe) for the
    page on which an invoice is paid.
    """

    journal: Journal
    fetch: Callable[[str], Awaitable[Subscription | None]]
    links: Links

    def cancel_url(self, signup: Signup) -> str:
        """The link by which whoever has the mail ends the subscription."""
        return self.links.url(signup, "cancel")

    async def letter(self, mail: Mail, signup: Signup) -> LifeLetter:
        """The letter of this mail; raises ValueError for a kind that is none of these,
        and what the payment service raises.
        """
        known = await self.journal.read(_known, signup.signup_id)
        life, plan, name = known.life, signup.agreement.plan, mail.signup_id
        back = self.links.url(signup, "return")
        match mail.kind:
            case "leaving":
                until = life.ends_at or life.paid_until or mail.queued_at
                return Leaving(name, plan, until, until + _span(plan.data_kept), back)
            case "staying":
                return Staying(name, plan, self.cancel_url(signup))
            case "ended" | "reminder":
                until = life.kept_until or mail.queued_at
                way = None if known.given else back
                return Ended(mail.kind, name, plan, until, way)
            case "deleted" if known.receipt is not None:
                receipt = known.receipt
                return Deleted(
                    name,
                    plan,
                    receipt.number,
                    receipt.bucket,
                    receipt.deleted_at,
                    receipt.used_bytes,
                )
            case "past-due" | "suspended" | "stopped":
                spans = {
                    "past-due": plan.grace,
                    "suspended": plan.read_only,
                    "stopped": plan.stopped,
                }
                then = mail.queued_at + _span(spans[mail.kind])
                pay = await self._pay_url(life)
                cancel = self.cancel_url(signup)
                return Overdue(mail.kind, name, plan, then, pay, cancel)
            case "recovered":
                return Recovered(name, plan)
            case unknown:
                raise ValueError(f"no letter of the kind {unknown}")

    async def _pay_url(self, life: Lifecycle) -> str | None:
        """Stripe's page of the invoice; None where it is paid by now."""
        name = life.subscription
        if name is None:
            return None
        seen = await self.fetch(name)
        return None if seen is None or seen.pay_url is None else seen.pay_url.reveal()


def _known(tx: ReadTx, signup_id: SignupId) -> _Known:
    return _Known(
        lifecycles.get(tx, signup_id),
        receipts.find(tx, signup_id),
        gifts.find(tx, signup_id) is not None,
    )


def _span(seconds: int) -> timedelta:
    return timedelta(seconds=seconds)
