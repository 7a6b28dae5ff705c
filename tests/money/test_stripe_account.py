"""What is to be done at Stripe, from any state of the account."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from lae_flapp.money.stripe.version import API_VERSION
from lae_flapp.money.stripe_account.seen import (
    SECRET,
    SeenAccount,
    SeenEndpoint,
    SeenPortal,
    SeenPrice,
    SeenProduct,
)
from lae_flapp.money.stripe_account.steps import (
    MOST_ENDPOINTS,
    ChangeEndpoint,
    ChangePortal,
    ChangePrice,
    ChangeProduct,
    DeleteEndpoint,
    MakeEndpoint,
    MakePortal,
    MakePrice,
    Step,
    decide,
    different,
)
from lae_flapp.money.stripe_account.wanted import WantedAccount, wanted_account
from lae_flapp.settings import CheckoutOptions
from lae_protocol.messages import Plan
from lae_protocol.stripe_hints import SUBJECTS

PLANS = (
    Plan("small", "Small", 500, "eur", "month", 10**10, 10**11, "2026-11"),
    Plan("large", "Large", 2500, "eur", "month", 10**12, 10**12, "2026-11"),
)
SITE = "https://s4.example"


def wanted(**options: Any) -> WantedAccount:
    """What settings with these options of the checkout want."""

    class Settings:
        deployment = "s4-prod"
        site_url = SITE

        class stripe:  # noqa: N801  (as the settings have it)
            mode = "test"
            account = None
            checkout = CheckoutOptions(**options)

    settings: Any = Settings
    return wanted_account(settings, PLANS)


WANTED = wanted()
PRICES = tuple(
    SeenPrice(
        f"price_{plan.plan_id}",
        plan.plan_id,
        plan.price,
        "eur",
        "month",
        1,
        "unspecified",
        active=True,
        livemode=False,
        product=f"prod_{plan.plan_id}",
        deployment="s4-prod",
    )
    for plan in PLANS
)
PRODUCTS = tuple(
    SeenProduct(f"prod_{plan.plan_id}", plan.name, active=True, deployment="s4-prod")
    for plan in PLANS
)
ENDPOINT = SeenEndpoint(
    "we_1",
    WANTED.hook,
    enabled=True,
    version=API_VERSION,
    events=frozenset(SUBJECTS),
    deployment="s4-prod",
    secret="digest",
)
PORTAL = SeenPortal(
    "bpc_1", active=True, deployment="s4-prod", offers=WANTED.portal, login_url=None
)
GOOD = SeenAccount(None, PRICES, PRODUCTS, (ENDPOINT,), (PORTAL,))


def laid(under: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """One object with another's leaves."""
    return {
        **under,
        **{
            k: laid(under.get(k) or {}, v) if isinstance(v, dict) else v
            for k, v in over.items()
        },
    }


def after(seen: SeenAccount, step: Step) -> SeenAccount:  # noqa: PLR0911  (as many steps)
    """What stands at Stripe once a step is done there."""
    number = len(seen.prices) + len(seen.endpoints) + len(seen.portals)
    sent = getattr(step, "sent", {})
    match step:
        case MakePrice():
            return _with_price(seen, sent, number)
        case ChangePrice(price_id=name):
            if "tax_behavior" in sent:
                (price,) = (p for p in seen.prices if p.price_id == name)
                assert price.tax == "unspecified", "Stripe refuses this"
            change = {
                k: v
                for k, v in (
                    ("active", sent.get("active")),
                    ("tax", sent.get("tax_behavior")),
                )
                if v
            }
            return evolve(seen, prices=_one(seen.prices, "price_id", name, change))
        case ChangeProduct(product_id=name):
            return evolve(seen, products=_one(seen.products, "product_id", name, sent))
        case MakeEndpoint():
            assert len(seen.endpoints) < MOST_ENDPOINTS, "Stripe refuses this"
            made = SeenEndpoint(
                f"we_new{number}",
                sent["url"],
                enabled=True,
                version=sent["api_version"],
                events=frozenset(sent["enabled_events"]),
                deployment=sent["metadata"]["s4_deployment"],
                secret="new",
            )
            return evolve(seen, endpoints=(*seen.endpoints, made))
        case ChangeEndpoint(endpoint_id=name):
            changed = {
                **({"enabled": not sent["disabled"]} if "disabled" in sent else {}),
                **(
                    {"events": frozenset(sent["enabled_events"])}
                    if "enabled_events" in sent
                    else {}
                ),
            }
            return evolve(
                seen, endpoints=_one(seen.endpoints, "endpoint_id", name, changed)
            )
        case DeleteEndpoint(endpoint_id=name):
            return evolve(
                seen,
                endpoints=tuple(e for e in seen.endpoints if e.endpoint_id != name),
            )
        case MakePortal():
            made_portal = SeenPortal("bpc_new", True, "s4-prod", sent, None)
            return evolve(seen, portals=(*seen.portals, made_portal))
        case ChangePortal(configuration_id=name):
            (portal,) = (p for p in seen.portals if p.configuration_id == name)
            change = {"active": True, "offers": laid(portal.offers, sent)}
            return evolve(
                seen, portals=_one(seen.portals, "configuration_id", name, change)
            )


