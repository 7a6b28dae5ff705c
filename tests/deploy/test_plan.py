"""What comes next, for everything that may be wanted and seen."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st

from lae_provision.deploy.engine import Stuck, carry_out, describe, list_steps
from lae_provision.deploy.intent import (
    Back,
    Forward,
    GivenUp,
    IntentUnreadable,
    Order,
    Proved,
    ReleaseId,
    dump,
    load,
)
from lae_provision.deploy.plan import (
    KEPT_RELEASES,
    BackUp,
    Check,
    Finish,
    Install,
    Migrate,
    Observed,
    Remove,
    RestartDaemon,
    RestartSite,
    Switch,
    Verify,
    after_failure,
    next_step,
    resume_as,
)
from tests.deploy.twin import NEW, OLD, RUNNING, Killed, TwinHost

BEGAN = datetime(2026, 11, 28, 12, tzinfo=UTC)
ORDER = Order(7, "release", NEW, OLD, "ann@laptop", BEGAN, "c" * 40)
ALL = frozenset(Proved)
AFTER = Observed((OLD, NEW), (), NEW, NEW, ((1, NEW), (2, NEW)))


def quiet(_: str) -> None:
    """Tell nobody."""


@pytest.mark.parametrize(
    ("intent", "seen", "step"),
    [
        (Forward(ORDER), RUNNING, Install(NEW)),
        (Forward(ORDER), evolve(RUNNING, partial=(NEW,)), Install(NEW)),
        (Forward(ORDER), evolve(RUNNING, installed=(OLD, NEW)), Check(NEW)),
        (
            Forward(ORDER, frozenset({Proved.CHECKED})),
            evolve(RUNNING, installed=(OLD, NEW)),
            BackUp(NEW),
        ),
        (
            Forward(ORDER, frozenset({Proved.CHECKED, Proved.BACKED_UP})),
            evolve(RUNNING, installed=(OLD, NEW)),
            Migrate(NEW),
        ),
        (Forward(ORDER, ALL), evolve(RUNNING, installed=(OLD, NEW)), Switch(NEW)),
        (Forward(ORDER, ALL), evolve(AFTER, daemon=OLD), RestartDaemon(NEW)),
        (Forward(ORDER, ALL), evolve(AFTER, daemon=None), RestartDaemon(NEW)),
        (
            Forward(ORDER, ALL),
            evolve(AFTER, sites=((1, NEW), (2, OLD))),
            RestartSite(NEW, 2),
        ),
        (Forward(ORDER), AFTER, Verify(NEW)),
        (Forward(ORDER, ALL), AFTER, Finish("done")),
        (Forward(ORDER, ALL), evolve(AFTER, partial=("x",)), Remove("x")),
        (Back(ORDER, "why", OLD), AFTER, Switch(OLD)),
        (Back(ORDER, "why", OLD), evolve(AFTER, current=OLD), RestartDaemon(OLD)),
        (Back(ORDER, "why", OLD), RUNNING, Verify(OLD)),
        (Back(ORDER, "why", OLD, ALL), RUNNING, Finish("rolled-back", "why")),
        (GivenUp(ORDER, "why"), evolve(RUNNING, partial=(NEW,)), Remove(NEW)),
        (GivenUp(ORDER, "why"), RUNNING, Finish("given-up", "why")),
    ],
)
def test_what_comes_next(intent, seen, step) -> None:
    """Each state of a deployment has its one next step."""
    assert next_step(intent, seen) == step


def test_the_plan_of_a_release_is_printed_step_by_step() -> None:
    """A dry run names every step, in the order in which a release does them."""
    told = [describe(step) for step in list_steps(Forward(ORDER), RUNNING)]
    assert told == [
        "install 1+gnew beside the others",
        "check the settings and the schema with the code of 1+gnew",
        "back up the journal",
        "upgrade the journal's schema",
        "switch to 1+gnew",
        "restart the daemon",
        "restart copy 1 of the site",
        "restart copy 2 of the site",
        "check that the site and the daemon answer",
        "write the outcome to the history: done",
    ]


@pytest.mark.parametrize(
    "intent",
    [
        Forward(ORDER, ALL),
        Forward(evolve(ORDER, previous=None, untested="it burns", open_before=True)),
        Back(ORDER, "it was 'bad'\nand ü", OLD, frozenset({Proved.VERIFIED})),
        GivenUp(ORDER, "full"),
    ],
)
def test_an_intent_is_read_as_it_was_written(intent) -> None:
    """Nothing of an intent is lost on the host's disk."""
    assert load(dump(intent)) == intent


