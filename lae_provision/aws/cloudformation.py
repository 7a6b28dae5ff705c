"""CloudFormation's stacks, change sets, events and drift."""

from __future__ import annotations

from collections.abc import Awaitable
from datetime import datetime
from typing import Any, TypeVar, cast
from xml.etree.ElementTree import Element

from attrs import define, evolve

from lae_provision.account.account import Account
from lae_provision.account.api import AccountApi
from lae_provision.account.change_set import Action, Replacement, Row
from lae_provision.account.desired import Desired
from lae_provision.account.drift import Drifted, PropertyDrift
from lae_provision.account.stack_events import StackEvent
from lae_provision.account.stacks import ChangeSet, Proposal, Stack
from lae_provision.aws.channel import Channel, none_on
from lae_provision.errors import Refused

T = TypeVar("T")

_SERVICE = "cloudformation"
#: The template makes roles and policies of names of their own.
_CAPABILITIES = ["CAPABILITY_NAMED_IAM"]
_NO_CHANGE_SET = frozenset({"ChangeSetNotFound", "ChangeSetNotFoundException"})
_EXECUTED = frozenset({"InvalidChangeSetStatus", "InvalidChangeSetStatusException"})
_THERE = frozenset({"AlreadyExistsException"})
#: The token is of an operation that this call asked for before.
_SAME = frozenset({"TokenAlreadyExistsException"})


@define(frozen=True)
class CloudFormation:
    """See :class:`lae_provision.account.stacks.Stacks`."""

    api: AccountApi

    async def find(self, name: str) -> Stack | None:
        """Find a stack by its name, or its id (then also one that is deleted)."""
        told = await _none_if_missing(self._ask("DescribeStacks", StackName=name))
        found = None if told is None else told.find(".//Stacks/member")
        return None if found is None else _stack(found)

    async def template(self, name: str) -> str:
        """The template that the stack has."""
        told = await self._ask("GetTemplate", StackName=name)
        return told.findtext(".//TemplateBody") or ""

    async def propose(self, proposal: Proposal, token: str) -> None:
        """Begin to make a change set; one of its name that is there is fine."""
        # What was changed by hand is compared, too.
        mends = {"DeploymentMode": "REVERT_DRIFT"} if proposal.kind == "UPDATE" else {}
        await none_on(
            _THERE,
            self._ask(
                "CreateChangeSet",
                StackName=proposal.stack,
                ChangeSetName=proposal.name,
                ChangeSetType=proposal.kind,
                TemplateBody=proposal.template,
                Parameters=[
                    {"ParameterKey": key, "ParameterValue": value}
                    for key, value in sorted(proposal.parameters.items())
                ],
                Capabilities=_CAPABILITIES,
                ClientToken=token,
                **mends,
            ),
        )

    async def proposed(self, stack: str, name: str) -> ChangeSet | None:
        """Look at a change set, through all its pages."""
        rows: list[Row] = []
        more: dict[str, str] = {}
        while True:
            told = await _none_if_missing(
                self._ask(
                    "DescribeChangeSet", StackName=stack, ChangeSetName=name, **more
                )
            )
            if told is None:
                return None
            rows += map(_row, told.findall(".//Changes/member/ResourceChange"))
            token = told.findtext(".//NextToken")
            if not token:
                return ChangeSet(
                    told.findtext(".//ChangeSetId") or name,
                    told.findtext(".//Status") or "",
                    told.findtext(".//ExecutionStatus") or "",
                    told.findtext(".//StatusReason") or "",
                    tuple(rows),
                )
            more = {"NextToken": token}

    async def carry_out(self, stack: str, name: str, token: str) -> None:
        """Execute a change set; one that is being executed already is fine."""
        await none_on(
            _EXECUTED | _SAME,
            self._ask(
                "ExecuteChangeSet",
                StackName=stack,
                ChangeSetName=name,
                ClientRequestToken=token,
            ),
        )

    async def withdraw(self, stack: str, name: str) -> None:
        """Delete a change set; one that is gone is fine."""
        await none_on(
            _EXECUTED,
            _none_if_missing(
                self._ask("DeleteChangeSet", StackName=stack, ChangeSetName=name)
            ),
        )

    async def undo_on(self, stack: str, token: str, without: tuple[str, ...]) -> None:
        """Go on undoing a change, giving up on the things *without*."""
        await none_on(
            _SAME,
            self._ask(
                "ContinueUpdateRollback",
                StackName=stack,
                ClientRequestToken=token,
                **({"ResourcesToSkip": list(without)} if without else {}),
            ),
        )

    async def delete(self, stack: str, token: str) -> None:
        """Delete a stack; one that is gone is fine."""
        await none_on(
            _SAME,
            self._ask("DeleteStack", StackName=stack, ClientRequestToken=token),
        )

    async def protect(self, stack: str) -> None:
        """Let nobody delete the stack who has not first said that they may."""
        await self._ask(
            "UpdateTerminationProtection",
            StackName=stack,
            EnableTerminationProtection="true",
        )

    async def events(self, stack: str, seen: str = "") -> tuple[StackEvent, ...]:
        """The events that are newer than the one with the id *seen*, oldest first."""
        found: list[StackEvent] = []
        more: dict[str, str] = {}
        while True:
            told = await self._ask("DescribeStackEvents", StackName=stack, **more)
            for one in told.findall(".//StackEvents/member"):
                event = _event(one)
                if event.event_id == seen:
                    return tuple(reversed(found))
                found.append(event)
            token = told.findtext(".//NextToken")
            if not token:
                return tuple(reversed(found))
            more = {"NextToken": token}

    async def newest_event(self, stack: str) -> str:
        """The id of the stack's newest event; "" where there is none."""
        told = await self._ask("DescribeStackEvents", StackName=stack)
        return told.findtext(".//StackEvents/member/EventId") or ""

    async def begin_drift(self, stack: str) -> str:
        """Let CloudFormation compare all things with the template; returns an id."""
        told = await self._ask("DetectStackDrift", StackName=stack)
        return told.findtext(".//StackDriftDetectionId") or ""

    async def drift_is_known(self, detection: str) -> bool:
        """Whether that comparison has ended; raises :class:`Refused` if it failed."""
        told = await self._ask(
            "DescribeStackDriftDetectionStatus", StackDriftDetectionId=detection
        )
        status = told.findtext(".//DetectionStatus")
        if status == "DETECTION_FAILED":
            reason = told.findtext(".//DetectionStatusReason") or ""
            raise Refused("DetectionFailed", f"drift could not be found out: {reason}")
        return status == "DETECTION_COMPLETE"

    async def drift(self, stack: str) -> tuple[Drifted, ...]:
        """The things that differ from the template, or are gone."""
        found: list[Drifted] = []
        more: dict[str, str] = {}
        while True:
            told = await self._ask(
                "DescribeStackResourceDrifts",
                StackName=stack,
                StackResourceDriftStatusFilters=["MODIFIED", "DELETED"],
                **more,
            )
            found += map(_drifted, told.findall(".//StackResourceDrifts/member"))
            token = told.findtext(".//NextToken")
            if not token:
                return tuple(found)
            more = {"NextToken": token}

    async def _ask(self, action: str, **parameters: Any) -> Element:
        return await self.api.query(_SERVICE, action, **parameters)


