"""The watch and the operators' mails, on a real journal."""

from __future__ import annotations

import email
from datetime import UTC, datetime
from email import policy
from random import Random
from types import SimpleNamespace

import pytest
from attrs import evolve
from twisted.internet.defer import Deferred, fail, succeed

from lae_flapp.backup.continuous import BackupSeen
from lae_flapp.flood import HourlyLimit
from lae_flapp.journal import causes, contacts, epoch, events, hosts, listing, outbox
from lae_flapp.journal.causes import QUIET
from lae_flapp.journal.errors import JournalFull
from lae_flapp.journal.transaction import WriteTx
from lae_flapp.mail.message import Sender
from lae_flapp.mail.server import MailLater
from lae_flapp.queue import Queue
from lae_flapp.signs.notices import Notices
from lae_flapp.signs.registrations import NO_ROOM, Registrations
from lae_flapp.signs.standing import Bounds
from lae_flapp.signs.watch import Watch
from lae_protocol import wire
from lae_protocol.address import parse_address
from lae_protocol.host_messages import Report
from lae_protocol.process.token_bucket import Rate
from tests.grid.world import World, always
from tests.signs.conftest import Signs, now
from tests.twins.journal import answer
from tests.twins.weather import Fault

SENDER = Sender(
    name="S4",
    address=parse_address("storage@s4.example"),
    support=parse_address("support@s4.example"),
    bounce_local="bounces",
    bounce_domain="s4.example",
    site_url="https://s4.example",
    environment="staging",
)