def _with_price(seen: SeenAccount, sent: Any, number: int) -> SeenAccount:
    name = sent.get("product") or f"prod_new{number}"
    products = seen.products
    if "product_data" in sent:
        title = sent["product_data"]["name"]
        products = (*products, SeenProduct(name, title, True, "s4-prod"))
    made = SeenPrice(
        f"price_new{number}",
        sent["lookup_key"],
        sent["unit_amount"],
        sent["currency"],
        sent["recurring"]["interval"],
        1,
        sent.get("tax_behavior", "unspecified"),
        active=True,
        livemode=False,
        product=name,
        deployment="s4-prod",
    )
    others = tuple(p for p in seen.prices if p.lookup_key != sent["lookup_key"])
    return evolve(seen, prices=(*others, made), products=products)


def _one(
    things: Iterable[Any], key: str, name: str, change: dict[str, Any]
) -> tuple[Any, ...]:
    return tuple(evolve(t, **change) if getattr(t, key) == name else t for t in things)


ours = st.sampled_from([None, "s4-prod", "s4-staging"])


def prices() -> st.SearchStrategy[tuple[SeenPrice, ...]]:
    """Of each plan none or one, however wrong."""

    def price_of(good: SeenPrice) -> st.SearchStrategy[SeenPrice | None]:
        return st.none() | st.builds(
            evolve,
            st.just(good),
            amount=st.sampled_from([good.amount, 1, None]),
            interval=st.sampled_from(["month", "year", None]),
            tax=st.sampled_from(["unspecified", "inclusive", "exclusive"]),
            active=st.booleans(),
            deployment=ours,
        )

    drawn = st.tuples(*(price_of(price) for price in PRICES))
    return drawn.map(lambda found: tuple(p for p in found if p is not None))


endpoints = st.lists(
    st.builds(
        SeenEndpoint,
        endpoint_id=st.integers(0, 10**6).map("we_{}".format),
        url=st.sampled_from([WANTED.hook, "https://old.example/webhook/stripe"]),
        enabled=st.booleans(),
        version=st.sampled_from([API_VERSION, "2020-08-27", None]),
        events=st.sampled_from(
            [frozenset(SUBJECTS), frozenset({"*"}), frozenset({"invoice.paid"})]
        ),
        deployment=ours,
        secret=st.sampled_from([None, "digest"]),
    ),
    max_size=MOST_ENDPOINTS,
    unique_by=lambda e: e.endpoint_id,
).map(tuple)
portals = st.lists(
    st.builds(
        SeenPortal,
        configuration_id=st.integers(0, 10**6).map("bpc_{}".format),
        active=st.booleans(),
        deployment=ours,
        offers=st.sampled_from(
            [{}, WANTED.portal, laid(WANTED.portal, {"login_page": {"enabled": False}})]
        ),
        login_url=st.none(),
    ),
    max_size=3,
    unique_by=lambda p: p.configuration_id,
).map(tuple)
products = st.tuples(
    *(
        st.builds(
            evolve,
            st.just(product),
            name=st.sampled_from([product.name, "Otherwise"]),
            active=st.booleans(),
            deployment=ours,
        )
        for product in PRODUCTS
    )
)
accounts = st.builds(
    SeenAccount,
    account_id=st.none(),
    prices=prices(),
    products=products,
    endpoints=endpoints,
    portals=portals,
)


