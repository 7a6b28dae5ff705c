"""What a change set says, of any two states of a template."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lae_localcloud.cloudformation.changes import (
    ResourceChange,
    StandingResource,
    compute_changes,
)
from lae_localcloud.cloudformation.evaluation import LATER, Known, Scope, evaluate
from lae_localcloud.cloudformation.kinds.table import KINDS
from lae_localcloud.cloudformation.order import find_needs
from lae_localcloud.cloudformation.reading import TemplateWrong
from lae_localcloud.cloudformation.template import Template, read_template
from tests.localcloud.cloudformation.templates import GROUP, graphs, template_of


def read(resources: dict[str, Any]) -> Template:
    return read_template(json.dumps({"Resources": resources}), KINDS)


def made(template: Template) -> dict[str, StandingResource]:
    """What stands after the template was deployed."""
    known: dict[str, Known] = {}
    needs = find_needs(template, {})
    found: dict[str, StandingResource] = {}
    while len(found) < len(needs):
        for name in needs:
            if name in found or not needs[name] <= found.keys():
                continue
            one = template.resources[name]
            said = evaluate(one.properties, Scope({}, known=known))
            known[name] = Known(f"{name}-1", {"Arn": f"arn:{name}-1"})
            found[name] = StandingResource(
                name,
                one.kind,
                known[name],
                said,
                one.deletion_policy,
                one.update_replace_policy,
            )
    return found


def changes(
    before: Template, after: Template, tags: dict[str, str] | None = None
) -> dict[str, ResourceChange]:
    standing = made(before)
    scope = Scope({}, known={name: one.known for name, one in standing.items()})
    needs = find_needs(after, {})
    found = compute_changes(after, needs, scope, standing, tags or {})
    return {one.name: one for one in found}


@given(graphs())
def test_what_stays_is_no_change(needs: dict[str, frozenset[str]]) -> None:
    """The same template again changes nothing, however resources refer to each other."""
    template = read_template(template_of(needs), KINDS)
    assert changes(template, template) == {}


@given(graphs(), st.data())
def test_whoever_refers_to_what_is_made_anew_may_change(
    needs: dict[str, frozenset[str]], data: st.DataObject
) -> None:
    """A replaced resource changes those that refer to it, and no others; each change
    that is not known yet is told so.
    """
    before = read_template(template_of(needs), KINDS)
    again = data.draw(st.sampled_from(sorted(needs)))
    tree = json.loads(json.dumps(_tree(before)))
    tree["Resources"][again]["Properties"]["LogGroupName"] = "another"
    after = read_template(json.dumps(tree), KINDS)
    found = changes(before, after)
    assert found[again].replacement == "True"
    referring = {
        name
        for name in needs
        if again in json.dumps(tree["Resources"][name]["Properties"]) and name != again
    }
    # Names may be parts of other names.
    assert set(found) - {again} <= referring
    for name in set(found) - {again}:
        one = found[name]
        assert (one.action, one.replacement) == ("Modify", "False")
        assert all(p.dynamic and p.cause for p in one.properties)
        assert again in {p.cause.partition(".")[0] for p in one.properties}


def _tree(template: Template) -> dict[str, Any]:
    return {
        "Resources": {
            name: {
                "Type": one.kind,
                "Properties": dict(one.properties),
                "DependsOn": list(one.depends_on),
            }
            for name, one in template.resources.items()
        }
    }


VPC = {"Type": "AWS::EC2::VPC", "Properties": {"CidrBlock": "10.0.0.0/16"}}
SUBNET = {
    "Type": "AWS::EC2::Subnet",
    "Properties": {"VpcId": {"Ref": "Net"}, "CidrBlock": "10.0.0.0/24"},
}


def test_a_replacement_may_replace_whoever_needs_it() -> None:
    """A VPC of other addresses is made anew, and so, perhaps, is its subnet."""
    other = {"Type": "AWS::EC2::VPC", "Properties": {"CidrBlock": "10.1.0.0/16"}}
    found = changes(
        read({"Net": VPC, "Sub": SUBNET}), read({"Net": other, "Sub": SUBNET})
    )
    assert found["Net"].replacement == "True"
    assert found["Net"].policy_action == "ReplaceAndDelete"
    assert found["Sub"].replacement == "Conditional"
    (change,) = found["Sub"].properties
    assert (change.name, change.recreation) == ("VpcId", "Always")
    assert (change.before, change.after, change.cause) == ("Net-1", LATER, "Net")


@pytest.mark.parametrize(
    ("before", "after", "replacement"),
    [
        ({"InstanceType": "a"}, {"InstanceType": "b"}, "Conditional"),
        ({"ImageId": "a"}, {"ImageId": "b"}, "True"),
        ({"DisableApiTermination": True}, {"DisableApiTermination": "false"}, "False"),
        ({"DisableApiTermination": True}, {"DisableApiTermination": "true"}, None),
    ],
)
def test_each_property_says_what_its_change_does(
    before: Any, after: Any, replacement: str | None
) -> None:
    """An instance is made anew for another image, perhaps for another type, and never
    for its protection; ``true`` and ``"true"`` are one.
    """
    kind = "AWS::EC2::Instance"
    found = changes(
        read({"A": {"Type": kind, "Properties": before}}),
        read({"A": {"Type": kind, "Properties": after}}),
    )
    assert (found["A"].replacement if found else None) == replacement


def test_what_is_added_and_what_is_taken_out() -> None:
    """New resources are added; those that are gone are removed as their policy says."""
    kept = {"Type": GROUP, "DeletionPolicy": "Retain"}
    found = changes(
        read({"A": {"Type": GROUP}, "B": kept, "C": {"Type": GROUP}}),
        read({"C": {"Type": GROUP}, "D": {"Type": GROUP}}),
    )
    assert {n: (c.action, c.policy_action) for n, c in found.items()} == {
        "A": ("Remove", "Delete"),
        "B": ("Remove", "Retain"),
        "D": ("Add", ""),
    }


def test_a_policy_and_a_tag_are_changes_too() -> None:
    """A policy that changes, or a tag of the stack, changes the resource in place."""
    plain = {"A": {"Type": GROUP}}
    policy = {"A": {"Type": GROUP, "DeletionPolicy": "Retain"}}
    assert changes(read(plain), read(policy))["A"].beside == ("DeletionPolicy",)
    tagged = changes(read(plain), read(plain), {"s4:deployment": "one"})
    assert [p.name for p in tagged["A"].properties] == ["Tags"]
    assert tagged["A"].replacement == "False"


def test_a_resource_keeps_its_type() -> None:
    """Another type under the same name is refused, as AWS does."""
    with pytest.raises(TemplateWrong, match=r"resources: \[A\]"):
        changes(read({"A": {"Type": GROUP}}), read({"A": VPC}))
