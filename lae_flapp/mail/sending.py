"""Sending one mail: rendered now, delivered at least once, journaled.

The Message-ID stands in the row, so that a second copy (we died between the server's
250 and our commit) is known as one.
"""

from __future__ import annotations

from datetime import timedelta
from random import Random

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from lae_flapp.journal import contacts, events, outbox, switches
from lae_flapp.journal.contacts import Contact
from lae_flapp.journal.journal import Journal
from lae_flapp.journal.outbox import Mail
from lae_flapp.journal.transaction import WriteTx
from lae_flapp.mail import confirming
from lae_flapp.mail.kinds import MAILS
from lae_flapp.mail.letter_facts import LetterFacts, LetterSources, look_up
from lae_flapp.mail.letters import render
from lae_flapp.mail.mailed import Mailed
from lae_flapp.mail.message import Envelope, Sender, build_message
from lae_flapp.mail.server import IMailServer, MailError, MailRefused
from lae_flapp.queue import Queue
from lae_protocol.address import Address, parse_address
from lae_protocol.process.crash import crash_point, declare
from lae_protocol.process.deadline import DeadlinePassed
from lae_protocol.process.retry import pause
from lae_provision.errors import ProvisionError

RETRY_AFTER = 2.0  # s at most after the first failure; it doubles
RETRY_AT_MOST = 900.0  # s
#: How often a mail is looked at while mails are paused.
PAUSED_AGAIN = timedelta(seconds=60)
#: How often a mail is tried again after a refusal that is not about the address: our
#: login or our name may be mended.
REFUSED_AGAIN = timedelta(hours=1)
#: How long after it was queued such a mail is given up.
REFUSED_FOR_GOOD = timedelta(days=3)
#: When a mail is tried again after a fault of our own: a template, an unknown kind.
BROKEN_AGAIN = timedelta(minutes=15)

