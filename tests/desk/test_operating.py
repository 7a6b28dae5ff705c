"""What operators change, and how two of them get along."""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from lae_flapp.journal import (
    contacts,
    effects,
    events,
    hosts,
    inbox,
    operators,
    outbox,
    signups,
    switches,
)
from lae_protocol.box_messages import (
    ListInbox,
    ListOutbox,
    RetryInboxEvent,
    RetryMail,
    ShowMail,
)
from lae_protocol.ids import Generation, OwnerSecret
from lae_protocol.looking_messages import ListSignups
from lae_protocol.messages import Done, Refused
from lae_protocol.operator_messages import (
    AskConsole,
    Cancel,
    Console,
    ListEffects,
    ListHosts,
    LogOut,
    Pause,
    ReplaceHost,
    Resend,
    Resume,
    ShowEffect,
)
from lae_protocol.people_messages import (
    Accepted,
    AddOperator,
    AskOperators,
    RenewFurl,
    RevokeOperator,
)
from lae_protocol.secret import Secret
from lae_protocol.stripe_hints import StripeHint

sys.path.insert(0, str(Path(__file__).parent))
try:
    from operator_daemon import EMAILS, id_of
    from test_operator import ANN, Edge, edge  # noqa: F401  (a fixture)
finally:
    sys.path.pop(0)

ACTIVE, STUCK, BOUNCING, LAST = id_of(0), id_of(1), id_of(2), id_of(11)
BOB = Secret("o" + "b" * 52)
FURL = f"pb://{'a' * 32}@h.example:1/{'b' * 53}"


def last_event(edge, signup_id=None):
    return edge.read(events.since, signup_id, 0)[-1]


def test_mail_again(edge) -> None:
    """A mail is queued once more under the operator's name; while it waits, no second
    one is.
    """
    asked = Resend(ACTIVE, EMAILS[0])
    assert isinstance(edge.ask(asked), Done)
    assert isinstance(edge.ask(asked), Done)
    (mail,) = edge.read(outbox.of, ACTIVE)
    assert (mail.kind, mail.state) == ("active", "waiting")
    event = last_event(edge, ACTIVE)
    assert (event.kind, event.who) == ("mail-resent", "operator ann")
    assert edge.woken == ["outbox"]


def test_mail_to_a_corrected_address(edge) -> None:
    """The address is corrected, a confirmed one too, and the old one stays in its
    history.
    """
    number = edge.read(contacts.current, ACTIVE).number
    edge.write(contacts.mark, number, "confirmed")
    asked = Resend(ACTIVE, EMAILS[0], "o'neil@exämple.org")
    assert isinstance(edge.ask(asked), Done)
    past, now = edge.read(contacts.history, ACTIVE)
    assert (past.typed, now.typed) == (EMAILS[0], "o'neil@exämple.org")
    kinds = [(e.kind, e.who) for e in edge.read(events.since, ACTIVE, 0)][-2:]
    assert kinds == [(k, "operator ann") for k in ("address-corrected", "mail-resent")]


def test_two_operators_correct_one_address(edge) -> None:
    """Who comes second, having seen the old address, changes nothing and is told."""
    edge.write(operators.add, "bob", BOB, "test")
    first = edge.ask(Resend(ACTIVE, EMAILS[0], "a@b.org"))
    asked = Resend(ACTIVE, EMAILS[0], "c@d.org")
    second = edge.ask(asked, BOB)
    assert isinstance(first, Done)
    assert second.code == "changed"
    assert edge.read(contacts.current, ACTIVE).typed == "a@b.org"


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        (Resend(STUCK, EMAILS[1]), "not-now"),
        (Resend(BOUNCING, EMAILS[2]), "not-now"),
        (Resend(ACTIVE, EMAILS[0], "no address"), "bad-address"),
        (Resend(id_of(77), "x"), "unknown-signup"),
    ],
)
def test_mails_that_cannot_be_sent(edge, asked, code) -> None:
    """What is not ready, bounces, or is no address, is refused and changes nothing."""
    before = edge.read(events.last_number, None)
    assert edge.ask(asked).code == code
    assert edge.read(events.last_number, None) == before
    assert edge.woken == []


