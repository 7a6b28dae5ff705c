"""What a change set's rows mean, and what is never done by accident."""

from __future__ import annotations

from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lae_provision.account.change_set import (
    GRAVE,
    PRECIOUS,
    Action,
    Fate,
    Replacement,
    Row,
    fate_of,
    judge,
    tell,
)
from tests.provision.template import load_template

THINGS = sorted({r["Type"] for r in load_template()["Resources"].values()})
rows = st.builds(
    Row,
    action=st.sampled_from(get_args(Action)),
    thing=st.sampled_from(["StateBucket", "SealingKey", "Volume", "Wildcard"]),
    type=st.sampled_from(THINGS),
    physical=st.sampled_from(["", "x-1"]),
    replacement=st.sampled_from([*get_args(Replacement), None]),
    policy=st.sampled_from(["", "Retain", "Delete", "ReplaceAndDelete", "Snapshot"]),
    touches=st.lists(st.sampled_from(["BucketName", "KeySpec"]), unique=True).map(
        tuple
    ),
)


@pytest.mark.parametrize(
    ("row", "fate"),
    [
        (Row("Add", "x", "AWS::S3::Bucket"), Fate.MADE),
        (Row("Import", "x", "AWS::S3::Bucket"), Fate.TAKEN_IN),
        (Row("SyncWithActual", "x", "AWS::S3::Bucket"), Fate.TAKEN_IN),
        (
            Row("Modify", "x", "AWS::S3::Bucket", replacement="False"),
            Fate.CHANGED,
        ),
        (
            Row("Modify", "x", "AWS::S3::Bucket", replacement="Conditional"),
            Fate.PERHAPS_REPLACED,
        ),
        (Row("Modify", "x", "AWS::S3::Bucket"), Fate.PERHAPS_REPLACED),
        (Row("Modify", "x", "AWS::S3::Bucket", replacement="True"), Fate.REPLACED),
        (Row("Remove", "x", "AWS::S3::Bucket", policy="Retain"), Fate.LEFT),
        (Row("Remove", "x", "AWS::S3::Bucket", policy="Delete"), Fate.DELETED),
        (Row("Remove", "x", "AWS::S3::Bucket"), Fate.DELETED),
        (Row("Dynamic", "x", "AWS::S3::Bucket"), Fate.PERHAPS_REPLACED),
        (Row("Newer", "x", "AWS::S3::Bucket"), Fate.PERHAPS_REPLACED),  # type: ignore[arg-type]
    ],
)
def test_each_row_has_a_meaning(row: Row, fate: Fate) -> None:
    """What becomes of a thing follows from the row; what is not known counts as grave."""
    assert fate_of(row) is fate
    assert bool(judge((row,), set()).refused) is (fate in GRAVE)


@given(st.lists(rows).map(tuple), st.sets(st.sampled_from(["StateBucket", "Volume"])))
def test_nothing_precious_goes_unsaid(all_of: tuple[Row, ...], said: set[str]) -> None:
    """Whatever a change set holds: all rows are told in their order, and each that takes
    away a bucket, a key or the like is refused unless that very thing was named.
    """
    judged = judge(all_of, said)
    assert tuple(c.row for c in judged.changes) == all_of
    for change in judged.changes:
        row = change.row
        takes = row.action in ("Remove", "Dynamic") or (
            row.action == "Modify" and row.replacement != "False"
        )
        refused = takes and row.type in PRECIOUS and row.thing not in said
        assert (change in judged.refused) is refused
        line = tell(change)
        assert row.thing in line
        assert "\n" not in line
        assert line.startswith("!") is takes


@given(st.lists(rows).map(tuple))
def test_saying_more_refuses_less(all_of: tuple[Row, ...]) -> None:
    """Who names every thing is refused nothing."""
    assert judge(all_of, {row.thing for row in all_of}).refused == ()


def test_what_stays_is_precious() -> None:
    """Each thing that outlives the stack is one that must be named first."""
    kept = {
        r["Type"]
        for r in load_template()["Resources"].values()
        if "UpdateReplacePolicy" in r
    }
    assert kept <= set(PRECIOUS)
    assert set(PRECIOUS) <= set(THINGS)


def test_a_change_in_words() -> None:
    """A line says what becomes of which thing, and of what it was."""
    row = Row(
        "Modify",
        "StateBucket",
        "AWS::S3::Bucket",
        "s4-state",
        "True",
        "ReplaceAndRetain",
        ("BucketName",),
    )
    (change,) = judge((row,), set()).changes
    assert tell(change) == (
        "! StateBucket (S3 Bucket s4-state): replaced; the former one stays.  It is a"
        " bucket with data"
    )
    row = Row(
        "Modify", "Logs", "AWS::Logs::LogGroup", "", "False", "", ("RetentionInDays",)
    )
    (change,) = judge((row,), set()).changes
    assert tell(change) == "~ Logs (Logs LogGroup): changed (RetentionInDays)"
