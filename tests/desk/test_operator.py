"""What an operator may ask, and who is one."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from attrs import Factory, define, evolve
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from lae_flapp.desk.operators.desk import OperatorDesk
from lae_flapp.desk.operators.facet import ANSWERS, operator_facet
from lae_flapp.desk.operators.looking import LONGEST_WAIT
from lae_flapp.journal import (
    causes,
    events,
    inbox,
    lifecycles,
    operators,
    outbox,
    signups,
    switches,
    usage,
)
from lae_flapp.journal.journal import Journal
from lae_flapp.settings import OperatorRights
from lae_protocol import wire
from lae_protocol.box_messages import (
    ListInbox,
    ListOutbox,
    RetryInboxEvent,
    RetryMail,
    ShowInboxEvent,
    ShowMail,
)
from lae_protocol.cost_messages import ListCosts
from lae_protocol.furl import Furl
from lae_protocol.host_messages import DayCounts, Report
from lae_protocol.looking_messages import (
    AskHealth,
    EventPage,
    EventsSince,
    ListSignups,
    ListUsage,
    ShowSignup,
)
from lae_protocol.messages import Done
from lae_protocol.operator_messages import (
    AskConsole,
    AskPlans,
    AskSwitches,
    BackUp,
    Cancel,
    DeleteData,
    GiveFree,
    ListEffects,
    ListHosts,
    LogOut,
    Pause,
    Reactivate,
    ReplaceHost,
    Reseal,
    Resend,
    Resume,
    RetrySignup,
    ShowEffect,
)
from lae_protocol.people_messages import (
    AddOperator,
    AskOperators,
    RenewFurl,
    RevokeOperator,
    ShowSecondFurl,
)
from lae_protocol.recovery_messages import AskSealedIdentity, GiveIdentity
from lae_protocol.refund_messages import AskLastPayment, PaymentView, RefundPayment
from lae_protocol.remote import OPERATOR
from lae_protocol.removal_messages import RemoveHints, RemoveUnpaid
from lae_protocol.rollout_messages import AskRollout, StartRollout, SteerRollout
from lae_protocol.secret import Secret
from lae_protocol.stripe_hints import StripeHint
from tests.twins.asking import ask, ask_raw, begin
from tests.twins.cloud import Cloud, Instance
from tests.twins.journal import answer, open_journal
from tests.twins.payments import Account, MemoryPayments

HERE = str(Path(__file__).parent)
sys.path.insert(0, HERE)
try:
    from an_operator_desk import PLAN, make_desk
    from operator_daemon import EMAILS, an_account, fill, id_of
finally:
    sys.path.remove(HERE)

ANN = Secret("o" + "a" * 52)
ACTIVE, STUCK, LAST = id_of(0), id_of(1), id_of(11)
EMAIL = EMAILS[1]


@define(slots=False)
class Edge:
    """A filled journal and the desk of its operators."""

    folder: Path
    clock: Clock = Factory(Clock)
    woken: list[str] = Factory(list)
    closed: str | None = None
    standing: dict[tuple[str, str], str] = Factory(dict)
    rights: OperatorRights = Factory(OperatorRights)
    names: int = 1
    room: int = 1000
    cloud: Cloud = Factory(Cloud)
    account: Account = Factory(an_account)
    journal: Journal = None
    desk: OperatorDesk = None

    def start(self) -> None:
        self.clock.advance(1_795_000_000)
        self.journal = open_journal(self.folder, self.clock)
        self.write(fill)
        self.write(operators.add, "ann", ANN, "test")
        self.desk = make_desk(
            self.journal,
            self.clock,
            new_furl=self.new_furl,
            woken=self.woken,
            started_at=datetime.fromtimestamp(self.clock.seconds(), UTC),
            folder=self.folder,
            cloud=self.cloud,
            closed_because=lambda: self.closed,
            standing=self.standing,
            rights=self.rights,
            payments=MemoryPayments(self.account, self.clock),
            room=self.room,
        )

    def new_furl(self) -> Furl:
        self.names += 1
        name = "o" + "abcdefghij"[self.names] * 52
        return Furl("t" * 32, ("h.example:1",), name)

    def write(self, work: Any, *args: Any, **kwargs: Any) -> Any:
        return answer(self.journal.write(work, *args, **kwargs))

    def read(self, work: Any, *args: Any, **kwargs: Any) -> Any:
        return answer(self.journal.read(work, *args, **kwargs))

    def launch(self, instance_id: str, console: str) -> None:
        self.cloud.instances[instance_id] = Instance(
            None, instance_id, 0.0, 0.0, 0.0, console=console
        )

    def stop(self) -> None:
        answer(Deferred.fromCoroutine(self.journal.close()))

    def begin(self, question: Any) -> Deferred[bytes]:
        return begin(operator_facet(self.desk, ANN), question)

    def ask(self, question: Any, who: Secret = ANN) -> Any:
        return ask(operator_facet(self.desk, who), question)


@pytest.fixture
def edge(tmp_path: Path) -> Iterator[Edge]:
    made = Edge(tmp_path / "journal")
    made.start()
    yield made
    made.stop()


EVERYTHING = [
    ListSignups(),
    ListUsage(),
    ListCosts(),
    ShowSignup(STUCK),
    RetrySignup(STUCK),
    EventsSince(STUCK),
    EventsSince(None, 0, 20),
    AskHealth(),
    Resend(STUCK, EMAIL, "new@example.org"),
    Cancel(STUCK, "paid", "why"),
    Reactivate(id_of(0), "active", "why"),
    DeleteData(id_of(0), "active", "why"),
    AskLastPayment(id_of(0)),
    RefundPayment(id_of(0), 1, PaymentView(900, 0, "usd", datetime.now(UTC)), "why"),
    LogOut(STUCK, "why"),
    ReplaceHost(id_of(0), "i-0123456789abcdef0", "why"),
    AskPlans(),
    GiveFree(id_of(50), "a@example.org", "basic-250", "w"),
    ListHosts(),
    AskConsole(id_of(0)),
    ListEffects(),
    ShowEffect(1),
    ListInbox(),
    ShowInboxEvent("evt_1"),
    RetryInboxEvent("evt_1"),
    RemoveHints("ignored", 0),
    RemoveUnpaid(0, "why"),
    AskRollout(),
    StartRollout("sha256:" + "a" * 64, 1, 10, 0, "why"),
    SteerRollout(1, "pause", "why"),
    ListOutbox(),
    ShowMail(1),
    RetryMail(1),
    AskSwitches(),
    Pause("mails", "why"),
    Resume("mails"),
    AskOperators(),
    AddOperator("eve"),
    RenewFurl("bob", Secret("o" + "b" * 52)),
    ShowSecondFurl(Secret("s" * 53)),
    RevokeOperator("ann"),
    BackUp("copy.sqlite"),
    Reseal(),
    AskSealedIdentity(STUCK),
    GiveIdentity(STUCK, Secret("{}")),
]


def test_every_question_is_answered() -> None:
    """Each question of an operator has its function, and stands in the table above."""
    every = set(OPERATOR.by_name.values())
    assert {type(question) for question in EVERYTHING} == every
    assert set(ANSWERS) == every


@pytest.mark.parametrize("question", EVERYTHING)
def test_strangers(edge, question) -> None:
    """A name that is nobody's, and a revoked one, get the same refusal of everything."""
    edge.write(operators.revoke, "ann", "bob")
    before = answer(edge.journal.read(events.last_number, None))
    stranger = edge.ask(question, Secret("o" + "z" * 52))
    revoked = edge.ask(question)
    assert answer(edge.journal.read(events.last_number, None)) == before
    assert stranger == revoked
    assert revoked.code == "unknown-operator"
    assert edge.woken == []
    assert "retry" not in [
        e.kind for e in answer(edge.journal.read(events.since, STUCK, 0))
    ]


