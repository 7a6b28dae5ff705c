"""The outbox: every mail is sent, to whom it is for, and once but for one window."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from pathlib import Path
from random import Random
from typing import Any

import pytest
from attrs import Factory, define
from twisted.internet.defer import Deferred, fail
from twisted.internet.task import Clock

from lae_flapp.desk.wishes import BETWEEN_MAILS, Wishes
from lae_flapp.grid.furls import CustomerFurls
from lae_flapp.journal import (
    cells,
    contacts,
    events,
    figures,
    gifts,
    identities,
    outbox,
    signups,
    switches,
)
from lae_flapp.journal.errors import JournalFull
from lae_flapp.journal.figures import REFUSED_COUNTS
from lae_flapp.journal.hosts import RESTORED
from lae_flapp.journal.journal import Journal
from lae_flapp.journal.outbox import Mail
from lae_flapp.journal.signups import Agreement
from lae_flapp.journal.transaction import WriteTx
from lae_flapp.life.links import Links
from lae_flapp.mail.letter_facts import LetterSources
from lae_flapp.mail.mailed import Mailed
from lae_flapp.mail.message import Envelope, Sender
from lae_flapp.mail.sending import AFTER_250, REFUSED_FOR_GOOD, Sending
from lae_flapp.mail.server import IMailServer, MailLater, MailRefused
from lae_flapp.queue import Queue
from lae_protocol.address import parse_address
from lae_protocol.ids import (
    Generation,
    OwnerSecret,
    SignupId,
    new_grid_label,
    signup_id_of_form,
)
from lae_protocol.process.crash import on_crash_point
from lae_provision.doors import IdentityRequest
from tests.twins.cloud import Cloud
from tests.twins.doors import Line, MemoryVault
from tests.twins.ground import CELL, PLAN, START
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
REFUSES = MailRefused("refused with 550", about_recipient=True)
NOT_US = MailRefused("refused with 535", about_recipient=False)


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

    def message_ids(self) -> list[str]:
        parsed = (message_from_bytes(e.message, policy=policy.SMTP) for e in self.taken)
        return [m["Message-ID"] for m in parsed]


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

    def pass_time(self, seconds: float, step: float = 10.0) -> None:
        for _ in range(int(seconds / step)):
            self.clock.advance(step)


@pytest.fixture
def mails(tmp_path: Path) -> Iterator[Mails]:
    clock = Clock()
    clock.advance(START)
    made = Mails(tmp_path / "journal", clock)
    made.start()
    yield made
    made.stop()


def test_sent(mails) -> None:
    """A mail goes to the customer with the row's Message-ID, and is told once."""
    su = mails.sign_up()
    message_id = mails.put(su)
    assert mails.server.to() == ["c1@example.org"]
    assert mails.server.message_ids() == [message_id]
    assert mails.states(su) == [("active", "accepted")]
    assert mails.kinds(su) == ["registered", "mail-accepted"]
    mails.restart()
    mails.pass_time(3600)
    assert len(mails.server.taken) == 1


def test_server_down_then_up(mails) -> None:
    """With the server down a mail waits, over a restart, and is then sent once."""
    su = mails.sign_up()
    mails.server.says["*"] = MailLater("not delivered: ConnectionRefusedError")
    message_id = mails.put(su)
    mails.pass_time(1800)
    mails.restart()
    assert mails.states(su) == [("active", "waiting")]
    assert mails.read(outbox.of, su)[0].attempts > 2
    mails.server.says.clear()
    mails.pass_time(1800)
    assert mails.server.message_ids() == [message_id]
    assert mails.kinds(su).count("mail-accepted") == 1


def test_down_for_long(mails) -> None:
    """However often it failed, the next try is at most a quarter of an hour away."""
    su = mails.sign_up()
    mails.server.says["*"] = MailLater("down")
    mails.put(su)

    def tired(tx: WriteTx) -> None:
        tx.run(outbox.OUTBOX.update().values(attempts=5000))

    mails.write(tired)
    mails.pass_time(3600)
    mails.server.says.clear()
    mails.pass_time(930)
    assert mails.states(su) == [("active", "accepted")]


