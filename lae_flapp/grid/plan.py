"""What next?  Pure and total: goal and sights in, actions out.

:func:`plan` answers all that is left to do as far as can be known now: printing it is
the dry run.  The worker does the first action, looks, and asks again.

Both directions walk one list, :class:`~lae_flapp.grid.steps.StepName`: forwards
(serving), backwards (withdrawing, ending, erasing, or replacing one host).  What is
done with a step stands in one table per direction, :func:`forward` and
:func:`backward`, over every kind of sight.
"""

from __future__ import annotations

from typing import assert_never

from attrs import define

from lae_flapp.grid.goals import (
    End,
    Erase,
    Goal,
    Lead,
    Permit,
    Replace,
    Rest,
    Serve,
    Stop,
    Withdraw,
)
from lae_flapp.grid.sights import (
    Absent,
    Asked,
    Astray,
    Awaited,
    Broken,
    Invisible,
    Present,
    Sight,
    Sights,
    Spent,
    Unlooked,
    Unsettled,
)
from lae_flapp.grid.steps import (
    HOSTING,
    REMOVABLE,
    SERVING,
    STEPS,
    Lasts,
    StepName,
)


@define(frozen=True)
class Look:
    """Find it, by name or tag."""

    step: StepName


@define(frozen=True)
class Make:
    """Journal the request whole, with a fresh token, then send it."""

    step: StepName


@define(frozen=True)
class Repeat:
    """Send the journaled request again: the same bytes, the same token."""

    step: StepName


@define(frozen=True)
class LookAgain:
    """It may be there and not visible yet: look again after a moment."""

    step: StepName


@define(frozen=True)
class Await:
    """Somebody else's turn, until *deadline*; they are heard, or time passes."""

    step: StepName
    deadline: float


@define(frozen=True)
class Retire:
    """This host is not coming: journal that it is to be replaced."""

    generation: int


@define(frozen=True)
class NextHost:
    """The old host is gone for certain: journal that the next one's turn has come."""

    generation: int


@define(frozen=True)
class Unmake:
    """Remove it."""

    step: StepName


@define(frozen=True)
class PayBack:
    """Cancel and refund a payment that is not kept: a second one, or a late one."""

    session_id: str


@define(frozen=True)
class GiveBack:
    """Cancel and refund the kept payment, and put the letter in the outbox."""


@define(frozen=True)
class GivePartBack:
    """Refund what an operator gives back of the kept payment; nothing else changes."""


@define(frozen=True)
class TellStripe:
    """Tell Stripe what was decided of the subscription: it goes on, or it ends."""


@define(frozen=True)
class Close:
    """Nothing is left of what had to go: journal it."""


Action = (
    Look
    | Make
    | Repeat
    | LookAgain
    | Await
    | Retire
    | NextHost
    | Unmake
    | PayBack
    | GiveBack
    | GivePartBack
    | TellStripe
    | Close
)


@define(frozen=True)
class Patience:
    """How long (seconds) what was made, or asked for, may stay invisible."""

    visibility: float = 60.0

    def passed(self, since: float, looked: float) -> bool:
        """Whether what was not to be seen at *looked* is not there for certain."""
        return looked >= since + self.visibility


def plan(goal: Goal, sights: Sights, patience: Patience) -> tuple[Action, ...]:
    """All that is left to do for *goal*, in order, as far as can be known now.

    What is owed to the customer goes first, whatever the goal; then Stripe is told,
    so that nobody is charged for what is not served.
    """
    first: tuple[Action, ...] = tuple(PayBack(s) for s in sights.owed)
    if sights.granted:
        first = (*first, GivePartBack())
    if sights.untold:
        first = (*first, TellStripe())
    return first + _towards(goal, sights, patience)


