"""Somebody who deploys templates with AWS's own SDK."""

from __future__ import annotations

import itertools
import json
import secrets
import time
from typing import Any

from botocore.exceptions import ClientError

NAMED = ["CAPABILITY_NAMED_IAM"]
_numbers = itertools.count()


class Deployer:
    """One stack of a name of its own, on a local cloud that runs."""

    def __init__(self, cloud: Any, key: dict[str, str] | None = None) -> None:
        self.cloud = cloud
        self.client = cloud.client("cloudformation", key)
        self.name = f"t{secrets.token_hex(4)}"
        self.stack_id = ""

    def propose(self, resources: Any, kind: str = "UPDATE", **more: Any) -> Any:
        """A change set, once it is made or has failed."""
        body = resources
        if not isinstance(body, str):
            sections = {k: more.pop(k) for k in ("Outputs", "Conditions") if k in more}
            declared = more.pop("Declared", {})
            tree = {"Resources": body, "Parameters": declared, **sections}
            body = json.dumps(tree)
        name = f"c{next(_numbers)}"
        made = self.client.create_change_set(
            **{
                "StackName": self.name,
                "ChangeSetName": name,
                "ChangeSetType": kind,
                "TemplateBody": body,
                "Capabilities": NAMED,
                **more,
            }
        )
        self.stack_id = made["StackId"]

        def told() -> Any:
            found = self.client.describe_change_set(
                StackName=self.name, ChangeSetName=name
            )
            under_way = found["Status"] in ("CREATE_PENDING", "CREATE_IN_PROGRESS")
            return None if under_way else found

        found = self.wait(told)
        found["Changes"] = [
            change["ResourceChange"]
            for page in self.client.get_paginator("describe_change_set").paginate(
                StackName=self.name, ChangeSetName=name
            )
            for change in page["Changes"]
        ]
        return found

    def execute(self, change_set: Any, **more: Any) -> str:
        """Execute it; the status in which the stack comes to rest."""
        assert change_set["Status"] == "CREATE_COMPLETE", change_set
        before = self.newest()
        self.client.execute_change_set(
            ChangeSetName=change_set["ChangeSetId"], StackName=self.name, **more
        )
        return self.rest(before)

    def deploy(self, resources: Any, kind: str = "UPDATE", **more: Any) -> str:
        return self.execute(self.propose(resources, kind, **more))

    def delete(self, **more: Any) -> str:
        before = self.newest()
        self.client.delete_stack(StackName=self.stack_id, **more)
        return self.rest(before)

    def newest(self) -> str:
        """The id of the last event."""
        found = self.client.describe_stack_events(StackName=self.stack_id)
        return str(found["StackEvents"][0]["EventId"])

    def rest(self, before: str) -> str:
        """Wait until something has begun since that event, and come to rest."""

        def done() -> str | None:
            status: str = self.told()["StackStatus"]
            if status.endswith("_IN_PROGRESS") or self.newest() == before:
                return None
            return status

        return str(self.wait(done))

    def told(self) -> Any:
        return self.client.describe_stacks(StackName=self.stack_id)["Stacks"][0]

    def outputs(self) -> dict[str, str]:
        return {o["OutputKey"]: o["OutputValue"] for o in self.told()["Outputs"]}

    def events(self) -> list[Any]:
        """All of them, the first one first."""
        pages = self.client.get_paginator("describe_stack_events").paginate(
            StackName=self.stack_id
        )
        return [event for page in pages for event in page["StackEvents"]][::-1]

    def history(self, name: str) -> list[str]:
        found = [e for e in self.events() if e["LogicalResourceId"] == name]
        return [event["ResourceStatus"] for event in found]

    def physical(self, name: str) -> str:
        found = self.client.describe_stack_resources(StackName=self.stack_id)
        ids = {
            one["LogicalResourceId"]: one.get("PhysicalResourceId", "")
            for one in found["StackResources"]
        }
        return str(ids[name])

    def reasons(self) -> str:
        return "\n".join(e.get("ResourceStatusReason", "") for e in self.events())

    def drift(self) -> dict[str, Any]:
        """What has drifted, by name."""
        begun = self.client.detect_stack_drift(StackName=self.name)
        number = begun["StackDriftDetectionId"]

        def known() -> Any:
            told = self.client.describe_stack_drift_detection_status(
                StackDriftDetectionId=number
            )
            return told if told["DetectionStatus"] != "DETECTION_IN_PROGRESS" else None

        assert self.wait(known)["DetectionStatus"] == "DETECTION_COMPLETE"
        told = self.client.describe_stack_resource_drifts(
            StackName=self.name, StackResourceDriftStatusFilters=["MODIFIED", "DELETED"]
        )
        return {one["LogicalResourceId"]: one for one in told["StackResourceDrifts"]}

    @staticmethod
    def wait(what: Any, seconds: float = 60.0) -> Any:
        deadline = time.monotonic() + seconds
        while not (found := what()):
            assert time.monotonic() < deadline, "waited too long"
            time.sleep(0.05)
        return found


def refusal(call: Any, **arguments: Any) -> tuple[str, str]:
    """Code and sentence of a refusal."""
    try:
        call(**arguments)
    except ClientError as e:
        error = e.response["Error"]
        return str(error["Code"]), str(error["Message"])
    raise AssertionError("it was not refused")