def test_an_intent_is_written_as_every_release_reads_it() -> None:
    """An intent is one JSON object of version 1, with a field on each line."""
    lines = dump(Back(ORDER, "it burns", OLD, ALL)).decode().split("\n")
    assert lines == [
        "{",
        ' "version": 1,',
        ' "is": "back",',
        ' "order": {',
        '  "number": 7,',
        '  "kind": "release",',
        f'  "target": "{NEW}",',
        f'  "previous": "{OLD}",',
        '  "who": "ann@laptop",',
        '  "began": "2026-11-28T12:00:00+00:00",',
        f'  "commit": "{"c" * 40}",',
        '  "untested": null,',
        '  "open_before": null',
        " },",
        ' "why": "it burns",',
        f' "goal": "{OLD}",',
        ' "proved": [',
        '  "backed-up",',
        '  "checked",',
        '  "migrated",',
        '  "verified"',
        " ]",
        "}",
        "",
    ]


@pytest.mark.parametrize("intent", [Forward(ORDER), Back(ORDER, "why", OLD)])
def test_what_was_proved_stays_proved(intent) -> None:
    """Each step that is proved is kept beside those before, and nothing else changes."""
    one = intent.having(Proved.CHECKED)
    both = one.having(Proved.VERIFIED)
    assert both == evolve(intent, proved={Proved.CHECKED, Proved.VERIFIED})


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "damaged"),
        (b"{}", "damaged"),
        (b'{"version": 2, "is": "forward"}', "a newer lae deploy wrote this"),
        (dump(Forward(ORDER)).replace(b'"number"', b'"nomber"'), "damaged"),
        (dump(Forward(ORDER))[:-20], r"damaged \(JSONDecodeError\)"),
        (dump(Forward(ORDER)).replace(b'"proved"', b'"more": 1, "proved"'), "damaged"),
        (b'{"version": 1, "is": "sideways"}', r"damaged \(KeyError\)"),
    ],
)
def test_an_intent_that_cannot_be_read_is_refused(data, says) -> None:
    """A damaged or newer intent is an error in one line, and never guessed at."""
    with pytest.raises(IntentUnreadable, match=says):
        load(data)


def test_too_many_releases_lose_the_oldest() -> None:
    """After a release the oldest are removed, never one that runs or is gone back to."""
    many = tuple(ReleaseId(f"1+g{n}") for n in range(KEPT_RELEASES))
    host = TwinHost(evolve(RUNNING, installed=(OLD, *many)))
    assert carry_out(host, Forward(ORDER), quiet) == ("done", None)
    assert host.seen.installed == (OLD, *many[2:], NEW)


def test_five_releases_stay_installed() -> None:
    """Five whole releases are kept; of six the oldest that nobody needs is removed."""
    five = (OLD, "1+g1", "1+g2", "1+g3", NEW)
    intent = Forward(ORDER, ALL)
    assert next_step(intent, evolve(AFTER, installed=five)) == Finish("done")
    six = (OLD, "1+g0", *five[1:])
    assert next_step(intent, evolve(AFTER, installed=six)) == Remove("1+g0")


def test_what_was_interrupted_before_the_switch_is_given_up() -> None:
    """Before the switch an interrupted release is given up, with the reason; after it
    the release goes on.
    """
    why = "interrupted before the switch"
    assert resume_as(Forward(ORDER), RUNNING) == GivenUp(ORDER, why)
    for intent in (Forward(ORDER), Back(ORDER, "why", OLD)):
        assert resume_as(intent, AFTER) == intent


@pytest.mark.parametrize("step", [Remove(OLD), Finish("done")])
@pytest.mark.parametrize("seen", [AFTER, RUNNING])
def test_what_fails_when_the_release_is_proved_takes_nothing_back(step, seen) -> None:
    """A release that runs and is proved stays, though tidying up after it failed."""
    intent = Forward(ORDER, ALL)
    assert after_failure(intent, step, "disk full", seen) == intent


