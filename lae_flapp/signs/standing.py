"""What is wrong now, out of all that was seen.  Pure: no I/O, no clock.

Each cause is a kind, what it is about, and a sentence for the operators.  Its kind has
a section of ``docs/alerts.rst``, and says whether somebody is woken, by :data:`KINDS`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal

from attrs import define

from lae_flapp.backup.continuous import BackupSeen
from lae_flapp.journal.figures import Customer, Figures
from lae_flapp.journal.host_troubles import IMPOSSIBLE
from lae_flapp.signs.calls import Tally
from lae_flapp.signs.snapshots import Disk

Severity = Literal["page", "ticket"]


@define(frozen=True)
class CauseKind:
    """A kind of cause: the section of the manual that tells what to do, whether it
    wakes somebody (page) or waits for the day (ticket), and the commands to begin with.

    In a command ``{about}`` is the first word of the cause's subject, ``{last}`` the
    last one.
    """

    section: str
    severity: Severity
    commands: tuple[str, ...]

    @property
    def page(self) -> str:
        """Where the manual tells what to do."""
        return f"docs/alerts.rst#{self.section.lower()}"

    def commands_for(self, subject: str) -> tuple[str, ...]:
        """The commands to begin with, for the cause of this subject."""
        words = subject.split() or [""]
        return tuple(c.format(about=words[0], last=words[-1]) for c in self.commands)


_DISK = ("df -h /var/lib/s4", "ls -lS /var/lib/s4 /var/lib/s4/backups")
_LOG = "journalctl -u s4-daemon -p warning -n 50"
_SIGNUP = ("lae events {about}", "lae subscriptions retry {about}")
_HOST = ("lae subscriptions show {about}", "lae hosts console {about}")


KINDS: Mapping[str, CauseKind] = {
    "backup-away": CauseKind(
        "S4BackupAway", "page", ("lae backup status", "journalctl -u s4-backup -n 50")
    ),
    "capacity-low": CauseKind("S4CapacityLow", "ticket", ("lae hosts list --all",)),
    "claim-late": CauseKind(
        "S4ClaimLate",
        "page",
        ("lae hosts console {about}", "lae subscriptions show {about}"),
    ),
    "client-capped": CauseKind("S4ClientCapped", "ticket", _HOST),
    "clock": CauseKind("S4ClockSet", "ticket", ("timedatectl",)),
    "closed": CauseKind("S4SignupsClosed", "page", (_LOG,)),
    "disk-low": CauseKind("S4JournalDiskLow", "page", _DISK),
    "flooded": CauseKind(
        "S4Flooded", "page", ("lae inbox list", "lae subscriptions list")
    ),
    "host-failing": CauseKind("S4HostFailing", "page", _HOST),
    "host-lost": CauseKind(
        "S4HostLost", "page", ("lae events {about}", "lae hosts console {about}")
    ),
    "host-silent": CauseKind("S4HostsSilent", "page", _HOST),
    "image-old": CauseKind("S4ImageOld", "ticket", ("lae rollout status",)),
    "inbox-stuck": CauseKind(
        "S4InboxStuck", "page", ("lae inbox list --state waiting",)
    ),
    "journal-full": CauseKind("S4JournalDiskLow", "page", _DISK),
    "key-missing": CauseKind("S4KeyMissing", "page", ("lae keys list",)),
    "journal-restored": CauseKind(
        "S4JournalRestored", "ticket", ("lae events --since 0",)
    ),
    "left-paused": CauseKind("S4LeftPaused", "ticket", ("lae resume {about}",)),
    "mail-refused": CauseKind(
        "S4MailRefused",
        "ticket",
        (
            "lae outbox show {last}",
            "lae subscriptions resend --to ADDRESS {about}",
            "lae outbox retry {last}",
        ),
    ),
    "outbox-stuck": CauseKind(
        "S4OutboxStuck", "ticket", ("lae outbox list --state waiting",)
    ),
    "restore-untried": CauseKind(
        "S4RestoreUntried", "ticket", ("lae disaster drill --help",)
    ),
    "report-refused": CauseKind("S4ReportRefused", "ticket", _HOST),
    "rollout-stopped": CauseKind(
        "S4RolloutStopped", "ticket", ("lae rollout status", "lae events --since 0")
    ),
    "service-away": CauseKind("S4ServiceAway", "page", (_LOG,)),
    "signup": CauseKind("S4PaidNotReady", "page", _SIGNUP),
    "signup-late": CauseKind("S4PaidNotReady", "page", _SIGNUP),
    "stray-host": CauseKind(
        "S4StrayInstance",
        "ticket",
        ("aws ec2 describe-instances --instance-ids {about}",),
    ),
}
#: Of a newer release's cause.
UNKNOWN = CauseKind("S4Cause", "page", ("lae events --since 0",))


def kind_of(kind: str) -> CauseKind:
    """What is known of a kind; of one of a newer release's, that it wakes somebody."""
    return KINDS.get(kind, UNKNOWN)


