"""The daemon's metrics, and that the manual names them all."""

from __future__ import annotations

import json

import pytest
from docutils import nodes
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families
from twisted.internet.defer import Deferred

from lae_flapp.backup.continuous import BackupSeen
from lae_flapp.journal import figures
from lae_flapp.journal.errors import JournalFull
from lae_flapp.mail.message import Envelope
from lae_flapp.mail.server import MailLater, MailRefused
from lae_flapp.signs.calls import SERVICES, MeteredMail, Tally
from lae_flapp.signs.snapshots import FRESH
from lae_site.figures import RequestFigures, own_figures, site_figures
from tests.docs.reading import ROOT, blocks, parse
from tests.signs.conftest import CELL, now
from tests.site.conftest import make_world

MANUAL = ROOT / "docs" / "metrics.rst"


def documented(section: str) -> dict[str, tuple[str, frozenset[str]]]:
    """Kind and labels of each metric that a section's table names."""
    tree, _ = parse(MANUAL)
    (found,) = (s for s in tree.findall(nodes.section) if s[0].astext() == section)
    told = {}
    for row in list(found.findall(nodes.row))[1:]:
        name, kind, labels, _ = (cell.astext() for cell in row)
        told[name] = (kind, frozenset(filter(None, labels.split(", "))))
    return told


def existing(registry: CollectorRegistry) -> dict[str, tuple[str, frozenset[str]]]:
    """The same of what a scrape brings, as Prometheus would read it."""
    found = {}
    for family in text_string_to_metric_families(generate_latest(registry).decode()):
        if not family.name.startswith("s4_") or family.name.endswith("_created"):
            continue
        kind, name = family.type, family.name
        if kind == "counter":
            name += "_total"
        elif name.endswith("_info"):
            kind = "info"
        labels = {label for s in family.samples for label in s.labels} - {"le"}
        found[name] = (kind, frozenset(labels))
    return found


def test_the_manual_names_every_metric_of_the_daemon(lived) -> None:
    """Each documented metric exists, of the kind and with the labels that are said, and
    each that exists is documented.
    """
    world, signs = lived
    signs.backup = BackupSeen(1.0, 2.0)
    signs.refresh()
    world.paid()
    world.advance(10)
    signs.causes["closed"] = 1
    signs.refresh()
    both = documented("Of both processes") | documented("Of the daemon")
    assert existing(signs.registry) == both


def test_the_manual_names_every_metric_of_the_site() -> None:
    """As for the daemon."""
    world, registry = make_world(), CollectorRegistry()
    world.visitor.factory._observe = RequestFigures(registry)
    own_figures(world.clock, registry, lambda: 0.0)
    told = site_figures(world.parts, registry)
    world.visitor.get("/")
    now(told.refresh())
    both = documented("Of both processes") | documented("Of the site")
    assert existing(registry) == both


def test_requests_are_counted_by_route_alone() -> None:
    """Whatever address a visitor asks for, no series is named after it."""
    world, registry = make_world(), CollectorRegistry()
    world.visitor.factory._observe = RequestFigures(registry)
    for path in ("/", "/signup/su" + "a" * 20, "/hush", "/static/hush"):
        world.visitor.get(path)
    world.visitor.ask("BREW", "/")
    text = generate_latest(registry).decode()
    assert "hush" not in text
    assert "BREW" not in text
    name, labels = "s4_site_requests_total", {"method": "GET", "status": "404"}
    assert registry.get_sample_value(name, labels | {"route": "other"}) == 1
    route = {"route": "/signup/<string:signup_id>"}
    assert registry.get_sample_value(name, labels | route) == 1


def test_a_signup_is_seen_on_its_way(lived) -> None:
    """Who paid is seen waiting, then served, with the seconds of each step."""
    world, signs = lived
    world.hosts_work = False
    signs.refresh()
    world.paid()
    world.advance(60)
    signs.refresh()
    assert signs.value("s4_signups", state="paid") == 1
    assert signs.value("s4_unserved_oldest_seconds") == 60
    world.hosts_work = True
    world.advance(20)
    signs.refresh()
    assert signs.value("s4_unserved_oldest_seconds") == 0
    assert signs.value("s4_signups", state="active") == 1
    assert signs.value("s4_hosts", state="ready") == 1
    assert signs.value("s4_events_total", kind="ready") == 1
    assert signs.value("s4_step_seconds_count", step="claimed") == 1
    assert 50 < signs.value("s4_step_seconds_sum", step="claimed") <= 62
    assert signs.value("s4_outbox_waiting") == 1
    assert signs.value("s4_cell_quota", cell=CELL[0], quota=CELL[1]) == 10
    assert signs.value("s4_cell_used", cell=CELL[0], quota=CELL[1]) == 1


def test_a_silent_host_is_seen(lived) -> None:
    """A host of a served customer that does not report is counted after a while."""
    world, signs = lived
    world.paid()
    world.advance(20)
    signs.refresh()
    assert signs.value("s4_hosts_silent") == 0
    world.clock.advance(figures.SILENT.total_seconds())
    signs.refresh()
    assert signs.value("s4_hosts_silent") == 1


def test_scraping_again_and_again_reads_the_journal_now_and_then(signs) -> None:
    """Within some seconds the journal's figures are those of the last look."""
    signs.refresh()
    first = signs.snapshots.latest
    signs.clock.advance(FRESH - 0.1)
    signs.refresh()
    assert signs.snapshots.latest is first
    signs.clock.advance(0.2)
    signs.refresh()
    assert signs.snapshots.latest is not first


