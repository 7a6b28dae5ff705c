"""What failed, how often, since when, and in which words an operator is told of it."""

from __future__ import annotations

from attrs import define

from lae_flapp.grid.plan import Action
from lae_flapp.grid.steps import StepName
from lae_provision.errors import ProvisionError


@define
class Failing:
    """A run of failures: since when, and how many."""

    since: float
    count: int = 0


def subject_of(action: Action) -> str:
    """What an operator is told about: the step, or the payment."""
    step = getattr(action, "step", None)
    return step.value if isinstance(step, StepName) else type(action).__name__.lower()


def code_of(error: Exception) -> str:
    """What kind of failure it is: the cloud's code, or the exception's name."""
    return error.code if isinstance(error, ProvisionError) else type(error).__name__
