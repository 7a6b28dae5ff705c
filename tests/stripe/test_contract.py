"""What the local Stripe answers is shaped as Stripe publishes it.

Two judges: Stripe's example objects (``fixtures.json``: every field there is here, of
the same type) and stripe-python's resource classes (what is null may be null, texts
are texts, and enumerations have known values).
"""

from __future__ import annotations

import builtins
import json
import sys
import types
import typing
from pathlib import Path
from typing import Any, ForwardRef, Literal, NotRequired, Union, get_args, get_origin

import stripe
import typing_extensions
from stripe._object_classes import get_object_class

from lae_localcloud.stripe import (
    billing,
    clocks,
    credit_notes,
    customers,
    money,
    notices,
    payment,
    portal,
)
from lae_localcloud.stripe.cards import CARDS, Card
from tests.stripe.bench import GOOD, LocalStripeCase

FIXTURES = json.loads(
    Path(__file__).with_name("fixtures.json").read_text(encoding="utf-8")
)["resources"]


class Scope(dict[str, Any]):
    """Names in an annotation of a resource class; what only type checkers see is
    found at the top of the library, or else is Any.
    """

    def __init__(self, owner: type) -> None:
        super().__init__(vars(sys.modules[owner.__module__]))
        self.update(vars(owner))
        self[owner.__name__] = owner

    def __missing__(self, name: str) -> Any:
        if name in vars(builtins):
            raise KeyError(name)
        found = getattr(stripe, name, None)
        return found if isinstance(found, type) else Any


def hints(kind: type) -> dict[str, Any]:
    """The fields of a resource class."""
    found: dict[str, Any] = {}
    for owner in reversed(kind.__mro__):
        for name, hint in vars(owner).get("__annotations__", {}).items():
            reference = ForwardRef(hint) if isinstance(hint, str) else hint
            evaluate: Any = typing._eval_type  # type: ignore[attr-defined]
            found[name] = evaluate(reference, Scope(owner), Scope(owner))
    return found


def problem(hint: Any, value: Any, where: str) -> str | None:
    """What is wrong with a value, by stripe-python's annotation of it."""
    origin = get_origin(hint)
    if origin in (NotRequired, typing_extensions.NotRequired):
        return problem(get_args(hint)[0], value, where)
    if origin in (Union, types.UnionType):
        tried = [problem(part, value, where) for part in get_args(hint)]
        return None if None in tried else tried[0]
    if isinstance(hint, type) and issubclass(hint, stripe.StripeObject):
        return object_problem(hint, value, where)
    if origin is list and isinstance(value, list):
        found = (problem(get_args(hint)[0], v, f"{where}[]") for v in value)
        return next((f for f in found if f), None)
    return None if _fits(hint, value) else f"{where}: {value!r} is no {hint}"


def _fits(hint: Any, value: Any) -> bool:
    if get_origin(hint) is Literal:
        return value in get_args(hint)
    if get_origin(hint) is list:
        return False
    return hint not in (str, int, bool, type(None)) or type(value) is hint


def object_problem(kind: type, value: Any, where: str) -> str | None:
    """What is wrong with an object."""
    if not isinstance(value, dict):
        return f"{where}: an object expected, not {value!r}"
    for name, hint in hints(kind).items():
        if name in value:
            found = problem(hint, value[name], f"{where}.{name}")
            if found:
                return found
    return None


def lacking(example: Any, value: Any, where: str) -> list[str]:
    """Fields of the example that are not there, or of another type.

    Null says nothing of a type, on either side.
    """
    if example is None or value is None:
        return []
    if isinstance(example, dict):
        if not isinstance(value, dict):
            return [f"{where}: an object expected"]
        found = []
        for name, inner in example.items():
            if name not in value:
                found.append(f"{where}.{name} is missing")
            else:
                found += lacking(inner, value[name], f"{where}.{name}")
        return found
    if type(value) is not type(example):
        return [f"{where}: {type(example).__name__} expected"]
    if isinstance(example, list) and example:
        return [p for v in value for p in lacking(example[0], v, f"{where}[]")]
    return []


#: Where an example shows one of several kinds, and ours is another: the kind's own
#: fields differ, as Stripe's documentation has them.
OTHER_KIND = (
    # Whoever made the example chose these keys.
    "payment_method.metadata.",
    # The example's event is about a plan.
    "event.data.object.",
)


