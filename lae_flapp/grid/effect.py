"""A step's effects: its work is made, and removed again."""

from __future__ import annotations

from lae_flapp.effects.carrying_out import Rendered
from lae_flapp.grid.crashes import MAKING, RENDERED, UNMAKING
from lae_flapp.grid.record import Record
from lae_flapp.grid.sights import Glance, StepName
from lae_flapp.grid.step import Removable, Step
from lae_flapp.grid.turns import WHO
from lae_flapp.grid.workshop import Workshop
from lae_flapp.journal import events
from lae_flapp.journal.effects import Effect, Ticket
from lae_flapp.journal.transaction import WriteTx
from lae_protocol.process.crash import crash_point


async def make(
    shop: Workshop, name: StepName, step: Step, record: Record, glance: Glance
) -> None:
    """Make it; what was asked for and not answered is asked for again as it stands.

    Raises what the step and its door raise.
    """

    async def render(ticket: Ticket) -> Rendered:
        rendered = await step.render(record, ticket, glance)
        crash_point(RENDERED[name])
        return rendered

    def settle(tx: WriteTx, effect: Effect, outcome: str) -> str:  # noqa: ARG001  (carry_out)
        step.settled(tx, record, outcome)
        events.tell(tx, record.signup.signup_id, step.announces, WHO)
        return outcome

    await shop.effects.carry_out(
        record.key(name, "make"),
        render,
        lambda request: step.send(record, request),
        settle,
        MAKING[name],
    )


async def unmake(
    shop: Workshop, name: StepName, step: Removable, record: Record, glance: Glance
) -> None:
    """Remove what was seen; raises what the door raises."""

    async def render(ticket: Ticket) -> Rendered:  # noqa: ARG001  (carry_out)
        # Everything that a removal needs is in the name.
        return Rendered(b"")

    await shop.effects.carry_out(
        record.key(name, "unmake"),
        render,
        lambda _: step.unmake(record, glance),
        lambda _tx, _effect, _answer: "removed",
        UNMAKING[name],
    )
