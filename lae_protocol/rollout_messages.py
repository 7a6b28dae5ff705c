"""What operators say of rollouts, and what the daemon answers."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar, Literal

from attrs import define

from lae_protocol.ids import SignupId
from lae_protocol.question import KB, Question

RolloutWay = Literal["pause", "resume", "back"]


@define(frozen=True)
class OutcomeCount:
    """So many hosts of the rollout are so."""

    outcome: str
    hosts: int


@define(frozen=True)
class RolloutTrouble:
    """What went wrong with one host."""

    signup_id: SignupId
    outcome: str
    what: str


@define(frozen=True)
class RolloutLine:
    """A rollout: *release* is the program's number, 0 until a host has told it.

    *who* moved it last, and *why*; *left* hosts can be told it still, *unfit* ones
    cannot now, since they say a problem, or nothing, or not what they run.  *waits*
    says what it waits for.
    """

    number: int
    image: str
    release: int
    state: str
    canaries: int
    step: int
    pause: int
    who: str
    why: str
    begun_at: datetime
    changed_at: datetime
    outcomes: tuple[OutcomeCount, ...]
    left: int
    unfit: int
    waits: str
    troubles: tuple[RolloutTrouble, ...]


@define(frozen=True)
class RunningLine:
    """So many hosts run this; empty: they do not say what."""

    image: str
    hosts: int


@define(frozen=True)
class RolloutState:
    """The newest rollout; what new hosts are launched with (empty: a command of the
    settings'), the floor of releases, and what hosts run.
    """

    rollout: RolloutLine | None
    launched: str
    floor: int
    running: tuple[RunningLine, ...]


@define(frozen=True)
class AskRollout(Question[RolloutState]):
    """How the newest rollout is, and what hosts run."""

    LARGEST_ANSWER: ClassVar[int] = 256 * KB


@define(frozen=True)
class StartRollout(Question[RolloutState]):
    """Bring *image* (``sha256:…``, or the whole reference) to every host: to so many
    *canaries*, then in steps of so many percent, with so many seconds of *pause* before
    each.
    """

    LARGEST: ClassVar[int] = 8 * KB
    LARGEST_ANSWER: ClassVar[int] = 256 * KB

    image: str
    canaries: int
    step: int
    pause: int
    why: str


@define(frozen=True)
class SteerRollout(Question[RolloutState]):
    """Pause the rollout of this number, let it go on, or take it back."""

    LARGEST: ClassVar[int] = 8 * KB
    LARGEST_ANSWER: ClassVar[int] = 256 * KB

    number: int
    way: RolloutWay
    why: str
