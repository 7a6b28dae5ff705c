"""A template as a value, judged as a whole before anything is made.  Pure."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any

from attrs import define, field

from lae_localcloud.cloudformation.reading import TemplateWrong, read_tree

_SECTIONS = frozenset(
    {
        *("AWSTemplateFormatVersion", "Description", "Metadata", "Parameters"),
        *("Mappings", "Conditions", "Resources", "Outputs", "Rules"),
    }
)
_OF_RESOURCE = frozenset(
    {
        *("Type", "Properties", "DependsOn", "Condition", "DeletionPolicy"),
        *("UpdateReplacePolicy", "Metadata", "CreationPolicy", "UpdatePolicy"),
    }
)
_POLICIES = ("Delete", "Retain", "Snapshot", "RetainExceptOnCreate")
_NAME = re.compile(r"[A-Za-z0-9]{1,255}")
#: AWS's own limits.
RESOURCES, PARAMETERS, OUTPUTS = 500, 200, 200


@define(frozen=True)
class TemplateResource:
    """A resource as the template writes it, its functions not yet evaluated."""

    name: str
    kind: str
    properties: Mapping[str, Any] = field(factory=dict)
    depends_on: tuple[str, ...] = ()
    condition: str | None = None
    deletion_policy: str = "Delete"
    update_replace_policy: str = "Delete"


@define(frozen=True)
class TemplateOutput:
    """An output as the template writes it."""

    name: str
    value: Any
    description: str = ""
    export: Any = None
    condition: str | None = None


@define(frozen=True)
class Template:
    """A whole template."""

    text: str = field(repr=False)
    description: str
    parameters: Mapping[str, Mapping[str, Any]]
    mappings: Mapping[str, Any]
    conditions: Mapping[str, Any]
    resources: Mapping[str, TemplateResource]
    outputs: Mapping[str, TemplateOutput]


def read_template(text: str, kinds: Collection[str]) -> Template:
    """Read it; raises :class:`TemplateWrong` as AWS refuses it.

    *kinds*: the resource types that there are.
    """
    tree = read_tree(text)
    strange = sorted(set(tree) - _SECTIONS)
    if strange:
        raise TemplateWrong(
            f"Invalid template property or properties [{', '.join(strange)}]"
        )
    version = tree.get("AWSTemplateFormatVersion", "2010-09-09")
    if version != "2010-09-09":
        raise TemplateWrong(
            f"Template format error: {version} is not a supported value for"
            " AWSTemplateFormatVersion."
        )
    written = _section(tree, "Resources")
    if not written:
        raise TemplateWrong(
            "Template format error: At least one Resources member must be defined."
        )
    template = Template(
        text=text,
        description=str(tree.get("Description", "")),
        parameters=_section(tree, "Parameters"),
        mappings=_section(tree, "Mappings"),
        conditions=_section(tree, "Conditions"),
        resources={name: _resource(name, one) for name, one in written.items()},
        outputs={
            name: _output(name, one) for name, one in _section(tree, "Outputs").items()
        },
    )
    _check_sizes(template)
    _check_names(template, kinds)
    return template


def _section(tree: dict[str, Any], name: str) -> dict[str, Any]:
    found = tree.get(name, {})
    if not isinstance(found, dict) or not all(
        isinstance(one, dict) for one in found.values() if name != "Conditions"
    ):
        raise TemplateWrong(
            f"Template format error: Every {name} member must be an object."
        )
    return found


def _resource(name: str, said: dict[str, Any]) -> TemplateResource:
    if not _NAME.fullmatch(name):
        raise TemplateWrong(
            f"Template format error: Resource name {name} is non alphanumeric."
        )
    strange = sorted(set(said) - _OF_RESOURCE)
    if strange:
        raise TemplateWrong(f"Invalid template resource property '{strange[0]}'")
    kind = said.get("Type")
    if not isinstance(kind, str):
        raise TemplateWrong(
            f"Template format error: [/Resources/{name}] Every Resources object must"
            " contain a Type member."
        )
    after = said.get("DependsOn", [])
    properties = said.get("Properties", {})
    if not isinstance(properties, dict):
        raise TemplateWrong(
            f"Template format error: [/Resources/{name}/Properties] must be an object"
        )
    policies = {}
    for policy in ("DeletionPolicy", "UpdateReplacePolicy"):
        policies[policy] = said.get(policy, "Delete")
        if policies[policy] not in _POLICIES:
            raise TemplateWrong(
                f"Template error: {policy} must be one of {', '.join(_POLICIES)}"
            )
    return TemplateResource(
        name=name,
        kind=kind,
        properties=properties,
        depends_on=tuple([after] if isinstance(after, str) else after),
        condition=said.get("Condition"),
        deletion_policy=policies["DeletionPolicy"],
        update_replace_policy=policies["UpdateReplacePolicy"],
    )


def _output(name: str, said: dict[str, Any]) -> TemplateOutput:
    if "Value" not in said:
        raise TemplateWrong(
            f"Template format error: [/Outputs/{name}] Every Outputs member must"
            " contain a Value object"
        )
    return TemplateOutput(
        name=name,
        value=said["Value"],
        description=str(said.get("Description", "")),
        export=said.get("Export", {}).get("Name"),
        condition=said.get("Condition"),
    )


def _check_sizes(template: Template) -> None:
    for what, limit, there in (
        ("resources", RESOURCES, template.resources),
        ("parameters", PARAMETERS, template.parameters),
        ("outputs", OUTPUTS, template.outputs),
    ):
        if len(there) > limit:
            raise TemplateWrong(
                f"Template format error: Number of {what}, {len(there)}, is greater"
                f" than maximum allowed, {limit}"
            )


def _check_names(template: Template, kinds: Collection[str]) -> None:
    unknown = sorted({r.kind for r in template.resources.values()} - set(kinds))
    if unknown:
        raise TemplateWrong(
            "Template format error: Unrecognized resource types:"
            f" [{', '.join(unknown)}]"
        )
    both = sorted(set(template.parameters) & set(template.resources))
    if both:
        raise TemplateWrong(
            "Template format error: Resource and parameter names must be unique:"
            f" [{', '.join(both)}]"
        )
    missing = sorted(
        {n for r in template.resources.values() for n in r.depends_on}
        - set(template.resources)
    )
    if missing:
        raise unresolved(missing)
    conditions = {r.condition for r in template.resources.values()}
    conditions |= {o.condition for o in template.outputs.values()}
    for name in sorted(c for c in conditions if c is not None):
        if name not in template.conditions:
            raise TemplateWrong(
                f"Template format error: Unresolved condition dependency {name}"
            )


def unresolved(names: Collection[str], block: str = "Resources") -> TemplateWrong:
    """What AWS says of names that stand for nothing."""
    return TemplateWrong(
        "Template format error: Unresolved resource dependencies"
        f" [{', '.join(sorted(names))}] in the {block} block of the template"
    )
