"""Whatever fails, whenever: a stack is as it shall be, or as it was."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from attrs import define, field
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.logger import globalLogPublisher

from lae_localcloud.cloudformation.calls_signed import ServiceRefused
from lae_localcloud.cloudformation.carrying import Carrying
from lae_localcloud.cloudformation.kinds.table import KINDS
from lae_localcloud.cloudformation.order import find_needs
from lae_localcloud.cloudformation.resource_works import ResourceWorks
from lae_localcloud.cloudformation.stack_record import Deploying, StackRecord
from lae_localcloud.cloudformation.template import read_template
from tests.localcloud.cloudformation.templates import GROUP, graphs

REFUSED = ServiceRefused("logs", "AccessDenied", "no", 403)


@define
class Logs:
    """CloudWatch's log groups in memory, and which calls to them fail."""

    fails: dict[int, Exception] = field(factory=dict)
    groups: dict[str, int | None] = field(factory=dict)
    calls: int = 0

    async def __call__(self, service: str, action: str, **said: Any) -> dict[str, Any]:
        self.calls += 1
        if (failure := self.fails.get(self.calls)) is not None:
            raise failure
        name = said.get("logGroupName", "")
        match action:
            case "CreateLogGroup":
                if name in self.groups:
                    raise ServiceRefused("logs", "ResourceAlreadyExistsException", "")
                self.groups[name] = None
            case "PutRetentionPolicy":
                self.groups[name] = said["retentionInDays"]
            case "DeleteRetentionPolicy":
                self.groups[name] = None
            case "DeleteLogGroup":
                del self.groups[name]
            case _:
                raise AssertionError(action)
        return {}

    async def pause(self, seconds: float) -> None:
        pass


Groups = dict[str, tuple[str, int | None]]


@st.composite
def stacks(draw: st.DrawFn) -> tuple[dict[str, frozenset[str]], Groups]:
    """Log groups that need each other, each with a name and days to keep its logs."""
    needs = draw(graphs())
    days = st.sampled_from([None, 1, 3])
    versions = st.sampled_from(["v1", "v2"])
    return needs, {name: (f"/{name}/{draw(versions)}", draw(days)) for name in needs}


def deploying(needs: dict[str, frozenset[str]], groups: Groups) -> Deploying:
    resources = {}
    for name, (log, days) in groups.items():
        said = {
            "LogGroupName": log,
            **({} if days is None else {"RetentionInDays": days}),
        }
        one = {"Type": GROUP, "Properties": said, "DependsOn": sorted(needs[name])}
        resources[name] = one
    template = read_template(json.dumps({"Resources": resources}), KINDS)
    return Deploying(template, {}, {}, find_needs(template, {}), (), {}, ())


def wanted(groups: Groups) -> dict[str, int | None]:
    return dict(groups.values())


def stack_of(logs: Logs) -> tuple[StackRecord, Carrying]:
    now = datetime(2026, 11, 30, tzinfo=UTC)
    record = StackRecord("s", "arn:s", now, lambda: now)
    return record, Carrying(ResourceWorks(record, logs, "eu-west-1", lambda: 0.0))


def done(work: Any) -> None:
    """It ends at once: nothing here waits."""
    ended: list[Any] = []
    Deferred.fromCoroutine(work).addBoth(ended.append)
    assert ended == [None]


@contextlib.contextmanager
def unlogged() -> Iterator[None]:
    """The local cloud's own mistakes are logged, which tests take for their own."""
    observers = list(globalLogPublisher._observers)
    for one in observers:
        globalLogPublisher.removeObserver(one)
    yield
    for one in observers:
        globalLogPublisher.addObserver(one)


@given(stacks(), st.integers(1, 30), st.sampled_from([REFUSED, KeyError("ours")]))
def test_a_creation_is_whole_or_leaves_nothing(
    wished: tuple[dict[str, frozenset[str]], Groups], call: int, failure: Exception
) -> None:
    """Whichever call a creation fails at, by a refusal or a mistake of the local cloud's
    own, all that was made is taken back; else all of it is there.
    """
    with unlogged():
        logs = Logs({call: failure})
        record, carrying = stack_of(logs)
        done(carrying.create(deploying(*wished), "ROLLBACK"))
    if record.status == "CREATE_COMPLETE":
        assert logs.groups == wanted(wished[1])
    else:
        assert record.status == "ROLLBACK_COMPLETE"
        assert logs.groups == {}
    logs.fails.clear()
    done(carrying.delete(frozenset()))
    assert (record.status, logs.groups) == ("DELETE_COMPLETE", {})


@given(stacks(), stacks(), st.sets(st.integers(1, 40), max_size=3))
def test_an_update_is_whole_or_undone(
    before: tuple[dict[str, frozenset[str]], Groups],
    after: tuple[dict[str, frozenset[str]], Groups],
    failing: set[int],
) -> None:
    """Whichever calls an update fails at, the stack is as the new template says, or as
    the old one says, or UPDATE_ROLLBACK_FAILED, after which it can be undone to the
    end; what stays behind is only what could not be deleted.
    """
    logs = Logs()
    record, carrying = stack_of(logs)
    done(carrying.create(deploying(*before), "ROLLBACK"))
    logs.calls, logs.fails = 0, dict.fromkeys(failing, REFUSED)
    target = deploying(*after)
    done(carrying.update(target, stop_there=False))
    refused_deletions = any(e.status == "DELETE_FAILED" for e in record.events)
    logs.fails.clear()
    if record.status == "UPDATE_ROLLBACK_FAILED":
        done(carrying.undo(target))
    if record.status == "UPDATE_COMPLETE":
        expected = wanted(after[1])
    else:
        assert record.status == "UPDATE_ROLLBACK_COMPLETE"
        expected = wanted(before[1])
    there = {name: logs.groups.get(name, "gone") for name in expected}
    assert there == expected
    if not refused_deletions:
        assert logs.groups == expected
    known = {one.physical_id for one in record.resources.values()}
    assert known == set(expected)
    done(carrying.delete(frozenset()))
    assert record.status == "DELETE_COMPLETE"
    assert set(logs.groups).isdisjoint(expected)