def test_death_after_250(mails) -> None:
    """Dying between the server's 250 and our commit sends a second copy, alike."""

    class Died(BaseException):
        pass

    def die(name: str) -> None:
        if name == AFTER_250:
            raise Died

    su = mails.sign_up()
    on_crash_point(die)
    try:
        message_id = mails.put(su)
    finally:
        on_crash_point(None)
    assert mails.states(su) == [("active", "waiting")]
    mails.restart()
    assert mails.server.message_ids() == [message_id, message_id]
    assert mails.states(su) == [("active", "accepted")]
    assert mails.kinds(su).count("mail-accepted") == 1


def test_paused(mails) -> None:
    """While mails are paused none goes out; afterwards each goes out once."""
    su = mails.sign_up()
    mails.write(switches.pause, "mails", "ann", "a bad template")
    mails.put(su)
    mails.pass_time(2 * 3600)
    assert mails.server.taken == []
    mails.write(switches.resume, "mails", "ann")
    mails.pass_time(60)
    assert len(mails.server.taken) == 1


def test_address_that_refuses(mails) -> None:
    """A refused address is bouncing, which needs an operator; the mail is not retried."""
    su = mails.sign_up()
    mails.server.says["c1@example.org"] = REFUSES
    mails.put(su)
    assert mails.read(contacts.current, su).state == "bouncing"
    assert mails.states(su) == [("active", "refused")]
    (one,) = mails.read(figures.read).refused
    assert (one.signup_id, one.kind, one.outcome) == (su, "active", "refused with 550")
    assert "mail-refused" in mails.kinds(su)
    assert "mail-accepted" not in mails.kinds(su)
    mails.pass_time(3600)
    assert mails.server.taken == []
    mails.pass_time(REFUSED_COUNTS.total_seconds(), 3600)
    assert mails.read(figures.read).refused == ()


def test_corrected_after_bouncing(mails) -> None:
    """A corrected address gets a mail of its own; a second bounce is another one."""
    su = mails.sign_up()
    mails.server.says["c1@example.org"] = REFUSES
    mails.put(su)
    now = Deferred.fromCoroutine(mails.wishes.correct_address(su, "d@example.org", "r"))
    answer(now)
    assert mails.server.to() == ["d@example.org"]
    assert mails.read(figures.read).refused == ()
    assert mails.read(contacts.current, su).state == "unconfirmed"
    mails.pass_time(BETWEEN_MAILS.total_seconds())
    mails.server.says["e@example.org"] = REFUSES
    answer(
        Deferred.fromCoroutine(mails.wishes.correct_address(su, "e@example.org", "s"))
    )
    (one,) = mails.read(figures.read).refused
    assert one.number > 1


def test_corrected_while_waiting(mails) -> None:
    """A mail that still waits goes to the corrected address, and is the only one."""
    su = mails.sign_up()
    mails.server.says["*"] = MailLater("down")
    message_id = mails.put(su)
    answer(
        Deferred.fromCoroutine(mails.wishes.correct_address(su, "d@example.org", "r"))
    )
    mails.server.says.clear()
    mails.pass_time(900)
    assert mails.server.to() == ["d@example.org"]
    assert mails.server.message_ids() == [message_id]


def test_corrected_under_way(mails) -> None:
    """An address corrected while its mail was under way gets a mail all the same."""
    su = mails.sign_up()
    mails.server.slow = Deferred()
    mails.put(su)
    answer(
        Deferred.fromCoroutine(mails.wishes.correct_address(su, "d@example.org", "r"))
    )
    slow, mails.server.slow = mails.server.slow, None
    slow.callback(None)
    assert mails.server.to() == ["c1@example.org", "d@example.org"]
    assert len(set(mails.server.message_ids())) == 2
    mails.pass_time(3600)
    assert len(mails.server.taken) == 2


