"""Mails to the operators about causes of trouble: once when one begins, once when over.

Their rows are the causes' own, written before anything is sent; they go out while an
operator has paused the customers' mails, too.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from random import Random

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from lae_flapp.journal import causes
from lae_flapp.journal.causes import Cause
from lae_flapp.journal.journal import Journal
from lae_flapp.journal.transaction import ReadTx, WriteTx
from lae_flapp.mail.message import Sender
from lae_flapp.mail.notice import Notice, render_notice
from lae_flapp.mail.server import IMailServer, MailError
from lae_flapp.queue import Queue
from lae_flapp.signs.standing import kind_of
from lae_protocol.address import Address
from lae_protocol.process.retry import pause

#: Seconds between tries: the first, and the longest.
FIRST, LONGEST = 2.0, 900.0
NOTICES_AT_ONCE = 2  # operators are few


def notice_of(cause: Cause, deployment: str) -> Notice:
    """What a mail about this cause says now.  Pure."""
    kind = kind_of(cause.kind)
    return Notice(
        kind=cause.kind,
        subject=cause.subject,
        what=cause.what,
        begun_at=cause.begun_at,
        over_at=cause.over_at,
        first=cause.told_at is None,
        page=kind.page,
        commands=kind.commands_for(cause.subject),
        deployment=deployment,
    )


class Notices:
    """Sends one."""

    _log = Logger()

    def __init__(
        self,
        journal: Journal,
        server: IMailServer,
        *,
        sender: Sender,
        operators: Sequence[Address],
        deployment: str,
        rng: Random,
    ) -> None:
        self._journal, self._server, self._sender = journal, server, sender
        self._operators, self._deployment = tuple(operators), deployment
        self._rng = rng
        #: A server has them, and that could not be journaled: see the outbox.
        self._unwritten: set[str] = set()

    def queue(self, clock: IReactorTime) -> Queue[Cause]:
        """Make what takes the rows that are due."""
        return Queue(
            "causes",
            clock,
            self._journal,
            due=causes.due,
            next_due_at=causes.next_due_at,
            number_of=lambda cause: cause.number,
            work=self,
            at_once=NOTICES_AT_ONCE,
        )

    async def __call__(self, row: Cause) -> None:
        """Send it to each operator; it is told once anybody has it."""
        cause, now = await self._journal.read(_as_it_is, row.number)
        notice = notice_of(cause, self._deployment)
        over = cause.over_at is not None and cause.told_at is not None
        message_id = cause.over_message_id if over else cause.message_id
        taken = message_id in self._unwritten
        for to in () if taken else self._operators:
            envelope = render_notice(notice, self._sender, to, message_id, now)
            try:
                await self._server.deliver(envelope)
            except MailError as e:
                self._log.warn(
                    "the notice of {kind} was not taken: {said}",
                    kind=cause.kind,
                    said=str(e),
                )
            else:
                taken = True
        if taken:
            self._unwritten.add(message_id)
            await self._journal.write(causes.told, cause.number)
            self._unwritten.discard(message_id)
        else:
            await self._journal.write(self._put_off, cause)

    def _put_off(self, tx: WriteTx, cause: Cause) -> None:
        seconds = pause(cause.attempts, self._rng, FIRST, LONGEST)
        causes.put_off(tx, cause.number, tx.now + timedelta(seconds=seconds))


def _as_it_is(tx: ReadTx, number: int) -> tuple[Cause, datetime]:
    return causes.get(tx, number), tx.now
