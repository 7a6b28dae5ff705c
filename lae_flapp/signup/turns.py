"""What the journal does at each turn of a signup: whole transactions, no I/O.

The routine runs them through ``journal.write``; the facets call :func:`claimed` and
:func:`self_test_passed` inside their own transaction and then nudge the crew.
"""

from __future__ import annotations

from lae_flapp.journal import (
    bootstraps,
    capacity,
    causes,
    effects,
    events,
    host_furls,
    hosts,
    outbox,
    ports,
    signups,
)
from lae_flapp.journal.errors import StateChanged
from lae_flapp.journal.hosts import HostRow
from lae_flapp.journal.transaction import ReadTx, WriteTx
from lae_flapp.signup.record import Record
from lae_flapp.signup.sights import StepName
from lae_protocol.ids import Generation, SignupId
from lae_provision.doors import Host

WHO = "daemon"
#: The kind of causes that one signup has; their subject begins with its id.
SIGNUP = "signup"
#: An outbox row's occasion is at most so long.
_OCCASION = 40


def claimed(tx: WriteTx, signup_id: SignupId, generation: Generation) -> HostRow:
    """Record that the host has its identity; the same again changes nothing.

    The caller has judged the claim.  Raises
    :class:`~lae_flapp.journal.errors.StateChanged` when the host is not launched for
    certain yet (let it ask again: its launch's reply may still be on the way) or is
    retired.
    """
    known = hosts.get(tx, signup_id, generation)
    if known.state in {"claimed", "ready"}:
        return known
    row = hosts.move(tx, signup_id, generation, {"launched"}, "claimed")
    events.tell(tx, signup_id, "claimed", "host")
    return row


def self_test_passed(
    tx: WriteTx, signup_id: SignupId, generation: Generation
) -> HostRow:
    """Record that a write and a read proved it; the same again changes nothing.

    Raises :class:`~lae_flapp.journal.errors.StateChanged` for a host that is retired:
    its "ready" is turned away.
    """
    known = hosts.get(tx, signup_id, generation)
    if known.state == "ready":
        return known
    row = hosts.move(tx, signup_id, generation, {"claimed"}, "ready")
    events.tell(tx, signup_id, "self-test-passed", "host")
    return row


def ready(tx: WriteTx, record: Record, message_id: str) -> None:
    """Serve from here on: state, event, mail and the furl's death are one commit.

    Raises :class:`~lae_flapp.journal.errors.StateChanged` where the signup is on its
    way back meanwhile, or the host is another.
    """
    signup_id, generation = record.signup.signup_id, record.generation
    host = hosts.get(tx, signup_id, generation)
    if host.state != "ready":
        raise StateChanged(f"host {generation} of {signup_id}", host.state)
    signups.move(tx, signup_id, {"paid"}, "active", kind="ready", who=WHO)
    signups.set_problem(tx, signup_id, None)
    bootstraps.kill(tx, signup_id, generation)
    outbox.put(tx, signup_id, "active", message_id)


def retire(tx: WriteTx, record: Record) -> None:
    """Replace this host: nothing of it may claim or report any more."""
    signup_id, generation = record.signup.signup_id, record.generation
    # A host that only the cloud knows (a restored journal) gets its row first.
    host = record.host or hosts.begin(tx, signup_id)
    hosts.move(tx, signup_id, generation, {host.state}, "retiring")
    _disarm(tx, signup_id, generation)
    delay(tx, signup_id, f"host {generation} did not come and is replaced")


def lose_host(tx: WriteTx, signup_id: SignupId, generation: Generation) -> None:
    """Journal that a served customer's host is gone, and is to be replaced.

    Raises :class:`~lae_flapp.journal.errors.StateChanged` unless the signup is active
    and its host was ready.
    """
    state = signups.get(tx, signup_id).state
    if state != "active":
        raise StateChanged(f"signup {signup_id}", state)
    hosts.move(tx, signup_id, generation, {"ready"}, "retiring")
    _disarm(tx, signup_id, generation)
    events.note(tx, signup_id, "host-lost", WHO, f"generation {generation}")
    delay(tx, signup_id, f"host {generation} is gone and is replaced")


