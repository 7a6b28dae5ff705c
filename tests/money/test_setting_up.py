"""An account at Stripe made right, with everything that comes between."""

from __future__ import annotations

import stat
import tempfile
import time
from pathlib import Path
from typing import Any

import stripe
from attrs import evolve
from twisted.internet.defer import gatherResults

from lae_flapp.money.stripe.calls import connect
from lae_flapp.money.stripe_account.key_rights import (
    DAEMONS,
    READ_ACCOUNT,
    SETTING_UP,
    form_name,
    link_to_make_key,
    missing_right,
)
from lae_flapp.money.stripe_account.making import carry_out
from lae_flapp.money.stripe_account.seen import see_account
from lae_flapp.money.stripe_account.steps import (
    MakeEndpoint,
    MakePortal,
    MakePrice,
    decide,
)
from lae_localcloud.stripe.operations import DAEMON_RIGHTS, Level
from lae_protocol.secret import Secret
from tests.money.test_stripe_account import WANTED
from tests.stripe.bench import RESTRICTED_KEY, SECRET_KEY, LocalStripeCase

DAY = 24 * 3600  # s
HERE = evolve(WANTED, site_url="http://127.0.0.1:1")


class SettingUpTests(LocalStripeCase):
    def setUp(self) -> None:
        super().setUp()
        self.folder = Path(tempfile.mkdtemp()) / "webhook-secrets"

    def key(self, key: str = SECRET_KEY) -> stripe.StripeClient:
        return connect(Secret(key), self.local.url)

    async def apply(self) -> int:
        """As the command does it; returns how many steps it took."""
        todo = decide(HERE, await self.away(see_account, self.key(), HERE))
        for step in todo.steps:
            await self.away(carry_out, self.key(), step, self.folder)
        return len(todo.steps)

    async def settle(self) -> None:
        """Apply until nothing is left to do; two calls must do."""
        await self.apply()
        await self.apply()
        left = decide(HERE, await self.away(see_account, self.key(), HERE))
        self.assertEqual(left.told, ())

    def ours(self, kind: str) -> list[Any]:
        """What is there of a kind, of the deployment."""
        return [
            thing
            for thing in self.account.all(kind)
            if thing["metadata"].get("s4_deployment") == "s4-prod"
        ]

    def judge(self) -> None:
        """There is one of each, and the site's folder has the endpoint's secret."""
        self.assertEqual(
            sorted(p["lookup_key"] or "" for p in self.ours("price")),
            ["large", "small"],
        )
        (endpoint,) = self.ours("webhook_endpoint")
        (portal,) = self.ours("billing_portal.configuration")
        self.assertTrue(portal["active"])
        held = {f.read_text().strip() for f in self.folder.iterdir()}
        self.assertIn(self.account.endpoint_secrets[endpoint["id"]], held)
        for file in self.folder.iterdir():
            self.assertEqual(stat.S_IMODE(file.stat().st_mode), 0o600)

    async def test_from_nothing(self) -> None:
        """All is made once: a second call does nothing.  The price that the account
        had for one of the plans gives its lookup key away and stays.
        """
        self.assertEqual(await self.apply(), 4)
        self.assertEqual(await self.apply(), 0)
        self.judge()
        before = [p for p in self.account.all("price") if p["unit_amount"] == 900]
        self.assertEqual(
            [(p["lookup_key"], p["active"]) for p in before], [(None, True)]
        )
        self.assertEqual(stat.S_IMODE(self.folder.stat().st_mode), 0o700)

    async def test_lost_answers(self) -> None:
        """Whatever is lost or fails on the way, nothing is made twice."""
        kinds = ("reset-after-effect", "error-after-effect", "error-kept", "reset")
        for kind in kinds:
            for path in ("prices", "webhook_endpoints", "billing_portal/*"):
                fault = {"kind": kind, "method": "POST", "path": f"/v1/{path}"}
                await self.control("POST", "faults", fault)
                with self.assertRaises(stripe.StripeError):
                    await self.apply()
                await self.settle()
                self.judge()
                self.forget()

    async def test_the_same_step_again(self) -> None:
        """A step that Stripe failed after its effect may be repeated as it is, as our
        calls do: nothing is made twice, and a secret is written once.
        """
        seen = await self.away(see_account, self.key(), HERE)
        for step in decide(HERE, seen).steps:
            path = {
                MakePrice: "prices",
                MakeEndpoint: "webhook_endpoints",
                MakePortal: "billing_portal/configurations",
            }[type(step)]
            fault = {"method": "POST", "path": f"/v1/{path}"}
            if not isinstance(step, MakeEndpoint):
                fault["kind"] = "error-after-effect"
                await self.control("POST", "faults", fault)
                with self.assertRaises(stripe.APIError):
                    await self.away(carry_out, self.key(), step, self.folder)
            for _ in range(2):
                await self.away(carry_out, self.key(), step, self.folder)
        self.judge()
        self.assertEqual(len(list(self.folder.iterdir())), 1)

    def forget(self) -> None:
        """A day passes, and the account is empty again, so that all is made anew."""
        later = self.account.now() + DAY + 60
        self.account.now = lambda: later
        for kind in ("webhook_endpoint", "billing_portal.configuration", "price"):
            for thing in list(self.account.all(kind)):
                self.account.delete(kind, thing["id"])

    async def test_secret_not_written(self) -> None:
        """An endpoint whose secret could not be written is the same one at the next
        call, with its secret in the file.
        """
        self.folder.write_text("a file in the place of the folder")
        with self.assertRaises(FileExistsError):
            await self.apply()
        (made,) = self.ours("webhook_endpoint")
        self.folder.unlink()
        await self.settle()
        self.judge()
        self.assertEqual([e["id"] for e in self.ours("webhook_endpoint")], [made["id"]])

    async def test_secret_lost_for_good(self) -> None:
        """A day later Stripe tells the secret to nobody: there is a new endpoint, and
        that of the interrupted call goes.
        """
        self.folder.write_text("")
        with self.assertRaises(FileExistsError):
            await self.apply()
        (made,) = self.ours("webhook_endpoint")
        self.folder.unlink()
        later = time.time() + DAY + 60
        self.account.now = lambda: later
        await self.settle()
        self.judge()
        self.assertNotEqual(self.ours("webhook_endpoint")[0]["id"], made["id"])

    async def test_removed_by_hand(self) -> None:
        """What somebody removes is made again at once, though Stripe still answers the
        first key with what is gone.
        """
        await self.settle()
        for _ in range(2):
            (endpoint,) = self.ours("webhook_endpoint")
            await self.away(self.key().v1.webhook_endpoints.delete, endpoint["id"])
            await self.settle()
            self.judge()

    async def test_two_at_once(self) -> None:
        """Two who apply at the same time make one of each."""
        todo = decide(HERE, await self.away(see_account, self.key(), HERE))
        folders = (self.folder, self.folder.with_name("another"))
        for step in todo.steps:
            await gatherResults(
                self.away(carry_out, self.key(), step, folder) for folder in folders
            )
        self.judge()
        first, second = (next(f.iterdir()).read_text() for f in folders)
        self.assertEqual(first, second)

    async def test_endpoint_of_another_version(self) -> None:
        """The old endpoint is disabled at the second call, not at the first."""
        await self.settle()
        (old,) = self.ours("webhook_endpoint")
        old["api_version"] = "2025-01-01"
        await self.apply()
        states = {e["id"]: e["status"] for e in self.ours("webhook_endpoint")}
        self.assertEqual(sorted(states.values()), ["enabled", "enabled"])
        await self.settle()
        self.assertEqual(old["status"], "disabled")
        self.assertEqual(len(list(self.folder.iterdir())), 2)

    async def test_many_pages(self) -> None:
        """What is ours is found behind a hundred others."""
        await self.settle()
        for _ in range(120):
            self.account.new("billing_portal.configuration", metadata={"of": "others"})
        self.assertEqual(await self.apply(), 0)

    async def test_each_right(self) -> None:
        """Each right that a key lacks is named, and nothing is made by trying."""
        rights = (*DAEMONS, READ_ACCOUNT, *SETTING_UP)
        await self.settle()
        events = len(list(self.account.all("event")))
        everything: dict[str, Level] = dict.fromkeys(
            (*DAEMON_RIGHTS, "accounts", "prices", "products"), "write"
        )
        for held in (
            everything,
            {},
            *(self.without(r, everything) for r in everything),
        ):
            self.local.api.keys[Secret(RESTRICTED_KEY)] = held
            found = [
                await self.away(missing_right, self.key(RESTRICTED_KEY), right)
                for right in rights
            ]
            named = [name for name in found if name is not None]
            lacking = [r.name for r, name in zip(rights, found, strict=True) if name]
            self.assertEqual(named, lacking)
            if held is everything:
                self.assertEqual(named, [])
            elif not held:
                self.assertEqual(named, [right.name for right in rights])
            else:
                self.assertIn(len(named), (1, 2), held)
        self.assertEqual(len(list(self.account.all("event"))), events)

    @staticmethod
    def without(right: str, held: dict[str, Level]) -> dict[str, Level]:
        return {name: level for name, level in held.items() if name != right}

    async def test_daemons_key(self) -> None:
        """The key that the local Stripe makes for the daemon lacks none of its rights,
        and is no key to set the account up with.
        """
        client = self.key(RESTRICTED_KEY)
        for right in DAEMONS:
            self.assertIsNone(await self.away(missing_right, client, right))
        for right in SETTING_UP:
            self.assertEqual(await self.away(missing_right, client, right), right.name)

    def test_link(self) -> None:
        """The link to the dashboard's form has every right and the deployment's name."""
        link = link_to_make_key("s4-prod", "test", DAEMONS)
        self.assertTrue(link.startswith("https://dashboard.stripe.com/test/apikeys/"))
        for right in DAEMONS:
            self.assertIn(f"={right.name}", link)
        self.assertEqual(form_name("rak_plan_read", DAEMONS), "Prices: Read")
        self.assertEqual(form_name("rak_new_thing", DAEMONS), "rak_new_thing")

    def test_steps_tell_no_secret(self) -> None:
        """A step has no secret in it: what is printed cannot tell one."""
        self.assertEqual(
            {"told", "sent", "besides"}, {a.name for a in MakeEndpoint.__attrs_attrs__}
        )
