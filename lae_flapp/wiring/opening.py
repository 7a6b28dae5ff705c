"""May we take customers?  Asked of the outside at start, and again until it is so.

A daemon that could not seal an identity, or open it again, would charge people for
what it cannot build; so the canary sings before the first registration.
"""

from __future__ import annotations

from contextlib import suppress
from random import Random

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

from lae_flapp.money.stripe import check
from lae_flapp.wiring.outside import Outside
from lae_protocol.process.deadline import DeadlinePassed
from lae_protocol.process.retry import pause
from lae_provision.errors import ProvisionError, Refused

#: Seconds between tries: the first, and the longest.
FIRST, LONGEST = 1.0, 30.0


class WrongAccount(Exception):
    """The credentials are of another account than the settings say; never go on."""


class Opening:
    """Knows why no registrations can be taken, or that they can."""

    _log = Logger()

    def __init__(
        self,
        clock: IReactorTime,
        rng: Random,
        outside: Outside,
        account: str,
        wanted: check.Wanted,
    ) -> None:
        self._clock, self._rng = clock, rng
        self._outside, self._account, self._wanted = outside, account, wanted
        self.opened = False
        #: What keeps it closed, for operators; None when all is well.
        self.problem: str | None = "it has not looked yet"
        self._looked: Deferred[None] = Deferred()

    def looked(self) -> Deferred[None]:
        """Fire when the first look has ended, whatever it saw."""
        return self._looked

    def closed_because(self) -> str | None:
        """What a visitor is told; None when all is well."""
        if self.opened:
            return None
        return "We are just starting, or something we depend on is away."

    async def try_once(self) -> bool:
        """Check AWS' account, the canary, then Stripe's prices and webhook.

        Raises :class:`WrongAccount`.
        """
        try:
            await self._outside.cloud.caller.check_account(self._account)
        except Refused as e:
            if e.code == "WrongAccount":
                raise WrongAccount(e.message) from None
            self._log.error("AWS refuses: {problem}", problem=str(e))
            self.problem = f"AWS refuses: {e}"
            return False
        except (ProvisionError, DeadlinePassed) as e:
            self._log.warn("AWS does not answer: {problem}", problem=str(e))
            self.problem = f"AWS does not answer: {e}"
            return False
        try:
            await self._outside.identities.check_canary(self._outside.vault)
        except (ProvisionError, DeadlinePassed) as e:
            self._log.critical("the canary is silent: {problem}", problem=str(e))
            self.problem = f"the canary is silent: {e}"
            return False
        self.opened = await self._stripe_fits()
        return self.opened

    async def _stripe_fits(self) -> bool:
        calls = self._outside.payments.payments.calls
        try:
            found = await calls.ask(
                "account", lambda client: check.look(client, self._wanted.plans)
            )
        except ProvisionError as e:
            self._log.error("Stripe cannot be asked: {problem}", problem=str(e))
            self.problem = f"Stripe cannot be asked: {e}"
            return False
        problems = check.problems(self._wanted, found)
        for problem in problems:
            self._log.critical("{problem}", problem=problem)
        self.problem = "; ".join(problems) or None
        return not problems

    async def probe(self) -> None:
        """Ask each service once, for whoever waits to see one answer again.

        Nothing follows from the answers here: whoever counts calls hears them.
        """
        outside = self._outside
        asking = (
            outside.cloud.caller.check_account(self._account),
            outside.identities.check_canary(outside.vault),
            outside.payments.payments.calls.ask(
                "prices", lambda client: check.look(client, self._wanted.plans)
            ),
        )
        for asked in asking:
            with suppress(ProvisionError, DeadlinePassed):
                await asked

    async def _try(self) -> bool:
        try:
            return await self.try_once()
        finally:
            if not self._looked.called:
                self._looked.callback(None)

    async def until_open(self) -> None:
        """Try, with growing pauses, until it is so."""
        attempt = 0
        try:
            while not await self._try():
                seconds = pause(attempt, self._rng, FIRST, LONGEST)
                await deferLater(self._clock, seconds)
                attempt += 1
        except CancelledError:
            return
        self._log.info("open for registrations")
