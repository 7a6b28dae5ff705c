"""The table of operations: where, what may be asked, with which right, who does it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Literal

from attrs import define

from lae_localcloud.stripe import (
    billing,
    catalog,
    checkout,
    clocks,
    credit_notes,
    customers,
    money,
    notices,
    portal,
    renewals,
)
from lae_localcloud.stripe.lists import page
from lae_localcloud.stripe.store import Account, Json

Act = Callable[[Account, tuple[str, ...], Json], Json]
Level = Literal["read", "write"]


@define(frozen=True)
class Operation:
    """One operation of the API.

    *path* has ``*`` for an id.  *parameters* names stripe-python's type.  *resource*
    and *level* are the right that a restricted key needs.
    """

    method: str
    path: str
    parameters: str
    resource: str
    level: Level
    act: Act

    def match(self, method: str, path: str) -> tuple[str, ...] | None:
        """The ids in *path*, if this is the operation meant."""
        mine, theirs = self.path.split("/"), path.split("/")
        if method != self.method or len(mine) != len(theirs):
            return None
        pairs = list(zip(mine, theirs, strict=True))
        if all(m in ("*", t) for m, t in pairs):
            return tuple(t for m, t in pairs if m == "*")
        return None


#: What a restricted key for the daemon holds, and nothing else (design: the site holds
#: no key at all; prices and endpoints are made by whoever deploys).
DAEMON_RIGHTS: dict[str, Level] = {
    "prices": "read",
    "products": "read",
    "customers": "write",
    "checkout_sessions": "write",
    "subscriptions": "write",
    "invoices": "write",
    "credit_notes": "write",
    "payment_intents": "read",
    "charges_and_refunds": "write",
    "events": "read",
    "webhook_endpoints": "read",
    "customer_portal": "read",
}


#: What Stripe calls a right in its messages and in links to its dashboard, which is
#: not what the dashboard's form or the paths say.
RIGHT_NAMES = {
    "accounts": "accounts_kyc_basic",
    "charges_and_refunds": "charge",
    "checkout_sessions": "checkout_session",
    "credit_notes": "credit_note",
    "customers": "customer",
    "events": "event",
    "invoices": "invoice",
    "payment_intents": "payment_intent",
    "prices": "plan",
    "products": "product",
    "subscriptions": "subscription",
    "test_clocks": "billing_clock",
    "webhook_endpoints": "webhook",
}


def right_name(operation: Operation) -> str:
    """The right that an operation needs, as Stripe names it."""
    resource = RIGHT_NAMES.get(operation.resource, operation.resource)
    return f"rak_{resource}_{operation.level}"


def allows(rights: dict[str, Level] | None, operation: Operation) -> bool:
    """Whether a key with these rights (None: an unrestricted key) may do it."""
    if rights is None:
        return True
    held = rights.get(operation.resource)
    return held in ("write", operation.level)


def _listing(kind: str, found: Callable[[Account, Json], Iterable[Json]]) -> Act:
    url = f"/v1/{kind}"
    return lambda account, _, asked: page(found(account, asked), asked, url)


def _reading(kind: str) -> Act:
    return lambda account, ids, _: account.get(kind, ids[0])


def _all_of(kind: str) -> Callable[[Account, Json], Iterable[Json]]:
    """Every object of a type, by what a list request compares with its fields."""

    def found(account: Account, asked: Json) -> Iterable[Json]:
        for item in account.all(kind):
            if all(item.get(k) == v for k, v in asked.items() if k not in _PAGING):
                yield item

    return found


_PAGING = {"limit", "starting_after", "ending_before", "created"}


def _account_object(account: Account, _: tuple[str, ...], __: Json) -> Json:
    return account.self_object()


def _lines(account: Account, ids: tuple[str, ...], asked: Json) -> Json:
    checkout.current(account, ids[0])
    url = f"/v1/checkout/sessions/{ids[0]}/line_items"
    return page(account.intents[ids[0]]["items"], asked, url)


def operations(base_url: Callable[[], str]) -> tuple[Operation, ...]:
    """Everything that this Stripe does; *base_url* is where its pages stand."""
    return (
        Operation("GET", "account", "AccountRetrieveCurrentParams", "accounts", "read",
                  _account_object),
        *_catalog(),
        *_people(),
        *_portal(base_url),
        *_checkout(base_url),
        *_billing(),
        *_money(),
        *_credit_notes(),
        *_notices(),
        *_clocks(),
    )  # fmt: skip


def _catalog() -> tuple[Operation, ...]:
    return (
        Operation("POST", "products", "ProductCreateParams", "products", "write",
                  lambda a, _, p: catalog.create_product(a, p)),
        Operation("GET", "products", "ProductListParams", "products", "read",
                  _listing("products", _all_of("product"))),
        Operation("GET", "products/*", "ProductRetrieveParams", "products", "read",
                  _reading("product")),
        Operation("POST", "products/*", "ProductUpdateParams", "products", "write",
                  lambda a, i, p: catalog.update_product(a, i[0], p)),
        Operation("POST", "prices", "PriceCreateParams", "prices", "write",
                  lambda a, _, p: catalog.create_price(a, p)),
        Operation("GET", "prices", "PriceListParams", "prices", "read",
                  _listing("prices", catalog.prices)),
        Operation("GET", "prices/*", "PriceRetrieveParams", "prices", "read",
                  _reading("price")),
        Operation("POST", "prices/*", "PriceUpdateParams", "prices", "write",
                  lambda a, i, p: catalog.update_price(a, i[0], p)),
    )  # fmt: skip


def _people() -> tuple[Operation, ...]:
    return (
        Operation("POST", "customers", "CustomerCreateParams", "customers", "write",
                  lambda a, _, p: customers.create_customer(a, p)),
        Operation("GET", "customers", "CustomerListParams", "customers", "read",
                  _listing("customers", _all_of("customer"))),
        Operation("GET", "customers/*", "CustomerRetrieveParams", "customers", "read",
                  _reading("customer")),
        Operation("POST", "customers/*", "CustomerUpdateParams", "customers", "write",
                  lambda a, i, p: customers.update_customer(a, i[0], p)),
    )  # fmt: skip


def _portal(base_url: Callable[[], str]) -> tuple[Operation, ...]:
    sessions, right = "billing_portal/sessions", "customer_portal"
    path, named = "billing_portal/configurations", "billing_portal.Configuration"
    return (
        Operation("POST", sessions, "billing_portal.SessionCreateParams", right,
                  "write", lambda a, _, p: customers.open_portal(a, p, base_url())),
        Operation("POST", path, f"{named}CreateParams", right, "write",
                  lambda a, _, p: portal.create_configuration(a, p, base_url())),
        Operation("GET", path, f"{named}ListParams", right, "read",
                  _listing(path, _all_of(portal.KIND))),
        Operation("GET", f"{path}/*", f"{named}RetrieveParams", right, "read",
                  _reading(portal.KIND)),
        Operation("POST", f"{path}/*", f"{named}UpdateParams", right, "write",
                  lambda a, i, p: portal.update_configuration(
                      a, i[0], p, base_url())),
    )  # fmt: skip


def _checkout(base_url: Callable[[], str]) -> tuple[Operation, ...]:
    sessions, resource = "checkout/sessions", "checkout_sessions"
    return (
        Operation("POST", sessions, "checkout.SessionCreateParams", resource, "write",
                  lambda a, _, p: checkout.create_session(a, p, base_url())),
        Operation("GET", sessions, "checkout.SessionListParams", resource, "read",
                  _listing(sessions, checkout.sessions)),
        Operation("GET", f"{sessions}/*", "checkout.SessionRetrieveParams", resource,
                  "read", lambda a, i, _: checkout.current(a, i[0])),
        Operation("POST", f"{sessions}/*", "checkout.SessionUpdateParams", resource,
                  "write", lambda a, i, p: checkout.update_session(a, i[0], p)),
        Operation("POST", f"{sessions}/*/expire", "checkout.SessionExpireParams",
                  resource, "write",
                  lambda a, i, _: checkout.expire_session(a, i[0])),
        Operation("GET", f"{sessions}/*/line_items",
                  "checkout.SessionListLineItemsParams", resource, "read", _lines),
    )  # fmt: skip


def _billing() -> tuple[Operation, ...]:
    resource = "subscriptions"
    return (
        Operation("GET", resource, "SubscriptionListParams", resource, "read",
                  _listing(resource, billing.subscriptions)),
        Operation("GET", f"{resource}/*", "SubscriptionRetrieveParams", resource,
                  "read", _reading("subscription")),
        Operation("POST", f"{resource}/*", "SubscriptionUpdateParams", resource,
                  "write", lambda a, i, p: billing.update_subscription(a, i[0], p)),
        Operation("DELETE", f"{resource}/*", "SubscriptionCancelParams", resource,
                  "write", lambda a, i, p: billing.cancel_subscription(a, i[0], p)),
        Operation("GET", "invoices", "InvoiceListParams", "invoices", "read",
                  _listing("invoices", billing.invoices)),
        Operation("POST", "invoices/*/void", "InvoiceVoidInvoiceParams", "invoices",
                  "write", lambda a, i, _: renewals.void_invoice(a, i[0])),
        Operation("GET", "invoices/*", "InvoiceRetrieveParams", "invoices", "read",
                  _reading("invoice")),
        Operation("GET", "invoice_payments", "InvoicePaymentListParams", "invoices",
                  "read", _listing("invoice_payments", billing.invoice_payments)),
        Operation("GET", "invoice_payments/*", "InvoicePaymentRetrieveParams",
                  "invoices", "read", _reading("invoice_payment")),
    )  # fmt: skip


def _money() -> tuple[Operation, ...]:
    intents, charges = "payment_intents", "charges_and_refunds"
    return (
        Operation("GET", intents, "PaymentIntentListParams", intents, "read",
                  _listing(intents, _all_of("payment_intent"))),
        Operation("GET", f"{intents}/*", "PaymentIntentRetrieveParams", intents, "read",
                  _reading("payment_intent")),
        Operation("GET", "charges", "ChargeListParams", charges, "read",
                  _listing("charges", _all_of("charge"))),
        Operation("GET", "charges/*", "ChargeRetrieveParams", charges, "read",
                  _reading("charge")),
        Operation("POST", "refunds", "RefundCreateParams", charges, "write",
                  lambda a, _, p: money.create_refund(a, p)),
        Operation("GET", "refunds", "RefundListParams", charges, "read",
                  _listing("refunds", money.refunds)),
        Operation("GET", "refunds/*", "RefundRetrieveParams", charges, "read",
                  _reading("refund")),
    )  # fmt: skip


def _credit_notes() -> tuple[Operation, ...]:
    notes = "credit_notes"
    return (
        Operation("POST", notes, "CreditNoteCreateParams", notes, "write",
                  lambda a, _, p: credit_notes.create_note(a, p)),
        Operation("GET", notes, "CreditNoteListParams", notes, "read",
                  _listing(notes, _all_of("credit_note"))),
        Operation("GET", f"{notes}/*", "CreditNoteRetrieveParams", notes, "read",
                  _reading("credit_note")),
        Operation("POST", f"{notes}/*/void", "CreditNoteVoidCreditNoteParams", notes,
                  "write", lambda a, i, _: credit_notes.void_note(a, i[0])),
    )  # fmt: skip


def _clocks() -> tuple[Operation, ...]:
    clock, path = "test_clocks", "test_helpers/test_clocks"
    named = "test_helpers.TestClock"
    return (
        Operation("POST", path, f"{named}CreateParams", clock, "write",
                  lambda a, _, p: clocks.create_clock(a, p)),
        Operation("GET", path, f"{named}ListParams", clock, "read",
                  _listing(path, _all_of(clocks.KIND))),
        Operation("GET", f"{path}/*", f"{named}RetrieveParams", clock, "read",
                  _reading(clocks.KIND)),
        Operation("DELETE", f"{path}/*", f"{named}DeleteParams", clock, "write",
                  lambda a, i, _: clocks.delete_clock(a, i[0])),
        Operation("POST", f"{path}/*/advance", f"{named}AdvanceParams", clock, "write",
                  lambda a, i, p: clocks.advance(a, i[0], p)),
    )  # fmt: skip


def _notices() -> tuple[Operation, ...]:
    hooks = "webhook_endpoints"
    return (
        Operation("GET", "events", "EventListParams", "events", "read",
                  _listing("events", notices.events)),
        Operation("GET", "events/*", "EventRetrieveParams", "events", "read",
                  _reading("event")),
        Operation("POST", hooks, "WebhookEndpointCreateParams", hooks, "write",
                  lambda a, _, p: notices.create_endpoint(a, p)),
        Operation("GET", hooks, "WebhookEndpointListParams", hooks, "read",
                  _listing(hooks, _all_of("webhook_endpoint"))),
        Operation("GET", f"{hooks}/*", "WebhookEndpointRetrieveParams", hooks, "read",
                  _reading("webhook_endpoint")),
        Operation("POST", f"{hooks}/*", "WebhookEndpointUpdateParams", hooks, "write",
                  lambda a, i, p: notices.update_endpoint(a, i[0], p)),
        Operation("DELETE", f"{hooks}/*", "WebhookEndpointDeleteParams", hooks, "write",
                  lambda a, i, _: notices.delete_endpoint(a, i[0])),
    )  # fmt: skip