@pytest.mark.parametrize("kind", OPERATOR.by_name.values())
def test_malformed(edge, kind) -> None:
    """Bytes that are no message are refused as each question."""
    for data in (b"", b"[]", b'{"x":1}', b"\xff"):
        assert ask_raw(operator_facet(edge.desk, ANN), kind, data).code == "malformed"


def test_pages(edge) -> None:
    """Following the cursor shows every signup once, newest first, then ends."""
    seen, cursor = [], None
    while True:
        page = edge.ask(ListSignups(cursor=cursor, limit=5))
        assert len(page.rows) <= 5
        seen += [row.signup_id for row in page.rows]
        cursor = page.cursor
        if cursor is None:
            break
    assert seen == [id_of(n) for n in reversed(range(12))]


@pytest.mark.parametrize(
    "asked",
    [
        ListSignups(cursor="'; DROP"),
        ListSignups(cursor="-1"),
        ListSignups(cursor="9" * 40),
        ListSignups(cursor="\u0663"),
    ],
)
def test_bad_cursors(edge, asked) -> None:
    """A cursor that no page gave is refused, or is the end of the list."""
    told = edge.ask(asked)
    assert getattr(told, "code", "malformed") == "malformed"


@pytest.mark.parametrize("limit", [-5, 0, 1, 10**12])
def test_limits(edge, limit) -> None:
    """No page is empty of what is there, or longer than a page may be."""
    page = edge.ask(ListSignups(limit=limit))
    assert 1 <= len(page.rows) <= 500