def test_address_before_there_is_a_mail(edge) -> None:
    """Of what is still built the address is corrected and asked whether it is the
    customer's; of what nobody paid, nobody is mailed.
    """
    for signup_id, number, kinds in ((STUCK, 1, ["confirm"]), (LAST, 11, [])):
        asked = Resend(signup_id, EMAILS[number], "right@example.org")
        done = edge.ask(asked)
        assert isinstance(done, Done)
        assert done.view.awaits_confirmation is bool(kinds)
        assert edge.read(contacts.current, signup_id).typed == "right@example.org"
        assert [m.kind for m in edge.read(outbox.of, signup_id)] == kinds
    assert edge.ask(Resend(LAST, "right@example.org")).code == "not-now"


def test_an_operators_correction_is_confirmed_too(edge) -> None:
    """What an operator typed may be a stranger's: it gets the letter that asks, as
    often as the mail is asked for, and one that waits is not doubled.
    """
    to = "right@example.org"
    for asked in (
        Resend(ACTIVE, EMAILS[0], to),
        Resend(ACTIVE, to),
        Resend(ACTIVE, to),
    ):
        assert isinstance(edge.ask(asked), Done)
    (mail,) = edge.read(outbox.of, ACTIVE)
    assert (mail.kind, mail.state) == ("confirm", "waiting")
    edge.write(outbox.accepted, mail.number, edge.read(contacts.current, ACTIVE).number)
    assert isinstance(edge.ask(Resend(ACTIVE, to)), Done)
    assert [m.kind for m in edge.read(outbox.of, ACTIVE)] == ["confirm", "confirm"]


def test_cancelling_what_nobody_paid(edge) -> None:
    """An unpaid signup is over at once, with who and why in its log."""
    told = edge.ask(Cancel(LAST, "registered", "a wish"))
    assert told.view.state == "cancelled"
    event = last_event(edge, LAST)
    expected = ("cancelled", "operator ann", "a wish")
    assert (event.kind, event.who, event.why) == expected


def test_cancelling_what_is_not_served(edge) -> None:
    """A paid signup that is not served goes on its one way back."""
    told = edge.ask(Cancel(STUCK, "paid", "a wish"))
    assert told.view.state == "refunding"
    assert edge.woken == [STUCK]


def test_cancelling_a_payment_page(edge) -> None:
    """An open payment page is closed before the signup is given up."""

    def paying(tx):
        signups.move(
            tx, LAST, {"registered"}, "paying", kind="checkout-opened", who="test"
        )

    edge.write(paying)
    told = edge.ask(Cancel(LAST, "paying", "a wish"))
    # Stripe has not said yet what became of the page, so nothing is decided.
    assert told.code == "changed"
    assert edge.woken == [f"expire {LAST}"]


def test_two_operators_cancel_one_signup(edge) -> None:
    """The second one saw another state: nothing changes, and it is told which it is."""
    edge.write(operators.add, "bob", BOB, "test")
    asked = Cancel(STUCK, "paid", "a wish")
    assert isinstance(edge.ask(asked), Done)
    second = edge.ask(asked, BOB)
    assert (second.code, "refunding" in second.message) == ("changed", True)
    kinds = [e.kind for e in edge.read(events.since, STUCK, 0)]
    assert kinds.count("withdrawn") == 1


@pytest.mark.parametrize("why", ["", "  ", "x" * 501, "bell\x07"])
def test_reasons(edge, why) -> None:
    """A change without a reason that can be kept is refused."""
    told = edge.ask(Cancel(STUCK, "paid", why))
    assert told.code == "malformed"
    assert edge.ask(Pause("mails", why)).code == "malformed"
    assert edge.read(switches.every) == ()