@pytest.mark.parametrize("kind", ["ended", "reminder"])
def test_only_what_was_paid_for_has_a_way_back(mails, kind) -> None:
    """Who paid is told how to subscribe again, in both forms of the mail; whom it was
    given to is not, since that link would be refused.
    """
    su = mails.sign_up()
    mails.put(su, kind)
    mails.write(gifts.put, su, "operator ann", None)
    mails.put(su, kind, "of what was given")
    for sent, has_way in zip(mails.server.taken, (True, False), strict=True):
        message = message_from_bytes(sent.message, policy=policy.SMTP)
        for form in ("plain", "html"):
            text = message.get_body((form,)).get_content()
            assert ("subscribe again" in text) is has_way
            assert ("/return" in text) is has_way
            assert ("free of charge" in text) is not has_way
            assert kind == "reminder" or ("a month" in text) is has_way


def test_troubled(mails) -> None:
    """A mail about trouble goes to every operator, and never to the customer."""
    su = mails.sign_up()
    mails.write(signups.set_problem, su, "no room in the cell")
    mails.put(su, "troubled", "room")
    assert mails.server.to() == list(OPERATORS)
    assert all(b"no room in the cell" in e.message for e in mails.server.taken)
    assert "mail-accepted" not in mails.kinds(su)


def test_one_operator_unreachable(mails) -> None:
    """One operator's bad address keeps nothing from the other, nor doubles it."""
    su = mails.sign_up()
    mails.server.says[OPERATORS[0]] = REFUSES
    mails.put(su, "troubled", "room")
    mails.pass_time(3600)
    assert mails.server.to() == [OPERATORS[1]]
    assert mails.states(su) == [("troubled", "accepted")]


def test_all_operators_unreachable(mails) -> None:
    """A mail that no operator's server takes makes no further mails about mails."""
    su = mails.sign_up()
    mails.server.says["*"] = REFUSES
    mails.put(su, "troubled", "room")
    mails.pass_time(3600)
    assert mails.states(su) == [("troubled", "refused")]
    assert "mail-refused" in mails.kinds(su)
    assert mails.read(contacts.current, su).state == "unconfirmed"


def test_no_operators(mails) -> None:
    """Without an operator's address the mail waits for one, and is not called sent."""
    mails.stop()
    mails.operators = ()
    mails.start()
    su = mails.sign_up()
    mails.put(su, "troubled", "room")
    assert mails.states(su) == [("troubled", "waiting")]
    mails.stop()
    mails.operators = OPERATORS
    mails.start()
    mails.pass_time(3700)
    assert mails.states(su) == [("troubled", "accepted")]


def test_server_refuses_us(mails) -> None:
    """A refusal of our login is mended by us: the mail waits, the address is innocent."""
    su = mails.sign_up()
    mails.server.says["*"] = NOT_US
    mails.put(su)
    assert mails.read(contacts.current, su).state == "unconfirmed"
    mails.pass_time(24 * 3600, 60)
    assert mails.states(su) == [("active", "waiting")]
    mails.server.says.clear()
    mails.pass_time(3700)
    assert mails.states(su) == [("active", "accepted")]


def test_refused_for_days(mails) -> None:
    """What is refused for days is given up, and an operator told of it."""
    su = mails.sign_up()
    mails.server.says["c1@example.org"] = NOT_US
    mails.put(su)
    mails.pass_time(REFUSED_FOR_GOOD.total_seconds() + 7200, 600)
    assert mails.states(su) == [("active", "refused")]
    assert len(mails.read(figures.read).refused) == 1
    assert mails.read(contacts.current, su).state == "unconfirmed"


def test_unknown_kinds(mails) -> None:
    """Mails of kinds that this release does not know block no other, and wait."""
    strange = mails.sign_up(1)
    for number in range(5):
        mails.put(strange, "newsletter", str(number))
    good = mails.sign_up(2)
    mails.put(good)
    mails.pass_time(60)
    assert mails.states(good) == [("active", "accepted")]
    assert {state for _, state in mails.states(strange)} == {"waiting"}
    assert mails.server.to() == ["c2@example.org"]


