"""What turns measurements into the tables of the document."""

from __future__ import annotations

import math

import docutils.core
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.bench.figures import (
    STAGES,
    Figure,
    Moments,
    after_payment,
    overlap,
    percentile,
    stages,
)
from tests.bench.report import replaced
from tests.bench.section import Results, described
from tests.bench.table import aim, table, timings

TIMES = st.lists(st.floats(0.001, 1e6), min_size=1, max_size=60)


@given(TIMES, st.floats(0.1, 100))
def test_a_percentile_is_the_smallest_value_that_covers_enough(values, q):
    """So many of the values are at or below it, fewer below it, and it is one of them."""
    found = percentile(values, q)
    needed = math.ceil(len(values) * q / 100)
    assert found in values
    assert sum(v <= found for v in values) >= needed
    assert sum(v < found for v in values) < needed


def test_percentiles_known_by_heart():
    """Of 1 to 100 the 95th percentile is 95; of five values the 95th is the largest."""
    assert percentile(range(1, 101), 95) == 95
    assert percentile([5, 1, 4, 2, 3], 50) == 3
    assert percentile([5, 1, 4, 2, 3], 95) == 5


@pytest.mark.parametrize(("values", "q"), [([], 50), ([1.0], 0), ([1.0], 100.1)])
def test_no_percentile_of_nothing(values, q):
    """What has no answer is refused."""
    with pytest.raises(ValueError, match="no percentile"):
        percentile(values, q)


SPAN = st.tuples(st.integers(0, 50), st.integers(0, 50)).map(lambda s: tuple(sorted(s)))


@given(SPAN, SPAN)
def test_an_overlap_counts_the_seconds_in_both(one, other):
    """It is as many as there are whole seconds in both spans."""
    assert overlap(one, other) == len(set(range(*one)) & set(range(*other)))


def moments(t0, gaps):
    at, events = t0, {}
    for (_, kind), gap in zip(STAGES, gaps, strict=True):
        at += gap
        events[kind] = at
    return Moments(t0, events["identity-sealed"] + 0.25, at + 0.5, events, at + 4)


GAPS = st.lists(st.integers(0, 9), min_size=len(STAGES), max_size=len(STAGES))


@given(st.integers(0, 1000), GAPS)
def test_the_stages_add_up_to_the_last_event(t0, gaps):
    """Every second from the payment to the mail is in one stage."""
    signup = moments(t0, gaps)
    assert [f.values[0] for f in stages([signup])] == gaps


@given(st.integers(0, 1000), GAPS)
def test_our_share_leaves_out_only_what_came_before(t0, gaps):
    """The host's start counts for the mail that waits for it, not for the furl."""
    signup = moments(t0, gaps)
    whole, ours, least = after_payment("mail", [signup], [signup.mail])
    assert whole.values[0] - ours.values[0] == gaps[5]
    assert whole.values[0] - least.values[0] == gaps[5] + gaps[6]
    if sum(gaps[2:5]) > 0:
        same = after_payment("furl", [signup], [signup.furl])
        assert len({f.values for f in same}) == 1


def parsed(text):
    """Parse as docutils does; it raises at the first warning."""
    return docutils.core.publish_doctree(text, settings_overrides={"halt_level": 2})


CELLS = st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z")), max_size=9)


@given(st.lists(st.tuples(st.sampled_from(("a", "  b", "ab c →")), CELLS), min_size=1))
def test_columns_stand_under_each_other(rows):
    """Each line of a table is cut at the same places, and the rules are as wide."""
    lines = table(("what", "n"), rows).splitlines()
    width = lines[0].index("  ")
    assert lines[0] == lines[2] == lines[-1]
    assert len(lines) == len(rows) + 4
    assert all(line[width : width + 2].strip() == "" for line in lines)


def test_ratios_stand_last_and_the_units_own_is_one():
    """Twice as slow as the floor is 2.00 in the last columns."""
    unit, other = Figure("floor", (1.0, 2.0)), Figure("mail", (2.0, 4.0))
    lines = timings((unit, other), unit).splitlines()
    assert lines[3].split() == ["floor", "2", "1.000", "2.000", "2.000", "1.00", "1.00"]
    assert lines[4].split()[-2:] == ["2.00", "2.00"]


def test_an_aim_says_plainly_whether_it_holds():
    """At the limit it holds, above it does not."""
    assert "**holds**" in aim("furl", 1.0, 1, " s")
    assert "**DOES NOT HOLD**" in aim("furl", 1.001, 1, " s")


def test_the_section_is_sound():
    """The whole section is restructured text with its four tables' worth of figures."""
    signups = [moments(100.0, range(1, 9)), moments(200.0, [1] * 8)]
    results = Results([1.0, 2.0], signups, signups, signups, [3.0], {"site": [60.0]})
    tables = list(
        parsed(described("Here, now.\n", results)).findall(
            lambda n: n.tagname == "table"
        )
    )
    assert len(tables) == 3


PIECES = st.text("ab\n", max_size=20)


@given(PIECES, PIECES, PIECES, PIECES)
def test_a_benchmark_writes_its_own_section_alone(before, mine, theirs, again):
    """Writing again replaces what was written, and every other line stays."""
    first = replaced(replaced(before, "mine", mine), "theirs", theirs)
    second = replaced(first, "mine", again)
    assert replaced(second, "mine", mine) == first
    assert second.startswith(before.rstrip().lstrip() if before.strip() else "")
    assert second.partition(".. mine: end\n")[2] == first.partition(".. mine: end\n")[2]


def test_broken_markers_are_refused():
    """A section that has no end is not guessed at."""
    with pytest.raises(ValueError, match="broken"):
        replaced(".. mine: begin\n", "mine", "")
