"""A step's effects: its work is made, and removed again."""

from __future__ import annotations

from typing import cast

from lae_flapp.effects.carrying_out import Points, Rendered
from lae_flapp.grid.moves import WHO
from lae_flapp.grid.record import Record
from lae_flapp.grid.sights import Glance
from lae_flapp.grid.step import Removable, Step
from lae_flapp.grid.steps import MADE, REMOVABLE, STEPS, StepName
from lae_flapp.grid.workshop import Workshop
from lae_flapp.journal import events
from lae_flapp.journal.effects import Effect, Ticket
from lae_flapp.journal.events import PublicKind
from lae_flapp.journal.transaction import WriteTx
from lae_protocol.process.crash import crash_point, declare

RENDERED = {
    step: declare(
        f"signup.{step.value}.before-effect",
        "the request is rendered, nothing is durable",
    )
    for step in MADE
}
MAKING = {step: Points.declared(f"signup.{step.value}", "make") for step in MADE}
UNMAKING = {
    step: Points.declared(f"signup.{step.value}", "unmake", "after-unmade")
    for step in REMOVABLE
}


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
        kind = cast("PublicKind", STEPS[name].tells)
        served = record.host is not None and record.host.state == "ready"
        again = name is StepName.ADDRESS and served
        if not again and (name is not StepName.ROLE or record.signup.state == "paid"):
            # A right that is taken, a name that is led anew: no progress, so the step
            # itself notes it.
            events.tell(tx, record.signup.signup_id, kind, WHO)
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
