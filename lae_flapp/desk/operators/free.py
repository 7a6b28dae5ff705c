"""A subscription free of charge: the row of a paid signup, without a payment."""

from __future__ import annotations

import secrets

from attrs import evolve

from lae_flapp.journal import capacity, cells, contacts, gifts, signups
from lae_flapp.journal.errors import NoRoom
from lae_flapp.journal.signups import Agreement
from lae_flapp.journal.transaction import WriteTx
from lae_flapp.money.checkout.selling import Selling
from lae_protocol.address import Address
from lae_protocol.ids import OwnerSecret, base32, new_grid_label
from lae_protocol.messages import Refused
from lae_protocol.operator_messages import GiveFree
from lae_protocol.process.answer import Refusal


def give(
    tx: WriteTx, selling: Selling, asked: GiveFree, to: Address, *, who: str, why: str
) -> None:
    """Register it as paid; the routine builds it as any other.

    The same id again changes nothing where it is the same gift.  Nobody has the owner
    secret, so that the furl is mailed and never shown.  Raises :class:`Refusal`.
    """
    plan = {plan.plan_id: plan for plan in selling.plans}.get(asked.plan_id)
    if plan is None:
        sold = ", ".join(sorted(plan.plan_id for plan in selling.plans))
        raise Refusal(
            Refused("unknown-plan", f"There is no such plan; there are: {sold}.")
        )
    if signups.find(tx, asked.signup_id) is not None:
        gift = gifts.find(tx, asked.signup_id)
        if gift is None or contacts.current(tx, asked.signup_id).typed != to.as_typed:
            raise Refusal(Refused("changed", "Nothing changed: this id is taken."))
        return
    if asked.until is not None and asked.until <= tx.now:
        raise Refusal(Refused("malformed", "The end is in the past."))
    cells.put(tx, selling.cell)
    signups.register(
        tx,
        asked.signup_id,
        OwnerSecret(base32(secrets.token_bytes(32))),
        grid_label=new_grid_label(),
        cell=selling.cell,
        agreement=Agreement(evolve(plan, price=0), tx.now, "en"),
        who=who,
    )
    contacts.put(tx, asked.signup_id, to.as_typed, to.for_smtp)
    try:
        capacity.raise_if_full(tx, asked.signup_id, selling.quotas)
    except NoRoom as e:
        raise Refusal(Refused("full", f"There is {e}.")) from None
    gifts.put(tx, asked.signup_id, who, asked.until)
    signups.move(
        tx, asked.signup_id, {"registered"}, "paid", kind="paid", who=who, why=why
    )
