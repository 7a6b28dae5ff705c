"""A corrected address may be a stranger's: nothing secret goes there before its reader
says that it is theirs.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from lae_flapp.desk.wishes import BETWEEN_MAILS, LETTERS_A_DAY
from lae_flapp.journal import contacts, events, listing, outbox, signups
from lae_flapp.journal.errors import StateChanged
from lae_flapp.journal.listing import Filter
from lae_flapp.journal.outbox import MailKind
from lae_flapp.life.links import GOOD_FOR
from lae_flapp.mail import confirming
from lae_flapp.mail.confirming import ASK_AGAIN
from lae_flapp.mail.kinds import MAILS
from lae_flapp.mail.server import MailLater, MailRefused
from lae_protocol.messages import MailedLink
from lae_protocol.process.answer import Refusal
from lae_protocol.secret import Secret
from tests.desk.post_office import Mails, link_of
from tests.twins.ground import START
from tests.twins.journal import answer

PAUSE = BETWEEN_MAILS.total_seconds()
DAY = 86_400
#: What a stranger could use, in any mail.
RIGHTS = ("pb://", "/cancel#", "/return#", "/log-in#")


def bears_rights(message: Any) -> bool:
    """Whether a mail has something in it that a stranger could use."""
    said = [part.get_content() for part in message.walk() if not part.is_multipart()]
    text = "".join(s if isinstance(s, str) else s.decode() for s in said)
    return any(right in text for right in RIGHTS)


def given_rights(mails: Mails) -> list[str]:
    """Who was mailed a right, in order."""
    return [to for to, message in mails.server.letters() if bears_rights(message)]


@pytest.fixture
def corrected(mails):
    """A served customer who got the furl, and corrected the address a while later."""
    su = mails.sign_up()
    mails.put(su)
    mails.pass_time(PAUSE)
    mails.correct(su, "d@example.org", "r")
    return su


def test_the_furl_goes_there_after_the_button(mails, corrected) -> None:
    """A corrected address gets a link and nothing that a stranger could use; the furl
    follows when the page's button is pressed, once, however often that is.
    """
    assert mails.server.to() == ["c1@example.org", "d@example.org"]
    assert given_rights(mails) == ["c1@example.org"]
    assert mails.read(contacts.current, corrected).awaits_confirmation
    link = mails.link("confirm")
    for _ in range(3):
        mails.confirm(link)
    mails.pass_time(DAY, 600)
    assert given_rights(mails) == ["c1@example.org", "d@example.org"]
    assert mails.read(contacts.current, corrected).state == "confirmed"
    kinds = mails.kinds(corrected)
    assert [k for k in kinds if "confirm" in k] == [
        "confirm-mailed",
        "address-confirmed",
    ]


def test_what_would_tell_a_stranger_too_much_waits(mails, corrected) -> None:
    """Of all kinds, those with rights wait for the confirmation and then go, in their
    order; the others go as ever.
    """
    mails.server.taken.clear()
    customers = [k for k, row in MAILS.items() if row.to == "customer"]
    # Those two are about rows that this signup has not.
    others = [k for k in customers if k not in {"deleted", "goodwill"}]
    for kind in others:
        mails.put(corrected, kind, "1")
    sent = [k for k, state in mails.states(corrected) if state == "accepted"][2:]
    assert sent == [k for k in others if not MAILS[k].has_rights]
    assert given_rights(mails) == []
    held = [k for k in others if MAILS[k].has_rights]
    states = mails.states(corrected)
    assert [kind for kind, state in states if state == "held"] == held
    mails.restart()
    mails.pass_time(3600)
    assert given_rights(mails) == []
    mails.server.taken.clear()
    mails.put(corrected, "confirm", "2")
    link = mails.link("confirm")
    mails.server.taken.clear()
    mails.confirm(link)
    assert {state for _, state in mails.states(corrected)} == {"accepted"}
    # The furl is among what was held, and is not sent twice.
    assert len(mails.server.taken) == len(held)
    assert sum(b"pb://" in e.message for e in mails.server.taken) == 1


def test_who_never_confirms(mails, corrected) -> None:
    """The address is asked again when a mail is due, at most daily; operators see that
    mails are held, and for what, and cannot send one there by force.
    """
    mails.server.taken.clear()
    mails.put(corrected, "past-due", "1")
    assert mails.server.taken == [], "it was asked a moment ago"
    mails.pass_time(ASK_AGAIN.total_seconds(), 600)
    mails.put(corrected, "suspended", "2")
    mails.put(corrected, "stopped", "3")
    assert mails.server.to() == ["d@example.org"]
    assert given_rights(mails) == []
    held, _ = mails.read(outbox.page, state="held")
    assert [m.kind for m in held] == ["stopped", "suspended", "past-due"]
    assert {m.outcome for m in held} == {confirming.HELD}
    assert mails.read(listing.row, corrected).awaits_confirmation
    (row,) = mails.read(listing.page, Filter()).rows
    assert row.awaits_confirmation
    with pytest.raises(StateChanged, match="held"):
        mails.write(outbox.hurry, held[0].number)
    assert mails.read(outbox.waiting) == 0


def resend(mails, su, number):
    answer(Deferred.fromCoroutine(mails.wishes.resend(su, f"again-{number}")))


def test_the_link_can_be_asked_for_again(mails, corrected) -> None:
    """The owner has the link sent again after a pause, at most five times a day to one
    address; any of these links is good.
    """
    sent = 0
    for number in range(20):
        with pytest.raises(Refusal):
            resend(mails, corrected, number)
        mails.pass_time(PAUSE)
        try:
            resend(mails, corrected, number)
        except Refusal as e:
            assert "5 times" in e.refused.message
        else:
            sent += 1
    assert sent == LETTERS_A_DAY - 1, "the first was sent with the correction"
    assert given_rights(mails) == ["c1@example.org"]
    mails.pass_time(DAY, 600)
    resend(mails, corrected, 99)
    mails.confirm(mails.link("confirm"))
    assert given_rights(mails) == ["c1@example.org", "d@example.org"]


def test_links_that_confirm_nothing(mails, corrected) -> None:
    """The link of another purpose, of another signup, damaged, of an address that was
    corrected once more, or too old, confirms nothing.
    """
    good = mails.link("confirm")
    other = mails.sign_up(2)
    mails.put(other)
    cancel = mails.link("cancel")
    text = good.token.reveal()
    for bad in (
        MailedLink(corrected, cancel.token),
        MailedLink(other, good.token),
        MailedLink(corrected, Secret(text[:-3])),
        MailedLink(corrected, Secret("")),
    ):
        with pytest.raises(Refusal):
            mails.confirm(bad)
    mails.pass_time(PAUSE)
    mails.correct(corrected, "e@example.org", "s")
    newer = mails.link("confirm")
    with pytest.raises(Refusal):
        mails.confirm(good)
    mails.pass_time(GOOD_FOR["confirm"].total_seconds(), 3600)
    with pytest.raises(Refusal):
        mails.confirm(newer)
    assert given_rights(mails) == ["c1@example.org", "c2@example.org"]
    assert mails.read(contacts.current, corrected).state == "unconfirmed"


def test_corrected_once_more_at_that_moment(mails, corrected) -> None:
    """A link opened while the address is corrected once more confirms neither."""
    stale = mails.read(contacts.current, corrected)
    mails.pass_time(PAUSE)
    mails.correct(corrected, "e@example.org", "s")
    mails.write(confirming.confirm, stale)
    past = mails.read(contacts.history, corrected)
    assert [c.state for c in past] == ["unconfirmed"] * 3
    assert given_rights(mails) == ["c1@example.org"]


def test_back_to_the_first_address(mails, corrected) -> None:
    """Who corrects it back is asked, too: it is a corrected address like any other."""
    mails.pass_time(PAUSE)
    mails.correct(corrected, "c1@example.org", "s")
    mails.put(corrected, "past-due", "1")
    assert given_rights(mails) == ["c1@example.org"]
    mails.confirm(mails.link("confirm"))
    assert given_rights(mails) == ["c1@example.org"] * 3


def test_corrected_before_the_first_mail(mails) -> None:
    """The mail with the furl that still waits when the address is corrected goes to the
    corrected one, alone, after its confirmation.
    """
    su = mails.sign_up()
    mails.server.says["*"] = MailLater("down")
    message_id = mails.put(su)
    mails.correct(su, "d@example.org", "r")
    mails.server.says.clear()
    mails.pass_time(900)
    assert mails.server.to() == ["d@example.org"]
    assert given_rights(mails) == []
    mails.confirm(mails.link("confirm"))
    assert mails.server.message_ids()[1:] == [message_id]
    assert given_rights(mails) == ["d@example.org"]


def test_corrected_before_the_payment(mails) -> None:
    """Nobody is mailed about an order that nobody paid; the address of then is that of
    the order, and gets the furl unasked.  Corrected after that, it is asked.
    """
    su = mails.sign_up()
    state = signups.SIGNUPS.update().where(signups.SIGNUPS.c.signup_id == su)
    mails.write(lambda tx: tx.run(state.values(state="paying")))
    mails.correct(su, "d@example.org", "r")
    with pytest.raises(Refusal):
        resend(mails, su, 1)
    assert mails.server.taken == []
    mails.write(lambda tx: tx.run(state.values(state="active")))
    mails.put(su)
    assert given_rights(mails) == ["d@example.org"]
    mails.pass_time(PAUSE)
    mails.correct(su, "e@example.org", "s")
    assert mails.server.to() == ["d@example.org", "e@example.org"]
    assert given_rights(mails) == ["d@example.org"]


@pytest.mark.parametrize("confirmed_meanwhile", [False, True])
def test_corrected_under_way(mails, confirmed_meanwhile) -> None:
    """An address corrected while its mail was under way gets the furl all the same,
    once, when it is confirmed: a moment later, or before the first mail was taken.
    """
    su = mails.sign_up()
    slow = mails.server.slow = Deferred()
    mails.put(su)
    mails.server.slow = None
    mails.correct(su, "d@example.org", "r")
    link = mails.link("confirm")
    if confirmed_meanwhile:
        mails.confirm(link)
    slow.callback(None)
    assert ("d@example.org" in given_rights(mails)) is confirmed_meanwhile
    mails.confirm(link)
    mails.pass_time(3600)
    assert given_rights(mails) == ["c1@example.org", "d@example.org"]
    assert len(set(mails.server.message_ids())) == 3


def test_a_corrected_address_that_bounces(mails, corrected) -> None:
    """It still waits for its confirmation, and the owner may correct it again; what was
    confirmed and bounces later is asked once more.
    """
    mails.pass_time(PAUSE)
    mails.server.says["e@example.org"] = MailRefused("no", about_recipient=True)
    mails.correct(corrected, "e@example.org", "s")
    bouncing = mails.read(contacts.current, corrected)
    assert (bouncing.state, bouncing.awaits_confirmation) == ("bouncing", True)
    mails.put(corrected, "past-due", "1")
    mails.pass_time(PAUSE)
    mails.correct(corrected, "f@example.org", "t")
    assert given_rights(mails) == ["c1@example.org"]
    mails.confirm(mails.link("confirm"))
    assert given_rights(mails) == ["c1@example.org"] + ["f@example.org"] * 2


def test_the_address_of_the_order_needs_nobodys_word(mails) -> None:
    """It gets the furl at once, and its link would change nothing."""
    su = mails.sign_up()
    mails.put(su)
    assert given_rights(mails) == ["c1@example.org"]
    before = mails.read(events.last_number, su)
    mails.put(su, "confirm", "never queued for it")
    mails.confirm(mails.link("confirm"))
    assert mails.read(contacts.current, su).state == "unconfirmed"
    assert "address-confirmed" not in mails.kinds(su)
    assert mails.read(events.last_number, su) == before + 1


class Stranger(RuleBasedStateMachine):
    """Whatever is corrected, mailed and opened in whatever order, nothing that a
    stranger could use goes to an address whose reader did not press the button.
    """

    def __init__(self) -> None:
        super().__init__()
        self.folder = TemporaryDirectory()
        clock = Clock()
        clock.advance(START)
        self.mails = Mails(Path(self.folder.name) / "journal", clock)
        self.mails.start()
        self.su = self.mails.sign_up()
        self.trusted = {"c1@example.org"}
        self.links: list[tuple[str, MailedLink]] = []
        self.asked = self.seen = 0

    @rule(number=st.integers(0, 3))
    def correct(self, number: int) -> None:
        """The owner corrects the address, perhaps too soon."""
        before = self.mails.read(contacts.current, self.su).number
        self.asked += 1
        with suppress(Refusal):
            self.mails.correct(self.su, f"d{number}@example.org", f"c{self.asked}")
        if self.mails.read(contacts.current, self.su).number != before:
            self.trusted = set()

    @rule(which=st.integers(0, 20))
    def press(self, which: int) -> None:
        """Somebody opens a link that was mailed to them, and presses the button."""
        if self.links:
            to, link = self.links[which % len(self.links)]
            with suppress(Refusal):
                self.mails.confirm(link)
                self.trusted.add(to)

    @rule(kind=st.sampled_from(["active", "past-due", "refunded", "ended"]))
    def mail(self, kind: MailKind) -> None:
        """Something is to be told."""
        self.asked += 1
        self.mails.put(self.su, kind, f"m{self.asked}")

    @rule()
    def resend(self) -> None:
        """The owner asks for the mail once more."""
        self.asked += 1
        with suppress(Refusal):
            resend(self.mails, self.su, self.asked)

    @rule(seconds=st.sampled_from([1, int(PAUSE), 3600, DAY]))
    def wait(self, seconds: int) -> None:
        """Time passes."""
        self.mails.pass_time(seconds, max(1.0, seconds / 4))

    @rule(up=st.booleans())
    def turn_server(self, up: bool) -> None:
        """The mail server goes away, or comes back."""
        self.mails.server.says = {} if up else {"*": MailLater("down")}

    @invariant()
    def no_right_for_a_stranger(self) -> None:
        """Of the mails since the last look."""
        for to, message in self.mails.server.letters()[self.seen :]:
            if bears_rights(message):
                assert to in self.trusted
            elif message["Subject"].startswith("Is this"):
                self.links.append((to, link_of(message, "confirm")))
        self.seen = len(self.mails.server.taken)

    def teardown(self) -> None:
        """Leave nothing open."""
        self.mails.stop()
        self.folder.cleanup()


TestStranger = Stranger.TestCase
TestStranger.settings = settings(max_examples=10, stateful_step_count=15)
