"""The outbox: every mail is sent, to whom it is for, and once but for one window."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy

import pytest
from twisted.internet.defer import Deferred, fail

from lae_flapp.desk.wishes import BETWEEN_MAILS
from lae_flapp.journal import (
    contacts,
    events,
    figures,
    gifts,
    outbox,
    signups,
    switches,
)
from lae_flapp.journal.errors import JournalFull
from lae_flapp.journal.figures import REFUSED_COUNTS
from lae_flapp.journal.hosts import RESTORED
from lae_flapp.journal.transaction import WriteTx
from lae_flapp.mail.sending import AFTER_250, REFUSED_FOR_GOOD
from lae_flapp.mail.server import MailLater, MailRefused
from lae_protocol.process.crash import on_crash_point
from tests.desk.post_office import OPERATORS, Mails
from tests.twins.ground import START
from tests.twins.journal import answer
from tests.twins.weather import Fault

REFUSES = MailRefused("refused with 550", about_recipient=True)
NOT_US = MailRefused("refused with 535", about_recipient=False)


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
    """A corrected address gets a letter of its own; a second bounce is another one."""
    su = mails.sign_up()
    mails.server.says["c1@example.org"] = REFUSES
    mails.put(su)
    mails.correct(su, "d@example.org", "r")
    assert mails.server.to() == ["d@example.org"]
    assert mails.read(figures.read).refused == ()
    assert mails.read(contacts.current, su).state == "unconfirmed"
    mails.pass_time(BETWEEN_MAILS.total_seconds())
    mails.server.says["e@example.org"] = REFUSES
    mails.correct(su, "e@example.org", "s")
    (one,) = mails.read(figures.read).refused
    assert one.number > 1


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