def test_unknown_state(edge) -> None:
    """A state that does not exist is refused; one that nobody is in is an empty page."""
    told = edge.ask(ListSignups(state="dead"))
    assert told.code == "malformed"
    page = edge.ask(ListSignups(state="refunded"))
    assert page.rows == ()


@pytest.mark.parametrize("signup_id", [id_of(77), "", "su1", "' OR 1=1", STUCK + "\n"])
def test_unknown_signup(edge, signup_id) -> None:
    """An id that nobody has is said so, to every question that has one."""
    for question in (
        ShowSignup(signup_id),
        RetrySignup(signup_id),
        EventsSince(signup_id, 0, 20),
    ):
        assert edge.ask(question).code == "unknown-signup"
    assert edge.woken == []


def test_retry(edge) -> None:
    """A retry is journaled under the operator's name, then wakes the worker."""
    told = edge.ask(RetrySignup(STUCK))
    assert isinstance(told, Done)
    assert edge.woken == [f"again {STUCK}"]
    last = answer(edge.journal.read(events.since, STUCK, 0))[-1]
    assert (last.kind, last.who, last.public) == ("retry", "operator ann", False)


def test_waiting_for_events(edge) -> None:
    """A question with patience is answered when something happens, or at its end."""
    page = edge.ask(EventsSince(STUCK))
    asked = EventsSince(STUCK, page.last_number, 10**9)
    waiting = edge.begin(asked)
    edge.write(events.note, id_of(2), "of-another", "test")
    assert not waiting.called
    edge.write(events.note, STUCK, "more", "test")
    told = wire.decode_answer(EventsSince, answer(waiting))
    assert [e.kind for e in told.events] == ["more"]

    asked = EventsSince(STUCK, told.last_number, 10**9)
    waiting = edge.begin(asked)
    edge.clock.advance(LONGEST_WAIT - 1)
    assert not waiting.called
    edge.clock.advance(2)
    end = wire.decode_answer(EventsSince, answer(waiting))
    assert end == EventPage((), told.last_number)
    assert len(edge.journal._watchers) == 0


def test_events_of_all(edge) -> None:
    """Without a signup the events of all are told, and those of the whole deployment."""
    page = edge.ask(EventsSince(None))
    assert {e.signup_id for e in page.events} >= {STUCK, None}
    later = edge.ask(EventsSince(None, page.last_number))
    assert later == EventPage((), page.last_number)


def test_closing_while_waiting(edge) -> None:
    """A journal that closes ends the waits, without an error."""
    page = edge.ask(EventsSince(STUCK))
    waiting = edge.begin(EventsSince(STUCK, page.last_number, 20))
    answer(Deferred.fromCoroutine(edge.journal.close()))
    assert wire.decode_answer(EventsSince, answer(waiting)).events == ()


def test_health(edge) -> None:
    """Health tells what waits, since when, and whether signups are taken."""
    edge.clock.advance(90)
    edge.write(inbox.take, StripeHint("evt_1", "k", None), "rq")
    edge.write(outbox.put, STUCK, "active")
    health = edge.ask(AskHealth())
    assert (health.inbox_waiting, health.outbox_waiting) == (1, 1)
    assert health.oldest_unserved_seconds == 90
    assert (health.signups_open, health.canary_opened) == (True, True)
    assert (health.environment, health.release) == ("test", "1.2")
    edge.write(switches.pause, "signups", "ann", "maintenance")
    assert not edge.ask(AskHealth()).signups_open
    edge.write(switches.resume, "signups", "ann")
    edge.closed = "the seal does not open"
    health = edge.ask(AskHealth())
    assert (health.signups_open, health.canary_opened) == (False, False)


