"""All that the journal knows of one signup, and what that means for the plan.

Reading is one transaction; what follows from it is pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from attrs import define, evolve

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
from lae_flapp.grid.limits import Limits
from lae_flapp.grid.requests import IDENTITY_GENERATION, may_write
from lae_flapp.grid.sights import (
    Absent,
    Awaited,
    Failed,
    Glance,
    Made,
    NotAsked,
    Open,
    Present,
    Sight,
    Sights,
    There,
    Written,
    sight_of,
)
from lae_flapp.grid.steps import HOSTING, StepName
from lae_flapp.journal import (
    effects,
    events,
    hosts,
    identities,
    lifecycles,
    sessions,
    signups,
    switches,
)
from lae_flapp.journal.effects import NO_HOST, Effect, EffectKey
from lae_flapp.journal.hosts import HostRow
from lae_flapp.journal.identities import Identity
from lae_flapp.journal.lifecycles import Lifecycle
from lae_flapp.journal.sessions import Session
from lae_flapp.journal.signups import Signup
from lae_flapp.journal.transaction import ReadTx
from lae_protocol.ids import Generation, SignupId
from lae_provision.doors import Role

LAUNCH = "make-host"
#: The purpose of a refund that ends nothing: its customer is served on.
GOODWILL = "goodwill"
#: The end of an outcome: the role that was made may only read.
READ_ONLY = " (may only read)"


@define(frozen=True)
class Record:
    """One signup.  *generation* is the live host's, or the next one's."""

    signup: Signup
    generation: Generation
    host: HostRow | None
    identity: Identity | None
    effects: tuple[Effect, ...]
    sessions: tuple[Session, ...]
    lifecycle: Lifecycle
    proved_at: datetime | None
    launches_paused: str | None
    deletions_paused: str | None

    def key(self, step: StepName, verb: str) -> EffectKey:
        """Name the effects of *verb* (make, unmake) on a step."""
        # What goes with the hosting is one host's, and not the customer's grid's.
        generation = self.generation if step in HOSTING else NO_HOST
        purpose = f"{verb}-{step.value}"
        return EffectKey(self.signup.signup_id, step.value, purpose, generation)

    def last(self, step: StepName, verb: str) -> Effect | None:
        """The newest attempt."""
        key = self.key(step, verb)
        matching = [effect for effect in self.effects if effect.key == key]
        return matching[-1] if matching else None

    def launched(self) -> int:
        """How many hosts were launched since one proved itself, as far as is known."""
        launches = [e for e in self.effects if e.key.purpose == LAUNCH]
        return len([e for e in launches if e.state == "done" and self._since(e)])

    def _since(self, launch: Effect) -> bool:
        return self.proved_at is None or launch.begun_at > self.proved_at

    def has_its_right(self) -> bool:
        """Whether the role, as it was made last, may do what the signup's state says;
        of a role that this journal never made there is nothing to change.
        """
        made = self.last(StepName.ROLE, "make")
        if made is None:
            return True
        writes = not (made.outcome or "").endswith(READ_ONLY)
        return made.state == "done" and writes == may_write(self.signup.state)

    def kept(self) -> Session | None:
        """The session whose payment is kept."""
        paid = self.signup.payment
        here = (s for s in self.sessions if paid and s.session_id == paid.session)
        return next(here, None)

    def owed(self) -> tuple[str, ...]:
        """Payments that must go back."""
        return tuple(
            s.session_id for s in self.sessions if s.state == "paid" and not s.kept
        )

    def is_granted(self) -> bool:
        """Whether an operator gives money back, and that has no outcome yet."""
        return any(
            e.state == "begun" and e.key.purpose == GOODWILL for e in self.effects
        )


def read(tx: ReadTx, signup_id: SignupId) -> Record:
    """Read it whole; raises :class:`~lae_flapp.journal.errors.Unknown`."""
    done = effects.of(tx, signup_id)
    host = hosts.live(tx, signup_id)
    upcoming = hosts.next_generation(tx, signup_id)
    generation = upcoming if host is None else host.generation
    launches = switches.paused(tx, "launches")
    deletions = switches.paused(tx, "deletions")
    return Record(
        signup=signups.get(tx, signup_id),
        generation=generation,
        host=host,
        identity=identities.find(tx, signup_id, Generation(IDENTITY_GENERATION)),
        effects=done,
        sessions=sessions.of(tx, signup_id),
        lifecycle=lifecycles.get(tx, signup_id),
        proved_at=events.last_at(tx, signup_id, "self-test-passed"),
        launches_paused=launches.why if launches else None,
        deletions_paused=deletions.why if deletions else None,
    )


def goal_of(  # noqa: C901, PLR0911  (one line per state: the table)
    record: Record,
) -> Goal:
    """What the routine is to bring about for a signup as it stands."""
    generation, host = record.generation, record.host
    match record.signup.state:
        case "registered" | "paying" | "expired":
            return Rest()
        case "paid" | "active" | "past-due" | "suspended" if (
            host is not None and host.state == "retiring"
        ):
            return Replace(generation)
        case "active" | "past-due" | "suspended" if (
            host is not None and host.state == "ready"
        ):
            if not record.has_its_right():
                return Permit()
            return Rest() if host.address is not None else Lead()
        case "paid" | "active" | "past-due" | "suspended":
            # Of a served customer: the host was lost or ended, and the next is built.
            return Serve(generation)
        case "stopped" | "ending" if host is not None and not record.has_its_right():
            # Before its host is gone, which may take a while.
            return Permit()
        case "stopped":
            return Rest() if host is None else Stop(generation)
        case "ending":
            return End()
        case "deleting":
            return Erase()
        case "refunding":
            kept = record.kept()
            money_back = kept is None or kept.state == "refunded"
            return Withdraw(money_back, data=record.lifecycle.kept_until is not None)
        case "ended" | "refunded" | "cancelled" | "deleted":
            return Rest()


def written_of(record: Record, step: StepName) -> Written:
    """What the journal says of a step that has effects outside."""
    made, unmade = record.last(step, "make"), record.last(step, "unmake")
    if made is None:
        return NotAsked()
    if unmade is not None and unmade.state == "done" and unmade.number > made.number:
        return NotAsked()
    at = made.changed_at.timestamp()
    match made.state:
        case "begun":
            return Open(at)
        case "done":
            return Made(at)
        case "failed":
            return Failed(at)


def sights_of(
    record: Record,
    glances: Mapping[StepName, Glance],
    sent: Mapping[StepName, float],
    now: float,
    limits: Limits,
) -> Sights:
    """Take the journal and all looks together."""
    inside: dict[StepName, Sight] = {
        StepName.CLAIMED: _claim(record),
        StepName.SELF_TEST: _self_test(record, limits),
        StepName.MAIL: Absent() if record.signup.state == "paid" else Present(),
    }

    def _glance(step: StepName) -> Glance | None:
        glance = glances.get(step)
        if step is StepName.ROLE and glance is not None:
            return _judged(glance, writes=may_write(record.signup.state))
        return glance

    seen = tuple(
        (
            step,
            inside.get(step)
            or sight_of(written_of(record, step), _glance(step), sent[step]),
        )
        for step in StepName
    )
    life = record.lifecycle
    return Sights(
        now,
        seen,
        record.owed(),
        granted=record.is_granted(),
        untold=life.wish != life.told,
    )


def _judged(glance: Glance, *, writes: bool) -> Glance:
    """A role that may do more, or less, than it should is not as it should be."""
    role = glance.what
    if isinstance(role, Role) and role.writes != writes:
        return evolve(glance, there=There.BROKEN)
    return glance


def _claim(record: Record) -> Sight:
    match record.host:
        case None | HostRow(state="wanted"):
            return Absent()
        case HostRow(state="claimed" | "ready"):
            return Present()
        case HostRow(bootstrap_until=until):
            return Awaited(0.0 if until is None else until.timestamp())


def _self_test(record: Record, limits: Limits) -> Sight:
    match record.host:
        case HostRow(state="ready"):
            return Present()
        case HostRow(state="claimed", changed_at=claimed_at):
            return Awaited(claimed_at.timestamp() + limits.self_test)
        case _:
            return Absent()