def test_a_backups_age(signs) -> None:
    """The age of the backup and of the last drill are shown as they are at the scrape;
    without a backup neither is, and before the drills were read the first alone.
    """
    signs.refresh()
    assert signs.value("s4_backup_age_seconds") is None
    signs.backup = BackupSeen(3.0, None)
    assert signs.value("s4_backup_age_seconds") == 3.0
    assert signs.value("s4_backup_tested_age_seconds") is None
    signs.backup = BackupSeen(4.0, float("inf"))
    assert signs.value("s4_backup_tested_age_seconds") == float("inf")


def test_calls_are_counted_by_service_and_outcome(signs) -> None:
    """A try is counted; a service is failing until it answers, be it with a no."""
    signs.calls("ec2", "throttled", 0.2)
    signs.clock.advance(30)
    signs.calls("ec2", "failed", 3.0)
    assert signs.value("s4_call_failing_seconds", service="ec2") == 30
    assert signs.value("s4_call_failing_seconds", service="s3") == 0
    signs.calls("ec2", "refused", 0.1)
    assert signs.value("s4_call_failing_seconds", service="ec2") == 0
    assert signs.value("s4_calls_total", service="ec2", outcome="throttled") == 1
    assert signs.value("s4_call_seconds_count", service="ec2") == 3
    assert {
        s for s in SERVICES if signs.value("s4_call_seconds_count", service=s) is None
    } == set()


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["ok", "refused", "failed", "throttled"]),
            st.floats(0.1, 100),
        )
    )
)
def test_failing_counts_from_the_first_failure_after_the_last_answer(tries) -> None:
    """A tally says since when nothing was answered, whatever the order of outcomes."""
    tally, at, since = Tally(), 0.0, None
    for outcome, seconds in tries:
        at += seconds
        tally = tally.after(outcome, at)
        if outcome in {"ok", "refused"}:
            since = None
        elif since is None:
            since = at
    assert tally.failing(at) == (0 if since is None else at - since)


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (None, "ok"),
        (MailLater("put off with 451"), "failed"),
        (MailRefused("refused with 550", about_recipient=True), "refused"),
    ],
)
def test_deliveries_are_counted(signs, error, outcome) -> None:
    """A delivery counts as a call, and its answer goes on to who asked."""

    class Server:
        async def deliver(self, envelope):
            if error is not None:
                raise error

    mail = MeteredMail(Server(), signs.clock, signs.calls)
    delivering = Deferred.fromCoroutine(mail.deliver(Envelope("a", "b", b"")))
    seen = []
    delivering.addErrback(lambda f: seen.append(f.value))
    assert seen == ([] if error is None else [error])
    assert signs.value("s4_calls_total", service="smtp", outcome=outcome) == 1


def test_lateness_of_the_reactor(signs) -> None:
    """A timer that fires late is seen for half a minute."""
    signs.own.startService()
    for _ in range(3):
        signs.clock.advance(1)
    assert signs.value("s4_reactor_lag_seconds") == 0
    signs.clock.advance(3.5)
    assert signs.value("s4_reactor_lag_seconds") == pytest.approx(2.5)
    for _ in range(31):
        signs.clock.advance(0.5)
        signs.clock.advance(0.5)
    assert signs.value("s4_reactor_lag_seconds") < 1
    signs.own.stopService()


def test_health_of_a_daemon_that_is_well(signs) -> None:
    """It tells how long it runs, and whether signups are taken; nobody's data."""
    signs.clock.advance(90)
    report = signs.health()
    assert report.status == 200
    assert report.facts["seconds_since_start"] == 90
    assert (report.facts["status"], report.facts["journal"]) == ("ok", "ok")
    assert report.facts["signups_open"] is True
    pulse = now(signs.vitals.pulse())
    assert (pulse.healthy, pulse.seconds_since_start) == (True, 90)


def test_health_is_as_documented(signs) -> None:
    """What both processes answer has the keys that the manual shows, and no others."""
    daemon, site = (json.loads(block.text) for block in blocks(MANUAL, "json"))
    assert set(signs.health().facts) == set(daemon)
    told = json.loads(make_world().visitor.get("/health").text)
    assert set(told) == set(site)
    assert set(told["daemon"]) == set(site["daemon"])


def test_closed_registrations_are_no_illness(signs) -> None:
    """Who paid is served all the same, so health is good, and says what is closed."""
    signs.closed = "We are just starting."
    report = signs.health()
    assert report.status == 200
    assert report.facts["signups_open"] is False
    assert report.facts["closed_because"] == signs.closed


def test_health_of_a_daemon_that_cannot_work(signs) -> None:
    """Starting, superseded, or with a journal that cannot be written: 503."""
    signs.journal.failing = JournalFull("database or disk is full")
    report = signs.health()
    assert (report.status, report.facts["journal"]) == (503, "JournalFull")
    signs.journal.failing = None
    signs.vitals.superseded = True
    assert signs.health().status == 503
    signs.vitals.superseded, signs.vitals.ready = False, False
    assert signs.health().facts["status"] == "starting"
    signs.refresh()
    assert signs.value("s4_daemon_healthy") == 0