def severity_of(kind: str) -> Severity:
    """Say whether a cause wakes somebody; one of a newer release's kinds does."""
    return kind_of(kind).severity


#: Of these :func:`standing` says all; a signup's own are begun by its worker.
WATCHED = frozenset(KINDS) - {"signup"}

#: Which cause a host's trouble is.
HOST_CAUSES: Mapping[str, str] = {IMPOSSIBLE: "report-refused"}

MINUTE = 60.0  # s
HOUR = 3600.0  # s
DAY = 24 * HOUR


#: Services that are asked again within seconds of a failure.
ASKED_OFTEN = frozenset({"smtp", "stripe"})


@define(frozen=True)
class Bounds:
    """How long, in seconds, and how much before somebody is told."""

    away: float = 10 * MINUTE
    #: Of :data:`ASKED_OFTEN`; with the watch's pause it makes two minutes.
    away_often: float = 105.0
    late: float = 30 * MINUTE
    inbox: float = 15 * MINUTE
    outbox: float = 30 * MINUTE
    paused: float = 24 * HOUR
    #: With the watch's pause it makes two minutes.
    backup: float = 105.0
    #: Since a restore was last tried.
    tried: float = 35 * 24 * HOUR
    #: What was restored is shown for so long.
    restored: float = 24 * HOUR
    #: A rollout that went back by itself is shown for so long.
    stopped: float = 24 * HOUR
    #: What hosts run was first rolled out, or launched, so long ago.
    image: float = 60 * DAY
    used: float = 0.9
    disk: int = 1 << 30
    clock: float = MINUTE
    #: It is over when nothing was refused for so long.
    flooded: float = 15 * MINUTE
    #: Nobody has asked a failing service for so long: it is not known any more.
    unasked: float = HOUR


@define(frozen=True)
class Seen:
    """What one look saw.  *now* is the clock's of *tallies*; *closed_for* seconds no
    registrations are taken, because of *closed_because*; *strays* are instances, each
    with whose tags it has; *unclaimed* what is told of each signup whose host is late
    to claim; *ahead* of our time is the machine's clock, by seconds;
    *full*: the journal refuses writes, since its disk is full; *flooded*: of what more
    came lately than is taken; *unopened*: by setting, rows that none of its keys opens.
    """

    figures: Figures
    disk: Disk
    tallies: Mapping[str, Tally]
    now: float
    quotas: Mapping[tuple[str, str], int]
    closed_for: float = 0.0
    closed_because: str = ""
    strays: Mapping[str, str] = {}
    unclaimed: Mapping[str, str] = {}
    ahead: float = 0.0
    full: bool = False
    flooded: frozenset[str] = frozenset()
    unopened: Mapping[str, int] = {}
    #: None where no backup is configured.
    backup: BackupSeen | None = None


#: Of a digest: ``sha256:`` and twelve digits.
_SHORT_DIGEST = 19

Causes = dict[tuple[str, str], str]


def standing(seen: Seen, bounds: Bounds) -> Causes:
    """All that is wrong: kind and subject, and a sentence each."""
    found: Causes = {}
    for part in (
        _services,
        _service,
        _disk,
        _backup,
        _queues,
        _customers,
        _cloud,
        _programs,
    ):
        found.update(part(seen, bounds))
    return found


def unheard(seen: Seen, bounds: Bounds) -> frozenset[str]:
    """Services that fail and that nobody has asked for a minute: ask them."""
    return frozenset(
        name
        for name, tally in seen.tallies.items()
        if tally.failing_since is not None
        and MINUTE <= seen.now - (tally.asked_at or 0.0) < bounds.unasked
    )


def _services(seen: Seen, bounds: Bounds) -> Iterator[tuple[tuple[str, str], str]]:
    for name, tally in seen.tallies.items():
        silent = seen.now - (tally.asked_at or 0.0) >= bounds.unasked
        bound = bounds.away
        if name in ASKED_OFTEN:
            bound = min(bound, bounds.away_often)
        if tally.failing(seen.now) >= bound and not silent:
            yield (
                ("service-away", name),
                f"{name} has answered nothing that it was asked",
            )


def _service(seen: Seen, bounds: Bounds) -> Iterator[tuple[tuple[str, str], str]]:
    if seen.closed_for >= bounds.away:
        what = f"no signups are taken: {seen.closed_because}"
        yield ("closed", ""), what
    for what in seen.flooded:
        yield ("flooded", what), f"more {what} came than are taken in an hour"
    for setting, many in seen.unopened.items():
        what = f"{many} sealed rows are opened by no key of {setting}: put the key back"
        yield ("key-missing", setting), what
    if abs(seen.ahead) > bounds.clock:
        way = "forward" if seen.ahead > 0 else "back"
        minutes = abs(seen.ahead) / MINUTE
        yield ("clock", ""), f"the clock was set {way} by {minutes:.0f} minutes"


