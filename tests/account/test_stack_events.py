"""Of a stack's events a person reads what failed first, and what to do."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from lae_provision.account.drift import Drifted, PropertyDrift, find_differences
from lae_provision.account.stack_events import StackEvent, causes_of, tell

AT = datetime(2026, 11, 30, tzinfo=UTC)


def event(number: int, thing: str, status: str, reason: str = "") -> StackEvent:
    kind = "AWS::CloudFormation::Stack" if thing == "s4" else "AWS::S3::Bucket"
    at = AT + timedelta(seconds=number)
    return StackEvent(str(number), at, thing, kind, status, reason)


def test_the_first_failure_is_the_cause() -> None:
    """The first failure comes first, however the events arrive; those that only followed
    from it are left out, and what is told twice is told once.
    """
    causes = causes_of(
        (
            event(5, "s4", "ROLLBACK_IN_PROGRESS", "The following resource(s) failed"),
            event(4, "Logs", "CREATE_FAILED", "Resource creation cancelled"),
            event(3, "Backup", "CREATE_FAILED", "Rate exceeded"),
            event(2, "State", "CREATE_FAILED", "s4-state already exists"),
            event(6, "State", "DELETE_FAILED", "s4-state already exists"),
            event(1, "State", "CREATE_IN_PROGRESS"),
            event(7, "s4", "ROLLBACK_FAILED", "[State]"),
        )
    )
    assert [c.thing for c in causes] == ["State", "Backup"]
    assert "choose another name" in causes[0].text
    assert "apply again" in causes[1].text


@pytest.mark.parametrize(
    ("reason", "advice"),
    [
        ("User x is not authorized to perform: kms:CreateKey", "grant it"),
        ("LimitExceeded: you have reached the maximum number of VPCs", "ask AWS"),
        ("Internal Failure", "AWS was busy"),
        ("Error Code: BucketAlreadyOwnedByYou", "choose another name"),
        ("HandlerErrorCode: AlreadyExists", "choose another name"),
        ("Something else", ""),
        ("", ""),
    ],
)
def test_advice_fits_the_reason(reason: str, advice: str) -> None:
    """A reason that is known has an advice; another one is told as AWS says it."""
    (cause,) = causes_of((event(1, "x", "CREATE_FAILED", reason),))
    assert (advice in cause.advice) if advice else cause.advice == ""
    assert (reason or "AWS does not say why") in cause.text


def test_what_a_person_need_not_see() -> None:
    """What begins, and what is of the stack as a whole, is not told line by line."""
    assert tell(event(1, "State", "CREATE_IN_PROGRESS")) is None
    assert tell(event(1, "s4", "CREATE_COMPLETE")) is None
    line = tell(event(1, "State", "CREATE_COMPLETE"))
    assert line == "  State (S3 Bucket): create complete"
    line = tell(event(1, "State", "CREATE_FAILED", "taken"))
    assert line == "  State (S3 Bucket): create failed: taken"


def test_drift_that_matters() -> None:
    """A changed policy, and a thing that is gone, matter; tags and descriptions do not."""
    tags = PropertyDrift("/Tags/0/Value", "a", "b")
    wide = PropertyDrift("/PolicyDocument/Statement/0/Action", "s3:GetObject", "*")
    found = find_differences(
        (
            Drifted(
                "Boundary", "AWS::IAM::ManagedPolicy", "arn:x", False, (tags, wide)
            ),
            Drifted("StateBucket", "AWS::S3::Bucket", "s4-state", False, (tags,)),
            Drifted("Wildcard", "AWS::Route53::RecordSet", "*.s4", True),
        )
    )
    assert [d.name for d in found] == ["Boundary arn:x", "Wildcard *.s4"]
    assert "may do more" in found[0].found
    assert found[0].more == (
        "/PolicyDocument/Statement/0/Action: is *, not s3:GetObject",
    )
    assert found[1].found == "deleted"
