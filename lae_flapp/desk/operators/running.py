"""The deployment as a whole: switches, people, health, and the journal's keeping."""

from __future__ import annotations

import re
from collections.abc import Callable

from attrs import evolve

from lae_flapp.desk.operators import resealing
from lae_flapp.desk.operators.asked import Asker, line_of, reason
from lae_flapp.desk.operators.rights import OPEN_FOR
from lae_flapp.journal import (
    causes,
    events,
    inbox,
    operators,
    outbox,
    signups,
    switches,
)
from lae_flapp.journal.errors import JournalError
from lae_flapp.journal.transaction import ReadTx, WriteTx
from lae_protocol.furl import facet_kind
from lae_protocol.looking_messages import AskHealth, Health
from lae_protocol.messages import Refused
from lae_protocol.messages import SignupState as State
from lae_protocol.operator_messages import (
    AskSwitches,
    BackUp,
    BackupState,
    Pause,
    PauseLine,
    Reseal,
    Resealed,
    Resume,
    Switches,
)
from lae_protocol.people_messages import (
    Accepted,
    AddOperator,
    AskOperators,
    Invited,
    Opened,
    OperatorLine,
    Operators,
    RenewFurl,
    RevokeOperator,
    ShowSecondFurl,
)
from lae_protocol.process.answer import Refusal
from lae_protocol.secret import Secret

#: Unserved: paid, and nobody has their storage yet.
_UNSERVED: frozenset[State] = frozenset({"paid"})
#: It stands in every event, in logs and in tables.
OPERATOR_NAME = re.compile(r"[a-z][a-z0-9._-]{0,39}")
BACKUP_NAME = re.compile(r"[a-z0-9][A-Za-z0-9.-]{0,60}")


async def health(by: Asker, _: AskHealth) -> Health:
    """How the daemon is."""
    desk, process = by.desk, by.desk.process

    def now(tx: ReadTx) -> Health:
        waiting = signups.in_states(tx, _UNSERVED)
        oldest = min((s.changed_at for s in waiting), default=None)
        closed = process.closed_because()
        return Health(
            environment=process.environment,
            release=process.release,
            started_at=process.started_at,
            epoch=desk.journal.epoch,
            signups_open=closed is None and switches.paused(tx, "signups") is None,
            canary_opened=process.canary_opened(),
            oldest_unserved_seconds=None
            if oldest is None
            else int((tx.now - oldest).total_seconds()),
            inbox_waiting=inbox.waiting(tx),
            outbox_waiting=outbox.waiting(tx),
            closed_because=closed,
            needs=process.needs(causes.lasting(tx)),
        )

    return await by.read(now)


async def show_switches(by: Asker, _: AskSwitches) -> Switches:
    """What is paused."""
    return await by.read(_switches)


async def pause(by: Asker, asked: Pause) -> Switches:
    """Pause one thing."""
    why = reason(asked.why)

    def paused(tx: WriteTx, who: str) -> Switches:
        switches.pause(tx, asked.name, who, why)
        return _switches(tx)

    return await by.write(paused)


async def resume(by: Asker, asked: Resume) -> Switches:
    """Let one thing go on, at once."""

    def resumed(tx: WriteTx, who: str) -> Switches:
        if switches.resume(tx, asked.name, who) and asked.name == "mails":
            outbox.hurry_all(tx)
        return _switches(tx)

    return await by.write(resumed)


async def list_operators(by: Asker, _: AskOperators) -> Operators:
    """Everybody who has or had a furl."""

    def people(tx: ReadTx) -> Operators:
        me = by.name(tx)
        return Operators(
            tuple(
                line_of(OperatorLine, one, you=one.name == me)
                for one in operators.every(tx)
            )
        )

    return await by.read(people)


async def add_operator(by: Asker, asked: AddOperator) -> Invited | Refused:
    """A furl for one more person."""
    if not OPERATOR_NAME.fullmatch(asked.name):
        await by.who()
        said = "a name is 1 to 40 small letters, digits, dots, dashes, underscores"
        return Refused("malformed", said)
    furl = by.desk.new_furl()

    def added(tx: WriteTx, who: str) -> Invited:
        if any(one.name == asked.name for one in operators.every(tx)):
            said = f"There is, or was, an operator {asked.name}: take another name."
            raise Refusal(Refused("changed", said))
        operators.add(tx, asked.name, Secret(furl.swissnum), who)
        return Invited(asked.name, furl.reveal())

    return await by.write(added)


async def renew_furl(by: Asker, asked: RenewFurl) -> Invited | Refused:
    """Another furl for the same person; the one before is refused at the next call."""
    swissnum = asked.swissnum
    if facet_kind(swissnum.reveal()) != "o":
        await by.who()
        return Refused("malformed", "this is no name of an operator's furl")
    furl = evolve(by.desk.new_furl(), swissnum=swissnum.reveal())

    def renewed(tx: WriteTx, who: str) -> Invited:
        if asked.name == operators.FIRST:
            said = (
                f"The furl of {operators.FIRST} is operator.furl in the daemon's"
                " folder: remove that file and restart the daemon, which makes another."
            )
            raise Refusal(Refused("not-now", said))
        operators.renew(tx, asked.name, swissnum, who)
        return Invited(asked.name, furl.reveal())

    return await by.write(renewed)


async def revoke_operator(by: Asker, asked: RevokeOperator) -> Accepted:
    """End one person's furl; the last one who has one cannot be revoked."""

    def revoked(tx: WriteTx, who: str) -> Accepted:
        alive = {o.name for o in operators.every(tx) if o.revoked_at is None}
        if alive == {asked.name}:
            said = "This is the last operator: add another one first."
            raise Refusal(Refused("not-now", said))
        operators.revoke(tx, asked.name, who)
        return Accepted()

    return await by.write(revoked)


async def show_second_furl(by: Asker, asked: ShowSecondFurl) -> Opened:
    """Open deletions and refunds to this person for a while; it is an event."""
    name = await by.desk.journal.read(by.name)
    try:
        by.desk.rights.open(name, asked.swissnum)
    except Refusal:
        await by.write(_note_second_furl("second-furl-refused"))
        raise
    await by.write(_note_second_furl("second-furl-shown"))
    return Opened(int(OPEN_FOR))


def _note_second_furl(kind: str) -> Callable[[WriteTx, str], None]:
    def noted(tx: WriteTx, who: str) -> None:
        events.note(tx, None, kind, who)

    return noted


async def back_up(by: Asker, asked: BackUp) -> BackupState | Refused:
    """Begin to copy the journal, or tell how far the copy of this name is."""
    await by.who()
    if not BACKUP_NAME.fullmatch(asked.name):
        return Refused("malformed", "the name of the copy")
    try:
        return by.desk.back_up(asked.name)
    except JournalError as e:
        return Refused("not-now", f"The journal cannot be copied: {e}")


async def reseal(by: Asker, asked: Reseal) -> Resealed:
    """Seal a batch of rows anew, under the newest key."""
    sealer = by.desk.shop.sealer

    def batch(tx: WriteTx, who: str) -> Resealed:
        return resealing.batch(tx, sealer, asked.cursor, asked.limit, who)

    return await by.write(batch)


def _switches(tx: ReadTx) -> Switches:
    return Switches(tuple(line_of(PauseLine, p) for p in switches.every(tx)))