def _disk(seen: Seen, bounds: Bounds) -> Iterator[tuple[tuple[str, str], str]]:
    if seen.full:
        yield ("journal-full", ""), "the journal's disk is full: nothing can be written"
    if seen.disk.free < bounds.disk:
        free, size = seen.disk.free >> 20, seen.disk.size >> 20
        what = f"{free} MiB of {size} MiB are left on the journal's disk"
        yield ("disk-low", ""), what
    restored, now = seen.figures.restored, seen.figures.now
    if restored and (now - restored.at).total_seconds() < bounds.restored:
        what = (
            f"{restored.who} found a backup in the journal's place, epoch"
            f" {restored.why}: look at what the daemon found"
        )
        yield ("journal-restored", ""), what


def _backup(seen: Seen, bounds: Bounds) -> Iterator[tuple[tuple[str, str], str]]:
    backup = seen.backup
    if backup is None:
        return
    if backup.age >= bounds.backup:
        why = f": {backup.away}" if backup.away else ""
        what = "what is committed does not reach the backup bucket"
        yield ("backup-away", ""), what + why
    if backup.tested is not None and backup.tested >= bounds.tried:
        days = backup.tested / (24 * HOUR)
        last = "none is known" if days == float("inf") else f"{days:.0f} days ago"
        yield ("restore-untried", ""), f"the last sound drill of a restore: {last}"


def _queues(seen: Seen, bounds: Bounds) -> Iterator[tuple[tuple[str, str], str]]:
    inbox = seen.figures.inbox
    if inbox.age(seen.figures.now) >= bounds.inbox:
        yield ("inbox-stuck", ""), "an event of Stripe cannot be worked off"
    outbox, paused = seen.figures.outbox, seen.figures.paused
    if outbox.age(seen.figures.now) >= bounds.outbox and "mails" not in paused:
        yield ("outbox-stuck", ""), "a mail cannot be handed to the mail server"
    for mail in seen.figures.refused:
        what = f"the mail {mail.kind!r} was not taken for good: {mail.outcome}"
        yield ("mail-refused", f"{mail.signup_id} mail {mail.number}"), what
    for what, since in paused.items():
        if (seen.figures.now - since).total_seconds() >= bounds.paused:
            yield ("left-paused", what), f"{what} have been paused for a day"


def _customers(seen: Seen, bounds: Bounds) -> Iterator[tuple[tuple[str, str], str]]:
    figures = seen.figures
    for one in figures.late:
        # Its worker tells what is wrong, where it knows.
        if _age(one, figures) >= bounds.late and one.signup_id not in figures.troubled:
            yield ("signup-late", one.signup_id), "it is paid, and not served yet"
    for signup_id, what in seen.unclaimed.items():
        yield ("claim-late", signup_id), what
    for one in figures.lost:
        yield ("host-lost", one.signup_id), "the host of a served customer is gone"
    for failing in figures.failing:
        if failing.capped:
            what = f"the client of a served customer met a bound: {failing.problem}"
            yield ("client-capped", failing.signup_id), what
        else:
            what = f"the host of a served customer says: {failing.problem}"
            yield ("host-failing", failing.signup_id), what
    for trouble in figures.unwell:
        kind = HOST_CAUSES.get(trouble.kind)
        if kind is not None:
            yield (kind, trouble.signup_id), trouble.what
    for one in figures.silent:
        what = "the host of a served customer does not report"
        yield ("host-silent", one.signup_id), what


def _cloud(seen: Seen, bounds: Bounds) -> Iterator[tuple[tuple[str, str], str]]:
    for instance_id, tags in seen.strays.items():
        what = f"an instance that the journal does not know, tagged {tags}"
        yield ("stray-host", instance_id), what
    for (cell, quota), limit in seen.quotas.items():
        used = seen.figures.used.get((cell, quota), 0)
        if used > bounds.used * limit:
            what = f"{used} of {limit} {quota} in {cell} are used"
            yield ("capacity-low", f"{cell} {quota}"), what


def _programs(seen: Seen, bounds: Bounds) -> Iterator[tuple[tuple[str, str], str]]:
    figures = seen.figures
    rollout = figures.rollout
    if rollout is not None and rollout.state in {"going-back", "gone-back"}:
        age = (figures.now - rollout.changed_at).total_seconds()
        if rollout.who == "daemon" and age < bounds.stopped:
            what = f"rollout {rollout.number} went back by itself: {rollout.why}"
            yield ("rollout-stopped", str(rollout.number)), what
    for one in figures.images:
        age = (figures.now - one.since).total_seconds()
        if age >= bounds.image:
            what = f"{one.hosts} hosts run an image that came {age / DAY:.0f} days ago"
            yield ("image-old", one.image.rpartition("@")[2][:_SHORT_DIGEST]), what


def _age(one: Customer, figures: Figures) -> float:
    return (figures.now - one.since).total_seconds()
