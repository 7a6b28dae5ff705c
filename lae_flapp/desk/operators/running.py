"""The deployment as a whole: switches, people, health, and the journal's keeping."""

from __future__ import annotations

import re
from typing import Any

from lae_flapp.desk.operators import resealing
from lae_flapp.desk.operators.asked import Asked
from lae_flapp.desk.operators.helping import reason
from lae_flapp.journal import inbox, operators, outbox, signups, switches
from lae_flapp.journal.errors import JournalError
from lae_flapp.journal.transaction import ReadTx, WriteTx
from lae_protocol.looking_messages import AskHealth, Health, HealthAnswer
from lae_protocol.messages import VERSION, Refused
from lae_protocol.messages import SignupState as State
from lae_protocol.operator_messages import (
    Accepted,
    AcceptedAnswer,
    AskOperators,
    AskSwitches,
    BackUp,
    BackupAnswer,
    Invited,
    InvitedAnswer,
    OperatorLine,
    OperatorNamed,
    Operators,
    OperatorsAnswer,
    Pause,
    PauseLine,
    Reseal,
    ResealAnswer,
    Resume,
    Switches,
    SwitchesAnswer,
)
from lae_protocol.process.answer import Refusal, answers

#: Unserved: paid, and nobody has their storage yet.
_UNSERVED: frozenset[State] = frozenset({"paid"})
#: It stands in every event, in logs and in tables.
OPERATOR_NAME = re.compile(r"[a-z][a-z0-9._-]{0,39}")
BACKUP_NAME = re.compile(r"[a-z0-9][A-Za-z0-9.-]{0,60}")


class Running(Asked):
    """See the module."""

    @answers(VERSION, AskHealth, HealthAnswer)
    async def remote_health(self, asked: AskHealth, request_id: str) -> Any:
        """How the daemon is."""
        del asked, request_id
        desk, process = self._desk, self._desk.process

        def health(tx: ReadTx) -> Health:
            waiting = signups.in_states(tx, _UNSERVED)
            oldest = min((s.changed_at for s in waiting), default=None)
            return Health(
                environment=process.environment,
                release=process.release,
                started_at=process.started_at,
                epoch=desk.journal.epoch,
                signups_open=process.closed_because() is None
                and switches.paused(tx, "signups") is None,
                canary_opened=process.canary_opened(),
                oldest_unserved_seconds=None
                if oldest is None
                else int((tx.now - oldest).total_seconds()),
                inbox_waiting=inbox.waiting(tx),
                outbox_waiting=outbox.waiting(tx),
            )

        return await self._read(health)

    @answers(VERSION, AskSwitches, SwitchesAnswer)
    async def remote_switches(self, asked: AskSwitches, request_id: str) -> Any:
        """What is paused."""
        del asked, request_id
        return await self._read(_switches)

    @answers(VERSION, Pause, SwitchesAnswer)
    async def remote_pause(self, asked: Pause, request_id: str) -> Any:
        """Pause one thing."""
        del request_id
        why = reason(asked.why)

        def paused(tx: WriteTx, who: str) -> Switches:
            switches.pause(tx, asked.name, who, why)
            return _switches(tx)

        return await self._write(paused)

    @answers(VERSION, Resume, SwitchesAnswer)
    async def remote_resume(self, asked: Resume, request_id: str) -> Any:
        """Let one thing go on, at once."""
        del request_id

        def resumed(tx: WriteTx, who: str) -> Switches:
            if switches.resume(tx, asked.name, who) and asked.name == "mails":
                outbox.hurry_all(tx)
            return _switches(tx)

        left = await self._write(resumed)
        self._desk.wakes.mails()
        await self._desk.wakes.everybody()
        return left

    @answers(VERSION, AskOperators, OperatorsAnswer)
    async def remote_list_operators(self, asked: AskOperators, request_id: str) -> Any:
        """Everybody who has or had a furl."""
        del asked, request_id

        def people(tx: ReadTx) -> Operators:
            me = self._name(tx)
            return Operators(
                tuple(
                    OperatorLine(one.name, one.added_at, one.revoked_at, one.name == me)
                    for one in operators.every(tx)
                )
            )

        return await self._read(people)

    @answers(VERSION, OperatorNamed, InvitedAnswer)
    async def remote_add_operator(self, asked: OperatorNamed, request_id: str) -> Any:
        """A furl for one more person."""
        del request_id
        if not OPERATOR_NAME.fullmatch(asked.name):
            await self._who()
            said = "a name is 1 to 40 small letters, digits, dots, dashes, underscores"
            return Refused("malformed", said)
        furl, name = self._desk.new_furl()

        def added(tx: WriteTx, who: str) -> Invited:
            if any(one.name == asked.name for one in operators.every(tx)):
                said = f"There is, or was, an operator {asked.name}: take another name."
                raise Refusal(Refused("changed", said))
            operators.add(tx, asked.name, name, who)
            return Invited(asked.name, furl.reveal())

        return await self._write(added)

    @answers(VERSION, OperatorNamed, AcceptedAnswer)
    async def remote_revoke_operator(
        self, asked: OperatorNamed, request_id: str
    ) -> Any:
        """End one person's furl; the last one who has one cannot be revoked."""
        del request_id

        def revoked(tx: WriteTx, who: str) -> Accepted:
            alive = {o.name for o in operators.every(tx) if o.revoked_at is None}
            if alive == {asked.name}:
                said = "This is the last operator: add another one first."
                raise Refusal(Refused("not-now", said))
            operators.revoke(tx, asked.name, who)
            return Accepted()

        return await self._write(revoked)

    @answers(VERSION, BackUp, BackupAnswer)
    async def remote_back_up(self, asked: BackUp, request_id: str) -> Any:
        """Begin to copy the journal, or tell how far the copy of this name is."""
        del request_id
        await self._who()
        if not BACKUP_NAME.fullmatch(asked.name):
            return Refused("malformed", "the name of the copy")
        try:
            return self._desk.back_up(asked.name)
        except JournalError as e:
            return Refused("not-now", f"The journal cannot be copied: {e}")

    @answers(VERSION, Reseal, ResealAnswer)
    async def remote_reseal(self, asked: Reseal, request_id: str) -> Any:
        """Seal a batch of rows anew, under the newest key."""
        del request_id
        sealer = self._desk.shop.sealer

        def batch(tx: WriteTx, who: str) -> Any:
            return resealing.batch(tx, sealer, asked.cursor, asked.limit, who)

        return await self._write(batch)


def _switches(tx: ReadTx) -> Switches:
    return Switches(
        tuple(PauseLine(p.name, p.paused_at, p.who, p.why) for p in switches.every(tx))
    )
