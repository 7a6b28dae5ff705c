"""What an update would do to each resource, before it is done.  Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Literal

from attrs import define, evolve, field

from lae_localcloud.cloudformation.evaluation import (
    LATER,
    Known,
    Scope,
    evaluate,
    references,
    same_words,
)
from lae_localcloud.cloudformation.order import Needs, ready
from lae_localcloud.cloudformation.reading import TemplateWrong
from lae_localcloud.cloudformation.schemas import Recreation, recreation, takes_tags
from lae_localcloud.cloudformation.template import Template, TemplateResource

Replacement = Literal["True", "False", "Conditional"]


@define(frozen=True)
class StandingResource:
    """A resource of a stack that exists, with the properties it was made of."""

    name: str
    kind: str
    known: Known
    properties: Mapping[str, Any] = field(factory=dict)
    deletion_policy: str = "Delete"
    update_replace_policy: str = "Delete"


@define(frozen=True)
class PropertyChange:
    """A property that differs; its new value may be known later only."""

    name: str
    recreation: Recreation
    before: Any
    after: Any
    cause: str = ""

    @property
    def dynamic(self) -> bool:
        """Whether it is not known yet that it changes."""
        return LATER in json.dumps(self.after)


@define(frozen=True)
class ResourceChange:
    """What becomes of one resource."""

    action: Literal["Add", "Modify", "Remove"]
    name: str
    kind: str
    physical_id: str = ""
    replacement: Replacement | None = None
    properties: tuple[PropertyChange, ...] = ()
    #: Attributes of the resource beside its properties: ``DeletionPolicy``.
    beside: tuple[str, ...] = ()
    policy_action: str = ""


def wanted_properties(
    one: TemplateResource, scope: Scope, tags: Mapping[str, str]
) -> dict[str, Any]:
    """Its properties, evaluated, with the tags of the stack."""
    found: dict[str, Any] = evaluate(one.properties, scope)
    own = found.get("Tags", [])
    if tags and takes_tags(one.kind) and isinstance(own, list):
        named = {tag["Key"] for tag in own}
        more = [{"Key": k, "Value": v} for k, v in tags.items() if k not in named]
        found["Tags"] = [*own, *more]
    return found


def compute_changes(
    template: Template,
    needs: Needs,
    scope: Scope,
    standing: Mapping[str, StandingResource],
    tags: Mapping[str, str],
) -> tuple[ResourceChange, ...]:
    """All changes, those that come first in front; raises :class:`TemplateWrong`.

    *needs* are those of the template; a resource without any change is not there.
    """
    _check_kinds(template, needs, standing)
    later: frozenset[str] = frozenset(needs)
    made: list[ResourceChange] = []
    done: set[str] = set()
    while waiting := ready(needs, set(needs) - done, done):
        for name in waiting:
            change = _change(
                template.resources[name],
                evolve(scope, later=later - {name} - done | _again(made)),
                standing.get(name),
                tags,
            )
            done.add(name)
            if change is not None:
                made.append(change)
    gone = sorted(set(standing) - set(needs))
    return (*made, *(_removal(standing[name]) for name in gone))


def _again(made: list[ResourceChange]) -> frozenset[str]:
    """Those whose physical id is not known before they are made."""
    return frozenset(
        one.name
        for one in made
        if one.action == "Add" or one.replacement in ("True", "Conditional")
    )


def _check_kinds(
    template: Template, needs: Needs, standing: Mapping[str, StandingResource]
) -> None:
    turned = sorted(
        name
        for name in needs
        if name in standing and standing[name].kind != template.resources[name].kind
    )
    if turned:
        raise TemplateWrong(
            "Update of resource type is not permitted. The new template modifies"
            f" resource type of the following resources: [{', '.join(turned)}]"
        )


def _removal(one: StandingResource) -> ResourceChange:
    policy = one.deletion_policy
    return ResourceChange(
        "Remove",
        one.name,
        one.kind,
        one.known.physical_id,
        policy_action=policy if policy in ("Retain", "Snapshot") else "Delete",
    )


def _change(
    one: TemplateResource,
    scope: Scope,
    before: StandingResource | None,
    tags: Mapping[str, str],
) -> ResourceChange | None:
    after = wanted_properties(one, scope, tags)
    if before is None:
        return ResourceChange("Add", one.name, one.kind)
    properties = tuple(_differing(one, before.properties, after, scope))
    beside = tuple(
        attribute
        for attribute, held, wanted in (
            ("DeletionPolicy", before.deletion_policy, one.deletion_policy),
            (
                "UpdateReplacePolicy",
                before.update_replace_policy,
                one.update_replace_policy,
            ),
        )
        if held != wanted
    )
    if not properties and not beside:
        return None
    replacement = _replacement(properties)
    again = replacement != "False"
    return ResourceChange(
        "Modify",
        one.name,
        one.kind,
        before.known.physical_id,
        replacement,
        properties,
        beside,
        f"ReplaceAnd{one.update_replace_policy}" if again else "",
    )


def _differing(
    one: TemplateResource,
    before: Mapping[str, Any],
    after: Mapping[str, Any],
    scope: Scope,
) -> Iterator[PropertyChange]:
    for name in sorted(before.keys() | after.keys()):
        held, wanted = before.get(name), after.get(name)
        if name in before and name in after and same_words(held, wanted):
            continue
        asked = references(one.properties.get(name), scope.conditions)
        causes = (f"{of}.{a}" if a else of for of, a in asked if of in scope.later)
        cause = next(causes, "")
        yield PropertyChange(name, recreation(one.kind, name), held, wanted, cause)


def _replacement(properties: tuple[PropertyChange, ...]) -> Replacement:
    """As AWS says it: what is not known yet may turn out to be no change."""
    if any(p.recreation == "Always" and not p.dynamic for p in properties):
        return "True"
    if any(p.recreation != "Never" for p in properties):
        return "Conditional"
    return "False"
