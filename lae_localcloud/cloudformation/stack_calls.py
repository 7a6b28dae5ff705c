"""Calls about stacks, answered in the reactor's thread."""

from __future__ import annotations

from attrs import define, field

from lae_localcloud.cloudformation.calls_signed import CallersKey
from lae_localcloud.cloudformation.capabilities import missing_capabilities
from lae_localcloud.cloudformation.describing import (
    tell_detection,
    tell_drift,
    tell_event,
    tell_resource,
    tell_stack,
)
from lae_localcloud.cloudformation.drifting import detect
from lae_localcloud.cloudformation.pages import page_of
from lae_localcloud.cloudformation.stack_book import refused
from lae_localcloud.cloudformation.stack_record import DriftRecord, new_id
from lae_localcloud.cloudformation.works_on_stacks import (
    AT_REST,
    Said,
    StackWorks,
    require,
    template_of,
)


@define(frozen=True)
class StackCalls:
    """A method for each call, of the call's name."""

    _works: StackWorks
    _detections: dict[str, DriftRecord] = field(factory=dict)

    def describe_stacks(self, said: Said, key: CallersKey) -> Said:
        if "StackName" in said:
            return {"Stacks": [tell_stack(self._works.book.get(said["StackName"]))]}
        rows, token = page_of(self._works.book.there(), said.get("NextToken"), "stacks")
        return {"Stacks": [tell_stack(one) for one in rows], "NextToken": token}

    def describe_stack_events(self, said: Said, key: CallersKey) -> Said:
        record = self._works.book.get(said["StackName"], "Stack [{}] does not exist")
        newest_first = tuple(reversed(record.events))
        rows, token = page_of(newest_first, said.get("NextToken"), "events")
        return {
            "StackEvents": [tell_event(record, one) for one in rows],
            "NextToken": token,
        }

    def describe_stack_resources(self, said: Said, key: CallersKey) -> Said:
        record = self._works.book.get(said["StackName"])
        wanted = said.get("LogicalResourceId")
        return {
            "StackResources": [
                tell_resource(record, one)
                for one in record.resources.values()
                if wanted in (None, one.name)
            ]
        }

    def get_template(self, said: Said, key: CallersKey) -> Said:
        record = self._works.book.get(said["StackName"])
        if record.deployed is None:
            raise refused(f"Template for stack {record.name} does not exist")
        return {
            "TemplateBody": record.deployed.template.text,
            "StagesAvailable": ["Original", "Processed"],
        }

    def validate_template(self, said: Said, key: CallersKey) -> Said:
        template = template_of(said, None)
        return {
            "Description": template.description,
            "Capabilities": missing_capabilities(template, ()),
            "Parameters": [
                {
                    "ParameterKey": name,
                    "DefaultValue": one.get("Default"),
                    "NoEcho": one.get("NoEcho") in (True, "true"),
                    "Description": one.get("Description"),
                }
                for name, one in template.parameters.items()
            ],
        }

    def update_termination_protection(self, said: Said, key: CallersKey) -> Said:
        record = self._works.book.get(said["StackName"])
        record.protected = said["EnableTerminationProtection"]
        return {"StackId": record.stack_id}

    def delete_stack(self, said: Said, key: CallersKey) -> Said:
        record = self._works.book.find(said["StackName"])
        if record is None or record.gone or record.status == "DELETE_IN_PROGRESS":
            return {}
        if record.protected:
            raise refused(
                f"Stack [{record.name}] cannot be deleted while TerminationProtection"
                " is enabled"
            )
        at_work = record.status.endswith("_IN_PROGRESS")
        if record.busy or (at_work and record.status != "REVIEW_IN_PROGRESS"):
            raise refused(
                f"Stack [{record.stack_id}] cannot be deleted while in status"
                f" {record.status}"
            )
        retain = frozenset(said.get("RetainResources", ()))
        if retain and record.status != "DELETE_FAILED":
            raise refused(
                f"Invalid operation on stack [{record.stack_id}]. RetainResources can"
                " only be specified when the stack is in the DELETE_FAILED state."
            )
        record.token = said.get("ClientRequestToken", "")
        work = self._works.carrying(record, key).delete(retain)
        self._works.begin_on(record, work)
        return {}

    def continue_update_rollback(self, said: Said, key: CallersKey) -> Said:
        record = self._works.book.get(said["StackName"])
        token = said.get("ClientRequestToken", "")
        if token and record.tokens.get(token) == "ContinueUpdateRollback":
            return {}
        require(
            record, frozenset({"UPDATE_ROLLBACK_FAILED"}), "rolled back any further"
        )
        skip = frozenset(said.get("ResourcesToSkip", ()))
        failed = {
            n for n, one in record.resources.items() if one.status == "UPDATE_FAILED"
        }
        if skip - failed:
            names = ", ".join(sorted(skip - failed))
            raise refused(f"ResourcesToSkip: [{names}] are not in UPDATE_FAILED state")
        executed = [one.deploying for one in record.change_sets.values()]
        (deploying,) = [one for one in executed if one is not None]
        record.token = token
        record.tokens[token] = "ContinueUpdateRollback"
        record.become("UPDATE_ROLLBACK_IN_PROGRESS", "User Initiated")
        work = self._works.carrying(record, key).undo(deploying, skip)
        self._works.begin_on(record, work)
        return {}

    def detect_stack_drift(self, said: Said, key: CallersKey) -> Said:
        record = self._works.book.get(said["StackName"])
        require(record, AT_REST, "looked at for drift")
        drift = DriftRecord(new_id(), record.stack_id, self._works.now())
        self._detections[drift.detection_id] = drift
        self._works.begin(detect(record, self._works.services(key), drift))
        return {"StackDriftDetectionId": drift.detection_id}

    def describe_stack_drift_detection_status(
        self, said: Said, key: CallersKey
    ) -> Said:
        drift = self._detections.get(said["StackDriftDetectionId"])
        if drift is None:
            raise refused("Drift detection status does not exist")
        return tell_detection(self._works.book.get(drift.stack_id), drift)

    def describe_stack_resource_drifts(self, said: Said, key: CallersKey) -> Said:
        record = self._works.book.get(said["StackName"])
        wanted = said.get("StackResourceDriftStatusFilters")
        found = [
            record.resources[name] for name in record.drifts if name in record.resources
        ]
        rows = tuple(one for one in found if not wanted or one.drift in wanted)
        page, token = page_of(rows, said.get("NextToken"), "drifts")
        told = [tell_drift(record, one) for one in page]
        return {"StackResourceDrifts": told, "NextToken": token}
