"""What is wrong, decided without I/O."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import click
import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from lae_flapp.backup.continuous import BackupSeen
from lae_flapp.journal.events import Event
from lae_flapp.journal.figures import (
    Customer,
    FailingHost,
    Figures,
    RefusedMail,
    Waiting,
)
from lae_flapp.journal.host_troubles import IMPOSSIBLE, HostTrouble
from lae_flapp.journal.hosts import RESTORED
from lae_flapp.journal.images import ImageInUse
from lae_flapp.journal.rollouts import RolloutRow
from lae_flapp.settings import PatienceSettings
from lae_flapp.signs.calls import Tally
from lae_flapp.signs.snapshots import Disk
from lae_flapp.signs.standing import (
    KINDS,
    WATCHED,
    Bounds,
    Seen,
    standing,
    unheard,
)
from lae_protocol.process.command import main as lae
from tests.docs.reading import ROOT
from tests.signs.test_alerts import MANUAL, sections

NOW = datetime(2026, 11, 29, tzinfo=UTC)
NONE = Waiting(0, None)
BOUNDS = Bounds()
FIGURES = Figures(
    now=NOW,
    signups={},
    unserved=NONE,
    inbox=NONE,
    outbox=NONE,
    effects=NONE,
    hosts={},
    silent=(),
    lost=(),
    late=(),
    refused=(),
    failing=(),
    troubled=frozenset(),
    used={},
    paused={},
)
WELL = Seen(
    figures=FIGURES,
    disk=Disk(1 << 20, 2 << 30, 8 << 30),
    tallies={"s3": Tally(100_000.0), "iam": Tally()},
    now=100_000.0,
    quotas={("c1", "roles"): 1000},
)


def ago(seconds: float) -> datetime:
    return NOW - timedelta(seconds=seconds)


def seen(**changes):
    return evolve(WELL, **changes)


def figures(**changes):
    return seen(figures=evolve(FIGURES, **changes))


def restored(for_seconds: float) -> Event:
    return Event(7, None, RESTORED, ago(for_seconds), "daemon", why="12", public=False)


def disk(**changes):
    return seen(disk=evolve(WELL.disk, **changes))


def failing(for_seconds: float, asked: float = 0.0):
    return seen(tallies={"s3": Tally(WELL.now - asked, WELL.now - for_seconds)})


def stopped_rollout(for_seconds: float, who: str = "daemon") -> RolloutRow:
    return RolloutRow(
        number=3,
        cell="c1",
        image="r/n@sha256:" + "a" * 64,
        release=2,
        state="gone-back",
        canaries=1,
        step=10,
        pause=0,
        who=who,
        why="the canary su1: it did not start",
        begun_at=ago(9000),
        changed_at=ago(for_seconds),
    )


def image(for_seconds: float) -> tuple[ImageInUse, ...]:
    return (ImageInUse("r/n@sha256:" + "a" * 64, 7, ago(for_seconds)),)


#: Every kind of cause: just there, and just not.
TABLE = [
    (
        ("rollout-stopped", "3"),
        figures(rollout=stopped_rollout(BOUNDS.stopped - 1)),
        figures(rollout=stopped_rollout(BOUNDS.stopped)),
    ),
    (
        ("rollout-stopped", "3"),
        figures(rollout=stopped_rollout(1)),
        figures(rollout=stopped_rollout(1, "operator ann")),
    ),
    (
        ("image-old", "sha256:aaaaaaaaaaaa"),
        figures(images=image(BOUNDS.image)),
        figures(images=image(BOUNDS.image - 1)),
    ),
    (("service-away", "s3"), failing(BOUNDS.away), failing(BOUNDS.away - 1)),
    (("service-away", "s3"), failing(9000, 3599), failing(9000, BOUNDS.unasked)),
    *(
        (
            ("service-away", name),
            seen(tallies={name: Tally(WELL.now, WELL.now - BOUNDS.away_often)}),
            seen(tallies={name: Tally(WELL.now, WELL.now - BOUNDS.away_often + 1)}),
        )
        for name in ("smtp", "stripe")
    ),
    (
        ("mail-refused", "su1 mail 7"),
        figures(refused=(RefusedMail(7, "su1", "active", "refused with 550"),)),
        WELL,
    ),
    (
        ("host-failing", "su1"),
        figures(failing=(FailingHost("su1", "no answer from the bucket"),)),
        WELL,
    ),
    (
        ("client-capped", "su1"),
        figures(failing=(FailingHost("su1", "leases take too much", capped=True),)),
        WELL,
    ),
    (("journal-full", ""), seen(full=True), WELL),
    (("clock", ""), seen(ahead=-61.0), seen(ahead=60.0)),
    (("flooded", "registrations"), seen(flooded=frozenset({"registrations"})), WELL),
    (("closed", ""), seen(closed_for=600.0), seen(closed_for=599.0)),
    (("disk-low", ""), disk(free=BOUNDS.disk - 1), disk(free=BOUNDS.disk)),
    (
        ("backup-away", ""),
        seen(backup=BackupSeen(BOUNDS.backup, 0.0, "no answer")),
        seen(backup=BackupSeen(BOUNDS.backup - 1, 0.0, "no answer")),
    ),
    (
        ("restore-untried", ""),
        seen(backup=BackupSeen(0.0, BOUNDS.tried)),
        seen(backup=BackupSeen(0.0, BOUNDS.tried - 1)),
    ),
    (
        ("restore-untried", ""),
        seen(backup=BackupSeen(0.0, float("inf"))),
        seen(backup=BackupSeen(0.0, None)),
    ),
    (
        ("inbox-stuck", ""),
        figures(inbox=Waiting(1, ago(BOUNDS.inbox))),
        figures(inbox=Waiting(9, ago(BOUNDS.inbox - 1))),
    ),
    (
        ("outbox-stuck", ""),
        figures(outbox=Waiting(1, ago(BOUNDS.outbox))),
        figures(outbox=Waiting(1, ago(BOUNDS.outbox - 1))),
    ),
    (
        ("outbox-stuck", ""),
        figures(outbox=Waiting(1, ago(BOUNDS.outbox)), paused={"launches": NOW}),
        figures(outbox=Waiting(1, ago(BOUNDS.outbox)), paused={"mails": NOW}),
    ),
    (
        ("left-paused", "deletions"),
        figures(paused={"deletions": ago(BOUNDS.paused)}),
        figures(paused={"deletions": ago(BOUNDS.paused - 1)}),
    ),
    (
        ("signup-late", "su1"),
        figures(late=(Customer("su1", ago(BOUNDS.late)),)),
        figures(late=(Customer("su1", ago(BOUNDS.late - 1)),)),
    ),
    (
        ("signup-late", "su1"),
        figures(late=(Customer("su1", ago(9000)),), troubled=frozenset({"su2"})),
        figures(late=(Customer("su1", ago(9000)),), troubled=frozenset({"su1"})),
    ),
    (
        ("key-missing", "sealing.journal_keys"),
        seen(unopened={"sealing.journal_keys": 1}),
        WELL,
    ),
    (
        ("journal-restored", ""),
        figures(restored=restored(BOUNDS.restored - 1)),
        figures(restored=restored(BOUNDS.restored)),
    ),
    (("host-lost", "su1"), figures(lost=(Customer("su1", ago(1)),)), WELL),
    (("host-silent", "su1"), figures(silent=(Customer("su1", ago(1)),)), WELL),
    (
        ("report-refused", "su1"),
        figures(
            unwell=(HostTrouble("su1", IMPOSSIBLE, 1, "it tells what is not", NOW),)
        ),
        figures(unwell=(HostTrouble("su1", "of-a-later-release", 1, "what", NOW),)),
    ),
    (
        ("claim-late", "su1"),
        seen(unclaimed={"su1": "host i-1 has not claimed its identity"}),
        WELL,
    ),
    (("stray-host", "i-1"), seen(strays={"i-1": "su1, generation 2"}), WELL),
    (
        ("capacity-low", "c1 roles"),
        figures(used={("c1", "roles"): 901}),
        figures(used={("c1", "roles"): 900}),
    ),
]


@pytest.mark.parametrize(("cause", "bad", "good"), TABLE)
def test_each_cause_stands_where_it_should(cause, bad, good) -> None:
    """A cause stands from its bound on, and not before; and nothing else does."""
    found = standing(bad, BOUNDS)
    assert set(found) == {cause}
    assert len(found[cause].split()) > 3
    assert standing(good, BOUNDS) == {}


def test_every_kind_is_in_the_table() -> None:
    """No kind of cause is left untried."""
    assert {cause[0] for cause, *_ in TABLE} == WATCHED


def test_every_kind_has_its_section_in_the_manual() -> None:
    """A mail about any cause names a section that exists, and the manual lists it."""
    found = {s[0].astext() for s in sections(MANUAL).values()}
    assert {kind.section for kind in KINDS.values()} <= found
    text = (ROOT / "docs" / "alerts.rst").read_text()
    assert [kind for kind in KINDS if f"``{kind}``" not in text] == []


def test_all_at_once() -> None:
    """Everything that is wrong is told, however much it is."""
    one = (Customer("su1", ago(9000)),)
    worst = Seen(
        figures=evolve(FIGURES, lost=one, silent=one, late=one),
        disk=Disk(0, 0, 1 << 30),
        tallies={"s3": Tally(WELL.now, 0.0), "ec2": Tally(WELL.now, 0.0)},
        now=WELL.now,
        quotas={},
        closed_for=9000.0,
        backup=BackupSeen(9000.0, None),
    )
    assert len(standing(worst, BOUNDS)) == 8


@given(st.floats(0, 20_000), st.floats(0, 20_000), st.floats(0, 20_000), st.booleans())
def test_only_what_fails_and_is_not_asked_is_asked(at, asked, since, fails) -> None:
    """A service that answers is not asked by the watch, nor one that somebody asked
    just now, nor one that nobody has needed for an hour.
    """
    tally = Tally(asked, since if fails else None)
    found = unheard(seen(tallies={"s3": tally}, now=at), BOUNDS)
    assert bool(found) == (fails and 60 <= at - asked < 3600)


def test_every_kind_has_commands_that_exist() -> None:
    """Each kind of cause has commands to begin with; those of lae are commands."""
    for kind in KINDS.values():
        told = kind.commands_for("su1 mail 7")
        assert told
        assert all("{" not in command for command in told)
        for name, *words in (c.split() for c in told):
            found: click.Command | None = lae if name == "lae" else None
            while isinstance(found, click.Group):
                found = found.get_command(click.Context(found), words.pop(0))
            assert name != "lae" or found is not None


def test_smtp_and_stripe_are_told_within_two_minutes() -> None:
    """What is asked again within seconds is told after two minutes, the watch's own
    pause included, and sooner where the settings say so.
    """
    assert BOUNDS.away_often + PatienceSettings().watch <= 120
    tallies = {"stripe": Tally(WELL.now, WELL.now - 5)}
    assert standing(seen(tallies=tallies), evolve(BOUNDS, away=5.0))