class ContractTests(LocalStripeCase):
    """Every kind of object, after everything that happens to it here."""

    async def everything(self) -> None:
        """Live through all that the local Stripe can do."""
        account = self.account
        notices.create_endpoint(
            account, {"url": "http://127.0.0.1:1/", "enabled_events": ["nothing.*"]}
        )
        for plan, card in (("small", GOOD), ("free", GOOD), ("small", "bank-debit")):
            session = await self.opened(plan)
            by: Any = card if card == "bank-debit" else Card(card, 12, 2040)
            payment.complete(account, session.id, by, 1.0)
        payment.settle_debit(account, session.id, succeeded=True)
        declined = await self.opened()
        outcome: Any = CARDS["4000000000000002"][1]
        payment.decline(account, account.get("checkout.session", declined.id), outcome)
        await self.away(lambda: self.client().v1.checkout.sessions.expire(declined.id))
        first, second, *_ = account.all("subscription")
        billing.update_subscription(
            account, first["id"], {"cancel_at_period_end": True}
        )
        billing.cancel_subscription(account, second["id"], {})
        charge = next(c for c in account.all("charge") if c["paid"])
        refund = money.create_refund(account, {"charge": charge["id"], "amount": 100})
        paid = next(
            p
            for p in account.all("invoice_payment")
            if p["payment"]["payment_intent"] == charge["payment_intent"]
        )
        credit_notes.create_note(
            account,
            {
                "invoice": paid["invoice"],
                "amount": 100,
                "refunds": [{"refund": refund["id"]}],
            },
        )
        customer = next(account.all("customer"))
        customers.update_customer(account, customer["id"], {"metadata": {"a": "b"}})
        customers.open_portal(account, {"customer": customer["id"]}, self.local.url)
        portal.create_configuration(
            account, {"features": {}, "login_page": {"enabled": True}}, self.local.url
        )
        clock = clocks.create_clock(
            account, {"frozen_time": account.seconds(), "customer": second["customer"]}
        )
        to = clock["frozen_time"] + 31 * 24 * 3600
        clocks.advance(account, clock["id"], {"frozen_time": to})
        money.dispute(account, charge["id"])

    async def test_objects(self) -> None:
        """Every object has its example's fields, and stripe-python's types."""
        await self.everything()
        made = {kind: list(self.account.all(kind)) for kind in FIXTURES}
        made["account"] = [self.account.self_object()]
        made["plan"] = [i["plan"] for i in self.account.all("subscription_item")]
        for kind, example in FIXTURES.items():
            self.assertNotEqual(made[kind], [], f"no {kind} was made")
            for value in made[kind]:
                found = [
                    p
                    for p in lacking(example, value, kind)
                    if not p.startswith(OTHER_KIND)
                ]
                self.assertEqual(found, [])
                resource = get_object_class("V1", kind)
                self.assertIsNone(object_problem(resource, value, kind))

    async def test_answers(self) -> None:
        """The library reads each object back as its own class, ids and all."""
        await self.everything()

        def read() -> list[Any]:
            v1 = self.client().v1
            intent = v1.payment_intents.list({"limit": 1}).data[0]
            return [
                v1.accounts.retrieve_current(),
                *v1.prices.list({"limit": 100}).data,
                *v1.products.list().data,
                *v1.customers.list().data,
                *v1.checkout.sessions.list().data,
                *v1.subscriptions.list({"status": "all"}).data,
                *v1.invoices.list().data,
                *v1.charges.list().data,
                *v1.refunds.list().data,
                *v1.credit_notes.list().data,
                *v1.events.list({"limit": 100}).data,
                *v1.webhook_endpoints.list().data,
                intent,
                *v1.invoice_payments.list(
                    {
                        "payment": {
                            "type": "payment_intent",
                            "payment_intent": intent.id,
                        }
                    }
                ).data,
            ]

        found = await self.away(read)
        for thing in found:
            kind = thing.object
            self.assertIs(type(thing), get_object_class("V1", kind))
            self.assertEqual(thing.id, thing.to_dict()["id"])
        self.assertEqual(len({t.object for t in found}), 14)

    def test_judges(self) -> None:
        """The judges see what is wrong."""
        session = next(iter([FIXTURES["checkout.session"]]))
        kind = get_object_class("V1", "checkout.session")
        self.assertIsNone(object_problem(kind, session, "s"))
        wrong: list[Any] = [
            {"id": 1},
            {"amount_total": "9.00"},
            {"livemode": None},
            {"automatic_tax": {"enabled": "no"}},
        ]
        for change in wrong:
            self.assertIsNotNone(object_problem(kind, {**session, **change}, "s"))
        less = {k: v for k, v in session.items() if k != "url"}
        self.assertEqual(lacking(session, less, "s"), ["s.url is missing"])
        self.assertEqual(
            lacking(session, {**session, "created": "x"}, "s"),
            ["s.created: int expected"],
        )
