"""What people read of deployments."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from attrs import evolve

from lae_provision.deploy import history, layout, telling
from lae_provision.deploy.history import Entry
from lae_provision.deploy.intent import Forward, Order, ReleaseId
from lae_provision.deploy.plan import Observed
from lae_provision.deploy.remote import this_machine

OLD, NEW = ReleaseId("0.1.0+g0123456789ab"), ReleaseId("0.1.0+gba9876543210")
BEGAN = datetime(2026, 11, 28, 12, tzinfo=UTC)
ORDER = Order(7, "release", NEW, OLD, "ann@laptop", BEGAN, "b" * 40, "it burns")
ENDED = BEGAN + timedelta(seconds=20)
SEEN = Observed((OLD, NEW), (), OLD, OLD, ((1, OLD), (2, None)))


def entry(outcome: str, why: str | None = None) -> Entry:
    """How ORDER ended."""
    return Entry.of(Forward(ORDER), ENDED, outcome, why)


def test_status_names_what_differs() -> None:
    """A copy that is down, and an unfinished deployment, are told in lines of their
    own, with what to do.
    """
    told = telling.status(SEEN, Forward(ORDER), [entry("stuck", "why")])
    text = telling.status_text("s4.example.org", told)
    assert "site 2   not running   <- not the current one" in text
    assert "unfinished: release of" in text
    assert "lae deploy resume" in text
    assert f"others   {NEW}" in text
    nothing = telling.status(Observed((), (), None, None, ()), None, [])
    assert telling.status_text("h", nothing) == "S4 is not installed on h."


def test_history_fits_a_terminal() -> None:
    """Who, what, when, from which commit and what came of it, in 80 columns."""
    entries = [entry("done"), entry("rolled-back", "verify: no form")]
    text = telling.history_text("h", entries)
    assert all(len(line) <= 80 for line in text.splitlines())
    for word in (
        NEW,
        "ann@laptop",
        "b" * 12,
        "2026-11-28 12:00",
        "it burns",
        "no form",
    ):
        assert word in text
    assert telling.history_text("h", []) == "Nothing has been deployed to h yet."


def test_what_is_left_to_people_names_this_deployment() -> None:
    """The list at the end of an installation has the names of these settings, in 80
    columns.
    """
    facts = telling.Facts(
        daemon={
            "state": "/var/lib/s4",
            "aws": {"account": "123456789012", "state_bucket": "s4-prod-state"},
            "cells": [{"dns_zone": "grids.s4.example.org"}],
            "hosts_tub": {"location": "flapp.example.org:4002"},
        },
        site={"site_url": "https://s4.example.org"},
    )
    text = telling.manual_steps_text(facts)
    for word in (
        "https://s4.example.org/webhook/stripe",
        "*.grids.s4.example.org",
        "flapp.example.org:4002",
        "123456789012",
        "s4-prod-state",
        "/var/lib/s4/operator.furl",
    ):
        assert word in text
    assert all(len(line) <= 80 for line in text.splitlines())


def test_the_history_is_appended_to(tmp_path, monkeypatch) -> None:
    """Each entry is a line that stays as it was; a line that was cut short by a crash
    hides no other.
    """
    monkeypatch.setattr(layout, "HISTORY", str(tmp_path / "history.jsonl"))
    here = this_machine()
    assert history.read(here) == []
    history.append(here, entry("stuck", "no 'luck'\nat all"))
    before = (tmp_path / "history.jsonl").read_bytes()
    (tmp_path / "history.jsonl").write_bytes(before + b'{"version": 1, "num')
    history.append(here, evolve(entry("done"), number=8))
    assert (tmp_path / "history.jsonl").read_bytes().startswith(before)
    assert [e.outcome for e in history.read(here)] == ["stuck", "done"]
    assert history.read(here)[0] == entry("stuck", "no 'luck'\nat all")
