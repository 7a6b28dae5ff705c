"""The named points at which a test kills the routine, and what is durable there."""

from __future__ import annotations

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

for _step in OUTSIDE:
    _name = f"signup.{_step.value}"
    declare(f"{_name}.before-effect", "the request is rendered, nothing is durable")
    declare(f"{_name}.before-make", "the effect is journaled, the request is not sent")
    declare(f"{_name}.after-make", "it is made, the journal has no outcome")
    declare(f"{_name}.after-outcome", "it is made, and the journal knows")

for _step in REMOVABLE:
    _name = f"signup.{_step.value}"
    declare(f"{_name}.before-unmake", "the removal is journaled and not asked for")
    declare(f"{_name}.after-unmake", "it is removed, the journal has no outcome")
    declare(f"{_name}.after-unmade", "it is removed, and the journal knows")

for _purpose in ("second-session", "unserved"):
    _name = f"signup.{_purpose}"
    declare(f"{_name}.before-refund", "the effect is journaled, Stripe is not asked")
    declare(f"{_name}.after-refund", "the money went back, the journal has no outcome")
    declare(f"{_name}.after-outcome", "the money went back, and the journal knows")

for _name, _sentence in (
    ("paid", "the kept payment is journaled"),
    ("ready", "the state, the event and the mail's row are journaled"),
    ("retire", "the host is to be replaced"),
    ("next-host", "the old host is gone, the next one's turn has come"),
    ("give-up", "the signup is on its way back"),
    ("close", "nothing is left, and it is over"),
):
    declare(f"signup.{_name}.before", f"not yet: {_sentence}")
    declare(f"signup.{_name}.after", _sentence)
