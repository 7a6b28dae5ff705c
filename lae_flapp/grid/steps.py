"""The steps of the full-signup routine, in their order.

====  =============  ==========================  =====================================
No.   step           durable before it goes on   if the daemon dies in it
====  =============  ==========================  =====================================
1.    identity       sealed keys in the journal  the same bytes are put into the vault
                     and in the vault            again (If-None-Match): the same furl
2.    bucket         its effect's outcome        made again under its own name, with
                                                 all its settings
3.    role           its effect's outcome        made again under its own name
3.    role, when     an effect of its own: what  made again: its policy is replaced by
      its right      it may do now, in the       what the signup's state allows
      changes        outcome
4.    host           the launch's effect, whole  found by its tags; or the same bytes
                     and sealed, then the        are sent with the same token; a
                     instance's id               launch that failed for good ends its
                                                 generation, which had one token
5.    address        its effect's outcome        made again under its own name
6.    claimed        the host facet's row        the host asks again
7.    self-test      the host facet's row        the host reports again
8.    mail           "active", the event and     nothing of it happened, or all of it:
                     the outbox row, in one      one transaction
                     transaction
====  =============  ==========================  =====================================

Each of 1 to 5 is made outside (:mod:`.makers`).  6 and 7 are other people's turns, and
8 is :func:`lae_flapp.grid.moves.ready`.  Backwards the same list is walked, as far as
what is over reaches; a sealed identity stays.

All that is said of a step stands in :data:`STEPS`: what is removed when, which effects
are one host's, the crash points, the events that customers see and operators measure.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum, IntEnum

from attrs import define


class StepName(Enum):
    """The steps, in their order."""

    IDENTITY = "identity"
    BUCKET = "bucket"
    ROLE = "role"
    HOST = "host"
    ADDRESS = "address"
    CLAIMED = "claimed"
    SELF_TEST = "self-test"
    MAIL = "mail"


class Lasts(IntEnum):
    """How long what a step did lasts.  Who goes back so far undoes the shorter, too.

    A host cannot be made again, so it is replaced by that of the next generation; all
    else has a name of the grid's own, under which it is made again.
    """

    HOST = 1  # as long as the host itself
    HOSTING = 2  # until the host is replaced or ended
    SUBSCRIPTION = 3  # until the subscription is over
    DATA = 4  # until the time of the data is over
    EVER = 5


@define(frozen=True)
class StepFacts:
    """What is true of one step; *tells* is the event that it is done.

    *outside* says whether it is made by a request to somebody else, with a row in the
    journal's effects, and is removed in the same way.
    """

    lasts: Lasts
    tells: str
    outside: bool = True


STEPS: Mapping[StepName, StepFacts] = {
    StepName.IDENTITY: StepFacts(Lasts.EVER, "identity-sealed"),
    StepName.BUCKET: StepFacts(Lasts.DATA, "bucket-ready"),
    StepName.ROLE: StepFacts(Lasts.SUBSCRIPTION, "role-ready"),
    StepName.HOST: StepFacts(Lasts.HOST, "instance-launched"),
    StepName.ADDRESS: StepFacts(Lasts.HOSTING, "address-ready"),
    StepName.CLAIMED: StepFacts(Lasts.HOST, "claimed", outside=False),
    StepName.SELF_TEST: StepFacts(Lasts.HOST, "self-test-passed", outside=False),
    StepName.MAIL: StepFacts(Lasts.EVER, "ready", outside=False),
}


def going_with(over: Lasts) -> tuple[StepName, ...]:
    """What is removed outside when this is over, in the order in which it goes."""
    return tuple(
        step
        for step in reversed(StepName)
        if STEPS[step].outside and STEPS[step].lasts <= over
    )


#: What is made outside, in its order.
MADE = tuple(step for step in StepName if STEPS[step].outside)
#: What goes with a host, replaced or ended: first the record, so that no name leads to
#: an address that the cloud may give to somebody else.
HOSTING = going_with(Lasts.HOSTING)
#: What goes when a subscription ends; the data stays.
SERVING = going_with(Lasts.SUBSCRIPTION)
#: All that can be removed; a sealed identity is kept.
REMOVABLE = going_with(Lasts.DATA)
