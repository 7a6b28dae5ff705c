"""One way to carry out an effect: write the request, send it, write what came of it.

This is the rule against a second server, or a second refund, after a crash: (1) write
the whole request with its token, commit; (2) send it; (3) commit what came of it.  An
effect without an outcome is sent again as it stands, the same bytes under the same
token; one that was refused for good has failed, and what follows is a new attempt.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from attrs import define

from lae_flapp.journal import effects
from lae_flapp.journal.effects import EFFECTS, Effect, EffectKey, Ticket
from lae_flapp.journal.journal import Journal
from lae_flapp.journal.sealed import context_of
from lae_flapp.journal.transaction import WriteTx
from lae_protocol.process.crash import crash_point, declare
from lae_provision.doors import Sealer
from lae_provision.errors import NoCapacity, Refused, TokenSpent

T = TypeVar("T")

#: This request will never succeed.
FINAL = (Refused, NoCapacity, TokenSpent)
#: The outcome of a request that a daemon sent, or was about to send, when it died.
UNHEARD = "no answer was heard"


@define(frozen=True)
class Rendered:
    """A request as bytes; *secret* ones are sealed; *also* is journaled with it."""

    request: bytes
    secret: bool = False
    also: Callable[[WriteTx], object] = lambda _: None


@define(frozen=True)
class Points:
    """The names of the places in an effect at which a test kills the daemon."""

    begun: str
    sent: str
    settled: str

    @classmethod
    def declared(
        cls, subject: str, verb: str, settled: str = "after-outcome"
    ) -> Points:
        """Declare the points of one kind of effect, at import."""
        return cls(
            declare(f"{subject}.before-{verb}", "the request is journaled, not sent"),
            declare(f"{subject}.after-{verb}", "it is done, the journal does not know"),
            declare(f"{subject}.{settled}", "it is done, and the journal knows"),
        )


#: Of an effect that nobody waits for.
NOWHERE = Points("", "", "")


@define(frozen=True)
class Effects:
    """Carries out effects: their rows are the journal's, their secrets sealed."""

    journal: Journal
    sealer: Sealer

    async def carry_out(
        self,
        key: EffectKey,
        render: Callable[[Ticket], Awaitable[Rendered]],
        send: Callable[[bytes], Awaitable[T]],
        settle: Callable[[WriteTx, Effect, T], str],
        points: Points = NOWHERE,
    ) -> T:
        """Carry out the effect of *key*: a new one, or the one without an outcome.

        *render* says what will be asked for, where nothing is to be repeated.  *send*
        asks; it is safe to repeat.  *settle* journals what follows from the answer and
        tells what a restart must know of it, without secrets.

        Raises what *render* and *send* raise.  For :data:`FINAL` the effect is
        journaled as failed; for anything else it stays open, and the try is counted.
        """
        effect, request = await self._begun(key, render)
        _pass(points.begun)
        try:
            answer = await send(request)
        except FINAL as e:
            await self.journal.write(effects.fail, effect.number, e.code)
            raise
        except Exception as e:
            why = str(getattr(e, "code", type(e).__name__))
            await self.journal.write(effects.tried, effect.number, why)
            raise
        _pass(points.sent)
        await self.journal.write(_settle, settle, effect, answer)
        _pass(points.settled)
        return answer

    async def _begun(
        self, key: EffectKey, render: Callable[[Ticket], Awaitable[Rendered]]
    ) -> tuple[Effect, bytes]:
        """Find the effect, journaled, and its request as it is sent."""
        upcoming = await self.journal.read(effects.upcoming, key)
        if isinstance(upcoming, Effect):
            effect = await self.journal.write(_count_unheard, upcoming)
            request = effect.request or b""
            if effect.sealed:
                request = self.sealer.unseal(request, context_of(EFFECTS, effect.token))
            return effect, request
        rendered = await render(upcoming)
        request = rendered.request
        if rendered.secret:
            request = self.sealer.seal(request, context_of(EFFECTS, upcoming.token))
        effect = await self.journal.write(_begin, upcoming, request, rendered)
        return effect, rendered.request


def _pass(point: str) -> None:
    if point:
        crash_point(point)


def _begin(tx: WriteTx, ticket: Ticket, request: bytes, rendered: Rendered) -> Effect:
    rendered.also(tx)
    return effects.begin(tx, ticket, request, sealed=rendered.secret)


def _count_unheard(tx: WriteTx, effect: Effect) -> Effect:
    """Count the try of a daemon that died before it could."""
    if effect.outcome is None:
        effects.tried(tx, effect.number, UNHEARD)
    return effects.get(tx, effect.number)


def _settle(
    tx: WriteTx, settle: Callable[[WriteTx, Effect, T], str], effect: Effect, answer: T
) -> None:
    effects.finish(tx, effect.number, settle(tx, effect, answer))