def open_account(channel: Channel, desired: Desired) -> Account:
    """The account with its stacks, in the deployment's and in the backup's region."""
    region = desired.backup_region or channel.endpoints.region
    there = evolve(channel, endpoints=evolve(channel.endpoints, region=region))
    stacks, backups = (CloudFormation(AccountApi(c)) for c in (channel, there))
    return Account(channel, desired, stacks, backups)


async def _none_if_missing(waiting: Awaitable[T]) -> T | None:
    """Wait for the answer; None where there is no such stack or change set."""
    try:
        return await none_on(_NO_CHANGE_SET, waiting)
    except Refused as e:
        if e.code == "ValidationError" and "does not exist" in e.message:
            return None
        raise


def _pairs(stack: Element, group: str, key: str, value: str) -> dict[str, str]:
    return {
        one.findtext(key) or "": one.findtext(value) or ""
        for one in stack.findall(f"{group}/member")
    }


def _stack(told: Element) -> Stack:
    return Stack(
        stack_id=told.findtext("StackId") or "",
        status=told.findtext("StackStatus") or "",
        reason=told.findtext("StackStatusReason") or "",
        parameters=_pairs(told, "Parameters", "ParameterKey", "ParameterValue"),
        outputs=_pairs(told, "Outputs", "OutputKey", "OutputValue"),
    )


def _row(told: Element) -> Row:
    touches = {
        one.findtext("Target/Name") or one.findtext("Target/Attribute") or ""
        for one in told.findall("Details/member")
    }
    return Row(
        action=cast("Action", told.findtext("Action")),
        thing=told.findtext("LogicalResourceId") or "",
        type=told.findtext("ResourceType") or "",
        physical=told.findtext("PhysicalResourceId") or "",
        replacement=cast("Replacement | None", told.findtext("Replacement") or None),
        policy=told.findtext("PolicyAction") or "",
        touches=tuple(sorted(touches - {""})),
    )


def _event(told: Element) -> StackEvent:
    return StackEvent(
        event_id=told.findtext("EventId") or "",
        at=datetime.fromisoformat(told.findtext("Timestamp") or ""),
        thing=told.findtext("LogicalResourceId") or "",
        type=told.findtext("ResourceType") or "",
        status=told.findtext("ResourceStatus") or "",
        reason=told.findtext("ResourceStatusReason") or "",
        token=told.findtext("ClientRequestToken") or "",
    )


def _drifted(told: Element) -> Drifted:
    return Drifted(
        thing=told.findtext("LogicalResourceId") or "",
        type=told.findtext("ResourceType") or "",
        physical=told.findtext("PhysicalResourceId") or "",
        gone=told.findtext("StackResourceDriftStatus") == "DELETED",
        properties=tuple(
            PropertyDrift(
                one.findtext("PropertyPath") or "",
                one.findtext("ExpectedValue") or "",
                one.findtext("ActualValue") or "",
            )
            for one in told.findall("PropertyDifferences/member")
        ),
    )
