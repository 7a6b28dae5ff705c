"""The named points at which a test kills the routine, and what is durable there."""

from __future__ import annotations

from lae_flapp.effects.carrying_out import Points
from lae_flapp.grid.plan import REMOVABLE
from lae_flapp.grid.sights import StepName
from lae_protocol.process.crash import declare

#: The steps with an effect outside.
OUTSIDE = (
    StepName.IDENTITY,
    StepName.BUCKET,
    StepName.ROLE,
    StepName.HOST,
    StepName.ADDRESS,
)

RENDERED = {
    step: declare(
        f"signup.{step.value}.before-effect",
        "the request is rendered, nothing is durable",
    )
    for step in OUTSIDE
}
MAKING = {step: Points.declared(f"signup.{step.value}", "make") for step in OUTSIDE}
UNMAKING = {
    step: Points.declared(f"signup.{step.value}", "unmake", "after-unmade")
    for step in REMOVABLE
}

for _name, _sentence in (
    ("ready", "the state, the event and the mail's row are journaled"),
    ("retire", "the host is to be replaced"),
    ("next-host", "the old host is gone, the next one's turn has come"),
    ("give-up", "the signup is on its way back"),
    ("close", "nothing is left, and it is over"),
):
    declare(f"signup.{_name}.before", f"not yet: {_sentence}")
    declare(f"signup.{_name}.after", _sentence)