def test_health_says_what_needs_somebody(edge) -> None:
    """What wakes somebody comes first, each with its page and commands; what a full
    disk keeps from the journal is told all the same.
    """
    edge.write(causes.begin, "restore-untried", "", "no drill is known")
    edge.write(causes.begin, "signup", f"{STUCK} role:AccessDenied", "role is refused")
    edge.write(causes.begin, "clock", "", "the clock was set")
    edge.write(causes.end, "clock", "")
    edge.standing[("journal-full", "")] = "the journal's disk is full"
    edge.standing[("restore-untried", "")] = "no drill is known"
    needs = edge.ask(AskHealth()).needs
    assert [(n.kind, n.severity) for n in needs] == [
        ("journal-full", "page"),
        ("signup", "page"),
        ("restore-untried", "ticket"),
    ]
    assert needs[0].since is None
    assert needs[1].page == "docs/alerts.rst#s4paidnotready"
    assert f"lae subscriptions retry {STUCK}" in needs[1].commands


def test_nobody_waits(edge) -> None:
    """With everybody served there is no oldest one."""

    def served(tx: Any) -> None:
        tx.run(signups.SIGNUPS.update().values(state="active"))

    edge.write(served)
    health = edge.ask(AskHealth())
    assert health.oldest_unserved_seconds is None


def test_no_secrets(edge) -> None:
    """What operators are told of a signup holds no request and no sealed byte."""
    told = edge.ask(ShowSignup(STUCK))
    assert [e.attempt for e in told.effects] == [1, 2]
    assert not hasattr(told.effects[0], "request")
    assert "secret" not in wire.encode(told).decode()


def test_a_pending_cancellation_is_seen(edge) -> None:
    """What is cancelled and still served says so, with its end, in list and show; and
    a list can be of those alone.
    """
    ends = datetime(2026, 12, 30, tzinfo=UTC)
    edge.write(lifecycles.change, ACTIVE, wish="leave", paid_until=ends)
    edge.write(lifecycles.change, LAST, wish="leave", paid_until=ends)
    row = edge.ask(ShowSignup(ACTIVE)).row
    assert (row.leaving, row.ends_at) == (True, ends)
    page = edge.ask(ListSignups())
    assert [r.signup_id for r in page.rows if r.leaving] == [ACTIVE]
    assert edge.ask(ListSignups(leaving=True)).rows == (row,)
    edge.write(lifecycles.change, ACTIVE, wish="stay")
    assert edge.ask(ListSignups(leaving=True)).rows == ()


def test_usage_over_all(edge) -> None:
    """Usage is listed over all that are served, with what was agreed; those near it can
    be listed alone; a host that told too much spoils no list.
    """
    day = datetime.fromtimestamp(edge.clock.seconds(), UTC).date()
    told = DayCounts(day, 1, 9 * 10**11, ())
    report = Report("ready", datetime.now(UTC), 10**9, 3, 0, None, 0, (told,))
    assert edge.ask(ListUsage(near=True)).rows == ()
    edge.write(usage.told, ACTIVE, report)
    (line,) = edge.ask(ListUsage(near=True)).rows
    assert (line.signup_id, line.stored, line.quota) == (ACTIVE, 10**9, PLAN.quota)
    assert (line.sent, line.traffic, line.told_on) == (
        9 * 10**11,
        PLAN.traffic,
        day.isoformat(),
    )
    assert {r.signup_id for r in edge.ask(ListUsage()).rows} == {ACTIVE, STUCK}
    assert edge.ask(ListUsage(plan_id="another")).rows == ()
    full = evolve(
        report, used_bytes=int(0.9 * PLAN.quota), days=(evolve(told, sent=0),)
    )
    edge.write(usage.told, ACTIVE, full)
    assert len(edge.ask(ListUsage(near=True)).rows) == 1
    edge.write(usage.told, ACTIVE, evolve(full, used_bytes=full.used_bytes - 1))
    assert edge.ask(ListUsage(near=True)).rows == ()
