"""Stripe's signature: who has no secret of ours cannot make one, nor keep one."""

from __future__ import annotations

import pytest
import stripe
from hypothesis import given, settings
from hypothesis import strategies as st

from lae_protocol.secret import Secret
from lae_site.stripe_signature import (
    SignatureRefused,
    check_signature,
    expected_signature,
)

NOW, BODY = 1_800_000_000, "änn".encode()
OURS = [Secret("whsec_now"), Secret("whsec_before")]
T = f"t={NOW}"
NOTHING = "v1=" + "0" * 64
LONGEST = 4096


def by(secret: str, time: int = NOW) -> str:
    return "v1=" + expected_signature(Secret(secret), str(time), BODY)


GOOD = f"{T},{by('whsec_now')}"


@pytest.mark.parametrize(
    "header",
    [
        GOOD,
        f"{T},{by('whsec_before')}",
        f" {T}, v0=more, {NOTHING}, {by('whsec_now')} ",
        f"{by('whsec_now')},{T}",
        GOOD + "," * (LONGEST - len(GOOD)),
    ],
)
@pytest.mark.parametrize("age", [-300, 0, 300])
def test_what_stripe_signed_lately_is_taken(header, age) -> None:
    """One signature under the present or the former secret is enough, in any order."""
    check_signature(OURS, header, BODY, NOW + age)


@pytest.mark.parametrize(
    ("header", "says"),
    [
        (None, "no"),
        ("", "malformed"),
        ("nonsense", "malformed"),
        (by("whsec_now"), "malformed"),
        (f"{T},{GOOD}", "malformed"),
        (f"t=x,{NOTHING}", "malformed"),
        (f"t={'1' * 13},{NOTHING}", "malformed"),
        (f"t={NOW}x,{by('whsec_now')}", "malformed"),
        (f"t=٣,{NOTHING}", "malformed"),
        (GOOD + "," * (LONGEST + 1 - len(GOOD)), "malformed"),
        (T, "wrong"),
        (f"{T},{NOTHING}", "wrong"),
        (f"{T},v1={'ä' * 64}", "wrong"),
        (f"{T},{by('whsec_other')}", "wrong"),
        (f"{T},{by('whsec_now').replace('v1', 'v0')}", "wrong"),
        (f"{T},{by('whsec_now', NOW + 1)}", "wrong"),
        (f"t={NOW - 301},{by('whsec_now', NOW - 301)}", "old"),
        (f"t={NOW + 301},{by('whsec_now', NOW + 301)}", "old"),
    ],
)
def test_what_stripe_did_not_sign_lately_is_refused(header, says) -> None:
    """Nothing unsigned, wrongly signed, or signed at another time is taken."""
    with pytest.raises(SignatureRefused) as told:
        check_signature(OURS, header, BODY, NOW)
    assert str(told.value) == f"{says} signature"


def test_another_body_is_refused() -> None:
    """The signature is of the very bytes."""
    with pytest.raises(SignatureRefused, match="wrong signature"):
        check_signature(OURS, GOOD, BODY + b" ", NOW)


@settings(max_examples=60)
@given(st.binary(max_size=300), st.text(min_size=1, max_size=40), st.integers(0, 2**33))
def test_it_agrees_with_stripes_own_library(body, secret, time) -> None:
    """What we compute is what Stripe's own library computes."""
    try:
        text = body.decode()
    except UnicodeDecodeError:
        return
    theirs = stripe.WebhookSignature._compute_signature(f"{time}.{text}", secret)
    assert expected_signature(Secret(secret), str(time), body) == theirs


@settings(max_examples=100)
@given(st.text(max_size=200))
def test_no_header_passes_by_luck(header) -> None:
    """Any header that we did not make is refused, and none breaks the check."""
    with pytest.raises(SignatureRefused):
        check_signature(OURS, header, BODY, NOW)
