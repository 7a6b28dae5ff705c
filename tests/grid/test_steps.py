"""Every step stands in each place that the table of steps is for."""

from __future__ import annotations

from typing import get_args

from lae_flapp.grid import effect
from lae_flapp.grid.makers import made, removable
from lae_flapp.grid.steps import (
    HOSTING,
    MADE,
    REMOVABLE,
    SERVING,
    STEPS,
    Lasts,
    StepName,
    going_with,
)
from lae_flapp.journal.events import PublicKind
from lae_flapp.signs import steps as measured
from lae_protocol.process.crash import declared
from lae_site import description
from tests.twins.front_desk import BUILT


def test_the_table_has_every_step_in_its_order() -> None:
    """No step is forgotten in the table, or out of its place."""
    assert list(STEPS) == list(StepName)


def test_every_step_that_is_made_outside_can_be_made_and_removed(world) -> None:
    """What the table says is made is found and made by somebody, and what it says goes
    is removed by somebody.
    """
    assert set(made(world.crew.shop)) == set(MADE)
    assert set(removable(world.crew.shop)) == set(REMOVABLE)


def test_every_step_can_be_died_in() -> None:
    """Each effect of a step has its crash points."""
    assert set(effect.MAKING) == set(effect.RENDERED) == set(MADE)
    assert set(effect.UNMAKING) == set(REMOVABLE)
    for step in MADE:
        assert f"signup.{step.value}.after-make" in declared()


def test_every_step_tells_customers_that_it_is_done() -> None:
    """The event is one that customers see, with words, in the order of the steps; and
    operators see how long it took.
    """
    told = [facts.tells for facts in STEPS.values()]
    assert len(set(told)) == len(told)
    assert set(told) <= set(get_args(PublicKind))
    assert [k for k in description.STEPS if k in told] == told
    assert [k for k in measured.STEPS if k in told] == told
    assert tuple(told[1:]) == BUILT


def test_a_servers_own_steps_are_shown_again() -> None:
    """What the site shows anew for another server is what goes with the hosting."""
    of_a_host = [f.tells for f in STEPS.values() if f.lasts <= Lasts.HOSTING]
    assert list(description._OF_A_SERVER) == of_a_host


def test_what_goes_when() -> None:
    """A host takes its name with it, the name first; what ended has no role; and with
    the data the bucket goes: backwards, and never the identity.
    """
    assert HOSTING == (StepName.ADDRESS, StepName.HOST)
    assert (*HOSTING, StepName.ROLE) == SERVING
    assert (*SERVING, StepName.BUCKET) == REMOVABLE
    assert going_with(Lasts.EVER) == (*REMOVABLE, StepName.IDENTITY)