def test_hosts(edge) -> None:
    """Hosts are paged, and a gone one is listed when it is asked for."""
    for number in (3, 4):
        edge.write(hosts.begin, id_of(number))
    first = edge.ask(ListHosts(limit=2))
    rest = edge.ask(ListHosts(None, first.cursor, 2))
    seen = [h.signup_id for h in (*first.rows, *rest.rows)]
    assert (seen, rest.cursor) == ([id_of(4), id_of(3), ACTIVE], None)
    edge.write(hosts.move, id_of(3), Generation(1), {"wanted"}, "gone")
    (gone,) = edge.ask(ListHosts("gone")).rows
    assert (gone.signup_id, gone.generation) == (id_of(3), 1)
    assert edge.ask(ListHosts("dead")).code == "malformed"
    told = edge.ask(ListHosts(None, "x.y"))
    assert told.code == "malformed"


def test_console(edge) -> None:
    """A console is told without the secrets in it; what is not there is said so."""
    edge.launch("i-0123456789abcdef0", f"up\n{FURL}\n" + "x" * 50_000 + "end")
    told = edge.ask(AskConsole(ACTIVE))
    assert isinstance(told, Console)
    assert (told.cut, told.text[-3:]) == (True, "end")
    edge.launch("i-0123456789abcdef0", f"up\n{FURL}\n")
    told = edge.ask(AskConsole(ACTIVE))
    assert told.text == "up\npb://[redacted]\n"
    edge.cloud.instances.clear()
    assert edge.ask(AskConsole(ACTIVE)).code == "unknown"
    assert edge.ask(AskConsole(STUCK)).code == "unknown"


def test_effects(edge) -> None:
    """Effects are narrowed by signup, state and step, newest first."""
    every = edge.ask(ListEffects())
    assert [(e.attempt, e.state) for e in every.rows] == [(2, "begun"), (1, "failed")]
    for asked, count in (
        (ListEffects(STUCK), 2),
        (ListEffects(ACTIVE), 0),
        (ListEffects(state="failed"), 1),
        (ListEffects(step="host"), 2),
        (ListEffects(step="bucket"), 0),
        (ListEffects(limit=1), 1),
    ):
        assert len(edge.ask(asked).rows) == count
    bad = edge.ask(ListEffects(state="odd"))
    assert (bad.code, "begun" in bad.message) == ("malformed", True)


def test_requests_with_secrets_are_not_shown(edge) -> None:
    """A sealed request is told by its size; a furl in another one is replaced."""
    key = effects.EffectKey(ACTIVE, "host", "make-host", Generation(1))

    def begun(tx, request, *, sealed):
        return effects.begin(tx, effects.upcoming(tx, key), request, sealed=sealed)

    sealed = edge.write(begun, b"\x01secret", sealed=True)
    told = edge.ask(ShowEffect(sealed.number))
    assert (told.sealed, told.size, told.request) == (True, 7, None)
    edge.write(effects.fail, sealed.number, "no")
    plain = edge.write(begun, f'{{"furl": "{FURL}"}}'.encode(), sealed=False)
    told = edge.ask(ShowEffect(plain.number))
    assert told.request == '{"furl": "pb://[redacted]"}'
    unknown = edge.ask(ShowEffect(10**9))
    assert (unknown.code, unknown.message) == (
        "unknown",
        "There is no effect 1000000000.",
    )


def test_inbox(edge) -> None:
    """Events of Stripe's are paged in the order of their coming, ties too; one that
    was ignored can be worked off again, one that is done cannot.
    """
    for number in range(5):
        hint = StripeHint(f"evt_{number}", "invoice.paid", "in_1")
        edge.write(inbox.take, hint, "rq")
    cursor, seen = None, []
    while True:
        page = edge.ask(ListInbox(None, cursor, 2))
        seen += [e.event_id for e in page.rows]
        cursor = page.cursor
        if cursor is None:
            break
    assert seen == [f"evt_{n}" for n in (4, 3, 2, 1, 0)]
    edge.write(inbox.ignore, "evt_1", "not ours")
    edge.write(inbox.done, "evt_2")
    edge.woken.clear()
    told = edge.ask(RetryInboxEvent("evt_1"))
    assert (told.state, told.settled_at) == ("waiting", None)
    assert edge.woken == ["inbox"]
    told = edge.ask(RetryInboxEvent("evt_2"))
    assert told.code == "changed"
    told = edge.ask(RetryInboxEvent("evt_9"))
    assert told.code == "unknown"
    told = edge.ask(ListInbox(None, "odd", 2))
    assert told.code == "malformed"


