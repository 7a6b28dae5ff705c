"""Stacks and change sets as CloudFormation's answers tell them.  Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from lae_localcloud.cloudformation.changes import PropertyChange, ResourceChange
from lae_localcloud.cloudformation.stack_record import (
    ChangeSetRecord,
    Deploying,
    DriftRecord,
    ResourceRecord,
    StackEvent,
    StackRecord,
)


def _parameters(deploying: Deploying | None) -> list[dict[str, str]]:
    if deploying is None:
        return []
    declared = deploying.template.parameters
    return [
        {
            "ParameterKey": name,
            "ParameterValue": "****" if _is_secret(declared[name]) else value,
        }
        for name, value in deploying.parameters.items()
    ]


def _is_secret(declared: Any) -> bool:
    return declared.get("NoEcho") in (True, "true")


def _tags(deploying: Deploying | None) -> list[dict[str, str]]:
    tags = {} if deploying is None else deploying.tags
    return [{"Key": k, "Value": v} for k, v in tags.items()]


def tell_stack(one: StackRecord) -> dict[str, Any]:
    """As DescribeStacks does."""
    deploying = one.deployed
    return {
        "StackId": one.stack_id,
        "StackName": one.name,
        "Description": deploying and (deploying.template.description or None),
        "Parameters": _parameters(deploying),
        "CreationTime": one.created,
        "LastUpdatedTime": one.updated,
        "DeletionTime": one.deleted,
        "StackStatus": one.status,
        "StackStatusReason": one.reason or None,
        "DisableRollback": False,
        "Capabilities": [] if deploying is None else list(deploying.capabilities),
        "Outputs": [] if deploying is None else list(_outputs(one, deploying)),
        "Tags": _tags(deploying),
        "EnableTerminationProtection": one.protected,
        "DriftInformation": {
            "StackDriftStatus": one.drift,
            "LastCheckTimestamp": one.drift_at,
        },
    }


def _outputs(one: StackRecord, deploying: Deploying) -> Iterator[dict[str, Any]]:
    for name, value in one.outputs.items():
        written = deploying.template.outputs.get(name)
        yield {
            "OutputKey": name,
            "OutputValue": value if isinstance(value, str) else json.dumps(value),
            "Description": None if written is None else written.description or None,
        }


def tell_event(record: StackRecord, one: StackEvent) -> dict[str, Any]:
    """As DescribeStackEvents does."""
    return {
        "StackId": record.stack_id,
        "EventId": one.event_id,
        "StackName": record.name,
        "LogicalResourceId": one.name,
        "PhysicalResourceId": one.physical_id,
        "ResourceType": one.kind,
        "Timestamp": one.at,
        "ResourceStatus": one.status,
        "ResourceStatusReason": one.reason or None,
        "ClientRequestToken": one.token or None,
    }


def tell_resource(record: StackRecord, one: ResourceRecord) -> dict[str, Any]:
    """As DescribeStackResources does."""
    return {
        "StackName": record.name,
        "StackId": record.stack_id,
        "LogicalResourceId": one.name,
        "PhysicalResourceId": one.physical_id or None,
        "ResourceType": one.kind,
        "Timestamp": one.at or record.created,
        "ResourceStatus": one.status,
        "ResourceStatusReason": one.reason or None,
        "DriftInformation": {"StackResourceDriftStatus": one.drift},
    }


def tell_change_set(record: StackRecord, one: ChangeSetRecord) -> dict[str, Any]:
    """As DescribeChangeSet does, without its changes."""
    deploying = one.deploying
    return {
        "ChangeSetName": one.name,
        "ChangeSetId": one.set_id,
        "StackId": record.stack_id,
        "StackName": record.name,
        "Description": one.description or None,
        "Parameters": _parameters(deploying),
        "CreationTime": one.created,
        "ExecutionStatus": one.execution,
        "Status": one.status,
        "StatusReason": one.reason or None,
        "NotificationARNs": [],
        "Capabilities": [] if deploying is None else list(deploying.capabilities),
        "Tags": _tags(deploying),
        "OnStackFailure": one.on_failure if one.kind == "CREATE" else None,
        "DeploymentMode": one.mode,
    }


def tell_change(one: ResourceChange) -> dict[str, Any]:
    """One row of a change set."""
    scope = ["Properties"] if any(p.name != "Tags" for p in one.properties) else []
    scope += ["Tags"] if any(p.name == "Tags" for p in one.properties) else []
    details = [d for p in one.properties for d in _details(p)]
    details += [
        {
            "Target": {"Attribute": name, "RequiresRecreation": "Never"},
            "Evaluation": "Static",
            "ChangeSource": "DirectModification",
        }
        for name in one.beside
    ]
    return {
        "Type": "Resource",
        "ResourceChange": {
            "PolicyAction": one.policy_action or None,
            "Action": one.action,
            "LogicalResourceId": one.name,
            "PhysicalResourceId": one.physical_id or None,
            "ResourceType": one.kind,
            "Replacement": one.replacement,
            "Scope": [*scope, *one.beside],
            "Details": details,
        },
    }


def _details(one: PropertyChange) -> Iterator[dict[str, Any]]:
    tags = one.name == "Tags"
    target: dict[str, Any] = {
        "Attribute": "Tags" if tags else "Properties",
        "Name": None if tags else one.name,
        "RequiresRecreation": one.recreation,
    }
    source = "DirectModification"
    if one.cause:
        source = "ResourceAttribute" if "." in one.cause else "ResourceReference"
    yield {
        "Target": target,
        "Evaluation": "Dynamic" if one.dynamic else "Static",
        "ChangeSource": source,
        "CausingEntity": one.cause or None,
    }


def tell_detection(record: StackRecord, one: DriftRecord) -> dict[str, Any]:
    """As DescribeStackDriftDetectionStatus does."""
    known = one.status == "DETECTION_COMPLETE"
    return {
        "StackId": record.stack_id,
        "StackDriftDetectionId": one.detection_id,
        "StackDriftStatus": record.drift if known else None,
        "DetectionStatus": one.status,
        "DetectionStatusReason": one.reason or None,
        "DriftedStackResourceCount": one.drifted if known else None,
        "Timestamp": one.at,
    }


def tell_drift(record: StackRecord, one: ResourceRecord) -> dict[str, Any]:
    """One row of DescribeStackResourceDrifts."""
    found = record.drifts[one.name]
    actual = found["actual"]
    return {
        "StackId": record.stack_id,
        "LogicalResourceId": one.name,
        "PhysicalResourceId": one.physical_id,
        "ResourceType": one.kind,
        "ExpectedProperties": json.dumps(found["expected"]),
        "ActualProperties": None if actual is None else json.dumps(actual),
        "PropertyDifferences": found["differences"],
        "StackResourceDriftStatus": one.drift,
        "Timestamp": found["at"],
    }
