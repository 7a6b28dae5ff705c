"""Stripe's errors, sorted by what the caller should do; without what is private.

Stripe's own messages quote addresses and parts of keys, so they stay here: what goes
on is the code, the parameter's name and the request id, by which Stripe's dashboard
shows the rest.
"""

from __future__ import annotations

import re

import stripe

from lae_provision.errors import ProvisionError, Refused, TryLater

#: The code of what is refused because we ask too often.
RATE_LIMITED = "rate-limited"
_CONFLICT = 409
_REPLAYED = "idempotent-replayed"
_RIGHT = re.compile(r"'(rak_[a-z0-9_]+)'")


class CardRefused(Refused):
    """The customer's bank says no.  Only the customer can do something."""


class FailsAgain(TryLater):
    """Stripe failed on its side, and keeps that answer for this idempotency key.

    The same request with the same key will fail for 24 hours: look whether it had its
    effect, then use another key.
    """


def sorted_out(error: stripe.StripeError) -> ProvisionError:
    """What the door raises in its place."""
    code, message = _code(error), _message(error)
    found: ProvisionError
    match error:
        case stripe.CardError():
            found = CardRefused(code, message)
        case stripe.RateLimitError():
            found = TryLater(RATE_LIMITED, message)
        case stripe.APIConnectionError():
            # Its text names the host and may hold a proxy's password.
            found = TryLater("unreachable", "no answer from the payment service")
        case stripe.IdempotencyError():
            # A conflict: the same request still runs, from before our restart.
            in_use = error.http_status == _CONFLICT
            found = (TryLater if in_use else Refused)("idempotency_error", message)
        case stripe.AuthenticationError() | stripe.PermissionError():
            found = Refused("not-authorised", message)
        case stripe.InvalidRequestError():
            found = Refused(code, message)
        case stripe.APIError():
            failing = FailsAgain if is_kept(error) else TryLater
            found = failing("stripe-failing", message)
        case _:
            found = Refused("unexpected", message)
    return found


def right_in(error: stripe.StripeError) -> str | None:
    """The right that a key lacks, by Stripe's name; the message is all that tells."""
    named = _RIGHT.search(str(error))
    return None if named is None else named[1]


def is_kept(error: stripe.StripeError) -> bool:
    """Whether Stripe failed, and says the same again for this idempotency key."""
    kept = _headers(error).get(_REPLAYED) == "true"
    return isinstance(error, stripe.APIError) and kept


def _headers(error: stripe.StripeError) -> dict[str, str]:
    return {k.lower(): v for k, v in dict(error.headers or {}).items()}


def _code(error: stripe.StripeError) -> str:
    return error.code or {400: "bad-request", 404: "resource_missing"}.get(
        error.http_status or 0, "refused"
    )


def _message(error: stripe.StripeError) -> str:
    known = {
        "status": error.http_status,
        "param": getattr(error, "param", None),
        "request": error.request_id,
        "missing": right_in(error),
    }
    return ", ".join(f"{k} {v}" for k, v in known.items() if v is not None) or "none"
