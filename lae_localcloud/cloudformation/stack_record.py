"""What the local cloud knows of a stack.  Values, and the few words to change them."""

from __future__ import annotations

import secrets
import uuid
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from attrs import define, field

from lae_localcloud.cloudformation.changes import ResourceChange, StandingResource
from lae_localcloud.cloudformation.evaluation import Known
from lae_localcloud.cloudformation.order import Needs
from lae_localcloud.cloudformation.template import Template

STACK = "AWS::CloudFormation::Stack"


@define
class ResourceRecord:
    """A resource of a stack, as it is; *known* is None before it is made."""

    name: str
    kind: str
    status: str = ""
    reason: str = ""
    at: datetime | None = None
    known: Known | None = None
    properties: Mapping[str, Any] = field(factory=dict)
    deletion_policy: str = "Delete"
    update_replace_policy: str = "Delete"
    generation: int = 1
    drift: str = "NOT_CHECKED"

    @property
    def physical_id(self) -> str:
        """Empty before there is one."""
        return "" if self.known is None else self.known.physical_id

    def standing(self) -> StandingResource:
        """As changes are computed from."""
        assert self.known is not None, f"{self.name} is not made"
        return StandingResource(
            self.name,
            self.kind,
            self.known,
            self.properties,
            self.deletion_policy,
            self.update_replace_policy,
        )


@define(frozen=True)
class StackEvent:
    """One event, as DescribeStackEvents tells it."""

    event_id: str
    at: datetime
    name: str
    kind: str
    status: str
    reason: str
    physical_id: str
    token: str


@define(frozen=True)
class Deploying:
    """What a stack is to be: a template with everything it was given."""

    template: Template
    parameters: Mapping[str, str]
    conditions: Mapping[str, bool]
    needs: Needs
    zones: tuple[str, ...]
    tags: Mapping[str, str]
    capabilities: tuple[str, ...]


@define
class ChangeSetRecord:
    """A change set.  *problems*: what was found wrong, by resource."""

    name: str
    set_id: str
    kind: str
    created: datetime
    token: str
    description: str = ""
    status: str = "CREATE_PENDING"
    execution: str = "UNAVAILABLE"
    reason: str = ""
    deploying: Deploying | None = None
    changes: tuple[ResourceChange, ...] = ()
    problems: tuple[tuple[str, str, str], ...] = ()
    on_failure: str = "ROLLBACK"
    mode: str | None = None
    executed_with: str = ""
    #: With REVERT_DRIFT: properties as they are, by resource; None: it is gone.
    seen: dict[str, Mapping[str, Any] | None] = field(factory=dict)


@define
class DriftRecord:
    """One detection of drift, and what came of it."""

    detection_id: str
    stack_id: str
    at: datetime
    status: str = "DETECTION_IN_PROGRESS"
    reason: str = ""
    drifted: int = 0


@define
class StackRecord:
    """A stack.  *undo*: what resources were before the update under way."""

    name: str
    stack_id: str
    created: datetime
    now: Callable[[], datetime]
    status: str = "REVIEW_IN_PROGRESS"
    reason: str = ""
    updated: datetime | None = None
    deleted: datetime | None = None
    deployed: Deploying | None = None
    resources: dict[str, ResourceRecord] = field(factory=dict)
    undo: dict[str, ResourceRecord | None] = field(factory=dict)
    #: What an update has put aside, to be taken away at its end.
    aside: list[ResourceRecord] = field(factory=list)
    outputs: dict[str, Any] = field(factory=dict)
    events: list[StackEvent] = field(factory=list)
    change_sets: dict[str, ChangeSetRecord] = field(factory=dict)
    protected: bool = False
    #: Whether an operation was accepted that has not ended.
    busy: bool = False
    token: str = ""
    drift: str = "NOT_CHECKED"
    drift_at: datetime | None = None
    #: Operations that were asked for, by token.
    tokens: dict[str, str] = field(factory=dict)
    #: By resource: expected and actual properties, at the last detection.
    drifts: dict[str, dict[str, Any]] = field(factory=dict)

    @property
    def gone(self) -> bool:
        """Whether only its id still leads to it."""
        return self.status == "DELETE_COMPLETE"

    def become(self, status: str, reason: str = "") -> None:
        """Another status, and its event."""
        self.status, self.reason = status, reason
        self._event(self.name, STACK, status, reason, self.stack_id)

    def tell(self, one: ResourceRecord, status: str, reason: str = "") -> None:
        """Another status of a resource, and its event."""
        one.status, one.reason, one.at = status, reason, self.now()
        self._event(one.name, one.kind, status, reason, one.physical_id)

    def _event(
        self, name: str, kind: str, status: str, reason: str, physical_id: str
    ) -> None:
        prefix = "" if kind == STACK else f"{name}-{status}-"
        self.events.append(
            StackEvent(
                event_id=prefix + str(uuid.uuid4()),
                at=self.now(),
                name=name,
                kind=kind,
                status=status,
                reason=reason,
                physical_id=physical_id,
                token=self.token,
            )
        )

    def take_as_seen(self, seen: Mapping[str, Mapping[str, Any] | None]) -> None:
        """From now on resources are what was found, and no more what was made."""
        for name, properties in seen.items():
            one = self.resources.get(name)
            if one is None:
                continue
            if properties is None:
                one.known, one.generation = None, one.generation + 1
            else:
                one.properties = properties

    def standing(self) -> dict[str, StandingResource]:
        """All resources that there are."""
        return {
            name: one.standing()
            for name, one in self.resources.items()
            if one.known is not None
        }


def new_id() -> str:
    """As in the ids of stacks and change sets."""
    return str(uuid.UUID(bytes=secrets.token_bytes(16), version=4))