class Daemon:
    """A world's daemon with its watch, and a mail server that can be away."""

    def __init__(self, world: World) -> None:
        self.world, self.clock = world, world.clock
        self.signs = Signs(world.clock, world.journal, None)
        self.availability = SimpleNamespace(
            problem=None, closed_because=lambda: self.availability.problem and "later"
        )
        self.registrations = Registrations(
            world.journal, self.signs.snapshots, self.availability, reserve=1
        )
        self.limit = HourlyLimit(
            world.clock, "registrations", 10, Rate(10, 10), self.registrations.is_short
        )
        self.strays: dict[str, str] = {}
        self.unclaimed: dict[str, str] = {}
        self.asked = 0
        self.watch = Watch(
            clock=world.clock,
            journal=world.journal,
            figures=self.signs.figures,
            snapshots=self.signs.snapshots,
            registrations=self.registrations,
            tallies=lambda: self.signs.calls.tallies,
            strays=lambda: self.strays,
            unclaimed=lambda: self.unclaimed,
            quotas={},
            bounds=Bounds(disk=1),
            probe=self.probe,
            ahead=lambda: self.signs.ahead,
            unopened=dict,
            backup=lambda: self.signs.backup,
            limits={"registrations": self.limit},
            lasting=self.signs.causes,
            standing={},
        )
        self.mailed: list[email.message.EmailMessage] = []
        self.mail_away = False
        notices = Notices(
            world.journal,
            SimpleNamespace(deliver=self.deliver),
            sender=SENDER,
            operators=tuple(map(parse_address, ("a@op.example", "b@op.example"))),
            deployment="s4test",
            rng=Random(1),
        )
        self.notices = Queue(
            "causes",
            world.clock,
            world.journal,
            due=causes.due,
            next_due_at=causes.next_due_at,
            number_of=lambda cause: cause.number,
            work=notices,
            at_once=2,
        )
        self.notices.startService()

    async def probe(self) -> None:
        self.asked += 1

    def deliver(self, envelope) -> Deferred[None]:
        if self.mail_away:
            return fail(MailLater("unreachable"))
        message = email.message_from_bytes(envelope.message, policy=policy.default)
        assert envelope.sender == "bounces+notice@s4.example"
        if envelope.recipient == "a@op.example":
            self.mailed.append(message)
        return succeed(None)

    def passes(self, seconds: float) -> None:
        """Time, with looks as in a daemon."""
        step = 60 if seconds >= 300 else 15
        for _ in range(int(seconds // step)):
            self.world.advance(step, 15)
            now(self.watch.look())

    @property
    def subjects(self) -> list[str]:
        return [message["Subject"] for message in self.mailed]


@pytest.fixture
def daemon(tmp_path):
    world = World(tmp_path)
    world.start()
    made = Daemon(world)
    yield made
    made.notices.stopService()
    world.stop()


def test_a_service_that_is_away_is_told_once_and_its_return_too(daemon) -> None:
    """Ten minutes of silence are one mail; five minutes after the return, another."""
    daemon.signs.calls("s3", "failed", 1.0)
    daemon.passes(9 * 60)
    assert daemon.mailed == []
    assert daemon.asked > 0, "nobody else asked, so the watch did"
    for _ in range(20):
        daemon.signs.calls("s3", "throttled", 1.0)
        daemon.passes(60)
    assert daemon.subjects == ["[staging] s3 has answered nothing that it was asked"]
    daemon.signs.refresh()
    assert daemon.signs.value("s4_causes", kind="service-away", severity="page") == 1
    assert daemon.signs.health().facts["causes"] == {"service-away": 1}
    daemon.signs.calls("s3", "ok", 1.0)
    daemon.passes(QUIET.total_seconds() - 30)
    assert len(daemon.mailed) == 1
    daemon.passes(60)
    assert daemon.subjects[1:] == [
        "[staging] Over: s3 has answered nothing that it was asked"
    ]
    text = daemon.mailed[1].get_content()
    assert "after 19 minutes" in text
    assert daemon.signs.health().facts["causes"] == {}


def test_the_mail_about_a_late_host_quotes_its_console(daemon) -> None:
    """Its subject is one sentence; the console's lines stand below it, each in a line
    of its own, with the commands to begin with.
    """
    daemon.unclaimed["su1"] = "host i-1 is late\nits console ends with:\none"
    daemon.passes(15)
    (message,) = daemon.mailed
    assert message["Subject"] == "[staging] host i-1 is late (su1)"
    text = message.get_content().replace("\r\n", "\n")
    assert "\n    host i-1 is late\n    its console ends with:\n    one\n" in text
    assert "    lae hosts console su1\n" in text
    assert "docs/alerts.rst#s4claimlate" in text
    told = daemon.world.read(events.since, None, 0)
    assert told[-1].why == (
        "claim-late su1: host i-1 is late | its console ends with: | one"
    )


def test_what_the_mail_says(daemon) -> None:
    """It says what is wrong, since when, where to read on, and that an end is told."""
    daemon.strays["i-0123"] = "su1, generation 2"
    daemon.passes(15)
    (message,) = daemon.mailed
    text = message.get_content()
    assert "This problem needs you:" in text
    assert (
        "an instance that the journal does not know, tagged su1, generation 2" in text
    )
    assert "About        i-0123" in text
    assert "Environment  staging, deployment s4test" in text
    assert "docs/alerts.rst#s4strayinstance" in text
    assert max(map(len, text.splitlines())) <= 80
    (cause,) = daemon.world.read(causes.every)
    assert message["Message-ID"] == f"<{cause.message_id}@s4.example>"


def test_with_the_mail_server_away_it_waits_and_is_told_in_one(daemon) -> None:
    """What began and ended meanwhile is one mail when there is a server again."""
    daemon.mail_away = True
    daemon.strays["i-0123"] = "su1, generation 2"
    daemon.passes(60)
    daemon.strays.clear()
    daemon.passes(20 * 60)
    daemon.mail_away = False
    daemon.passes(20 * 60)
    (message,) = daemon.mailed
    assert message["Subject"].startswith("[staging] Over: an instance")
    assert "while no mail could be sent" in message.get_content()


def test_a_troubled_signup_is_told_to_be_over(daemon) -> None:
    """The mail about a signup is the outbox's; when it goes on, the end is told once."""
    world = daemon.world
    world.weather = always("roles.make", Fault.REFUSED)
    signup_id = world.paid()
    daemon.passes(60)
    assert world.mails(signup_id) == ["troubled"]
    assert daemon.mailed == []
    world.weather = lambda _: Fault.NONE
    world.retry(signup_id)
    daemon.passes(60)
    assert world.state(signup_id) == "active"
    daemon.passes(QUIET.total_seconds())
    (message,) = daemon.mailed
    assert message["Subject"].startswith("[staging] Over: role is refused")
    assert signup_id in message["Subject"]


def test_the_same_trouble_after_its_end_is_told_again(daemon) -> None:
    """A cause that is over and comes again is a new cause, with a mail of its own."""
    world = daemon.world
    signup_id = world.paid()
    daemon.passes(60)

    def troubled() -> list[str]:
        from lae_flapp.grid import moves  # noqa: PLC0415

        world.write(moves.trouble, signup_id, "host:x", "refused")
        return world.mails(signup_id).count("troubled")

    def goes_on() -> None:
        from lae_flapp.grid import moves  # noqa: PLC0415

        world.write(moves.go_on, signup_id)
        daemon.passes(2 * QUIET.total_seconds())

    assert [troubled(), troubled()] == [1, 1]
    goes_on()
    assert troubled() == 2
    assert len({m.message_id for m in world.read(outbox.of, signup_id)}) == 3
    goes_on()
    assert troubled() == 3


def test_a_lost_host_is_told_and_so_is_its_successor(daemon) -> None:
    """While a served customer has no host that is ready, that is a cause."""
    world = daemon.world
    signup_id = world.paid()
    daemon.passes(60)
    assert daemon.mailed == []
    from lae_flapp.grid import moves  # noqa: PLC0415

    world.hosts_work = False
    world.write(moves.lose_host, signup_id, 1)
    daemon.passes(60)
    assert "the host of a served customer is gone" in daemon.subjects[0]
    world.hosts_work = True
    daemon.passes(QUIET.total_seconds() + 300)
    assert daemon.subjects[-1].startswith("[staging] Over: the host of a served")


def test_a_daemon_that_starts_again_tells_nothing_twice(daemon) -> None:
    """Causes are the journal's: after a restart what was told is known."""
    daemon.strays["i-0123"] = "su1, generation 2"
    daemon.passes(60)
    daemon.notices.stopService()
    again = Daemon(daemon.world)
    again.strays["i-0123"] = "su1, generation 2"
    again.passes(60)
    again.notices.stopService()
    assert (len(daemon.mailed), again.mailed) == (1, [])


def test_each_look_writes_that_the_daemon_lives(daemon) -> None:
    """The beat is what tells that the journal can be written."""
    daemon.passes(30)
    beat = daemon.world.read(epoch.last_beat)
    assert beat.timestamp() == daemon.clock.seconds()


def told_full(daemon: Daemon) -> list[events.Event]:
    """What the journal says of a full disk."""
    every = daemon.world.read(events.since, None, 0)
    return [event for event in every if event.kind == "journal-full"]


def test_a_full_disk_closes_registrations(daemon, monkeypatch) -> None:
    """When nothing can be written no signups are taken, health is bad, and it is said
    once; when there is room all goes on, and the log of events says how long it was.
    """
    daemon.passes(15)
    assert daemon.registrations.closed_because() is None
    journal, write = daemon.world.journal, daemon.world.journal.write

    def full(work, *args, **kwargs):
        error = JournalFull("database or disk is full")
        return fail(error).addErrback(journal._failed)

    monkeypatch.setattr(journal, "write", full)
    for _ in range(4):
        daemon.clock.advance(15)
        now(daemon.watch.look())
    assert daemon.registrations.closed_because() == NO_ROOM
    assert daemon.signs.health().status == 503
    assert set(daemon.watch.standing) == {("journal-full", "")}
    assert daemon.signs.causes["journal-full"] == 1
    monkeypatch.setattr(journal, "write", write)
    daemon.passes(15)
    assert daemon.registrations.closed_because() is None
    assert daemon.signs.health().status == 200
    assert daemon.watch.standing == {}
    (one,) = told_full(daemon)
    assert one.why == "the disk was full for 60 s"


def test_a_disk_too_full_for_large_writes_is_full(daemon) -> None:
    """A beat may fit where a signup does not: the disk is full until a whole look has
    passed in which no write was refused, and then the events say how long it was.
    """
    journal = daemon.world.journal

    def refused(tx: WriteTx) -> None:
        raise JournalFull("database or disk is full")

    for _ in range(3):
        with pytest.raises(JournalFull):
            answer(journal.write(refused))
        daemon.clock.advance(15)
        now(daemon.watch.look())
    assert told_full(daemon) == []
    daemon.clock.advance(15)
    now(daemon.watch.look())
    now(daemon.watch.look())
    (one,) = told_full(daemon)
    assert one.why == "the disk was full for 45 s"


def test_a_notice_on_a_full_disk_is_sent_once(daemon, monkeypatch) -> None:
    """What the server has is not sent again because the journal could not note it."""
    daemon.strays["i-0123"] = "su1, generation 2"
    now(daemon.watch.look())
    journal, write = daemon.world.journal, daemon.world.journal.write
    daemon.mailed.clear()
    (row,) = daemon.world.read(causes.lasting)
    daemon.notices.stopService()
    assert row.told_at is not None
    daemon.strays["i-4567"] = "su1, generation 3"
    daemon.clock.advance(15)
    now(daemon.watch.look())

    def full(work, *args, **kwargs):
        return fail(JournalFull("database or disk is full"))

    monkeypatch.setattr(journal, "write", full)
    daemon.notices.startService()
    for _ in range(20):
        daemon.clock.advance(5)
    assert len(daemon.mailed) == 1
    monkeypatch.setattr(journal, "write", write)
    for _ in range(20):
        daemon.clock.advance(5)
    assert len(daemon.mailed) == 1
    assert all(c.told_at is not None for c in daemon.world.read(causes.lasting))


def test_little_room_closes_registrations_before_the_disk_is_full(daemon) -> None:
    """Below the reserve nobody new is taken, so that who paid can be served."""
    daemon.passes(15)
    assert daemon.registrations.closed_because() is None
    short = evolve(daemon.registrations, reserve=1 << 62)
    assert short.closed_because() == NO_ROOM
    assert daemon.signs.health().status == 200


def test_a_refused_mail_needs_somebody(daemon) -> None:
    """A mail that was refused for good is mailed to the operators with commands that do
    something; it is over when the address is another, or when a week has passed.
    """
    world = daemon.world
    signup_id = world.paid()
    number = world.read(contacts.current, signup_id).number
    mail = world.write(outbox.put, signup_id, "active", "again")
    world.write(outbox.refused, mail.number, number, "refused with 550")
    daemon.passes(15)
    (notice,) = daemon.mailed
    assert signup_id in notice["Subject"]
    text = notice.get_content().replace("\r\n", "\n")
    assert "docs/alerts.rst#s4mailrefused" in text
    assert f"\n    lae outbox show {mail.number}\n" in text
    assert f"\n    lae subscriptions resend --to ADDRESS {signup_id}\n" in text
    world.write(contacts.correct, signup_id, "b@c.org", "b@c.org", by_operator=True)
    daemon.passes(15)
    assert daemon.signs.causes["mail-refused"] == 0


def test_a_host_that_cannot_serve_needs_somebody(daemon) -> None:
    """What a ready host says of itself is a cause, until it says that it is well."""
    world = daemon.world
    signup_id = world.paid()
    world.advance(10)
    host, at = world.read(hosts.live, signup_id), datetime.fromtimestamp(0, UTC)
    for problem, many in (("the bucket does not answer", 1), (None, 0)):
        told = Report("ready", at, 0, 0, 0, problem)
        world.write(
            hosts.reported, signup_id, host.generation, wire.encode(told).decode()
        )
        daemon.passes(15)
        assert daemon.signs.causes["host-failing"] == many


def test_a_client_at_a_bound_wakes_nobody(daemon) -> None:
    """That a customer's client met a bound is told, and not as a host that fails."""
    world = daemon.world
    signup_id = world.paid()
    world.advance(10)
    host, at = world.read(hosts.live, signup_id), datetime.fromtimestamp(0, UTC)
    told = Report("ready", at, 0, 0, 0, "leases take 9 bytes", capped=True)
    kept = wire.encode(told).decode()
    world.write(hosts.reported, signup_id, host.generation, kept)
    daemon.passes(15)
    assert daemon.signs.causes["client-capped"] == 1
    assert daemon.signs.causes["host-failing"] == 0
    assert "leases take 9 bytes" in world.read(listing.row, signup_id).problem


def test_a_flood_is_told_once_and_ends(daemon) -> None:
    """Operators hear that more came than is taken, while it lasts, and then its end."""
    for _ in range(50):
        daemon.limit.take()
    daemon.passes(60)
    (message,) = daemon.mailed
    assert "more registrations came than are taken" in message.get_content()
    daemon.passes(15 * 60 + QUIET.total_seconds())
    assert [m["Subject"].startswith("[staging] Over") for m in daemon.mailed] == [
        False,
        True,
    ]


def test_a_backup_that_is_away_is_told_within_two_minutes(daemon) -> None:
    """Operators hear of a bucket that is away within two minutes, and of its return."""
    began = daemon.world.clock.seconds()
    while not daemon.mailed:
        assert daemon.world.clock.seconds() - began < 120
        daemon.passes(15)
        age = daemon.world.clock.seconds() - began
        daemon.signs.backup = BackupSeen(age, 0.0, "no answer")
    (subject,) = daemon.subjects
    assert "does not reach the backup bucket: no answer" in subject
    daemon.signs.backup = BackupSeen(1.0, 0.0)
    daemon.passes(QUIET.total_seconds() + 60)
    assert "[staging] Over: what is committed" in daemon.subjects[1]