def test_outbox(edge) -> None:
    """A refused mail is sent again to the address of now; an accepted one is not."""
    mail = edge.write(outbox.put, ACTIVE, "active")
    contact = edge.read(contacts.current, ACTIVE)
    edge.write(outbox.refused, mail.number, contact.number, "550 no such user")
    (line,) = edge.ask(ListOutbox(ACTIVE)).rows
    assert (line.state, line.to) == ("refused", EMAILS[0])
    edge.write(contacts.correct, ACTIVE, "new@example.org", "new@example.org")
    told = edge.ask(ShowMail(mail.number))
    assert told.to == EMAILS[0]
    told = edge.ask(RetryMail(mail.number))
    assert (told.state, told.to) == ("waiting", "new@example.org")
    edge.write(outbox.accepted, mail.number, contact.number)
    told = edge.ask(RetryMail(mail.number))
    assert told.code == "changed"
    assert edge.ask(ShowMail(99)).code == "unknown"


def test_switches(edge) -> None:
    """A pause stands with who and why until it is resumed, and what waited is looked
    at then, at once.
    """
    told = edge.ask(Pause("mails", "a bad  template"))
    (pause,) = told.paused
    expected = ("mails", "operator ann", "a bad template")
    assert (pause.name, pause.who, pause.why) == expected
    mail = edge.write(outbox.put, ACTIVE, "active")
    later = datetime.fromtimestamp(edge.clock.seconds(), UTC) + timedelta(hours=1)
    edge.write(outbox.put_off, mail.number, "paused", later)
    edge.woken.clear()
    assert edge.ask(Resume("mails")).paused == ()
    assert edge.read(outbox.due)[0].number == mail.number
    assert edge.woken == ["outbox", "switches"]
    before = edge.read(events.last_number, None)
    assert edge.ask(Resume("mails")).paused == ()
    assert edge.read(events.last_number, None) == before


def test_people(edge) -> None:
    """Who is added has a furl of their own; who is revoked is refused at the next call;
    a name is never given twice, and the last operator stays.
    """
    told = edge.ask(AddOperator("bob"))
    bob = Secret(told.furl.rpartition("/")[2])
    assert "bob" not in told.furl
    people = edge.ask(AskOperators(), bob)
    assert [(o.name, o.you) for o in people.operators] == [
        ("ann", False),
        ("bob", True),
    ]
    told = edge.ask(RevokeOperator("ann"), bob)
    assert isinstance(told, Accepted)
    told = edge.ask(ListSignups())
    assert told.code == "unknown-operator"
    assert last_event(edge).who == "operator bob"
    for name, code in (("ann", "changed"), ("Bob!", "malformed"), ("", "malformed")):
        told = edge.ask(AddOperator(name), bob)
        assert told.code == code
    told = edge.ask(RevokeOperator("bob"), bob)
    assert told.code == "not-now"
    told = edge.ask(RevokeOperator("eve"), bob)
    assert told == Refused("unknown", "There is no operator eve.")


