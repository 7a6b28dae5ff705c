"""Makes a change set: what would become of a stack, before anything is done."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import define, evolve

from lae_localcloud.cloudformation.calls_signed import Services
from lae_localcloud.cloudformation.changes import (
    StandingResource,
    compute_changes,
    wanted_properties,
)
from lae_localcloud.cloudformation.drifting import look_at
from lae_localcloud.cloudformation.evaluation import (
    Scope,
    decide_conditions,
    references,
    same_words,
)
from lae_localcloud.cloudformation.kinds.table import KINDS
from lae_localcloud.cloudformation.order import find_needs
from lae_localcloud.cloudformation.parameters import as_value, fill_parameters
from lae_localcloud.cloudformation.reading import TemplateWrong
from lae_localcloud.cloudformation.schemas import complaints_about
from lae_localcloud.cloudformation.scopes import scope_of
from lae_localcloud.cloudformation.stack_record import (
    ChangeSetRecord,
    Deploying,
    StackRecord,
)
from lae_localcloud.cloudformation.template import Template

UNCHANGED = (
    "The submitted information didn't contain changes. Submit different information to"
    " create a change set."
)
NO_UPDATES = "No updates are to be performed."
EARLY = (
    "The following hook(s)/validation failed:"
    " [AWS::EarlyValidation::PropertyValidation]. To troubleshoot Early Validation"
    " errors, use the DescribeEvents API for detailed failure information."
)


@define(frozen=True)
class Proposed:
    """What CreateChangeSet was given."""

    template: Template
    given: Mapping[str, str]
    keep: frozenset[str]
    tags: Mapping[str, str]
    capabilities: tuple[str, ...]
    pseudo: Mapping[str, Any]
    validates: bool = True


def deploying_of(asked: Proposed, previous: Mapping[str, str]) -> Deploying:
    """All that can be judged at once; raises :class:`TemplateWrong`."""
    template = asked.template
    values = fill_parameters(template.parameters, asked.given, previous, asked.keep)
    declared = template.parameters
    filled = {k: as_value(declared[k], v) for k, v in values.items()}
    scope = Scope({**filled, **asked.pseudo}, mappings=template.mappings)
    conditions = decide_conditions(template, scope)
    _check_attributes(template, conditions)
    return Deploying(
        template=template,
        parameters=values,
        conditions=conditions,
        needs=find_needs(template, conditions),
        zones=(),
        tags=asked.tags,
        capabilities=asked.capabilities,
    )


def _check_attributes(template: Template, conditions: Mapping[str, bool]) -> None:
    written = [r.properties for r in template.resources.values()]
    written += [{"Value": o.value} for o in template.outputs.values()]
    for name, attribute in references(written, conditions):
        wanted = template.resources.get(name)
        if attribute is None or wanted is None:
            continue
        if attribute not in KINDS[wanted.kind].attributes:
            raise TemplateWrong(
                f"Template error: resource {name} does not support attribute type"
                f" {attribute} in Fn::GetAtt"
            )


@define(frozen=True)
class Proposing:
    """One change set under way."""

    record: StackRecord
    change_set: ChangeSetRecord
    asked: Proposed
    services: Services
    region: str

    async def propose(self) -> None:
        """Compute it; what is wrong with it is told by its status."""
        self.change_set.status = "CREATE_IN_PROGRESS"
        try:
            await self._propose()
        except TemplateWrong as e:
            self._fail(str(e))

    async def _propose(self) -> None:
        record, change_set = self.record, self.change_set
        former = record.deployed
        previous = {} if former is None else former.parameters
        told = await self.services("ec2", "DescribeAvailabilityZones")
        zones = tuple(z["ZoneName"] for z in told["AvailabilityZones"])
        deploying = evolve(deploying_of(self.asked, previous), zones=zones)
        change_set.deploying = deploying
        standing = await self._standing()
        known = {name: one.known for name, one in standing.items()}
        scope = scope_of(deploying, record, self.region, known)
        changes = compute_changes(
            deploying.template, deploying.needs, scope, standing, deploying.tags
        )
        change_set.changes = changes
        if self.asked.validates:
            change_set.problems = tuple(self._problems(deploying, scope))
        if change_set.problems:
            self._fail(EARLY)
        elif former is not None and not changes and not _says_more(former, deploying):
            same_words = former.template.text == deploying.template.text
            nothing = same_words and former.parameters == deploying.parameters
            self._fail(UNCHANGED if nothing else NO_UPDATES)
        else:
            change_set.status, change_set.execution = "CREATE_COMPLETE", "AVAILABLE"

    async def _standing(self) -> dict[str, StandingResource]:
        """As the stack left it; with REVERT_DRIFT as it is now."""
        standing = self.record.standing()
        if self.change_set.mode != "REVERT_DRIFT":
            return standing
        found = {}
        for name, one in standing.items():
            seen = await look_at(self.services, self.record.resources[name])
            now = None if seen is None else {**one.properties, **seen}
            self.change_set.seen[name] = now
            if now is not None:
                found[name] = evolve(one, properties=now)
        return found

    def _problems(
        self, deploying: Deploying, scope: Scope
    ) -> list[tuple[str, str, str]]:
        later = frozenset(deploying.needs) - scope.known.keys()
        found: list[tuple[str, str, str]] = []
        for name in deploying.needs:
            wanted = deploying.template.resources[name]
            said = wanted_properties(wanted, evolve(scope, later=later), deploying.tags)
            complaints = complaints_about(wanted.kind, said)
            if not complaints:
                # Rather than to leave out what AWS would make true.
                left = sorted(set(said) - set(KINDS[wanted.kind].takes))
                complaints = [f"the local cloud does not make [{n}]" for n in left]
            found += [(name, wanted.kind, words) for words in complaints]
        return found

    def _fail(self, words: str) -> None:
        self.change_set.status, self.change_set.execution = "FAILED", "UNAVAILABLE"
        self.change_set.reason = words


def _says_more(former: Deploying, now: Deploying) -> bool:
    """Tell whether outputs differ, which is a change without any resource."""

    def said(one: Deploying) -> dict[str, Any]:
        there = one.template.outputs.values()
        return {o.name: [o.value, o.export, o.condition] for o in there}

    return not same_words(said(former), said(now))