def take_in(tx: WriteTx, host: Host) -> SignupId | None:
    """Give a host its row that only the cloud knows, of a signup that the journal
    knows: an older backup was restored.  Whose it is; None where it is nobody's.
    """
    signup = signups.find(tx, SignupId(host.key.signup_id))
    if signup is None or signup.state not in {"paid", "active", "refunding"}:
        return None
    signup_id, generation = signup.signup_id, Generation(host.key.generation)
    if generation <= hosts.newest(tx, signup_id):
        return None
    hosts.take_in(
        tx,
        signup_id,
        generation,
        host.instance_id,
        host.launch_time,
        retiring=signup.state == "refunding",
    )
    why = f"instance {host.instance_id}, generation {generation}"
    events.note(tx, signup_id, "host-adopted", WHO, why)
    return signup_id


def next_host(tx: WriteTx, record: Record) -> None:
    """Journal that the old host is gone for certain."""
    signup_id, generation = record.signup.signup_id, record.generation
    hosts.move(tx, signup_id, generation, {"retiring"}, "gone")
    _settle_lost_outcomes(tx, record, (StepName.HOST, StepName.ADDRESS))
    events.note(tx, signup_id, "host-gone", WHO, f"generation {generation}")


def give_up(tx: WriteTx, signup_id: SignupId, who: str, why: str) -> None:
    """Move a paid signup onto its one way back.

    Raises :class:`~lae_flapp.journal.errors.StateChanged` unless it is paid and not
    served: "ready" and this exclude each other.
    """
    signups.move(
        tx, signup_id, {"paid"}, "refunding", kind="refunding", who=who, why=why
    )
    host = hosts.live(tx, signup_id)
    if host is not None:
        if host.state != "retiring":
            hosts.move(tx, signup_id, host.generation, {host.state}, "retiring")
        _disarm(tx, signup_id, host.generation)


def close(tx: WriteTx, record: Record) -> None:
    """Journal that nothing is left."""
    signup_id = record.signup.signup_id
    if record.host is not None:
        hosts.move(tx, signup_id, record.generation, {"retiring"}, "gone")
    _settle_lost_outcomes(tx, record, tuple(StepName))
    capacity.release(tx, signup_id)
    ports.free(tx, signup_id)
    signups.set_problem(tx, signup_id, None)
    signups.move(tx, signup_id, {"refunding"}, "refunded", kind="refunded", who=WHO)


def _settle_lost_outcomes(
    tx: WriteTx, record: Record, steps: tuple[StepName, ...]
) -> None:
    """Nothing of these steps is left, so effects whose outcome a death of ours kept
    from the journal have one now: what was to be removed is, what was to be made never
    came.
    """
    names = {step.value for step in steps}
    for effect in effects.of(tx, record.signup.signup_id):
        if effect.state != "begun" or effect.key.step not in names:
            continue
        if effect.key.purpose.startswith("unmake"):
            effects.finish(tx, effect.number, "removed")
        else:
            effects.fail(tx, effect.number, "never seen")


def delay(tx: WriteTx, signup_id: SignupId, problem: str) -> None:
    """Show that something outside makes us wait, once until it goes on again."""
    if signups.get(tx, signup_id).problem is None:
        events.tell(tx, signup_id, "delayed", WHO, problem)
    signups.set_problem(tx, signup_id, problem)


def trouble(
    tx: WriteTx, signup_id: SignupId, cause: str, problem: str, message_id: str
) -> None:
    """Tell an operator, once for each cause; *problem* is a sentence.

    That it is over is told when the signup goes on (:mod:`lae_flapp.signs.watch`); a
    cause that comes again after that is told again.
    """
    signups.set_problem(tx, signup_id, problem)
    subject = f"{signup_id} {cause}"
    # The mails about its end are other ones than this.
    over_id = message_id.replace("<", "<over-", 1)
    if not causes.begin(tx, SIGNUP, subject, problem, lambda: over_id, told=True):
        return
    occasion = cause[:_OCCASION]
    if _told(tx, signup_id, occasion):
        occasion = message_id.strip("<>")[:_OCCASION]
    events.tell(tx, signup_id, "troubled", WHO, problem)
    outbox.put(tx, signup_id, "troubled", message_id, occasion)


def go_on(tx: WriteTx, signup_id: SignupId) -> None:
    """Journal that nothing is in the way any more."""
    signups.set_problem(tx, signup_id, None)


def _told(tx: ReadTx, signup_id: SignupId, occasion: str) -> bool:
    mails = outbox.of(tx, signup_id)
    return any(m.kind == "troubled" and m.occasion == occasion for m in mails)


def _disarm(tx: WriteTx, signup_id: SignupId, generation: Generation) -> None:
    bootstraps.kill(tx, signup_id, generation)
    host_furls.revoke(tx, signup_id, generation)
