"""What the names in a template stand for.  Pure."""

from __future__ import annotations

from typing import Any

from lae_localcloud.account.moto import ACCOUNT_ID
from lae_localcloud.cloudformation.evaluation import Known, Scope
from lae_localcloud.cloudformation.parameters import as_value
from lae_localcloud.cloudformation.stack_record import Deploying, StackRecord


def scope_of(
    deploying: Deploying, record: StackRecord, region: str, known: dict[str, Known]
) -> Scope:
    """What the names in a template stand for."""
    declared = deploying.template.parameters
    values: dict[str, Any] = {
        name: as_value(declared[name], text)
        for name, text in deploying.parameters.items()
    }
    values |= pseudo_parameters(record.name, record.stack_id, region)
    return Scope(
        parameters=values,
        zones=deploying.zones,
        mappings=deploying.template.mappings,
        conditions=deploying.conditions,
        known=known,
    )


def pseudo_parameters(name: str, stack_id: str, region: str) -> dict[str, Any]:
    """What every template may ask for."""
    return {
        "AWS::AccountId": ACCOUNT_ID,
        "AWS::NotificationARNs": [],
        "AWS::Partition": "aws",
        "AWS::Region": region,
        "AWS::StackId": stack_id,
        "AWS::StackName": name,
        "AWS::URLSuffix": "amazonaws.com",
    }
