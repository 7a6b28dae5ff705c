"""Calls about change sets, answered in the reactor's thread."""

from __future__ import annotations

import re

from attrs import define

from lae_localcloud.cloudformation.calls_signed import CallersKey
from lae_localcloud.cloudformation.capabilities import missing_capabilities
from lae_localcloud.cloudformation.carrying import Carrying
from lae_localcloud.cloudformation.describing import tell_change, tell_change_set
from lae_localcloud.cloudformation.pages import page_of
from lae_localcloud.cloudformation.proposing import (
    Proposed,
    Proposing,
    deploying_of,
)
from lae_localcloud.cloudformation.scopes import pseudo_parameters
from lae_localcloud.cloudformation.stack_book import refused
from lae_localcloud.cloudformation.stack_record import (
    ChangeSetRecord,
    StackRecord,
    new_id,
)
from lae_localcloud.cloudformation.template import Template
from lae_localcloud.cloudformation.works_on_stacks import (
    AT_REST,
    Said,
    StackWorks,
    require,
    template_of,
)
from lae_localcloud.exchange import ApiError

_NAME = re.compile(r"[a-zA-Z][-a-zA-Z0-9]{0,127}")


@define(frozen=True)
class ChangeSetCalls:
    """A method for each call, of the call's name."""

    _works: StackWorks

    def create_change_set(self, said: Said, key: CallersKey) -> Said:
        name, kind = said["StackName"], said.get("ChangeSetType", "UPDATE")
        record = self._works.book.find(name)
        template = template_of(said, record)
        capabilities = tuple(said.get("Capabilities", ()))
        missing = missing_capabilities(template, capabilities)
        if missing:
            words = f"Requires capabilities : [{', '.join(missing)}]"
            raise ApiError(400, "InsufficientCapabilitiesException", words)
        repeated = self._repeated(record, said)
        if repeated is not None:
            assert record is not None
            return {"Id": repeated.set_id, "StackId": record.stack_id}
        asked = self._asked(said, template, capabilities, record)
        previous = (
            {}
            if record is None or record.deployed is None
            else (record.deployed.parameters)
        )
        # What is wrong with template and parameters is told at once.
        deploying_of(asked, previous)
        record = self._record_for(record, kind, name, said["ChangeSetName"])
        change_set = ChangeSetRecord(
            name=said["ChangeSetName"],
            set_id=self._works.book.arn(
                f"changeSet/{said['ChangeSetName']}/{new_id()}"
            ),
            kind=kind,
            created=self._works.now(),
            token=said.get("ClientToken", ""),
            description=said.get("Description", ""),
            on_failure=said.get("OnStackFailure", "ROLLBACK"),
            mode=said.get("DeploymentMode"),
        )
        record.change_sets[change_set.name] = change_set
        proposing = Proposing(
            record, change_set, asked, self._works.services(key), self._works.region
        )
        self._works.begin(proposing.propose())
        return {"Id": change_set.set_id, "StackId": record.stack_id}

    def _asked(
        self,
        said: Said,
        template: Template,
        capabilities: tuple[str, ...],
        record: StackRecord | None,
    ) -> Proposed:
        given = said.get("Parameters", [])
        keep = frozenset(p["ParameterKey"] for p in given if p.get("UsePreviousValue"))
        values = {
            p["ParameterKey"]: p.get("ParameterValue", "")
            for p in given
            if p["ParameterKey"] not in keep
        }
        name = said["StackName"] if record is None else record.name
        stack_id = "" if record is None else record.stack_id
        return Proposed(
            template=template,
            given=values,
            keep=keep,
            tags={tag["Key"]: tag["Value"] for tag in said.get("Tags", [])},
            capabilities=capabilities,
            pseudo=pseudo_parameters(name, stack_id, self._works.region),
            validates=not said.get("DisableValidation"),
        )

    def _repeated(
        self, record: StackRecord | None, said: Said
    ) -> ChangeSetRecord | None:
        held = None if record is None else record.change_sets.get(said["ChangeSetName"])
        if held is None:
            return None
        if held.token and held.token == said.get("ClientToken"):
            return held
        raise ApiError(
            400,
            "AlreadyExistsException",
            f"ChangeSet {said['ChangeSetName']} cannot be created due to a mismatch"
            " with existing attribute ClientToken",
        )

    def _record_for(
        self, record: StackRecord | None, kind: str, name: str, change_set: str
    ) -> StackRecord:
        if kind == "CREATE":
            if record is None:
                if not _NAME.fullmatch(name):
                    raise refused(
                        f"1 validation error detected: Value '{name}' at"
                        " 'stackName' failed to satisfy constraint"
                    )
                record = self._works.book.add(name, self._works.now)
                record.become("REVIEW_IN_PROGRESS", "User Initiated")
            elif record.status != "REVIEW_IN_PROGRESS":
                raise refused(
                    f"Stack [{name}] already exists and cannot be created again with"
                    f" the changeSet [{change_set}]."
                )
            return record
        if record is None:
            raise refused(f"Stack [{name}] does not exist")
        require(record, AT_REST, "updated")
        return record

    def describe_change_set(self, said: Said, key: CallersKey) -> Said:
        record, one = self._works.book.change_set(said)
        rows, token = page_of(one.changes, said.get("NextToken"), "changes")
        return {
            **tell_change_set(record, one),
            "Changes": [tell_change(row) for row in rows],
            "NextToken": token,
        }

    def delete_change_set(self, said: Said, key: CallersKey) -> Said:
        try:
            record, one = self._works.book.change_set(said)
        except ApiError as e:
            if e.code != "ChangeSetNotFound":
                raise
            return {}
        if one.execution.startswith("EXECUTE"):
            raise _wrong_status(one)
        del record.change_sets[one.name]
        return {}

    def list_change_sets(self, said: Said, key: CallersKey) -> Said:
        record = self._works.book.get(said["StackName"])
        names = (
            *("ChangeSetId", "ChangeSetName", "StackId", "StackName", "Status"),
            *("ExecutionStatus", "StatusReason", "CreationTime", "Description"),
        )
        told = [tell_change_set(record, one) for one in record.change_sets.values()]
        return {"Summaries": [{k: one[k] for k in names} for one in told]}

    def execute_change_set(self, said: Said, key: CallersKey) -> Said:
        record, one = self._works.book.change_set(said)
        token = said.get("ClientRequestToken", "")
        if one.executed_with and one.executed_with == token:
            return {}
        if one.execution != "AVAILABLE":
            raise _wrong_status(one)
        if one.kind == "CREATE":
            require(record, frozenset({"REVIEW_IN_PROGRESS"}), "created")
        else:
            require(record, AT_REST, "updated")
        one.execution, one.executed_with = "EXECUTE_IN_PROGRESS", token or new_id()
        record.token = token
        record.change_sets = {one.name: one}
        stays = bool(said.get("DisableRollback")) or one.on_failure == "DO_NOTHING"
        self._works.begin_on(
            record, self._execute(self._works.carrying(record, key), one, stays=stays)
        )
        return {}

    async def _execute(
        self, carrying: Carrying, one: ChangeSetRecord, *, stays: bool
    ) -> None:
        assert one.deploying is not None, "it is executable"
        if one.kind == "CREATE":
            how = "DO_NOTHING" if stays else one.on_failure
            await carrying.create(one.deploying, how)
        else:
            carrying.record.take_as_seen(one.seen)
            await carrying.update(one.deploying, stop_there=stays)
        done = carrying.record.status in ("CREATE_COMPLETE", "UPDATE_COMPLETE")
        one.execution = "EXECUTE_COMPLETE" if done else "EXECUTE_FAILED"

    def describe_events(self, said: Said, key: CallersKey) -> Said:
        if "ChangeSetName" not in said:
            raise refused("the local cloud has the events of change sets alone")
        record, one = self._works.book.change_set(said)
        return {
            "OperationEvents": [
                {
                    "EventId": f"{one.set_id}/{number}",
                    "StackId": record.stack_id,
                    "OperationType": "CREATE_CHANGESET",
                    "EventType": "VALIDATION_ERROR",
                    "LogicalResourceId": name,
                    "ResourceType": kind,
                    "Timestamp": one.created,
                    "ValidationName": "PROPERTY_VALIDATION",
                    "ValidationStatus": "FAILED",
                    "ValidationFailureMode": "FAIL",
                    "ValidationStatusReason": words,
                    "ValidationPath": f"/Resources/{name}/Properties",
                }
                for number, (name, kind, words) in enumerate(one.problems)
            ]
        }


def _wrong_status(one: ChangeSetRecord) -> ApiError:
    return ApiError(
        400,
        "InvalidChangeSetStatus",
        f"ChangeSet [{one.set_id}] cannot be executed in its current status of"
        f" [{one.status}] and execution status of [{one.execution}]",
    )
