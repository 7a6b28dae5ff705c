"""What the local Stripe knows: one test-mode account, in memory.

Objects are the JSON that the API answers.  A blank one comes from ``shapes.json``,
which has each field of Stripe's published example objects with a neutral value, so
that nothing is left out and nothing is invented.
"""

from __future__ import annotations

import copy
import json
import secrets
import string
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import cache
from importlib import resources
from typing import Any, Literal

from attrs import Factory, define, field

from lae_localcloud.stripe.errors import no_such

Json = dict[str, Any]

#: The one version spoken here; what a request's Stripe-Version header must name.
API_VERSION = "2026-10-28.endive"

_PREFIXES = {
    "product": "prod_",
    "price": "price_1",
    "customer": "cus_",
    "checkout.session": "cs_test_a1",
    "item": "li_1",
    "subscription": "sub_1",
    "subscription_item": "si_",
    "invoice": "in_1",
    "line_item": "il_1",
    "invoice_payment": "inpay_1",
    "payment_intent": "pi_1",
    "payment_method": "pm_1",
    "charge": "ch_1",
    "refund": "re_1",
    "credit_note": "cn_1",
    "credit_note_line_item": "cnli_1",
    "event": "evt_1",
    "webhook_endpoint": "we_1",
    "billing_portal.session": "bps_1",
    "billing_portal.configuration": "bpc_1",
    "account": "acct_1",
    "test_helpers.test_clock": "clock_1",
    "dispute": "dp_1",
}
_ALPHABET = string.ascii_letters + string.digits
#: How Stripe's messages call an object whose type has dots or underlines.
_SPOKEN = {
    "checkout.session": "checkout.session",
    "credit_note": "credit note",
    "billing_portal.session": "session",
    "billing_portal.configuration": "configuration",
    "test_helpers.test_clock": "test clock",
}


@cache
def _shapes() -> dict[str, Json]:
    text = resources.files(__package__).joinpath("shapes.json").read_text("utf-8")
    shapes: Json = json.loads(text)
    return {kind: shape for kind, shape in shapes.items() if kind != "_licence"}


def blank(kind: str) -> Json:
    """A new object of this type with neutral values and no id."""
    return copy.deepcopy(_shapes()[kind])


def new_id(kind: str) -> str:
    """A fresh id, of the length that Stripe's have."""
    length = 58 if kind == "checkout.session" else 16
    tail = "".join(secrets.choice(_ALPHABET) for _ in range(length))
    return _PREFIXES[kind] + tail


@define
class Account:
    """The whole state.  *now* tells seconds since the epoch.

    *listeners* are told of each event once it is recorded; *paid_at* has, for each
    session, the wall clock when its pay button's POST was accepted; *intents* what a
    session will make once it is paid; *portal_codes* the portal pages' addresses, and
    *invoice_codes* those of invoices' pages; *cards* each method's number.
    *after_retries* is the account's setting for what was never paid.
    """

    now: Callable[[], float]
    account_id: str = Factory(lambda: new_id("account"))
    listeners: list[Callable[[Json], None]] = field(factory=list)
    paid_at: dict[str, float] = field(factory=dict)
    intents: dict[str, Json] = field(factory=dict)
    portal_codes: dict[str, str] = field(factory=dict)
    invoice_codes: dict[str, str] = field(factory=dict)
    cards: dict[str, str] = field(factory=dict)
    after_retries: Literal["cancel", "unpaid", "past_due"] = "cancel"
    base_url: Callable[[], str] = field(default=lambda: "http://127.0.0.1")
    endpoint_secrets: dict[str, str] = field(factory=dict)
    _objects: dict[str, dict[str, Json]] = field(factory=dict)
    _frozen: int | None = None
    _origin: Json = field(factory=lambda: {"id": None, "idempotency_key": None})

    def seconds(self) -> int:
        """Stripe's clock, in whole seconds; within :meth:`at` a test clock's."""
        return int(self.now()) if self._frozen is None else self._frozen

    @contextmanager
    def at(self, frozen: int | None) -> Iterator[None]:
        """It is this time within; None is the time it is."""
        before, self._frozen = self._frozen, frozen
        try:
            yield
        finally:
            self._frozen = before

    def at_clock_of(self, thing: Json) -> AbstractContextManager[None]:
        """It is the time of this object's test clock within, if it has one."""
        name = thing["test_clock"]
        if name is None:
            return self.at(None)
        return self.at(self.get("test_helpers.test_clock", name)["frozen_time"])

    def new(self, kind: str, **fields: Any) -> Json:
        """Make and keep an object; its id may be among *fields*."""
        made = blank(kind)
        made["id"] = fields.get("id") or new_id(kind)
        if "created" in made:
            made["created"] = self.seconds()
        unknown = set(fields) - set(made)
        assert not unknown, f"{kind} has no {unknown}"
        made.update(fields)
        self._objects.setdefault(kind, {})[made["id"]] = made
        return made

    def all(self, kind: str) -> Iterator[Json]:
        """Every object of a type, newest first."""
        return iter(list(reversed(self._objects.get(kind, {}).values())))

    def find(self, kind: str, name: str) -> Json | None:
        """An object, or None."""
        return self._objects.get(kind, {}).get(name)

    def get(self, kind: str, name: str, param: str = "id") -> Json:
        """An object; raises Stripe's error for one that is not there."""
        found = self.find(kind, name)
        if found is None:
            raise no_such(_SPOKEN.get(kind, kind), name, param)
        return found

    def delete(self, kind: str, name: str) -> None:
        """Forget an object."""
        del self._objects[kind][name]

    def self_object(self) -> Json:
        """The account itself."""
        made = blank("account")
        made["id"] = self.account_id
        return made

    @contextmanager
    def requested(self, origin: Json) -> Iterator[None]:
        """Events made within name this request as theirs."""
        before, self._origin = self._origin, origin
        try:
            yield
        finally:
            self._origin = before

    def by_id(self, name: str) -> Json | None:
        """Whatever has this id: for ``expand``."""
        for kept in self._objects.values():
            if name in kept:
                return kept[name]
        return None

    def emit(self, kind: str, about: Json, previous: Json | None = None) -> Json:
        """Record an event with a snapshot of what it is about, and tell."""
        data: Json = {"object": copy.deepcopy(about)}
        if previous is not None:
            data["previous_attributes"] = previous
        with self.at(None):
            # Of the time when it is told, whatever its object's clock says.
            event = self._event(kind, data)
        for listener in self.listeners:
            listener(event)
        return event

    def _event(self, kind: str, data: Json) -> Json:
        return self.new(
            "event",
            type=kind,
            api_version=API_VERSION,
            data=data,
            request=dict(self._origin),
        )

    def change(self, thing: Json, kind: str, **fields: Any) -> None:
        """Change fields and emit *kind* with what they were."""
        previous = {k: copy.deepcopy(thing[k]) for k in fields if thing[k] != fields[k]}
        thing.update(fields)
        self.emit(kind, thing, previous)
