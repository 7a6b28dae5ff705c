"""What a rollout, its hosts, and what is next in it, are.  Values alone."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Literal

from attrs import define

State = Literal["going", "paused", "going-back", "finished", "gone-back"]
#: What became of a host in a rollout.
HostOutcome = Literal[
    "told",  # it is told the new program at each report
    "proved",  # it runs it, and serves
    "back",  # it is told the program of before
    "returned",  # it runs that, and serves
    "stuck",  # it did not say in time that it does
    "left",  # this host is not there any more
]

#: What a host says of a program that it does not run, in words for operators.
TROUBLES: Mapping[str, str] = {
    "other-repository": "it is told a program of another repository than its own",
    "below-floor": "the program's release is older than one that was finished",
    "cannot-pull": "it cannot pull the program",
    "not-signed": "the program is not signed by a key that the host knows",
    "did-not-start": "the program did not start; the host went back by itself",
}

#: Troubles that a host tries again by itself.
PASSING = frozenset({"cannot-pull", "not-signed"})


@define(frozen=True)
class RolloutBounds:
    """How long a host may take, and how many may fail."""

    #: Until a host that was told a program says that it runs it.
    come: timedelta = timedelta(minutes=15)
    #: Until a host that runs it has passed its self-test and says no problem, and
    #: until one that could not pull it has.
    settle: timedelta = timedelta(minutes=3)
    #: A host that has not reported for so long is silent.
    silent: timedelta = timedelta(minutes=15)
    #: A share of the hosts that were told; of the canaries none may fail.
    tolerated: float = 0.02
    #: Hosts of each step at which a client tries; it tries at every canary.
    clients: int = 3


@define(frozen=True)
class Rollout:
    """The rollout: *step* is in percent of all hosts, *pause* between two steps."""

    number: int
    image: str
    state: State
    canaries: int
    step: int
    pause: timedelta


@define(frozen=True)
class ToldHost:
    """What became of a host in this rollout.

    It ran *before*; *since* then its outcome is what it is.  *heard_at* is when the
    host was first answered so, *came_at* when it first said that it runs the new
    program.  *what* went wrong, where something did.
    """

    step: int
    outcome: HostOutcome
    before: str
    since: datetime
    heard_at: datetime | None = None
    came_at: datetime | None = None
    what: str | None = None


@define(frozen=True)
class HostSeen:
    """A host of a customer, by its last report.

    *alive*: it is the customer's host still; *wanted*: the customer still has one;
    *writes*: they may write.  *trouble* is what it says of this rollout's program.
    """

    signup_id: str
    generation: int
    zone: str
    alive: bool
    wanted: bool
    writes: bool
    program: str
    ready: bool
    problem: str | None
    trouble: str
    heard: datetime | None
    told: ToldHost | None = None


@define(frozen=True)
class RolloutSeen:
    """One look at all of it; nobody was heard before the daemon was *up*."""

    rollout: Rollout
    hosts: tuple[HostSeen, ...]
    now: datetime
    up: datetime

    def waited(self, moment: datetime | None) -> timedelta:
        """For how long since then it could have been heard that something happened."""
        return self.now - (self.up if moment is None else max(moment, self.up))


@define(frozen=True)
class TellHost:
    """TellHost this host the new program from now on."""

    signup_id: str
    generation: int
    step: int
    before: str


@define(frozen=True)
class TryClient:
    """Have a client write, read and delete at this host."""

    signup_id: str
    generation: int


@define(frozen=True)
class MarkHost:
    """So it is with this host of the rollout from now on."""

    signup_id: str
    generation: int
    outcome: HostOutcome
    what: str | None = None


@define(frozen=True)
class MoveRollout:
    """So it is with the rollout from now on; hosts that were told the new program are
    told the one before when it goes back.
    """

    state: State
    why: str


Action = TellHost | TryClient | MarkHost | MoveRollout