class DecidingTests(SynchronousTestCase):
    def test_nothing_to_do(self) -> None:
        """An account that is right is left alone."""
        self.assertEqual(decide(WANTED, GOOD).told, ())

    @given(accounts, st.booleans())
    def test_from_any_state(self, seen: SeenAccount, taxed: bool) -> None:
        """Two calls of apply make any account right, but for what is said to be a
        person's; other deployments' things stay as they were, and the site is told of
        events all the time.
        """
        asked = wanted(automatic_tax=taxed)
        heard = self.hearing(seen)
        theirs = self.of_others(seen)
        for _ in range(2):
            for step in decide(asked, seen).steps:
                self.assertEqual(decide(asked, seen), decide(asked, seen))
                seen = after(seen, step)
                if heard:
                    self.assertTrue(self.hearing(seen), step)
                heard = self.hearing(seen)
        left = decide(asked, seen)
        self.assertEqual(left.steps, ())
        self.assertEqual(self.of_others(seen), theirs)
        self.judge(asked, seen, left.by_hand)

    def judge(
        self, asked: WantedAccount, seen: SeenAccount, by_hand: tuple[str, ...]
    ) -> None:
        """What apply leaves behind is right, or said."""
        for plan in PLANS:
            (price,) = (p for p in seen.prices if p.lookup_key == plan.plan_id)
            if any(plan.plan_id in text for text in by_hand):
                self.assertEqual(price.deployment, "s4-staging")
                continue
            self.assertEqual((price.amount, price.interval), (plan.price, "month"))
            self.assertTrue(price.active)
            if asked.taxed:
                self.assertEqual(price.tax, "inclusive")
        live = [e for e in seen.endpoints if e.url == asked.hook and e.enabled]
        if not any("has no place" in text for text in by_hand):
            (one,) = live
            self.assertEqual((one.version, one.events), (API_VERSION, asked.events))
            self.assertFalse(one.deployment == "s4-prod" and one.secret is None)
        (portal,) = [
            p
            for p in seen.portals
            if p.deployment == "s4-prod"
            and p.active
            and not different(asked.portal, p.offers)
        ][:1]
        self.assertTrue(portal)

    def hearing(self, seen: SeenAccount) -> bool:
        """Whether an endpoint whose secret somebody has tells the site of events."""
        return any(
            e.url == WANTED.hook
            and e.enabled
            and not (e.deployment == "s4-prod" and e.secret is None)
            for e in seen.endpoints
        )

    def of_others(self, seen: SeenAccount) -> Any:
        """What is another deployment's, at another address."""
        return (
            [p for p in seen.prices if p.deployment == "s4-staging"],
            [
                e
                for e in seen.endpoints
                if e.deployment != "s4-prod" and e.url != WANTED.hook
            ],
            [p for p in seen.portals if p.deployment != "s4-prod"],
        )

    def test_each_drift_is_named(self) -> None:
        """Each thing that differs is said in one sentence that names it."""
        hooked = lambda **k: {"endpoints": (evolve(ENDPOINT, **k),)}  # noqa: E731
        priced = lambda **k: {"prices": (evolve(PRICES[0], **k), PRICES[1])}  # noqa: E731
        offers = laid(
            WANTED.portal,
            {"features": {"subscription_cancel": {"mode": "immediately"}}},
        )
        less = frozenset(SUBJECTS) - {"refund.failed"}
        cases: list[tuple[dict[str, Any], str]] = [
            (priced(amount=400), "400 eur each 1 month; shall be: 500 eur a month"),
            (priced(interval_count=3), "each 3 month"),
            (priced(active=False), "active"),
            ({"prices": PRICES[:1]}, "plan large: no price"),
            (hooked(version="2020-08-27"), "we_1 of 2020-08-27"),
            (hooked(version=None), "we_1 of the account"),
            (hooked(events=less), "not told of refund.failed"),
            (hooked(events=less | {"payout.paid"}), "told of payout.paid, too"),
            (hooked(enabled=False), "we_1: disabled"),
            (hooked(secret=None), "no endpoint"),
            ({"endpoints": ()}, "no endpoint https://s4.example/webhook/stripe"),
            (
                {"portals": (evolve(PORTAL, offers=offers),)},
                "features.subscription_cancel.mode",
            ),
            ({"portals": (evolve(PORTAL, active=False),)}, "active"),
            ({"portals": ()}, "no configuration"),
        ]
        for change, word in cases:
            (said,) = decide(WANTED, evolve(GOOD, **change)).told
            self.assertIn(word, said)

    def test_another_account(self) -> None:
        """In an account that the settings do not name nothing is made."""
        asked = evolve(WANTED, account_id="acct_1")
        todo = decide(asked, SeenAccount("acct_2"))
        self.assertEqual(todo.steps, ())
        self.assertIn("acct_2", todo.by_hand[0])

    def test_no_place(self) -> None:
        """Where Stripe has no place for an endpoint a person is told which ones are
        disabled; one that an interrupted run made gives its place up.
        """
        full = tuple(
            evolve(
                ENDPOINT,
                endpoint_id=f"we_{n}",
                url="https://else.example",
                deployment=None,
                enabled=n > 0,
            )
            for n in range(MOST_ENDPOINTS)
        )
        todo = decide(WANTED, evolve(GOOD, endpoints=full))
        self.assertEqual(todo.steps, ())
        self.assertIn("disabled: we_0", todo.by_hand[0])
        unfinished = evolve(ENDPOINT, secret=None)
        steps = decide(WANTED, evolve(GOOD, endpoints=(*full[1:], unfinished))).steps
        self.assertEqual([type(s) for s in steps], [DeleteEndpoint, MakeEndpoint])

    def test_new_version(self) -> None:
        """A new version of the API gets an endpoint beside the old one, which stays
        until the new one's secret is known; hand-made ones are never deleted.
        """
        old = evolve(ENDPOINT, version="2025-01-01", deployment=None, secret=None)
        seen = evolve(GOOD, endpoints=(old,))
        (step,) = decide(WANTED, seen).steps
        assert isinstance(step, MakeEndpoint)
        self.assertEqual(step.besides, ("we_1",))
        (again,) = decide(WANTED, after(seen, step)).steps
        assert isinstance(again, ChangeEndpoint)
        self.assertEqual((again.endpoint_id, again.sent), ("we_1", {"disabled": True}))

    def test_price_of_another_deployment(self) -> None:
        """A price that another deployment sells, too, is used as it is or not at all."""
        theirs = evolve(PRICES[0], deployment="s4-staging")
        seen = evolve(GOOD, prices=(theirs, PRICES[1]))
        self.assertEqual(decide(WANTED, seen).told, ())
        for change in ({"active": False}, {"amount": 1}):
            seen = evolve(GOOD, prices=(evolve(theirs, **change), PRICES[1]))
            todo = decide(WANTED, seen)
            self.assertEqual(todo.steps, ())
            self.assertIn("rename the plan", todo.by_hand[0])

    def test_tax(self) -> None:
        """Where Stripe computes the tax, a price that has not said so is changed to
        include it, one that excludes it is replaced; elsewhere nobody cares.
        """
        taxed = wanted(automatic_tax=True)
        for tax, taken in (("unspecified", ChangePrice), ("exclusive", MakePrice)):
            changed: Any = {"tax": tax}
            others = evolve(PRICES[1], tax="inclusive")
            seen = evolve(GOOD, prices=(evolve(PRICES[0], **changed), others))
            self.assertEqual(decide(WANTED, seen).told, ())
            asked = evolve(taxed, portal=WANTED.portal)
            self.assertEqual([type(s) for s in decide(asked, seen).steps], [taken])

    def test_which_endpoint_is_kept(self) -> None:
        """Of two right endpoints the one that tells events is kept; one of ours at an
        address of before is disabled.
        """
        off = evolve(ENDPOINT, enabled=False)
        hand = evolve(ENDPOINT, endpoint_id="we_hand", deployment=None, secret=None)
        seen = evolve(GOOD, endpoints=(off, hand))
        self.assertEqual(decide(WANTED, seen).told, ())
        moved = evolve(ENDPOINT, endpoint_id="we_old", url="https://old.example")
        (step,) = decide(WANTED, evolve(GOOD, endpoints=(ENDPOINT, moved))).steps
        assert isinstance(step, ChangeEndpoint)
        self.assertEqual((step.endpoint_id, step.sent), ("we_old", {"disabled": True}))

    def test_lost_secret(self) -> None:
        """An endpoint of ours whose secret no file has is deleted only once another
        tells the site.
        """
        lost = evolve(ENDPOINT, endpoint_id="we_0", secret=None)
        todo = decide(WANTED, evolve(GOOD, endpoints=(lost, ENDPOINT)))
        self.assertEqual([type(s) for s in todo.steps], [DeleteEndpoint])
        self.assertEqual(SECRET, "s4_secret")

    def test_what_the_portal_offers(self) -> None:
        """Customers may change what the page of the checkout asked for, and neither
        plan nor address.
        """
        features = WANTED.portal["features"]
        self.assertEqual(features["customer_update"], {"enabled": False})
        self.assertFalse(features["subscription_update"]["enabled"])
        asked = wanted(tax_ids=True, billing_address=True).portal["features"]
        self.assertEqual(
            asked["customer_update"],
            {"enabled": True, "allowed_updates": ["address", "tax_id"]},
        )
