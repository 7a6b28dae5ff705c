"""Sending one mail: rendered now, delivered at least once, journaled.

The Message-ID stands in the row, so that a second copy (we died between the server's
250 and our commit) is known as one.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from random import Random
from typing import assert_never

from twisted.logger import Logger

from lae_flapp.facets.furls import CustomerFurls
from lae_flapp.facets.view import nickname
from lae_flapp.journal import contacts, events, outbox, signups, switches
from lae_flapp.journal.contacts import Contact
from lae_flapp.journal.journal import Journal
from lae_flapp.journal.outbox import Mail
from lae_flapp.journal.signups import Signup
from lae_flapp.journal.transaction import ReadTx, WriteTx
from lae_flapp.mail.letters import Active, Letter, Refunded, Sender, Troubled, render
from lae_flapp.mail.server import IMailServer, MailLater, MailRefused
from lae_protocol.address import Address, parse_address
from lae_protocol.process.crash import crash_point, declare
from lae_protocol.process.retry import pause

#: Seconds between tries: the first, and the longest.
FIRST, LONGEST = 2.0, 900.0
#: While mails are paused, a row is looked at so often.
PAUSED_AGAIN = timedelta(seconds=60)

BEFORE_SENDING = declare(
    "outbox.before-sending", "the mail's row waits; nothing is sent"
)
AFTER_250 = declare(
    "outbox.after-250", "the server has the mail, the journal does not know"
)


class Sending:
    """Sends one mail of the outbox.

    *operators* get the mails that are for the people who run the service.
    """

    _log = Logger()

    def __init__(
        self,
        journal: Journal,
        server: IMailServer,
        *,
        furls: CustomerFurls,
        sender: Sender,
        operators: tuple[Address, ...],
        rng: Random,
    ) -> None:
        self._journal, self._server, self._furls = journal, server, furls
        self._sender, self._operators, self._rng = sender, operators, rng

    async def __call__(self, mail: Mail) -> None:
        """Send it, or put it off; raises nothing that belongs to this mail alone."""
        if await self._journal.read(switches.paused, "mails") is not None:
            await self._journal.write(self._put_off, mail, "paused", PAUSED_AGAIN)
            return
        signup, contact, now = await self._journal.read(self._about, mail)
        letter = await self._letter(mail, signup)
        crash_point(BEFORE_SENDING)
        try:
            for to in self._recipients(letter, contact):
                message_id = mail.message_id
                envelope = render(letter, self._sender, to, message_id, now)
                await self._server.deliver(envelope)
        except MailLater as e:
            seconds = pause(mail.attempts, self._rng, FIRST, LONGEST)
            again = timedelta(seconds=seconds)
            await self._journal.write(self._put_off, mail, str(e), again)
        except MailRefused as e:
            self._log.error(
                "mail {number} of {signup_id} was refused: {why}",
                number=mail.number,
                signup_id=mail.signup_id,
                why=str(e),
            )
            await self._journal.write(self._refused, mail, contact, e)
        else:
            crash_point(AFTER_250)
            await self._journal.write(self._accepted, mail, contact)

    @staticmethod
    def _about(tx: ReadTx, mail: Mail) -> tuple[Signup, Contact, datetime]:
        signup_id = mail.signup_id
        return signups.get(tx, signup_id), contacts.current(tx, signup_id), tx.now

    async def _letter(self, mail: Mail, signup: Signup) -> Letter:
        plan = signup.agreement.plan
        match mail.kind:
            case "active":
                furl = await self._furls.of(mail.signup_id)
                assert furl is not None, "mailed after the identity was made"
                status = f"{self._sender.site_url}/signup/{mail.signup_id}"
                name = nickname(signup)
                return Active(mail.signup_id, plan, name, furl, status)
            case "refunded":
                return Refunded(mail.signup_id, plan)
            case "troubled":
                problem = signup.problem or "see its events"
                return Troubled(mail.signup_id, signup.state, problem)
            case unknown:
                raise ValueError(f"no letter of the kind {unknown}")

    def _recipients(self, letter: Letter, contact: Contact) -> tuple[Address, ...]:
        match letter:
            case Active() | Refunded():
                return (parse_address(contact.typed),)
            case Troubled():
                return self._operators
            case _:
                assert_never(letter)

    @staticmethod
    def _put_off(tx: WriteTx, mail: Mail, why: str, again: timedelta) -> None:
        outbox.put_off(tx, mail.number, why, tx.now + again)

    @staticmethod
    def _accepted(tx: WriteTx, mail: Mail, contact: Contact) -> None:
        if outbox.accepted(tx, mail.number, contact.number) and mail.kind == "active":
            events.tell(tx, mail.signup_id, "mail-accepted", "daemon")

    @staticmethod
    def _refused(
        tx: WriteTx, mail: Mail, contact: Contact, refused: MailRefused
    ) -> None:
        outbox.refused(tx, mail.number, contact.number, str(refused))
        events.note(tx, mail.signup_id, "mail-refused", "daemon", str(refused))
        if refused.about_recipient and mail.kind != "troubled":
            contacts.mark(tx, contact.number, "bouncing")