def test_seal_cannot_be_opened_now(mails) -> None:
    """A mail whose furl cannot be opened now is sent later; another is not held up."""
    one, two = mails.sign_up(1), mails.sign_up(2)
    mails.faults[:] = [Fault.THROTTLED]
    mails.put(one)
    mails.put(two)
    assert mails.server.to() == ["c2@example.org"]
    mails.pass_time(60)
    assert mails.server.to() == ["c2@example.org", "c1@example.org"]


def test_a_mail_on_a_full_disk(mails, monkeypatch) -> None:
    """What a server has and the journal cannot note is not sent again and again; when
    there is room it is noted.
    """
    su = mails.sign_up()
    mails.put(su, "troubled", "room")
    mails.server.taken.clear()
    write = mails.journal.write

    def full(work, *args, **kwargs):
        return fail(JournalFull("database or disk is full"))

    # There is room for the mail, and none for what comes of it.
    monkeypatch.setattr(mails.journal, "write", full)
    answer(write(outbox.put, su, "active"))
    mails.pass_time(600)
    assert mails.server.to() == ["c1@example.org"]
    assert mails.states(su)[1:] == [("active", "waiting")]
    monkeypatch.setattr(mails.journal, "write", write)
    mails.pass_time(600)
    assert mails.server.to() == ["c1@example.org"]
    assert mails.states(su)[1:] == [("active", "accepted")]


def test_resent(mails) -> None:
    """A mail asked for again is another mail, with its own Message-ID."""
    su = mails.sign_up()
    mails.put(su)
    mails.pass_time(180)
    answer(Deferred.fromCoroutine(mails.wishes.resend(su, "rq9")))
    assert len(mails.server.taken) == 2
    assert len(set(mails.server.message_ids())) == 2
    assert mails.kinds(su).count("mail-accepted") == 2


def test_dates(mails) -> None:
    """The Date header is when it is sent, not when it was queued."""
    su = mails.sign_up()
    mails.server.says["*"] = MailLater("down")
    mails.put(su)
    mails.pass_time(3600)
    mails.server.says.clear()
    mails.pass_time(900)
    message = message_from_bytes(mails.server.taken[0].message, policy=policy.SMTP)
    queued = datetime.fromtimestamp(START, UTC)
    assert message["Date"].datetime - queued > timedelta(minutes=50)


LEFT = outbox.stripes_occasion("sub_1")


def restore(mails: Mails) -> None:
    mails.write(events.note, None, RESTORED, "lae journal restore", "2: backup")


def test_sent_before_the_journal_was_restored(mails) -> None:
    """A mail about a cancellation goes once, though the journal that sent it is lost:
    the restored one takes it as sent, and says so in its events.
    """
    su = mails.sign_up()
    mails.put(su, "ended", LEFT)
    assert mails.states(su) == [("ended", "accepted")]

    def forget(tx: WriteTx) -> None:
        tx.run(outbox.OUTBOX.delete())

    mails.write(forget)
    restore(mails)
    mails.put(su, "ended", LEFT)
    mails.put(su, "ended", outbox.stripes_occasion("sub_2"))
    assert len(mails.server.taken) == 2
    assert mails.states(su) == [("ended", "accepted")] * 2
    assert mails.kinds(su).count("mail-known") == 1


def test_the_bucket_is_away_when_a_restored_journal_asks(mails) -> None:
    """The mail waits, and goes when the bucket answers; mails of other kinds, and those
    of a journal that nobody restored, wait for no bucket.
    """
    su = mails.sign_up()
    mails.faults[:] = [Fault.THROTTLED]
    mails.put(su, "ended", LEFT)
    assert mails.states(su) == [("ended", "accepted")]
    assert not mails.faults, "it was to be noted"
    restore(mails)
    other = outbox.stripes_occasion("sub_2")
    mails.faults[:] = [Fault.THROTTLED] * 2
    mails.put(su, "ended", other)
    mails.put(su, "recovered", "17")
    assert [state for _, state in mails.states(su)] == [
        "accepted",
        "waiting",
        "accepted",
    ]
    mails.pass_time(60)
    assert mails.states(su)[1] == ("ended", "accepted")
    assert len(mails.server.taken) == 3
