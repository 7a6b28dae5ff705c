"""A Checkout session: the request, whole, from what the journal keeps.  Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lae_flapp.effects.payments import CheckoutRequest
from lae_flapp.money.stripe.reading import ATTEMPT, DEPLOYMENT, SIGNUP_ID

if TYPE_CHECKING:
    from stripe.params.checkout import SessionCreateParams

#: Languages of Stripe's page (beside ``auto``: what the browser asks for).
LOCALES = frozenset(
    [
        *("bg", "cs", "da", "de", "el", "en", "en-GB", "es", "es-419", "et", "fi"),
        *("fil", "fr", "fr-CA", "hr", "hu", "id", "it", "ja", "ko", "lt", "lv"),
        *("ms", "mt", "nb", "nl", "pl", "pt", "pt-BR", "ro", "ru", "sk", "sl"),
        *("sv", "th", "tr", "vi", "zh", "zh-HK", "zh-TW"),
    ]
)


def locale_of(language: str) -> str:
    """The page's language: the customer's, its main language, or the browser's."""
    main = language.partition("-")[0]
    return next((name for name in (language, main) if name in LOCALES), "auto")


def checkout_parameters(request: CheckoutRequest, price_id: str) -> SessionCreateParams:
    """The same request and price give the same parameters, to the byte.

    The metadata stands on the subscription as well, since that is what later events
    are about.
    """
    metadata = {
        DEPLOYMENT: request.deployment,
        SIGNUP_ID: str(request.signup_id),
        ATTEMPT: str(request.attempt),
    }
    options = request.options
    parameters: SessionCreateParams = {
        "mode": "subscription",
        "line_items": [{"price": price_id, "quantity": 1}],
        "customer_email": request.email.reveal(),
        "client_reference_id": request.signup_id,
        "metadata": metadata,
        "subscription_data": {"metadata": metadata},
        "success_url": request.success_url,
        "cancel_url": request.cancel_url,
        "expires_at": int(request.expires_at.timestamp()),
        "locale": locale_of(request.language),
        "allowed_payment_method_types": list(options.payment_methods),
    }
    if options.automatic_tax:
        parameters["automatic_tax"] = {"enabled": True}
    if options.tax_ids:
        parameters["tax_id_collection"] = {"enabled": True}
    if options.billing_address:
        parameters["billing_address_collection"] = "required"
    return parameters
