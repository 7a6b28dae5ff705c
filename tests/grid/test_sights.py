"""Journal and cloud taken together say what is true of a step, in every combination."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from lae_flapp.grid.record import Record, written_of
from lae_flapp.grid.sights import (
    Absent,
    Asked,
    Broken,
    Failed,
    Glance,
    Invisible,
    Made,
    NotAsked,
    Open,
    Present,
    Sights,
    Spent,
    There,
    Unlooked,
    Unsettled,
    sight_of,
)
from lae_flapp.grid.steps import StepName
from lae_flapp.journal.effects import EffectKey
from lae_protocol.ids import signup_id_of_form
from tests.twins.cloud import moment

SENT, AT, LOOKED = 30.0, 20.0, 50.0
NAME = signup_id_of_form(b"form")


@pytest.mark.parametrize(
    ("written", "there", "sight"),
    [
        (NotAsked(), There.NO, Absent()),
        (Open(AT), There.NO, Asked(SENT, LOOKED)),
        (Open(SENT + 1), There.NO, Asked(SENT + 1, LOOKED)),
        (Made(AT), There.NO, Invisible(AT, LOOKED)),
        (Failed(AT), There.NO, Spent(AT, LOOKED)),
        (NotAsked(), There.YES, Broken()),
        (Open(AT), There.YES, Unsettled()),
        (Made(AT), There.YES, Present()),
        (Failed(AT), There.YES, Broken()),
        (NotAsked(), There.BROKEN, Broken()),
        (Open(AT), There.BROKEN, Unsettled()),
        (Made(AT), There.BROKEN, Broken()),
        (Failed(AT), There.BROKEN, Broken()),
    ],
)
def test_what_is_written_and_what_is_there(written, there, sight) -> None:
    """Only what is made and there is as it should be; what was sent and is not there may
    come yet, counted from when it was sent last.
    """
    assert sight_of(written, Glance(LOOKED, there), SENT) == sight


@pytest.mark.parametrize("written", [NotAsked(), Open(AT), Made(AT), Failed(AT)])
def test_what_nobody_looked_at(written) -> None:
    """Before a look nothing is known, whatever the journal says."""
    assert sight_of(written, None, SENT) == Unlooked()


def test_a_step_that_is_not_listed_is_not_looked_at() -> None:
    """Sights answer for each step."""
    sights = Sights(LOOKED, ((StepName.ROLE, Present()),))
    assert sights.of(StepName.ROLE) == Present()
    assert sights.of(StepName.HOST) == Unlooked()


def record(*rows, step="role", proved_at=None):
    """A record with these effects on a step: verb, state."""
    done = tuple(
        SimpleNamespace(
            key=EffectKey(NAME, step, f"{verb}-{step}"),
            number=number,
            state=state,
            begun_at=moment(AT + number),
            changed_at=moment(AT + number),
        )
        for number, (verb, state) in enumerate(rows)
    )
    return Record(
        signup=SimpleNamespace(signup_id=NAME),
        generation=1,
        host=None,
        identity=None,
        effects=done,
        sessions=(),
        lifecycle=None,
        proved_at=proved_at,
        launches_paused=None,
        deletions_paused=None,
    )


@pytest.mark.parametrize(
    ("rows", "written"),
    [
        ([], NotAsked()),
        ([("make", "begun")], Open(AT)),
        ([("make", "done")], Made(AT)),
        ([("make", "failed")], Failed(AT)),
        ([("make", "failed"), ("make", "done")], Made(AT + 1)),
        ([("make", "done"), ("unmake", "begun")], Made(AT)),
        ([("make", "done"), ("unmake", "failed")], Made(AT)),
        ([("make", "done"), ("unmake", "done")], NotAsked()),
        ([("make", "begun"), ("unmake", "done")], NotAsked()),
        ([("make", "done"), ("unmake", "done"), ("make", "begun")], Open(AT + 2)),
        ([("make", "done"), ("unmake", "done"), ("make", "done")], Made(AT + 2)),
    ],
)
def test_what_the_journal_says_of_a_step(rows, written) -> None:
    """The newest attempt counts, unless what it made was removed after it."""
    assert written_of(record(*rows), StepName.ROLE) == written


@pytest.mark.parametrize(("proved", "launched"), [(None, 3), (AT + 1, 2), (AT + 4, 0)])
def test_hosts_in_vain_count_from_the_last_that_proved_itself(proved, launched) -> None:
    """Launches that were refused are no hosts, nor are those before one that served."""
    rows = [("make", state) for state in ("done", "failed", "done", "begun", "done")]
    proved_at = None if proved is None else moment(proved)
    assert record(*rows, step="host", proved_at=proved_at).launched() == launched
