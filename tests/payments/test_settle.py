"""What follows from a session: total, and never two payments kept."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from lae_flapp.payments.settle import (
    Adopt,
    Expired,
    Foreign,
    GiveBackThis,
    KeptAlready,
    KnownSignup,
    NotYet,
    Ours,
    Serve,
    decide,
)
from lae_flapp.signup.doors import CheckoutSession
from lae_protocol.ids import signup_id_of_form

OURS = Ours("demo", livemode=False)
SIGNUP = signup_id_of_form(b"one")
SESSION = CheckoutSession(
    session_id="cs_1",
    url=None,
    status="complete",
    payment_status="paid",
    signup_id=SIGNUP,
    deployment="demo",
    subscription="sub_1",
    customer="cus_1",
    livemode=False,
    expires_at=datetime(2026, 11, 23, tzinfo=UTC),
)
WAITING = ("registered", "paying", "expired")
STATES = (*WAITING, "paid", "active", "refunding", "refunded", "cancelled")

sessions = st.builds(
    CheckoutSession,
    session_id=st.sampled_from(["cs_1", "cs_2", "cs_3"]),
    url=st.none(),
    status=st.sampled_from(["open", "complete", "expired"]),
    payment_status=st.sampled_from(["paid", "unpaid", "no_payment_required"]),
    signup_id=st.sampled_from([SIGNUP, None]),
    deployment=st.sampled_from(["demo", "other", None]),
    subscription=st.just("sub_1"),
    customer=st.just("cus_1"),
    livemode=st.booleans(),
    expires_at=st.just(SESSION.expires_at),
)
signups = st.none() | st.builds(
    KnownSignup,
    signup_id=st.just(SIGNUP),
    state=st.sampled_from(STATES),
    kept=st.sampled_from([None, "cs_1", "cs_2"]),
)


class DecisionTests(SynchronousTestCase):
    @settings(max_examples=100, deadline=None)
    @given(st.none() | sessions, signups)
    def test_total(self, session: CheckoutSession | None, signup: Any) -> None:
        """Every pair has a decision; nothing is built or given back unless paid."""
        decision = decide(OURS, session, signup)
        match decision:
            case Serve(found, free):
                self.assertTrue(found.paid)
                self.assertEqual(free, found.payment_status == "no_payment_required")
                self.assertIsNone(signup.kept)
                self.assertIn(signup.state, WAITING)
            case Adopt(found):
                self.assertTrue(found.paid)
                self.assertIsNone(signup)
            case GiveBackThis(name, _):
                assert session is not None
                self.assertTrue(session.paid)
                self.assertNotEqual(signup.kept, name)
            case KeptAlready(name):
                self.assertEqual(signup.kept, name)
            case NotYet(on_its_way):
                assert session is not None
                self.assertFalse(session.paid)
                self.assertEqual(on_its_way, session.status == "complete")
            case Expired():
                assert session is not None
                self.assertEqual(session.status, "expired")
            case Foreign():
                ours = session is not None and (
                    session.signup_id,
                    session.deployment,
                    session.livemode,
                ) == (SIGNUP, "demo", False)
                self.assertFalse(ours)

    @settings(max_examples=100, deadline=None)
    @given(
        st.lists(st.sampled_from(["cs_1", "cs_2", "cs_3"]), max_size=12),
        st.sampled_from(STATES),
    )
    def test_one_kept(self, seen: list[str], state: Any) -> None:
        """However often and in whatever order paid sessions are seen, at most one is
        served, every other is given back, and neither ever changes its side.
        """
        signup = KnownSignup(SIGNUP, state, None)
        served: set[str] = set()
        returned: set[str] = set()
        for name in seen:
            decision = decide(OURS, evolve(SESSION, session_id=name), signup)
            match decision:
                case Serve(found, _):
                    served.add(found.session_id)
                    signup = evolve(signup, state="paid", kept=found.session_id)
                case GiveBackThis(found_name, _):
                    returned.add(found_name)
                case KeptAlready(found_name):
                    self.assertIn(found_name, served)
                case other:
                    self.fail(f"{other}")
        self.assertLessEqual(len(served), 1)
        self.assertEqual(served & returned, set())
        self.assertEqual(served | returned, set(seen))

    def test_each(self) -> None:
        """One example of every decision."""
        paying = KnownSignup(SIGNUP, "paying", None)
        kept = KnownSignup(SIGNUP, "active", "cs_1")
        cases: list[tuple[Any, Any, Any]] = [
            (None, paying, Foreign("gone")),
            (evolve(SESSION, signup_id=None), None, Foreign("no-metadata")),
            (evolve(SESSION, deployment="x"), None, Foreign("other-deployment")),
            (evolve(SESSION, livemode=True), paying, Foreign("other-mode")),
            (SESSION, None, Adopt(SESSION)),
            (SESSION, paying, Serve(SESSION, nothing_to_pay=False)),
            (SESSION, kept, KeptAlready("cs_1")),
            (
                evolve(SESSION, session_id="cs_2"),
                kept,
                GiveBackThis("cs_2", "second-payment"),
            ),
            (
                SESSION,
                KnownSignup(SIGNUP, "cancelled", None),
                GiveBackThis("cs_1", "too-late"),
            ),
            (
                evolve(SESSION, payment_status="unpaid"),
                paying,
                NotYet(on_its_way=True),
            ),
            (
                evolve(SESSION, status="open", payment_status="unpaid"),
                paying,
                NotYet(on_its_way=False),
            ),
            (
                evolve(SESSION, status="expired", payment_status="unpaid"),
                paying,
                Expired("cs_1"),
            ),
        ]
        for session, signup, expected in cases:
            self.assertEqual(decide(OURS, session, signup), expected)
        free = evolve(SESSION, payment_status="no_payment_required")
        self.assertEqual(decide(OURS, free, paying), Serve(free, nothing_to_pay=True))
