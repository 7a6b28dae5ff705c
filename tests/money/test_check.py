"""Does the account fit the configuration?"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from attrs import evolve
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import SynchronousTestCase, TestCase

from lae_flapp.money.stripe.calls import connect
from lae_flapp.money.stripe.check import (
    FoundAccount,
    FoundEndpoint,
    Wanted,
    key_problems,
    look,
    problems,
    wanted_of,
)
from lae_flapp.money.stripe.prices import FoundPrice
from lae_flapp.money.stripe.version import API_VERSION
from lae_flapp.settings import CheckoutOptions
from lae_localcloud.stripe.command import EVENTS
from lae_protocol.secret import Secret
from lae_protocol.stripe_hints import SUBJECTS
from tests.money.bench import PLAN, SECRET_KEY, StripeBench
from tests.money.scripted import Scripted, page, thing

URL = "https://s4.example/webhook/stripe"
PRICE = FoundPrice("price_1", "small", 900, "eur", "month", 1, livemode=False)
ENDPOINT = FoundEndpoint(
    URL, enabled=True, api_version=API_VERSION, events=frozenset(SUBJECTS)
)
GOOD = FoundAccount("acct_1", {"small": PRICE}, (ENDPOINT,))
WANTED = Wanted("test", (PLAN,), URL, "acct_1")


class JudgingTests(SynchronousTestCase):
    def test_what_is_wanted(self) -> None:
        """The settings say it: the mode, the account, and where Stripe finds the site."""
        options = CheckoutOptions()
        stripe: Any = SimpleNamespace(mode="test", account="acct_1", checkout=options)
        settings: Any = SimpleNamespace(stripe=stripe, site_url="https://s4.example")
        self.assertEqual(wanted_of(settings, (PLAN,)), WANTED)
        stripe.checkout = CheckoutOptions(automatic_tax=True)
        self.assertEqual(wanted_of(settings, (PLAN,)), evolve(WANTED, taxed=True))

    def test_fits(self) -> None:
        """An account that fits has no problem."""
        self.assertEqual(problems(WANTED, GOOD), [])
        every = evolve(ENDPOINT, events=frozenset({"*"}))
        self.assertEqual(problems(WANTED, evolve(GOOD, endpoints=(every,))), [])

    def test_each_problem(self) -> None:
        """Each thing that does not fit is said in one sentence that names it."""
        priced = lambda **k: {"prices": {"small": evolve(PRICE, **k)}}  # noqa: E731
        hooked = lambda **k: {"endpoints": (evolve(ENDPOINT, **k),)}  # noqa: E731
        cases: list[tuple[dict[str, Any], str]] = [
            ({"account_id": "acct_2"}, "acct_2"),
            ({"prices": {}}, "no active price"),
            (priced(amount=800), "800"),
            (priced(interval_count=3), "each 3 month"),
            (priced(livemode=True), "not of test mode"),
            ({"endpoints": ()}, "no enabled endpoint"),
            (hooked(enabled=False), "no enabled endpoint"),
            (hooked(api_version="2020-08-27"), "2020-08-27"),
            (hooked(api_version=None), "account's own"),
            (hooked(events=frozenset({"invoice.paid"})), "checkout.session.completed"),
        ]
        for change, word in cases:
            said = problems(WANTED, evolve(GOOD, **change))
            self.assertEqual(len(said), 1, change)
            self.assertIn(word, said[0])

    def test_taxed(self) -> None:
        """Where Stripe computes the tax the price must include it, or more would be
        charged than the pages say.
        """
        wanted = evolve(WANTED, taxed=True)
        (said,) = problems(wanted, GOOD)
        self.assertIn("tax_behavior", said)
        included = {"small": evolve(PRICE, includes_tax=True)}
        self.assertEqual(problems(wanted, evolve(GOOD, prices=included)), [])

    def test_keys(self) -> None:
        """Keys of the other mode and unrestricted keys are named, and not told."""
        self.assertEqual(key_problems([Secret("rk_test_abc")], "test"), [])
        self.assertEqual(len(key_problems([Secret("rk_live_abc")], "test")), 1)
        said = key_problems([Secret("rk_live_a"), Secret("sk_test_hush")], "live")
        self.assertEqual(len(said), 2)
        self.assertNotIn("hush", " ".join(said))

    def test_keys_numbered(self) -> None:
        """A key is named by its place in the list, the first being number 1."""
        wrong, right = Secret("rk_live_a"), Secret("rk_test_b")
        for keys, number in (([wrong, right], 1), ([right, wrong], 2)):
            (said,) = key_problems(keys, "test")
            self.assertIn(f"stripe.api_keys, number {number}: not of test mode", said)
        (said,) = key_problems([Secret("sk_test_c")], "test")
        self.assertIn("stripe.api_keys, number 1: not a restricted key", said)

    def test_endpoints_looked_at(self) -> None:
        """Endpoints are asked for a hundred at a time, disabled ones among them."""
        hook = {"url": URL, "status": "disabled", "enabled_events": ["invoice.paid"]}
        client: Any = Scripted(
            {
                "accounts.retrieve_current": [thing(id="acct_1")],
                "webhook_endpoints.list": [page(hook)],
            }
        )
        found = look(client, evolve(WANTED, plans=()))
        self.assertIn(("webhook_endpoints.list", {"limit": 100}), client.asked)
        disabled = FoundEndpoint(
            URL, enabled=False, api_version=None, events=frozenset({"invoice.paid"})
        )
        self.assertEqual(found, FoundAccount("acct_1", {}, (disabled,)))

    def test_account_not_asked(self) -> None:
        """Where the settings name no account, nobody asks whose the key is: a key that
        may not ask is good.
        """
        client: Any = Scripted({"webhook_endpoints.list": [page()]})
        found = look(client, evolve(WANTED, plans=(), account_id=None))
        self.assertEqual(found, FoundAccount(None, {}, ()))


class EventTests(SynchronousTestCase):
    def test_same_events(self) -> None:
        """The local Stripe tells its endpoints what the daemon wants to hear of."""
        self.assertEqual(set(EVENTS), set(SUBJECTS))


class LookingTests(TestCase):
    def setUp(self) -> None:
        self.bench = StripeBench()
        self.bench.start()

    def tearDown(self) -> Any:
        return self.bench.stop()

    async def test_look(self) -> None:
        """The daemon's restricted key sees all that is judged."""
        url = "http://127.0.0.1:9/webhook/stripe"
        client = connect(SECRET_KEY, self.bench.local.url)
        events: Any = sorted(SUBJECTS)
        await deferToThread(
            lambda: client.v1.webhook_endpoints.create(
                {"url": url, "enabled_events": events, "api_version": API_VERSION}
            )
        )
        wanted = Wanted("test", (PLAN,), url)
        found = await self.bench.calls.ask("look", lambda c: look(c, wanted))
        self.assertEqual(problems(wanted, found), [])
