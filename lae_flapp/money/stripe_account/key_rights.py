"""Which rights a key at Stripe lacks, each by its name.

Stripe lists a key's rights nowhere.  It refuses a call for a missing right before it
looks at what is asked, and names the one right; so each right is tried with a call that
changes nothing: a look, or a change of something that is not there.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

import stripe
from attrs import define

from lae_flapp.money.stripe.errors import right_in

#: An id that nothing has.
NOBODY = "s4_nobody"
_DASHBOARD = "https://dashboard.stripe.com"


@define(frozen=True)
class Right:
    """A right by Stripe's name, what the dashboard's form calls it, and a call that
    needs it.
    """

    name: str
    form: str
    try_it: Callable[[Any], object]


#: What the daemon does, and what ``lae stripe check`` reads.
DAEMONS = (
    Right("rak_product_read", "Products: Read", lambda v: v.products.list(ONE)),
    Right("rak_plan_read", "Prices: Read", lambda v: v.prices.list(ONE)),
    Right(
        "rak_customer_write",
        "Customers: Write",
        lambda v: v.customers.update(f"cus_{NOBODY}", {}),
    ),
    Right(
        "rak_checkout_session_write",
        "Checkout Sessions: Write",
        lambda v: v.checkout.sessions.expire(f"cs_test_{NOBODY}"),
    ),
    Right(
        "rak_subscription_write",
        "Subscriptions: Write",
        lambda v: v.subscriptions.update(f"sub_{NOBODY}", {}),
    ),
    Right(
        "rak_invoice_write",
        "Invoices: Write",
        lambda v: v.invoices.void_invoice(f"in_{NOBODY}"),
    ),
    Right(
        "rak_credit_note_write",
        "Credit notes: Write",
        lambda v: v.credit_notes.void_credit_note(f"cn_{NOBODY}"),
    ),
    Right(
        "rak_payment_intent_read",
        "PaymentIntents: Read",
        lambda v: v.payment_intents.list(ONE),
    ),
    Right(
        "rak_charge_write",
        "Charges and Refunds: Write",
        lambda v: v.refunds.create({"charge": f"ch_{NOBODY}"}),
    ),
    Right("rak_event_read", "Events: Read", lambda v: v.events.list(ONE)),
    Right(
        "rak_webhook_read",
        "Webhook Endpoints: Read",
        lambda v: v.webhook_endpoints.list(ONE),
    ),
    Right(
        "rak_customer_portal_read",
        "Customer portal: Read",
        lambda v: v.billing_portal.configurations.list(ONE),
    ),
)
#: Needed beside them where ``stripe.account`` names the account.
READ_ACCOUNT = Right(
    "rak_accounts_kyc_basic_read",
    "Accounts: Read",
    lambda v: v.accounts.retrieve_current(),
)
#: What ``lae stripe apply`` does.
SETTING_UP = (
    Right(
        "rak_product_write",
        "Products: Write",
        lambda v: v.products.update(f"prod_{NOBODY}", {}),
    ),
    Right(
        "rak_plan_write",
        "Prices: Write",
        lambda v: v.prices.update(f"price_{NOBODY}", {}),
    ),
    Right(
        "rak_webhook_write",
        "Webhook Endpoints: Write",
        lambda v: v.webhook_endpoints.update(f"we_{NOBODY}", {}),
    ),
    Right(
        "rak_customer_portal_write",
        "Customer portal: Write",
        lambda v: v.billing_portal.configurations.update(f"bpc_{NOBODY}", {}),
    ),
)
ONE: Any = {"limit": 1}


def missing_right(client: stripe.StripeClient, right: Right) -> str | None:
    """Try one right, on a thread: None, or what is missing by Stripe's own name."""
    try:
        right.try_it(client.v1)
    except stripe.PermissionError as e:
        return right_in(e) or right.name
    except stripe.InvalidRequestError:
        # There is no such thing: so the right was there.
        return None
    return None


def form_name(name: str, rights: tuple[Right, ...]) -> str:
    """What the dashboard's form calls a right, where we know it."""
    return next((right.form for right in rights if right.name == name), name)


def link_to_make_key(deployment: str, mode: str, rights: tuple[Right, ...]) -> str:
    """A link to Stripe's form for a restricted key, with the rights filled in."""
    asked = [("name", f"S4 {deployment}")]
    asked += [("permissions[]", right.name) for right in rights]
    part = "/test" if mode == "test" else ""
    return f"{_DASHBOARD}{part}/apikeys/create?{urlencode(asked)}"