BEFORE_SENDING = declare(
    "outbox.before-sending", "the mail's row waits; nothing is sent"
)
AFTER_250 = declare(
    "outbox.after-250", "the server has the mail, the journal does not know"
)
MAILS_AT_ONCE = 4


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
        sources: LetterSources,
        sender: Sender,
        operators: tuple[Address, ...],
        mailed: Mailed,
        rng: Random,
    ) -> None:
        self._journal, self._server, self._sources = journal, server, sources
        self._sender, self._operators, self._rng = sender, operators, rng
        self._mailed = mailed
        #: Mails that a server has, and that could not be journaled as accepted: with
        #: a full disk they would be sent again and again.
        self._unwritten: dict[int, Contact] = {}

    def queue(self, clock: IReactorTime) -> Queue[Mail]:
        """Make what takes the rows that are due."""
        return Queue(
            "outbox",
            clock,
            self._journal,
            due=outbox.due,
            next_due_at=outbox.next_due_at,
            number_of=lambda mail: mail.number,
            work=self,
            at_once=MAILS_AT_ONCE,
        )

    async def __call__(self, mail: Mail) -> None:
        """Send the mail, or put it off; a fault of this mail alone raises nothing."""
        if await self._journal.read(switches.paused, "mails") is not None:
            await self._journal.write(self._put_off, mail, "paused", PAUSED_AGAIN)
            return
        if mail.number in self._unwritten:
            await self._write_accepted(mail, self._unwritten[mail.number])
            return
        facts = await self._journal.read(look_up, mail, self._sources)
        if facts.contact.awaits_confirmation and _has_rights(mail):
            await self._journal.write(confirming.hold, mail)
            return
        try:
            if await self._mailed.knows(mail):
                await self._journal.write(self._note_known, mail, facts.contact)
                return
            envelopes = await self._build_envelopes(facts)
        except (ProvisionError, DeadlinePassed) as e:
            await self._journal.write(
                self._put_off, mail, str(e), self._choose_pause(mail)
            )
            return
        except Exception as e:  # noqa: BLE001  (whatever is wrong with this one mail)
            self._log.failure("mail {number} cannot be written", number=mail.number)
            why = f"cannot be written: {type(e).__name__}"
            await self._journal.write(self._put_off, mail, why, BROKEN_AGAIN)
            return
        crash_point(BEFORE_SENDING)
        refused = await self._deliver(mail, envelopes)
        if refused is None:
            crash_point(AFTER_250)
            await self._write_accepted(mail, facts.contact)
            await self._mailed.note(mail)
        else:
            await self._write_failed(facts, refused)

    async def _write_accepted(self, mail: Mail, contact: Contact) -> None:
        self._unwritten[mail.number] = contact
        await self._journal.write(self._note_accepted, mail, contact)
        del self._unwritten[mail.number]

    async def _build_envelopes(self, facts: LetterFacts) -> tuple[Envelope, ...]:
        mail = facts.mail
        row = MAILS[mail.kind]
        content = render(mail.kind, await row.write(facts), self._sender)
        recipients = (
            self._operators
            if row.to == "operators"
            else (parse_address(facts.contact.typed),)
        )
        return tuple(
            build_message(content, self._sender, to, mail.message_id, facts.now)
            for to in recipients
        )

    async def _deliver(
        self, mail: Mail, envelopes: tuple[Envelope, ...]
    ) -> MailError | None:
        """Deliver to each recipient; None once one of them has the mail.

        Only operators' mails have several.  One whose address fails for ever must not
        make the others get the mail for ever.
        """
        accepted, last = False, None
        for envelope in envelopes:
            try:
                await self._server.deliver(envelope)
            except MailError as e:
                last = e
                self._log.warn(
                    "mail {number} of {signup_id} was not taken: {said}",
                    number=mail.number,
                    signup_id=mail.signup_id,
                    said=str(e),
                )
            else:
                accepted = True
        if accepted:
            return None
        return last or MailRefused("it has no recipient", about_recipient=False)

    async def _write_failed(self, facts: LetterFacts, why: MailError) -> None:
        """Put the mail off, or give it up, by what the server said and about whom."""
        mail = facts.mail
        if not isinstance(why, MailRefused):
            again = self._choose_pause(mail)
        elif why.about_recipient or facts.now > mail.queued_at + REFUSED_FOR_GOOD:
            await self._journal.write(self._give_up, mail, facts.contact, why)
            return
        else:
            again = REFUSED_AGAIN
            self._log.error("the mail server refuses us: {said}", said=str(why))
        await self._journal.write(self._put_off, mail, str(why), again)

    def _choose_pause(self, mail: Mail) -> timedelta:
        return timedelta(
            seconds=pause(mail.attempts, self._rng, RETRY_AFTER, RETRY_AT_MOST)
        )

    @staticmethod
    def _put_off(tx: WriteTx, mail: Mail, why: str, again: timedelta) -> None:
        outbox.put_off(tx, mail.number, why, tx.now + again)

    def _note_accepted(self, tx: WriteTx, mail: Mail, contact: Contact) -> None:
        signup_id = mail.signup_id
        new = outbox.accepted(tx, mail.number, contact.number)
        if new and mail.kind == "confirm":
            events.note(tx, signup_id, "confirm-mailed", "daemon")
        if not new or mail.kind != "active":
            return
        events.tell(tx, signup_id, "mail-accepted", "daemon")
        if contacts.current(tx, signup_id).number != contact.number:
            # The address was corrected while the mail was under way to the old one.
            confirming.send_furl(tx, signup_id)

    @staticmethod
    def _note_known(tx: WriteTx, mail: Mail, contact: Contact) -> None:
        outbox.accepted(tx, mail.number, contact.number)
        said = f"{mail.kind}: it was sent before the journal was restored"
        events.note(tx, mail.signup_id, "mail-known", "daemon", said)

    def _give_up(
        self, tx: WriteTx, mail: Mail, contact: Contact, refused: MailRefused
    ) -> None:
        """Give the mail up; the watch tells the operators (``mail-refused``)."""
        signup_id = mail.signup_id
        outbox.refused(tx, mail.number, contact.number, str(refused))
        events.note(tx, signup_id, "mail-refused", "daemon", str(refused))
        row = MAILS.get(mail.kind)
        operators = row is not None and row.to == "operators"
        if refused.about_recipient and not operators:
            contacts.mark(tx, contact.number, "bouncing")


def _has_rights(mail: Mail) -> bool:
    row = MAILS.get(mail.kind)
    return row is not None and row.has_rights
