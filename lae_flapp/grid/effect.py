"""One effect outside, from its row in the journal to its outcome there.

This is the rule against a second server after a crash: (1) write the whole request
with its token, commit; (2) send it; (3) commit what came of it.  An effect without an
outcome is sent again as it stands.
"""

from __future__ import annotations

from attrs import define

from lae_flapp.grid import crashes
from lae_flapp.grid.record import Record
from lae_flapp.grid.sights import Glance, StepName
from lae_flapp.grid.step import Removable, Rendered, Step, context_of
from lae_flapp.grid.turns import WHO
from lae_flapp.grid.workshop import Workshop
from lae_flapp.journal import effects, events
from lae_flapp.journal.effects import Effect, Ticket
from lae_flapp.journal.transaction import WriteTx
from lae_protocol.process.crash import crash_point
from lae_provision.errors import NoCapacity, Refused, TokenSpent

assert crashes.OUTSIDE, "the crash points are declared"

#: This request will never succeed: the effect failed, what follows is a new one.
FINAL = (Refused, NoCapacity, TokenSpent)


@define(frozen=True)
class Outside:
    """One step's effects."""

    shop: Workshop
    name: StepName
    step: Step

    async def make(self, record: Record, glance: Glance) -> None:
        """Journal a fresh request, send it, journal its outcome.

        Raises what the door raises; for :data:`FINAL` the effect is journaled as
        failed, for anything else it stays open.
        """
        shop, key = self.shop, record.key(self.name, "make")
        ticket = await shop.journal.read(effects.upcoming, key)
        if isinstance(ticket, Effect):
            await self.repeat(record, ticket)
            return
        rendered = await self.step.render(record, ticket, glance)
        request = rendered.request
        if rendered.secret:
            request = shop.sealer.seal(request, context_of(ticket))
        crash_point(f"signup.{self.name.value}.before-effect")
        effect = await shop.journal.write(_begin, ticket, request, rendered)
        await self._send(record, effect, rendered.request)

    async def repeat(self, record: Record, effect: Effect) -> None:
        """Send the journaled request again: the same bytes, the same token."""
        request = effect.request or b""
        if effect.sealed:
            request = self.shop.sealer.unseal(request, context_of(effect))
        await self._send(record, effect, request)

    async def _send(self, record: Record, effect: Effect, request: bytes) -> None:
        journal = self.shop.journal
        crash_point(f"signup.{self.name.value}.before-make")
        try:
            outcome = await self.step.send(record, request)
        except FINAL as e:
            await journal.write(effects.fail, effect.number, e.code)
            raise
        except Exception as e:
            why = getattr(e, "code", type(e).__name__)
            await journal.write(effects.tried, effect.number, str(why))
            raise
        crash_point(f"signup.{self.name.value}.after-make")
        await journal.write(_settle, self.step, record, effect, outcome)
        crash_point(f"signup.{self.name.value}.after-outcome")


async def unmake(
    shop: Workshop, name: StepName, step: Removable, record: Record, glance: Glance
) -> None:
    """Journal that it will be removed, remove it, journal that it was."""
    effect = await shop.journal.write(_begin_removal, record, name)
    crash_point(f"signup.{name.value}.before-unmake")
    try:
        await step.unmake(record, glance)
    except Refused as e:
        await shop.journal.write(effects.fail, effect.number, e.code)
        raise
    crash_point(f"signup.{name.value}.after-unmake")
    await shop.journal.write(effects.finish, effect.number, "removed")
    crash_point(f"signup.{name.value}.after-unmade")


def _begin(tx: WriteTx, ticket: Ticket, request: bytes, rendered: Rendered) -> Effect:
    rendered.also(tx)
    return effects.begin(tx, ticket, request, sealed=rendered.secret)


def _begin_removal(tx: WriteTx, record: Record, name: StepName) -> Effect:
    upcoming = effects.upcoming(tx, record.key(name, "unmake"))
    if isinstance(upcoming, Effect):
        return upcoming
    # Everything that a removal needs is in the name.
    return effects.begin(tx, upcoming, b"")


def _settle(
    tx: WriteTx, step: Step, record: Record, effect: Effect, outcome: str
) -> None:
    effects.finish(tx, effect.number, outcome)
    step.settled(tx, record, outcome)
    events.tell(tx, record.signup.signup_id, step.announces, WHO)
