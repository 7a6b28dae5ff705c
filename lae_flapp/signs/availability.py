"""May we take customers?  Asked of AWS and Stripe at start, and again until it is so.

A daemon that could not seal an identity, or open it again, would charge people for
what it cannot build; so the canary sings before the first registration.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from random import Random

from attrs import Factory, define
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

from lae_flapp.money.stripe.check import FoundAccount, Wanted, problems
from lae_protocol.process.deadline import DeadlinePassed
from lae_protocol.process.retry import pause
from lae_provision.errors import ProvisionError, Refused

RETRY_AFTER = 1.0  # s at most after the first failure; it doubles
RETRY_AT_MOST = 30.0  # s


class WrongAccount(Exception):
    """The credentials are of another account than the settings say; never go on."""


@define(eq=False)
class Availability:
    """Knows why no registrations can be taken, or that they can.

    *check_account* asks AWS whose keys we have, *check_canary* opens an identity that
    was sealed before, *look_at_stripe* fetches what must be as *wanted*.
    """

    clock: IReactorTime
    rng: Random
    check_account: Callable[[], Awaitable[object]]
    check_canary: Callable[[], Awaitable[object]]
    look_at_stripe: Callable[[], Awaitable[FoundAccount]]
    wanted: Wanted
    opened: bool = False
    #: What keeps it closed, for operators; None when all is well.
    problem: str | None = "it has not looked yet"
    #: Fires when the first look has ended, whatever it saw.
    looked: Deferred[None] = Factory(Deferred)

    _log = Logger()

    def closed_because(self) -> str | None:
        """What a visitor is told; None when all is well."""
        if self.opened:
            return None
        return "We are just starting, or something we depend on is away."

    async def until_open(self) -> None:
        """Look, with growing pauses, until all is well; raises WrongAccount."""
        attempt = 0
        try:
            while not await self._look():
                seconds = pause(attempt, self.rng, RETRY_AFTER, RETRY_AT_MOST)
                await deferLater(self.clock, seconds)
                attempt += 1
        except CancelledError:
            return
        self._log.info("open for registrations")

    async def probe(self) -> None:
        """Ask each service once, for whoever waits to see one answer again.

        Nothing follows from the answers here: whoever counts calls hears them.
        """
        for ask in (self.check_account, self.check_canary, self.look_at_stripe):
            with suppress(ProvisionError, DeadlinePassed):
                await ask()

    async def _look(self) -> bool:
        try:
            self.opened = (
                await self._account_fits()
                and await self._canary_sings()
                and await self._stripe_fits()
            )
        finally:
            if not self.looked.called:
                self.looked.callback(None)
        return self.opened

    async def _account_fits(self) -> bool:
        try:
            await self.check_account()
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
        return True

    async def _canary_sings(self) -> bool:
        try:
            await self.check_canary()
        except (ProvisionError, DeadlinePassed) as e:
            self._log.critical("the canary is silent: {problem}", problem=str(e))
            self.problem = f"the canary is silent: {e}"
            return False
        return True

    async def _stripe_fits(self) -> bool:
        try:
            found = await self.look_at_stripe()
        except ProvisionError as e:
            self._log.error("Stripe cannot be asked: {problem}", problem=str(e))
            self.problem = f"Stripe cannot be asked: {e}"
            return False
        wrong = problems(self.wanted, found)
        for problem in wrong:
            self._log.critical("{problem}", problem=problem)
        self.problem = "; ".join(wrong) or None
        return not wrong