@pytest.mark.parametrize(
    ("intent", "seen", "goes_on"),
    [
        (Forward(ORDER), RUNNING, GivenUp(ORDER, "no")),
        (Forward(ORDER), AFTER, Back(ORDER, "no", OLD)),
        (Forward(ORDER), evolve(AFTER, installed=(NEW,)), Forward(ORDER)),
        (Back(ORDER, "why", OLD), AFTER, Back(ORDER, "why", OLD)),
        (GivenUp(ORDER, "why"), RUNNING, GivenUp(ORDER, "why")),
    ],
)
def test_what_a_failure_makes_of_a_deployment(intent, seen, goes_on) -> None:
    """A failure before the switch gives up, one after it goes back to the release
    before, and with that one gone, or on the way back, the intent stays.
    """
    assert after_failure(intent, Verify(NEW), "no", seen) == goes_on


KINDS = [Install, Check, BackUp, Migrate, Switch]


@pytest.mark.parametrize("kind", KINDS)
def test_what_fails_before_the_switch_leaves_the_old_release_alone(kind) -> None:
    """A step that fails before the switch ends it: nothing was restarted."""
    host = TwinHost(fails={kind})
    outcome, why = carry_out(host, Forward(ORDER), quiet)
    assert outcome == "given-up"
    assert "as the test wants" in why
    assert host.seen.partial == ()
    assert evolve(host.seen, installed=(OLD,)) == RUNNING


@pytest.mark.parametrize("kind", [RestartDaemon, RestartSite, Verify])
def test_what_fails_after_the_switch_brings_the_old_release_back(kind) -> None:
    """A new release that does not start or answer is taken back by itself."""
    host = TwinHost(bad={NEW}) if kind is not Verify else TwinHost()
    if kind is Verify:
        host.fails = {Verify}
        with pytest.raises(Stuck):
            carry_out(host, Forward(ORDER), quiet)
        host.fails = set()
        assert isinstance(host.intent(), Back)
        outcome, _ = carry_out(host, host.intent(), quiet)
    else:
        outcome, _ = carry_out(host, Forward(ORDER), quiet)
    assert outcome == "rolled-back"
    assert evolve(host.seen, installed=(OLD,)) == RUNNING
    assert host.noted is None


def test_a_first_release_that_fails_has_nowhere_to_go() -> None:
    """With nothing to go back to a person is asked, and a second call goes on."""
    host = TwinHost(Observed((), (), None, None, ((1, None),)), bad={NEW})
    first = evolve(ORDER, kind="first", previous=None)
    with pytest.raises(Stuck, match="does not start"):
        carry_out(host, Forward(first), quiet)
    assert host.history == ["stuck"]
    host.bad = set()
    intent = resume_as(host.intent(), host.seen)
    assert carry_out(host, intent, quiet) == ("done", None)
    assert host.seen.daemon == NEW


@settings(max_examples=300)
@given(
    deaths=st.lists(st.integers(0, 45), max_size=4),
    bad=st.booleans(),
    fails=st.sets(st.sampled_from([Install, Check, Migrate, Switch]), max_size=1),
)
def test_wherever_it_dies_the_next_call_ends_it(deaths, bad, fails) -> None:
    """Killed anywhere, any number of times, a deployment ends with one whole release
    that runs everywhere, and nothing unfinished; until the switch it was the old one.
    """
    host = TwinHost(bad={NEW} if bad else set(), fails=set(fails))
    intent = Forward(ORDER)
    for death in [*deaths, None]:
        host.dies_at = death
        try:
            if intent is not None:
                carry_out(host, intent, quiet)
        except Killed:
            host.dies_at = None
        found = host.intent()
        intent = None if found is None else resume_as(found, host.seen)
    host.dies_at = None
    if intent is not None:
        carry_out(host, intent, quiet)
    end = host.seen
    assert host.noted is None
    assert end.current in {OLD, NEW}
    assert {end.daemon, *dict(end.sites).values()} == {end.current}
    assert end.current in end.installed
    assert end.partial == ()
    if bad or fails:
        assert end.current == OLD
    for seen in host.served:
        if seen.current == OLD and not any(isinstance(s, Switch) for s in host.done):
            assert seen.daemon == OLD
            assert dict(seen.sites) == {1: OLD, 2: OLD}
        # One copy after the other: there is always one to answer.
        assert any(dict(seen.sites).values())


def test_a_copy_is_restarted_only_when_the_one_before_runs() -> None:
    """The second copy of the site is left alone while the first does not come up."""
    host = TwinHost(bad={NEW})
    host.seen = evolve(AFTER, sites=((1, OLD), (2, OLD)))
    outcome, why = carry_out(host, Forward(ORDER, ALL), quiet)
    assert outcome == "rolled-back"
    assert why is not None
    assert RestartSite(NEW, 2) not in host.done
