"""A post office for tests: a journal with active signups, their outbox, and a mail
server that takes what it is told to take.
"""

from __future__ import annotations

import re
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from random import Random
from typing import Any

from attrs import Factory, define
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from lae_flapp.desk.wishes import Wishes
from lae_flapp.grid.furls import CustomerFurls
from lae_flapp.journal import cells, contacts, events, identities, outbox, signups
from lae_flapp.journal.journal import Journal
from lae_flapp.journal.outbox import Mail
from lae_flapp.journal.signups import Agreement
from lae_flapp.journal.transaction import WriteTx
from lae_flapp.life.links import Links, Purpose
from lae_flapp.mail.letter_facts import LetterSources
from lae_flapp.mail.mailed import Mailed
from lae_flapp.mail.message import Envelope, Sender
from lae_flapp.mail.sending import Sending
from lae_flapp.mail.server import IMailServer
from lae_flapp.queue import Queue
from lae_protocol.address import parse_address
from lae_protocol.ids import (
    Generation,
    OwnerSecret,
    SignupId,
    new_grid_label,
    signup_id_of_form,
)
from lae_protocol.messages import MailedLink
from lae_protocol.secret import Secret
from lae_provision.doors import IdentityRequest
from tests.twins.cloud import Cloud
from tests.twins.doors import Line, MemoryVault
from tests.twins.ground import CELL, PLAN
from tests.twins.identities import MemoryIdentities, MemorySealer
from tests.twins.journal import answer, open_journal
from tests.twins.weather import Fault

OPERATORS = ("ops1@s4.example", "ops2@s4.example")
SENDER = Sender(
    "S4",
    parse_address("hello@s4.example"),
    parse_address("support@s4.example"),
    "bounces",
    "bounce.s4.example",
    "https://s4.example",
    "test",
)
LINKS = Links(MemorySealer(), "https://s4.example")


def link_of(message: EmailMessage, purpose: Purpose) -> MailedLink:
    """The link of this purpose that a mail has."""
    text = message.get_body(("plain",)).get_content()
    found = re.search(rf"/signup/(su\w+)/{purpose}#(\S+)", text)
    assert found is not None, text
    return MailedLink(SignupId(found[1]), Secret(found[2]))


@define(slots=False)
class Server(IMailServer):
    """A mail server: what it took, and what it says to whom, in turn or always."""

    taken: list[Envelope] = Factory(list)
    says: dict[str, Any] = Factory(dict)
    slow: Deferred[None] | None = None

    async def deliver(self, envelope: Envelope) -> None:
        says = self.says.get(envelope.recipient, self.says.get("*"))
        if isinstance(says, list):
            says = says.pop(0) if says else None
        if says is not None:
            raise says
        self.taken.append(envelope)
        if self.slow is not None:
            await self.slow

    def to(self) -> list[str]:
        return [e.recipient for e in self.taken]

    def letters(self) -> list[tuple[str, EmailMessage]]:
        """To whom, and what."""
        return [
            (e.recipient, message_from_bytes(e.message, policy=policy.SMTP))
            for e in self.taken
        ]

    def message_ids(self) -> list[str]:
        return [message["Message-ID"] for _, message in self.letters()]


@define(slots=False)
class Mails:
    """A journal with active signups, their outbox, and a server to talk to."""

    folder: Path
    clock: Clock = Factory(Clock)
    server: Server = Factory(Server)
    faults: list[Fault] = Factory(list)
    cloud: Cloud = Factory(Cloud)
    operators: tuple[str, ...] = OPERATORS
    journal: Journal = None
    queue: Queue[Mail] = None

    def start(self) -> None:
        self.journal = open_journal(self.folder, self.clock)
        line = Line(self.cloud, self.clock, self._weather)
        self.identities = MemoryIdentities(line)
        sending = Sending(
            self.journal,
            self.server,
            sources=LetterSources(
                CustomerFurls(self.journal, self.identities, MemorySealer()),
                self.fetch,
                LINKS,
            ),
            sender=SENDER,
            operators=tuple(map(parse_address, self.operators)),
            mailed=Mailed(self.journal, MemoryVault(line)),
            rng=Random(1),
        )
        self.queue = Queue(
            "outbox",
            self.clock,
            self.journal,
            due=outbox.due,
            next_due_at=outbox.next_due_at,
            number_of=lambda mail: mail.number,
            work=sending,
            at_once=2,
        )
        self.wishes = Wishes(
            self.journal,
            plans=(PLAN,),
            environment="test",
            ready_for_business=lambda: None,
            links=LINKS,
        )
        self.queue.startService()

    async def fetch(self, subscription: str) -> None:
        """Stripe has nothing to say in these tests."""

    def stop(self) -> None:
        self.queue.stopService()
        answer(Deferred.fromCoroutine(self.journal.close()))

    def restart(self) -> None:
        self.stop()
        self.start()

    def _weather(self, call: str) -> Fault:
        return self.faults.pop(0) if self.faults else Fault.NONE

    def write(self, work: Any, *args: Any, **kwargs: Any) -> Any:
        return answer(self.journal.write(work, *args, **kwargs))

    def read(self, work: Any, *args: Any, **kwargs: Any) -> Any:
        return answer(self.journal.read(work, *args, **kwargs))

    def sign_up(self, number: int = 1) -> SignupId:
        """An active signup, whose mail is not queued yet."""
        signup_id = signup_id_of_form(str(number).encode())
        request = IdentityRequest(signup_id, 1, "g1", "S4 g1", "h", 3456, 3457, None)
        sealed = answer(self.identities.make(request)).sealed

        def everything(tx: WriteTx) -> None:
            cells.put(tx, CELL)
            signups.register(
                tx,
                signup_id,
                OwnerSecret("x" * 40),
                grid_label=new_grid_label(),
                cell=CELL,
                agreement=Agreement(PLAN, tx.now, "en"),
            )
            address = f"c{number}@example.org"
            contacts.put(tx, signup_id, address, address)
            row = signups.SIGNUPS.c.signup_id == signup_id
            tx.run(signups.SIGNUPS.update().where(row).values(state="active"))
            one = Generation(1)
            identities.put(
                tx, signup_id, one, sealed.body, key_id="k", vault_key=sealed.key
            )
            identities.vaulted(tx, signup_id, one)

        self.write(everything)
        return signup_id

    def put(self, signup_id: SignupId, kind: str = "active", occasion: str = "") -> str:
        """Queue it; its Message-ID."""
        mail = self.write(outbox.put, signup_id, kind, occasion)
        return f"<{mail.message_id}@s4.example>"

    def states(self, signup_id: SignupId) -> list[tuple[str, str]]:
        return [(m.kind, m.state) for m in self.read(outbox.of, signup_id)]

    def kinds(self, signup_id: SignupId) -> list[str]:
        return [e.kind for e in self.read(events.since, signup_id, 0)]

    def correct(self, signup_id: SignupId, address: str, request_id: str) -> None:
        """The owner corrects the address."""
        work = self.wishes.correct_address(signup_id, address, request_id)
        answer(Deferred.fromCoroutine(work))

    def link(self, purpose: Purpose) -> MailedLink:
        """The link of this purpose in the newest mail."""
        return link_of(self.server.letters()[-1][1], purpose)

    def confirm(self, link: MailedLink) -> None:
        """Whoever reads the mail opens the link and presses the button."""
        answer(Deferred.fromCoroutine(self.wishes.confirm_address(link)))

    def pass_time(self, seconds: float, step: float = 10.0) -> None:
        for _ in range(int(seconds / step)):
            self.clock.advance(step)