def test_a_furl_is_rotated_and_the_person_stays(edge) -> None:
    """With the new furl they have the name that they had; the old furl is refused at the
    next call, and the same question again changes nothing.
    """
    edge.ask(AddOperator("bob"))
    for _ in range(2):
        told = edge.ask(RenewFurl("bob", BOB))
        assert told.furl.endswith("/" + BOB.reveal())
    assert last_event(edge).kind == "operator-furl-renewed"
    edge.ask(RenewFurl("ann", Secret("o" + "c" * 52)), BOB)
    assert last_event(edge).who == "operator bob"
    assert edge.ask(AskOperators()).code == "unknown-operator"
    people = edge.ask(AskOperators(), Secret("o" + "c" * 52)).operators
    assert [(o.name, o.you) for o in people] == [("ann", True), ("bob", False)]
    kinds = [e.kind for e in edge.read(events.since, None, 0)]
    assert kinds.count("operator-furl-renewed") == 2


def test_furls_that_cannot_be_rotated(edge) -> None:
    """What is no operator's name, who is revoked or unknown, and the first operator,
    whose furl is a file of the daemon's: each is refused, with what to do.
    """
    edge.ask(AddOperator("bob"))
    edge.ask(RevokeOperator("bob"))
    edge.write(operators.install, operators.FIRST, Secret("o" + "f" * 52), "daemon")
    for name, swissnum, said in (
        ("ann", "h" + "b" * 52, "no name of an operator's furl"),
        ("bob", BOB.reveal(), "operator bob is revoked now"),
        ("eve", BOB.reveal(), "There is no operator eve."),
        (operators.FIRST, BOB.reveal(), "remove that file and restart the daemon"),
    ):
        told = edge.ask(RenewFurl(name, Secret(swissnum)))
        assert isinstance(told, Refused)
        assert said in told.message


def test_a_host_is_replaced(edge) -> None:
    """A served customer's host is retired, so that the routine makes the next one; an
    operator who saw another host changes nothing, nor does a second one.
    """
    instance = "i-0123456789abcdef0"
    asked = ReplaceHost(ACTIVE, instance, "its disk fails")
    assert edge.ask(asked).code == "changed"
    for frm, to in (("launched", "claimed"), ("claimed", "ready")):
        edge.write(hosts.move, ACTIVE, Generation(1), {frm}, to)
    assert edge.ask(ReplaceHost(ACTIVE, "i-1", "why")).code == "changed"
    assert isinstance(edge.ask(asked), Done)
    assert edge.read(hosts.live, ACTIVE).state == "retiring"
    told = [(e.kind, e.who) for e in edge.read(events.since, ACTIVE, 0)]
    assert ("host-replaced", "operator ann") in told
    assert edge.ask(asked).code == "changed"
    assert edge.ask(ReplaceHost(STUCK, None, "why")).code == "changed"


def test_browsers_are_logged_out(edge) -> None:
    """After that no secret is the owner's, and it is an event with its reason."""
    secret = OwnerSecret("secret 0" * 5)
    assert edge.read(signups.owned, ACTIVE, secret) is not None
    assert isinstance(edge.ask(LogOut(ACTIVE, "a stolen laptop")), Done)
    assert edge.read(signups.owned, ACTIVE, secret) is None
    event = last_event(edge, ACTIVE)
    assert (event.kind, event.who, event.why) == (
        "logged-out",
        "operator ann",
        "a stolen laptop",
    )
    assert edge.ask(LogOut(id_of(77), "x")).code == "unknown-signup"


def test_logged_out_with_a_link_for_one_browser(edge) -> None:
    """The owner is mailed a link, if the operator wants that; where nobody paid, there
    is nothing to log in to, and nothing changes.
    """
    assert isinstance(edge.ask(LogOut(ACTIVE, "stolen", mail_link=True)), Done)
    assert edge.read(signups.owned, ACTIVE, OwnerSecret("secret 0" * 5)) is None
    (mail,) = edge.read(outbox.of, ACTIVE)
    assert (mail.kind, mail.state) == ("log-in", "waiting")
    event = last_event(edge, ACTIVE)
    assert (event.kind, event.who) == ("log-in-asked", "operator ann")
    assert edge.ask(LogOut(LAST, "stolen", mail_link=True)).code == "not-now"
    assert edge.read(signups.owned, LAST, OwnerSecret("secret 11" * 5)) is not None
    assert edge.read(outbox.of, LAST) == ()