def _towards(  # noqa: PLR0911  (one line per goal: the table)
    goal: Goal, sights: Sights, patience: Patience
) -> tuple[Action, ...]:
    match goal:
        case Rest():
            return ()
        case Serve(generation):
            return _onwards(generation, sights, patience)
        case Permit():
            # Under its own name a role is made again with the right that it shall have.
            action = forward(StepName.ROLE, 0, sights, patience)
            return () if action is None else (action,)
        case Replace(generation) | Stop(generation):
            return _make_room(generation, sights, patience)
        case Lead():
            # The journal knows of no address, so that the record is written anyway.
            action = forward(StepName.ADDRESS, 0, sights, patience)
            return (action or Make(StepName.ADDRESS),)
        case Withdraw(money_back, data):
            first: tuple[Action, ...] = () if money_back else (GiveBack(),)
            return (*first, *_away(SERVING if data else REMOVABLE, sights, patience))
        case End():
            return _away(SERVING, sights, patience)
        case Erase():
            return _away(REMOVABLE, sights, patience)
        case _:
            assert_never(goal)


def _onwards(generation: int, sights: Sights, patience: Patience) -> tuple[Action, ...]:
    actions: list[Action] = []
    for step in StepName:
        action = forward(step, generation, sights, patience)
        if action is None:
            continue
        if step is StepName.ADDRESS and _is_late(generation, sights, patience):
            # What a host that does not come still lacks is not waited for.
            return (*actions, Retire(generation))
        actions.append(action)
        if not isinstance(action, Make | Repeat):
            break
    return tuple(actions)


def _is_late(generation: int, sights: Sights, patience: Patience) -> bool:
    """Whether the host had its time to claim, or to prove itself, and did not."""
    steps = (StepName.CLAIMED, StepName.SELF_TEST)
    actions = [forward(step, generation, sights, patience) for step in steps]
    return Retire(generation) in actions


def _away(
    steps: tuple[StepName, ...], sights: Sights, patience: Patience
) -> tuple[Action, ...]:
    left, done = _back(steps, sights, patience)
    return (*left, *((Close(),) if done else ()))


def _make_room(
    generation: int, sights: Sights, patience: Patience
) -> tuple[Action, ...]:
    """Remove the host of *generation*, and then end that generation."""
    left, done = _back(HOSTING, sights, patience)
    return (*left, *((NextHost(generation),) if done else ()))


def _back(
    steps: tuple[StepName, ...], sights: Sights, patience: Patience
) -> tuple[tuple[Action, ...], bool]:
    """Say what is left to remove, and whether it is all that can be left."""
    actions: list[Action] = []
    for step in steps:
        action = backward(step, sights, patience)
        if action is None:
            continue
        actions.append(action)
        if not isinstance(action, Unmake):
            return tuple(actions), False
    return tuple(actions), True


def forward(  # noqa: PLR0911  (one line per kind of sight: the table)
    step: StepName, generation: int, sights: Sights, patience: Patience
) -> Action | None:
    """Serve: what *step* needs; None where it is as it should be."""
    sight: Sight = sights.of(step)
    # Under the grid's own name, making it again is the same thing.
    named = STEPS[step].lasts > Lasts.HOST
    anew = Make(step) if named else Retire(generation)
    match sight:
        case Present():
            return None
        case Unlooked():
            return Look(step)
        case Absent():
            return Make(step)
        case Asked() | Unsettled():
            return Repeat(step)
        case Broken():
            return anew
        case Astray():
            return Unmake(step) if named else anew
        case Awaited(deadline):
            return Await(step, deadline) if sights.now < deadline else anew
        case Spent() if named:
            return anew
        case Spent(since, looked) | Invisible(since, looked):
            return anew if patience.passed(since, looked) else LookAgain(step)
        case _:
            assert_never(sight)


def backward(step: StepName, sights: Sights, patience: Patience) -> Action | None:
    """Withdraw: what *step* needs; None where nothing is left of it."""
    sight: Sight = sights.of(step)
    match sight:
        case Absent() | Awaited():
            return None
        case Unlooked():
            return Look(step)
        case Asked(since, looked) | Invisible(since, looked) | Spent(since, looked):
            # It may show up yet; what is not visible cannot be removed for certain.
            return None if patience.passed(since, looked) else LookAgain(step)
        case Unsettled() | Broken() | Astray() | Present():
            return Unmake(step)
        case _:
            assert_never(sight)
