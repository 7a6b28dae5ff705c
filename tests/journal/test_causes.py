"""Causes of trouble: one row while it lasts, two mails at most."""

from __future__ import annotations

from datetime import timedelta

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lae_flapp.journal import causes, events
from lae_flapp.journal.causes import QUIET

QUIET_SECONDS = QUIET.total_seconds()


def test_a_cause_is_told_once_while_it_lasts(desk) -> None:
    """However often it is seen, it is one row and one mail."""
    assert desk.write(causes.begin, "closed", "", "no canary") is True
    assert desk.write(causes.begin, "closed", "", "no canary yet") is False
    (row,) = desk.read(causes.due)
    assert (row.what, row.told_at, row.over_at) == ("no canary yet", None, None)
    desk.write(causes.told, row.number)
    assert desk.read(causes.due) == ()
    assert desk.read(causes.next_due_at) is None
    kinds = [e.kind for e in desk.read(events.since, None, 0)]
    assert kinds.count("trouble") == 1


def test_its_end_is_told_after_a_quiet_while(desk) -> None:
    """What is over is mailed once it has stayed so for five minutes, and never again."""
    desk.write(causes.begin, "closed", "", "no canary")
    (row,) = desk.read(causes.due)
    desk.write(causes.told, row.number)
    desk.write(causes.end, "closed", "")
    assert desk.read(causes.lasting) == ()
    assert desk.read(causes.due) == ()
    over = desk.read(causes.next_due_at)
    assert over - row.begun_at == QUIET
    desk.clock.advance(QUIET_SECONDS)
    (row,) = desk.read(causes.due)
    desk.write(causes.told, row.number)
    assert desk.read(causes.due) == ()
    assert desk.read(causes.get, row.number).over_told_at is not None
    assert desk.write(causes.begin, "closed", "", "again") is True


def test_what_comes_and_goes_is_one_cause(desk) -> None:
    """A cause that comes back within the quiet while goes on, and nobody is told."""
    desk.write(causes.begin, "service-away", "s3", "silent")
    (row,) = desk.read(causes.due)
    desk.write(causes.told, row.number)
    for _ in range(5):
        desk.write(causes.end, "service-away", "s3")
        desk.clock.advance(QUIET_SECONDS - 1)
        assert desk.write(causes.begin, "service-away", "s3", "silent") is False
        desk.clock.advance(60)
        assert desk.read(causes.due) == ()


def test_over_before_anybody_was_told_is_one_mail(desk) -> None:
    """With the mail server away, what began and ended is told in one mail."""
    desk.write(causes.begin, "closed", "", "no canary")
    desk.write(causes.end, "closed", "")
    desk.clock.advance(QUIET_SECONDS * 2)
    (row,) = desk.read(causes.due)
    desk.write(causes.put_off, row.number, row.begun_at + 4 * QUIET)
    assert desk.read(causes.due) == ()
    desk.clock.advance(QUIET_SECONDS * 2)
    (row,) = desk.read(causes.due)
    assert (row.attempts, row.told_at is None, row.over_at is None) == (1, True, False)
    desk.write(causes.told, row.number)
    desk.clock.advance(QUIET_SECONDS)
    assert desk.read(causes.due) == ()


def test_settling_leaves_other_kinds_alone(desk) -> None:
    """What the watch does not look at, it does not end."""
    desk.write(causes.begin, "signup", "su1 host:x", "refused", told=True)
    desk.write(causes.settle, {"closed"}, {("closed", ""): "no canary"})
    assert {c.kind for c in desk.read(causes.lasting)} == {"signup", "closed"}
    desk.write(causes.settle, {"closed"}, {})
    assert {c.kind for c in desk.read(causes.lasting)} == {"signup"}
    assert len(desk.read(causes.every)) == 2


@settings(
    max_examples=30,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("stands"), st.sets(st.sampled_from("abc"))),
            st.tuples(st.just("passes"), st.integers(1, 600)),
            st.tuples(st.just("mail"), st.booleans()),
        ),
        max_size=40,
    )
)
def test_each_mail_goes_out_once_and_in_its_order(make_desk, steps) -> None:  # noqa: C901  (three kinds of step)
    """Whatever stands when, and whether mail can be sent: no Message-ID is taken twice,
    no end is told before its beginning, and at last everything is told.
    """
    desk = make_desk()
    sent: list[str] = []

    def mail(works: bool) -> None:
        for row in desk.read(causes.due):
            if not works:
                desk.write(causes.put_off, row.number, row.next_try_at + timedelta(60))
                continue
            over = row.over_at is not None and row.told_at is not None
            sent.append(row.over_message_id if over else row.message_id)
            desk.write(causes.told, row.number)

    def stands(subjects: set[str]) -> None:
        found = {("kind", subject): "x" for subject in subjects}
        desk.write(causes.settle, {"kind"}, found)

    for what, value in steps:
        if what == "stands":
            stands(value)
        elif what == "passes":
            desk.clock.advance(value)
        else:
            mail(value)
    stands(set())
    for _ in range(3):
        desk.clock.advance(timedelta(90).total_seconds())
        mail(True)
    assert len(sent) == len(set(sent))
    for row in desk.read(causes.every):
        assert row.over_told_at is not None
        if row.over_message_id in sent:
            assert sent.index(row.message_id) < sent.index(row.over_message_id)
        assert row.message_id in sent
