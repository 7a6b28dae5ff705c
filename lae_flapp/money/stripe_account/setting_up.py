"""The account at Stripe, looked at and made right through one key's calls."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from attrs import define

from lae_flapp.money.stripe.calls import StripeCalls
from lae_flapp.money.stripe_account.key_rights import Right, missing_right
from lae_flapp.money.stripe_account.making import carry_out
from lae_flapp.money.stripe_account.seen import SeenAccount, see_account
from lae_flapp.money.stripe_account.steps import Step
from lae_flapp.money.stripe_account.wanted import WantedAccount


@define(frozen=True)
class SettingUp:
    """Everything raises TryLater and Refused, as each call to Stripe does."""

    calls: StripeCalls
    wanted: WantedAccount

    async def look(self) -> SeenAccount:
        """See what stands in the account."""
        return await self.calls.ask(
            "the account", partial(see_account, wanted=self.wanted)
        )

    async def missing(self, rights: tuple[Right, ...]) -> tuple[str, ...]:
        """Try each right; return those that the key lacks, by Stripe's names."""
        found = [
            await self.calls.ask(right.name, partial(missing_right, right=right))
            for right in rights
        ]
        return tuple(name for name in found if name is not None)

    async def carry_out(
        self, steps: tuple[Step, ...], secrets: Path, said: Callable[[Step, str], None]
    ) -> None:
        """Do the steps, in their order; each may be repeated."""
        for step in steps:
            made = await self.calls.ask(
                type(step).__name__, partial(carry_out, step=step, secrets=secrets)
            )
            said(step, made)
