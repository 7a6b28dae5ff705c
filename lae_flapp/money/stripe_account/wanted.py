"""What a deployment's settings want of its account at Stripe.  Pure."""

from __future__ import annotations

from typing import Any

from attrs import define

from lae_flapp.money.stripe.check import Mode
from lae_flapp.money.stripe.version import API_VERSION
from lae_flapp.settings import CheckoutOptions, DaemonSettings
from lae_protocol.messages import Plan
from lae_protocol.stripe_hints import SUBJECTS

#: The place where Stripe finds the site.
HOOK_PATH = "/webhook/stripe"

Json = dict[str, Any]


@define(frozen=True)
class WantedAccount:
    """The prices of *plans*, one webhook endpoint, and what the portal offers.

    *taxed*: the prices include the tax.  *account_id* is None where none is named.
    """

    deployment: str
    mode: Mode
    plans: tuple[Plan, ...]
    site_url: str
    portal: Json
    taxed: bool = False
    account_id: str | None = None
    version: str = API_VERSION
    events: frozenset[str] = frozenset(SUBJECTS)

    @property
    def hook(self) -> str:
        """The address of the webhook endpoint."""
        return self.site_url + HOOK_PATH


def wanted_account(settings: DaemonSettings, plans: tuple[Plan, ...]) -> WantedAccount:
    """Work out what the settings of a daemon want."""
    return WantedAccount(
        deployment=settings.deployment,
        mode=settings.stripe.mode,
        plans=plans,
        site_url=settings.site_url,
        portal=_portal(settings.stripe.checkout, settings.site_url),
        taxed=settings.stripe.checkout.automatic_tax,
        account_id=settings.stripe.account,
    )


def _portal(checkout: CheckoutOptions, site_url: str) -> Json:
    """A customer sees invoices, changes the card, and ends the subscription with the
    period that is paid.

    The plan is for life, and the address is corrected on our own pages, which ask its
    reader first.
    """
    asks_address = checkout.automatic_tax or checkout.billing_address
    updates = [
        *(["address"] if asks_address else []),
        *(["tax_id"] if checkout.tax_ids else []),
    ]
    return {
        "default_return_url": site_url,
        "login_page": {"enabled": True},
        "features": {
            "customer_update": {
                "enabled": bool(updates),
                **({"allowed_updates": updates} if updates else {}),
            },
            "invoice_history": {"enabled": True},
            "payment_method_update": {"enabled": True},
            "subscription_cancel": {
                "enabled": True,
                "mode": "at_period_end",
                "proration_behavior": "none",
            },
            "subscription_update": {"enabled": False},
        },
    }
