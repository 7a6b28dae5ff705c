"""An event of Stripe's is a hint: its id, its kind, and the object to fetch."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lae_protocol.stripe_hints import SUBJECTS, StripeHint, hint_in, hint_of

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["object", "id", "parent", "charge", "type"]), inner
        )
    ),
    max_leaves=8,
)


def event(kind: str, thing: object) -> dict[str, object]:
    return {"object": "event", "id": "evt_1", "type": kind, "data": {"object": thing}}


INVOICE = {
    "object": "invoice",
    "id": "in_1",
    "parent": {"subscription_details": {"subscription": "sub_1"}},
}


@pytest.mark.parametrize(
    ("kind", "thing", "object_id"),
    [
        (
            "checkout.session.completed",
            {"object": "checkout.session", "id": "cs_1"},
            "cs_1",
        ),
        (
            "customer.subscription.deleted",
            {"object": "subscription", "id": "sub_1"},
            "sub_1",
        ),
        ("invoice.paid", INVOICE, "sub_1"),
        ("invoice.paid", {"object": "invoice", "id": "in_1", "parent": None}, None),
        ("charge.refunded", {"object": "charge", "id": "ch_1"}, "ch_1"),
        ("refund.failed", {"object": "refund", "id": "re_1", "charge": "c"}, "re_1"),
        (
            "charge.dispute.created",
            {"object": "dispute", "id": "dp_1", "charge": "ch_1"},
            "ch_1",
        ),
        ("payout.paid", {"object": "payout", "id": "po_1"}, "po_1"),
        ("payout.paid", {"object": "payout", "id": 7}, None),
        ("payout.paid", "po_1", None),
    ],
)
def test_what_to_fetch(kind, thing, object_id) -> None:
    """Of an invoice its subscription is fetched, of a dispute the charge."""
    assert hint_of(event(kind, thing)) == StripeHint("evt_1", kind, object_id)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{",
        b"\xff",
        b'{"object":"event"}',
        b'{"object":"event","id":1,"type":"invoice.paid"}',
        b'{"object":"event","id":"","type":"invoice.paid"}',
        b'{"object":"event","id":"evt_1"}',
        b'{"object":"account","id":"evt_1","type":"invoice.paid"}',
        b'{"object":"event","id":"evt_1\\n","type":"invoice.paid"}',
        b"[" * 100_000,
    ],
)
def test_no_event(body) -> None:
    """Bytes that are no event are none."""
    assert hint_in(body) is None


@pytest.mark.parametrize("name", ["e" * 256, "évt", "a b", "", "\ud800"])
def test_an_id_that_cannot_be_one(name) -> None:
    """What is longer than 255 characters, or not ASCII, is no id of Stripe's."""
    thing = {"object": "payout", "id": name}
    assert hint_of(event("payout.paid", thing)).object_id is None
    assert hint_of(event("payout.paid", thing) | {"id": name}) is None
    assert hint_of(event(name, thing)) is None
    longest = hint_of(event("k" * 255, {"object": "payout", "id": "p" * 255}))
    assert longest == StripeHint("evt_1", "k" * 255, "p" * 255)


@given(st.binary(max_size=100) | JSON.map(lambda thing: json.dumps(thing).encode()))
def test_any_body(body) -> None:
    """Whatever bytes come, they are an event or they are not."""
    assert isinstance(hint_in(body), StripeHint | None)


@given(st.sampled_from(sorted(SUBJECTS)), JSON)
def test_any_thing(kind, thing) -> None:
    """Whatever an event is about, at most one name is taken from it."""
    found = hint_of(event(kind, thing))
    assert found is None or (found.event_id, found.kind) == ("evt_1", kind)


@pytest.mark.parametrize(
    "word", ["", "x" * 256, "a b", "a\n", "a\u2028b", "\ud800", "é"]
)
def test_a_hint_has_names_alone(word) -> None:
    """A hint from a stolen furl has no word that Stripe could not have sent, and half a
    character makes no event, and no traceback.
    """
    for words in ((word, "k", "o"), ("e", word, "o"), ("e", "k", word)):
        assert not StripeHint(*words).is_well_named()
    assert StripeHint("e" * 255, "k", None).is_well_named()
    body = {"id": word, "object": "event", "type": "invoice.paid"}
    assert hint_in(json.dumps(body).encode()) is None
