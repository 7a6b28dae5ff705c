"""How a signup moves from state to state: whole transactions, no I/O.

The routine runs them through ``journal.write``; the facets call :func:`claimed` and
:func:`self_test_passed` inside their own transaction.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Literal

from lae_flapp.grid.record import Record
from lae_flapp.grid.requests import resource_name
from lae_flapp.grid.steps import HOSTING, SERVING, StepName
from lae_flapp.journal import (
    causes,
    effects,
    events,
    hosts,
    identities,
    lifecycles,
    outbox,
    ports,
    receipts,
    signups,
    usage,
)
from lae_flapp.journal.errors import StateChanged
from lae_flapp.journal.hosts import HostRow
from lae_flapp.journal.transaction import ReadTx, WriteTx
from lae_protocol.ids import Generation, SignupId
from lae_protocol.messages import SignupState
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


def ready(tx: WriteTx, record: Record) -> None:
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
    # Who comes back is told again, with the same furl.
    again = record.lifecycle.kept_until is not None
    occasion = f"again-{generation}" if again else ""
    outbox.put(tx, signup_id, "active", occasion)


def retire(tx: WriteTx, record: Record) -> None:
    """Replace this host: nothing of it may claim or report any more."""
    signup_id, generation = record.signup.signup_id, record.generation
    # A host that only the cloud knows (a restored journal) gets its row first.
    host = record.host or hosts.begin(tx, signup_id)
    hosts.move(tx, signup_id, generation, {host.state}, "retiring")
    delay(tx, signup_id, f"host {generation} did not come and is replaced")


def lose_host(tx: WriteTx, signup_id: SignupId, generation: Generation) -> None:
    """Journal that a served customer's host is gone, and is to be replaced.

    Raises :class:`~lae_flapp.journal.errors.StateChanged` unless the signup is served
    and its host was ready.
    """
    _retire_served(tx, signup_id, generation)
    events.note(tx, signup_id, "host-lost", WHO, f"generation {generation}")
    delay(tx, signup_id, f"host {generation} is gone and is replaced")


def lose_address(
    tx: WriteTx, signup_id: SignupId, generation: Generation, known: str, why: str
) -> None:
    """Journal that the name of a served customer's host, which led to the address
    *known*, leads elsewhere than to the host: it is to be led there.

    Raises :class:`~lae_flapp.journal.errors.StateChanged` where that is over.
    """
    host = hosts.get(tx, signup_id, generation)
    if host.state != "ready" or host.address != known:
        raise StateChanged(f"host {generation} of {signup_id}", host.state)
    hosts.set_address(tx, signup_id, generation, None)
    events.note(tx, signup_id, "address-changed", WHO, why)


def replace_host(
    tx: WriteTx, signup_id: SignupId, generation: Generation, who: str, why: str
) -> None:
    """Journal that a served customer's host is to be replaced, though it is there.

    Raises as :func:`lose_host`.
    """
    _retire_served(tx, signup_id, generation)
    events.note(tx, signup_id, "host-replaced", who, why)
    delay(tx, signup_id, f"host {generation} is replaced, as {who} asked")


def _retire_served(tx: WriteTx, signup_id: SignupId, generation: Generation) -> None:
    state = signups.get(tx, signup_id).state
    if state not in {"active", "past-due", "suspended"}:
        raise StateChanged(f"signup {signup_id}", state)
    hosts.move(tx, signup_id, generation, {"ready"}, "retiring")


def take_in(tx: WriteTx, host: Host) -> SignupId | None:
    """Give a host its row that only the cloud knows, of a signup that the journal
    knows: an older backup was restored.  Whose it is; None where it is nobody's.
    """
    signup = signups.find(tx, SignupId(host.key.signup_id))
    if signup is None or signup.state not in {*signups.SUBSCRIBED, "refunding"}:
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
        retiring=signup.state in {"refunding", "stopped"},
    )
    why = f"instance {host.instance_id}, generation {generation}"
    events.note(tx, signup_id, "host-adopted", WHO, why)
    return signup_id


def next_host(tx: WriteTx, record: Record) -> None:
    """Journal that the old host is gone for certain."""
    signup_id, generation = record.signup.signup_id, record.generation
    hosts.move(tx, signup_id, generation, {"retiring"}, "gone")
    _settle_lost_outcomes(tx, record, HOSTING)
    events.note(tx, signup_id, "host-gone", WHO, f"generation {generation}")


def give_up(
    tx: WriteTx,
    signup_id: SignupId,
    who: str,
    why: str,
    told: Literal["refunding", "withdrawn"] = "refunding",
) -> None:
    """Move a paid signup onto its one way back; *told* says whether we failed, or it
    was wished.

    Raises :class:`~lae_flapp.journal.errors.StateChanged` unless it is paid and not
    served: "ready" and this exclude each other.
    """
    signups.move(tx, signup_id, {"paid"}, "refunding", kind=told, who=who, why=why)
    retire_live_host(tx, signup_id)


def retire_live_host(tx: WriteTx, signup_id: SignupId) -> None:
    """Whatever host there is is on its way out, and its furls are dead."""
    host = hosts.live(tx, signup_id)
    if host is not None and host.state != "retiring":
        hosts.move(tx, signup_id, host.generation, {host.state}, "retiring")


def close(tx: WriteTx, record: Record) -> None:
    """Journal that nothing is left of what had to go.

    Raises :class:`~lae_flapp.journal.errors.StateChanged` where nothing was to go.
    """
    signup_id, state = record.signup.signup_id, record.signup.state
    if record.host is not None:
        hosts.move(tx, signup_id, record.generation, {"retiring"}, "gone")
    signups.set_problem(tx, signup_id, None)
    match state:
        case "refunding" if record.lifecycle.kept_until is not None:
            # A former customer whom we could not serve: the data is kept anew.
            span = timedelta(seconds=record.signup.agreement.plan.data_kept)
            lifecycles.change(tx, signup_id, kept_until=tx.now + span, wish="end")
            _close_serving(tx, record, "refunding")
        case "refunding":
            _release_all(tx, record)
            signups.move(tx, signup_id, {state}, "refunded", kind="refunded", who=WHO)
        case "ending":
            _close_serving(tx, record, "ending")
        case "deleting":
            _release_all(tx, record)
            _receipt(tx, record)
            identities.erase(tx, signup_id)
            signups.move(tx, signup_id, {state}, "deleted", kind="deleted", who=WHO)
            outbox.put(tx, signup_id, "deleted")
        case _:
            raise StateChanged(f"signup {signup_id}", state)


def _close_serving(tx: WriteTx, record: Record, frm: SignupState) -> None:
    """Nothing serves any more; the bucket, its place and the ports stay."""
    _settle_lost_outcomes(tx, record, SERVING)
    signup_id = record.signup.signup_id
    signups.move(tx, signup_id, {frm}, "ended", kind="ended", who=WHO)


def _release_all(tx: WriteTx, record: Record) -> None:
    signup_id = record.signup.signup_id
    _settle_lost_outcomes(tx, record, tuple(StepName))
    ports.free(tx, signup_id)


def _receipt(tx: WriteTx, record: Record) -> None:
    signup, life = record.signup, record.lifecycle
    assert life.ended_at is not None
    assert life.kept_until is not None
    report = usage.read_report(hosts.last_report(tx, signup.signup_id))
    decided = [e for e in events.since(tx, signup.signup_id, 0) if e.kind == "deleting"]
    receipts.put(
        tx,
        signup.signup_id,
        resource_name(signup),
        ended_at=life.ended_at,
        kept_until=life.kept_until,
        used=None if report is None else (report.used_bytes, report.share_count),
        why=(decided[-1].why if decided else None) or "asked for",
    )


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


def trouble(tx: WriteTx, signup_id: SignupId, cause: str, problem: str) -> None:
    """Tell an operator, once for each cause; *problem* is a sentence.

    That it is over is told when the signup goes on (:mod:`lae_flapp.signs.watch`); a
    cause that comes again after that is told again.
    """
    signups.set_problem(tx, signup_id, problem)
    subject = f"{signup_id} {cause}"
    if not causes.begin(tx, SIGNUP, subject, problem, told=True):
        return
    occasion = cause[:_OCCASION]
    if _told(tx, signup_id, occasion):
        occasion = f"again-{events.last_number(tx, signup_id)}"
    events.tell(tx, signup_id, "troubled", WHO, problem)
    outbox.put(tx, signup_id, "troubled", occasion)


def go_on(tx: WriteTx, signup_id: SignupId) -> None:
    """Journal that nothing is in the way any more."""
    signups.set_problem(tx, signup_id, None)


def _told(tx: ReadTx, signup_id: SignupId, occasion: str) -> bool:
    mails = outbox.of(tx, signup_id)
    return any(m.kind == "troubled" and m.occasion == occasion for m in mails)
